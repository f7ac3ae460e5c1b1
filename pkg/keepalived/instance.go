package keepalived

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// instances holds the one statement about VIPs.
var instances = table[struct{}]{"vrrp_instance": does(instanceBlock)}

// instanceKeywords stand in vrrp_instance.
var instanceKeywords = table[*vip]{
	"state":             does(initialState),
	"interface":         does(func(_ *converter, v *vip, s *statement) { v.iface = s.word(1) }),
	"virtual_router_id": does(func(c *converter, v *vip, s *statement) { c.into(&v.vrid, s, 1, 255) }),
	"priority":          does(func(c *converter, v *vip, s *statement) { c.into(&v.priority, s, 1, 255) }),
	"version":           does(func(c *converter, v *vip, s *statement) { c.into(&v.version, s, 2, 3) }),
	"advert_int":        does(advertInterval),
	"nopreempt":         does(func(_ *converter, v *vip, _ *statement) { v.noPreempt = true }),
	"preempt":           does(func(_ *converter, v *vip, _ *statement) { v.noPreempt = false }),
	"preempt_delay": does(func(c *converter, v *vip, s *statement) {
		v.delay, _ = c.seconds(s, 0, time.Hour)
	}),
	"virtual_ipaddress":          does(func(c *converter, v *vip, s *statement) { c.addresses(v, &v.addresses, s) }),
	"virtual_ipaddress_excluded": does(func(c *converter, v *vip, s *statement) { c.addresses(v, &v.excluded, s) }),
	"virtual_routes":             does(virtualRoutes),
	"unicast_src_ip":             does(func(c *converter, v *vip, s *statement) { c.sourceAddress(v, s) }),
	"mcast_src_ip":               does(func(c *converter, v *vip, s *statement) { c.sourceAddress(v, s) }),
	"mcast_dst_ip":               does(func(c *converter, _ *vip, s *statement) { c.standardGroup(s) }),
	"unicast_peer":               does(unicastPeers),
	"unicast_ttl": does(func(c *converter, _ *vip, s *statement) {
		if s.word(1) != "255" {
			c.note(s, Refused, noteTTL)
		}
	}),
	"use_vmac":      does(useVMAC),
	"use_vmac_addr": does(useVMAC),
	"track_interface": does(func(c *converter, v *vip, s *statement) {
		c.trackedLinks(s, v.interfaceName(c), func(t track) { v.interfaces = append(v.interfaces, t) })
	}),
	"track_script":  does(func(c *converter, v *vip, s *statement) { c.tracked(s, "vrrp_script", v.tracks) }),
	"track_file":    does(func(c *converter, v *vip, s *statement) { c.tracked(s, "track_file", v.tracks) }),
	"track_process": does(func(c *converter, v *vip, s *statement) { c.tracked(s, "vrrp_track_process", v.tracks) }),

	"garp_master_delay":          does(func(c *converter, v *vip, s *statement) { c.garpDelay(&v.garp, s) }),
	"garp_master_repeat":         does(func(c *converter, v *vip, s *statement) { c.garpRepeat(&v.garp, s) }),
	"garp_master_refresh":        does(func(c *converter, v *vip, s *statement) { c.garpRefresh(&v.garp, s) }),
	"garp_master_refresh_repeat": does(func(c *converter, _ *vip, s *statement) { c.garpRefreshRepeat(s) }),
	"down_timer_adverts":         does(func(c *converter, _ *vip, s *statement) { c.downTimer(s) }),

	"authentication": does(func(*converter, *vip, *statement) {}), // see elect
	"auth_hmac":      does(func(*converter, *vip, *statement) {}),

	"notify":                  does(func(c *converter, v *vip, s *statement) { c.notifyAlways(&v.notify, s) }),
	"notify_master":           does(func(c *converter, v *vip, s *statement) { c.notifyState(&v.notify, "MASTER", s) }),
	"notify_backup":           does(func(c *converter, v *vip, s *statement) { c.notifyState(&v.notify, "BACKUP", s) }),
	"notify_fault":            does(func(c *converter, v *vip, s *statement) { c.notifyState(&v.notify, "FAULT", s) }),
	"notify_stop":             does(func(c *converter, v *vip, s *statement) { c.notifyState(&v.notify, "STOP", s) }),
	"notify_priority_changes": does(func(c *converter, _ *vip, s *statement) { c.priorityChanges(s) }),
	"smtp_alert":              does(func(c *converter, _ *vip, s *statement) { c.mail(s) }),
	"accept":                  does(func(*converter, *vip, *statement) {}),
	"v3_checksum_as_v2":       does(func(*converter, *vip, *statement) {}),
}.
	alike(Changed, noteContest, "garp_lower_prio_delay", "garp_lower_prio_repeat").
	alike(Changed, "all addresses of a VIP are on its interface, and are announced there", "garp_extra_if").
	alike(Changed, noteRFC, "lower_prio_no_advert", "higher_prio_send_advert", "strict_mode").
	alike(Changed, "version 2: vipd always compares the addresses; version 3: never, as RFC 9568 allows", "skip_check_adv_addr").
	alike(Changed, "always so: an advert from a host that is no peer is not believed", "check_unicast_src").
	alike(Changed, "the family of the first address decides", "native_ipv6").
	alike(Changed, "a VIP is never fit while its own interface is down", "dont_track_primary").
	alike(Changed, "adverts with a virtual MAC always leave by its own interface", "vmac_xmit_base").
	alike(Changed, "vipd removes its own addresses one by one: no other address goes with them", "promote_secondaries").
	alike(Changed, "`vipd why` and `vipd events` say what the log would", "debug").
	alike(Changed, noteNetlink, "linkbeat_use_polling").
	alike(Changed, noteBuffers, "kernel_rx_buf_size").
	alike(Changed, "an address owner ignores adverts of others, as RFC 9568 says", "owner_ignore_adverts").
	alike(Changed, "a VIP that a reload removes is told STOP, by `notify`", "notify_deleted").
	alike(Refused, "the hosts behind this checksum are older than keepalived 1.3: upgrade them first", "old_unicast_checksum").
	alike(Refused, "a VIP without peers is held, as by a host that is alone: watch vipd_vip_state", "unicast_fault_no_peer").
	alike(Refused, "adverts leave from the address that is there; name it by unicast_source and watch it by a check", "track_src_ip").
	alike(Refused, "a virtual MAC is a macvlan interface: `vmac = true`, or none", "use_ipvlan", "ipvlan_type").
	alike(Refused, "vipd knows no VRF: its sockets are bound to `interface`", "vrf").
	alike(Refused, "the holder of an address answers for it: filter packets to it by nftables", "no_accept").
	alike(Refused, "rules of policy routing may stay on both hosts: put them into systemd-networkd", "virtual_rules").
	alike(Refused, "a contest is in `vipd events` and in vipd_vip_contests_won_total", "notify_master_rx_lower_pri").
	alike(Refused, noteBFD, "track_bfd").
	alike(Refused, "start ipvsadm --start-daemon by `notify`", "lvs_sync_daemon_interface")

