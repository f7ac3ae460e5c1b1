package config

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// bgp fills in what speaks BGP, when there is a [bgp] table.
func (b *builder) bgp(c *Config) {
	s := section{node: b.root.table["bgp"], pattern: "bgp"}
	if s.node == nil || !s.node.isTable() {
		return
	}
	b.must(s, "local_as", "65101")
	b.must(s, "router_id", `"192.0.2.1"`)
	c.Engine.DrainWait = get[time.Duration](s, "drain.wait")
	if most := get[int](s, "withdraw_budget.max"); most > 0 {
		c.Engine.Budget = engine.Budget{Max: most, Per: get[time.Duration](s, "withdraw_budget.per")}
	}
	c.Engine.BGP = &bgp.Config{
		LocalAS:         uint32(get[int](s, "local_as")), // 1–4294967294 by its kind
		RouterID:        get[netip.Addr](s, "router_id"),
		ListenPort:      get[int](s, "listen_port"),
		GracefulRestart: get[time.Duration](s, "graceful_restart.time"),
		Neighbors:       map[string]bgp.Neighbor{},
	}
	profiles := map[string]*bgp.BFD{}
	for _, p := range b.sections("bfd") {
		profiles[p.node.name] = &bgp.BFD{
			Transmit:   get[time.Duration](p, "transmit_interval"),
			Receive:    get[time.Duration](p, "receive_interval"),
			Multiplier: uint8(get[int](p, "multiplier")),
		}
	}
	for _, n := range b.neighbors() {
		c.Engine.BGP.Neighbors[n.node.name] = b.neighbor(n, c, profiles)
	}
}

// neighbors returns the neighbors, each with its group for defaults.
func (b *builder) neighbors() []section {
	list := b.sections("bgp.neighbor")
	for i := range list {
		list[i] = grouped(b.root, list[i])
	}
	return list
}

// grouped is a neighbor with the keys of its group.
func grouped(root *node, s section) section {
	if n := s.node.table["group"]; n != nil {
		name, _ := n.value.(string)
		s.defaults = find(root, []string{"bgp", "group", name})
	}
	return s
}

func (b *builder) neighbor(s section, c *Config, profiles map[string]*bgp.BFD) bgp.Neighbor {
	b.must(s, "remote_as", "65001")
	n := bgp.Neighbor{
		Address:      get[netip.Addr](s, "address"),
		Interface:    get[string](s, "interface"),
		Source:       get[netip.Addr](s, "source"),
		Passive:      get[bool](s, "passive"),
		HoldTime:     get[time.Duration](s, "hold_time"),
		Keepalive:    get[time.Duration](s, "keepalive"),
		ConnectRetry: get[time.Duration](s, "connect_retry"),
		TTLSecurity:  get[int](s, "ttl_security"),
		Multihop:     get[int](s, "multihop"),
		MaxPrefixes:  uint32(get[int](s, "max_prefixes")),
		BFD:          profiles[get[string](s, "bfd")],
	}
	if n.Keepalive == 0 {
		n.Keepalive = (n.HoldTime / 3).Truncate(time.Second)
	}
	switch as := get[int](s, "remote_as"); as {
	case internalAS:
		n.RemoteAS = c.Engine.BGP.LocalAS
	default: // externalAS is 0: any but ours
		n.RemoteAS = uint32(as)
	}
	for _, f := range getList[string](s, "families") {
		n.Families = append(n.Families, bgp.Family(f))
	}
	b.password(s, c)
	return n
}

// maxPassword is the longest key of a TCP MD5 signature (TCP_MD5SIG_MAXKEYLEN).
const maxPassword = 80

// password reads the secret of a neighbor.
func (b *builder) password(s section, c *Config) {
	n := s.find("password_file")
	name := get[string](s, "password_file")
	if n == nil || name == "" {
		return
	}
	secret, err := b.reader.Secret(name)
	switch {
	case err != nil:
	case secret == "":
		err = fmt.Errorf("%s is empty", name)
	case len(secret) > maxPassword:
		err = fmt.Errorf("%s is longer than the %d bytes of a TCP MD5 key", name, maxPassword)
	case plain(secret) != nil:
		err = fmt.Errorf("%s is not one line of text", name)
	}
	if err != nil {
		b.wrong(n, cause(err).Error(), "")
		return
	}
	if c.Passwords == nil {
		c.Passwords = map[string]Secret{}
	}
	c.Passwords[s.node.name] = Secret(secret)
}

// service builds an anycast service.
func (b *builder) service(s section, checks map[string]check.Config) engine.Service {
	b.must(s, "prefixes", `["198.51.100.53/32"]`)
	v := engine.Service{
		Service: bgp.Service{
			Prefixes:  getList[netip.Prefix](s, "prefixes"),
			Neighbors: getList[string](s, "neighbors"),
			Attributes: bgp.Attributes{
				MED:         uint32(get[int](s, "med")),
				LocalPref:   uint32(get[int](s, "local_pref")),
				Prepend:     get[int](s, "as_path_prepend"),
				Communities: getList[bgp.Community](s, "communities"),
				Large:       getList[bgp.LargeCommunity](s, "large_communities"),
			},
		},
		Track:         trackedChecks(s, checks),
		MinAnnouncers: get[int](s, "min_announcers"),

		RiseDelay: get[time.Duration](s, "rise_delay"),
		FollowVIP: get[string](s, "follow_vip"),
	}
	switch {
	case s.find("device") != nil:
		v.Device = get[string](s, "device")
	case s.find("follow_vip") == nil:
		v.Device = "lo"
	}
	return v
}