const noteBFD = "BFD watches BGP neighbors here, not VIPs: with advert_interval = \"100ms\" a takeover takes 0.4 s"

// into reads a number within a range into its place.
func (c *converter) into(n *int, s *statement, least, most int) {
	if v, ok := c.number(s, least, most); ok {
		*n = v
	}
}

// tracks adds a check.
func (v *vip) tracks(t track) {
	for i := range v.track {
		if v.track[i].name == t.name {
			v.track[i] = t
			return
		}
	}
	v.track = append(v.track, t)
}

// interfaceName is the interface of a VIP, wherever in the block it stands.
func (v *vip) interfaceName(c *converter) string {
	if s := v.keyword["interface"]; s != nil {
		return s.word(1)
	}
	return c.iface
}

func instanceBlock(c *converter, _ struct{}, s *statement) {
	if s.word(1) == "" {
		c.note(s, Refused, "a name is missing")
		return
	}
	v := &vip{
		at: s, comments: s.comments, keyword: map[string]*statement{}, peerLines: map[netip.Addr]*statement{}, priority: 100, interval: time.Second, iface: c.iface,
		name: unique(label(s.word(1)), func(n string) bool { return c.vip(n) != nil }),
	}
	for _, child := range s.block {
		v.keyword[child.name()] = child
	}
	walk(c, instanceKeywords, s.block, v)
	c.vips = append(c.vips, v)
	switch {
	case v.iface == "":
		c.drop(v, "it has no interface")
	case len(v.iface) > 15 || strings.ContainsAny(v.iface, "/: \t\n") || v.iface == "." || v.iface == "..":
		c.drop(v, "%q is not the name of an interface", v.iface)
	case v.vrid == 0:
		c.drop(v, "it has no virtual_router_id")
	case len(v.addresses)+len(v.excluded) == 0:
		c.drop(v, "no address is left that could be on %s", v.iface)
	}
	if v.dropped {
		return
	}
	c.elect(v)
	c.spaced(v)
	if v.dropped {
		return
	}
	switch {
	case v.name == s.word(1):
		c.note(s, Converted, "[vip.%s]", v.name)
	case label(s.word(1)) == s.word(1):
		c.note(s, Changed, "[vip.%s]: there is a %s already", v.name, s.word(1))
	default:
		c.note(s, Changed, "[vip.%s]: letters, digits and . _ - only", v.name)
	}
}

// vip finds a VIP by its name.
func (c *converter) vip(name string) *vip {
	for _, v := range c.vips {
		if v.name == name {
			return v
		}
	}
	return nil
}

// drop refuses a VIP as a whole.
func (c *converter) drop(v *vip, format string, args ...any) {
	v.dropped = true
	c.note(v.at, Refused, "left out: "+format, args...)
	c.keep(v.at)
}

// initialState remembers the state, which keepalived looks at for preemption.
func initialState(c *converter, v *vip, s *statement) {
	switch s.word(1) {
	case "MASTER":
		v.master = true
		c.note(s, Changed, "every host starts as Backup: the priority decides who is Active")
	case "BACKUP":
	default:
		c.note(s, Changed, "%q is no state: keepalived starts as BACKUP as well", s.word(1))
	}
}

func advertInterval(c *converter, v *vip, s *statement) {
	if d, ok := c.seconds(s, 10*time.Millisecond, 255*time.Second); ok {
		v.interval = d
	}
}

// elect settles what several keywords decide together, as keepalived does.
func (c *converter) elect(v *vip) {
	if len(v.addresses) == 0 {
		c.note(v.keyword["virtual_ipaddress_excluded"], Changed, "in `addresses`: without others, adverts list them")
		v.addresses, v.excluded = v.excluded, nil
	}
	c.families(v)
	if len(v.addresses) == 0 {
		c.drop(v, "other instances have its addresses")
		return
	}
	for _, other := range c.vips {
		if other != v && !other.dropped && other.iface == v.iface && other.vrid == v.vrid && other.family4() == v.family4() {
			c.drop(v, "%s has the virtual_router_id %d on %s already", other.name, v.vrid, v.iface)
			return
		}
	}
	c.versions(v)
	c.intervals(v)
	c.preemption(v)
	c.unicast(v)
	c.authenticate(v)
	if v.priority == 255 {
		v.track, v.interfaces = c.faultsOnly(v, v.track), c.faultsOnly(v, v.interfaces)
	}
}

// versions settles the version: what the instance or the file says, or else 2,
// and 3 for IPv6.
func (c *converter) versions(v *vip) {
	if v.version == 0 {
		v.version = max(c.version, 2)
	}
	if !v.family4() {
		v.version = 3
	}
}

// intervals rounds the interval as keepalived does: version 2 has whole seconds,
// version 3 hundredths of them.
func (c *converter) intervals(v *vip) {
	step, most := 10*time.Millisecond, 40950*time.Millisecond
	if v.version == 2 {
		step, most = time.Second, 255*time.Second
	}
	rounded := min(max((v.interval+step/2).Truncate(step), step), most)
	if rounded == v.interval {
		return
	}
	v.interval = rounded
	if s := v.keyword["advert_int"]; s != nil {
		c.note(s, Changed, "%s: adverts of version %d carry steps of %s, up to %s", span(rounded), v.version, span(step), span(most))
	}
}

// preemption settles what excludes each other: keepalived clears nopreempt and
// preempt_delay of an instance that starts as MASTER.
func (c *converter) preemption(v *vip) {
	no, delay := v.keyword["nopreempt"], v.keyword["preempt_delay"]
	if v.master && v.noPreempt {
		v.noPreempt = false
		c.note(no, Changed, "keepalived ignores it with `state MASTER`, so it is left out: write preempt = false if it was meant")
	}
	if v.priority == 255 && v.noPreempt {
		v.noPreempt = false
		c.note(no, Changed, "the address owner always preempts: left out")
	}
	switch {
	case v.delay == 0:
	case v.master:
		v.delay = 0
		c.note(delay, Changed, "keepalived ignores it with `state MASTER`, so it is left out: write preempt_delay if it was meant")
	case v.noPreempt:
		v.delay = 0
		c.note(delay, Changed, "means nothing with nopreempt: left out")
	}
}

// faultsOnly leaves weights out, which an address owner has not.
func (c *converter) faultsOnly(v *vip, all []track) []track {
	var kept []track
	for _, t := range all {
		if t.weight != 0 || t.own {
			c.note(t.at, Changed, "priority 255 takes no weights, in keepalived neither: left out")
			continue
		}
		kept = append(kept, t)
	}
	return kept
}

// unicast settles peers and source.
func (c *converter) unicast(v *vip) {
	var kept []netip.Addr
	for _, a := range v.peers {
		switch {
		case a.Is4() != v.family4():
			c.note(v.peerLines[a], Refused, "not of the family of the first address: left out")
		case a == v.source:
			c.note(v.peerLines[a], Changed, "this host itself: left out")
		default:
			kept = append(kept, a)
		}
	}
	v.peers = kept
	if len(v.peers) > 0 && !v.family4() && v.keyword["unicast_ttl"] == nil {
		c.note(v.keyword["unicast_peer"], Changed,
			"keepalived sends these over IPv6 with hop limit 64, which vipd does not believe: give it `unicast_ttl 255` as long as it runs on another host")
	}
	source := v.keyword["unicast_src_ip"]
	if source == nil {
		source = v.keyword["mcast_src_ip"]
	}
	switch {
	case !v.source.IsValid():
	case len(v.peers) == 0:
		v.source = netip.Addr{}
		c.note(source, Changed, "multicast adverts leave from the interface's primary address")
	case v.source.Is4() != v.family4():
		c.note(source, Refused, "%s is not of the family of the first address: left out", v.source)
		v.source = netip.Addr{}
	}
	vmac := v.keyword["use_vmac"]
	if vmac == nil {
		vmac = v.keyword["use_vmac_addr"]
	}
	switch {
	case v.vmac && len(v.peers) > 0:
		v.vmac = false
		c.note(vmac, Changed, "left out: a virtual MAC and unicast peers exclude each other")
	case v.vmac && v.priority == 255:
		v.vmac = false
		c.note(vmac, Changed, "left out: the address owner keeps its addresses on its interface")
	}
}

func (c *converter) sourceAddress(v *vip, s *statement) {
	a, err := netip.ParseAddr(s.word(1))
	if err != nil || a.Zone() != "" {
		c.note(s, Refused, "%q is not an address", s.word(1))
		return
	}
	v.source = a
}

func unicastPeers(c *converter, v *vip, s *statement) {
	for _, line := range s.block {
		a, err := netip.ParseAddr(line.name())
		if err != nil || a.Zone() != "" || !hosted(netip.PrefixFrom(a, a.BitLen())) || slices.Contains(v.peers, a) {
			c.note(line, Refused, "%q is not an address, or twice", line.name())
			continue
		}
		v.peers, v.peerLines[a] = append(v.peers, a), line
		if len(line.words) > 1 {
			c.peerTTL(line)
			continue
		}
		c.note(line, Converted, "")
	}
	if len(s.block) == 0 {
		c.note(s, Changed, "no peers: multicast")
	}
}

const noteTTL = "adverts leave with TTL 255, and are believed with nothing less: peers are on one network, with no router between them"

// peerTTL looks at the words behind a peer.
func (c *converter) peerTTL(s *statement) {
	for i := 1; i < len(s.words); i += 2 {
		if s.words[i] == "min_ttl" && s.word(i+1) == "255" {
			c.note(s, Converted, "always so")
			return
		}
	}
	c.note(s, Refused, noteTTL)
}

func useVMAC(c *converter, v *vip, s *statement) {
	v.vmac = true
	if s.word(1) != "" {
		c.note(s, Changed, "vmac = true: vipd names the interface itself, and the MAC address is the standard's")
	}
}
