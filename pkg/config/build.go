package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// builder turns a checked tree into a [Config]. A value that is wrong has been
// reported and becomes a zero one, which the rules leave alone.
type builder struct {
	*reporter
	reader   Reader
	root     *node
	keyrings map[*node]map[uint8]vrrp.Secret // that were read
}

// section is one table of the file, and the one with its defaults.
type section struct {
	node     *node // nil = absent
	defaults *node // nil = none
	pattern  string
}

// find returns the node of a key such as "garp.repeat", nil when it is not set.
func (s section) find(key string) *node {
	names := strings.Split(key, ".")
	for _, n := range []*node{s.node, s.defaults} {
		if n = find(n, names); n != nil {
			return n
		}
	}
	return nil
}

// get returns the value of a key, its default when it is not set, and the zero
// value when it is wrong or has no default.
func get[T any](s section, key string) T {
	var v any
	if n := s.find(key); n != nil {
		v = n.parsed
	} else {
		v = defaultOf(s.pattern + "." + key)
	}
	t, _ := v.(T)
	return t
}

// getList is get for a list.
func getList[T any](s section, key string) []T {
	var list []T
	for _, v := range get[[]any](s, key) {
		if t, ok := v.(T); ok {
			list = append(list, t)
		}
	}
	return list
}

// must returns whether a key that has no default is set, and reports it if not.
func (b *builder) must(s section, key, example string) bool {
	if s.find(key) != nil {
		return true
	}
	for _, n := range s.node.table {
		if n.meant == key {
			return false // reported as unknown already
		}
	}
	b.atValue(s.node, Error, fmt.Sprintf("%s: `%s` is missing", s.node, key), fmt.Sprintf("add `%s = %s`", key, example))
	return false
}

// sections returns the named tables under another one, in their order.
func (b *builder) sections(name string) []section {
	parent := find(b.root, strings.Split(name, "."))
	if parent == nil {
		return nil
	}
	var list []section
	for _, n := range parent.children() {
		if n.isTable() {
			list = append(list, section{node: n, pattern: name + ".*"})
		}
	}
	return list
}

func (b *builder) vips() []section {
	list := b.sections("vip")
	for i := range list {
		list[i].defaults = b.root.table["vip_defaults"]
	}
	return list
}

func (b *builder) build() *Config {
	node := section{node: b.root.table["node"], pattern: "node"}
	control := section{node: b.root.table["control"], pattern: "control"}
	metrics := section{node: b.root.table["metrics"], pattern: "metrics"}
	c := &Config{
		Engine: engine.Config{
			Node:         get[string](node, "name"),
			Zone:         get[string](node, "zone"),
			StartupDelay: get[time.Duration](node, "startup_delay"),
			Keep:         get[string](node, "on_stop") == "keep",
			VIPs:         map[string]engine.VIP{},
			Groups:       map[string][]string{},
			Checks:       map[string]check.Config{},
			GroupNotify:  map[string]bool{},
			Services:     map[string]engine.Service{},
		},
		Control:    Control{Socket: get[string](control, "socket"), AdminGroup: get[string](control, "admin_group")},
		Metrics:    Metrics{Listen: get[string](metrics, "listen")},
		VIPHooks:   map[string]Hooks{},
		GroupHooks: map[string]Hooks{},
		ScriptUser: get[string](node, "script_user"),
	}
	for _, s := range b.sections("check") {
		c.Engine.Checks[s.node.name] = b.check(s)
	}
	for _, s := range b.vips() {
		hooks := b.hooks(s)
		v := b.vip(s, c.Engine.Checks)
		v.Notify = hooks.told()
		if len(hooks.BeforeHold) > 0 {
			v.BeforeHold = get[time.Duration](s, "before_hold_timeout")
		}
		c.Engine.VIPs[s.node.name], c.VIPHooks[s.node.name] = v, hooks
		b.auth(s, v, c)
	}
	b.bgp(c)
	b.pair(c)
	b.fences(c)
	b.witnesses(c)
	for _, s := range b.sections("anycast") {
		c.Engine.Services[s.node.name] = b.service(s, c.Engine.Checks)
	}
	for _, s := range b.sections("sync") {
		if b.must(s, "vips", `["web", "inside"]`) {
			c.Engine.Groups[s.node.name] = getList[string](s, "vips")
			c.GroupHooks[s.node.name] = b.hooks(s)
			c.Engine.GroupNotify[s.node.name] = c.GroupHooks[s.node.name].told()
		}
	}
	if c.Engine.Node != "" {
		c.SetNode(c.Engine.Node)
	}
	return c
}

func (b *builder) vip(s section, checks map[string]check.Config) engine.VIP {
	b.must(s, "interface", `"eth0"`)
	b.must(s, "vrid", "51")
	b.must(s, "addresses", `["192.0.2.10/24"]`)
	return engine.VIP{
		Interface:     get[string](s, "interface"),
		VRID:          uint8(get[int](s, "vrid")),     // 1–255 by its kind
		Version:       uint8(get[int](s, "version")),  // 2–3
		Priority:      uint8(get[int](s, "priority")), // 1–255
		Interval:      get[time.Duration](s, "advert_interval"),
		Addresses:     getList[netip.Prefix](s, "addresses"),
		Preempt:       get[bool](s, "preempt"),
		PreemptDelay:  get[time.Duration](s, "preempt_delay"),
		UnicastPeers:  getList[netip.Addr](s, "unicast_peers"),
		UnicastSource: get[netip.Addr](s, "unicast_source"),
		VMAC:          get[bool](s, "vmac"),
		Checksum:      checksums[get[string](s, "checksum")],
		Lease:         leases[get[string](s, "lease")],
		Break:         get[string](s, "handover") == "break",
		Takeover:      takeovers[get[string](s, "takeover")],
		HoldOn:        get[string](s, "no_majority") == "hold",
		Track:         trackedChecks(s, checks),
		TrackLinks:    trackedLinks(s),
		Routes:        b.routes(s),
		GARP: engine.GARP{
			Repeat:   get[int](s, "garp.repeat"),
			Interval: get[time.Duration](s, "garp.interval"),
			Bursts:   getList[time.Duration](s, "garp.bursts"),
			Refresh:  get[time.Duration](s, "garp.refresh"),
		},
	}
}

var leases = map[string]engine.LeaseMode{
	"auto": engine.LeaseAuto, "nft": engine.LeaseNFT, "address": engine.LeaseAddress, "none": engine.LeaseNone,
}

var checksums = map[string]vrrp.Checksum{
	"rfc5798": vrrp.ChecksumPseudoHeader,
	"rfc9568": vrrp.ChecksumMessage,
}

func trackedChecks(s section, checks map[string]check.Config) map[string]check.Weight {
	var m map[string]check.Weight
	for _, t := range get[[]tracked](s, "track") {
		if m == nil {
			m = map[string]check.Weight{}
		}
		m[t.name] = t.weight
		if c, ok := checks[t.name]; ok && t.own {
			own := c.Weight
			own.Own = true
			m[t.name] = own
		}
	}
	return m
}

func trackedLinks(s section) map[string]check.Weight {
	var m map[string]check.Weight
	for _, t := range get[[]tracked](s, "track_interfaces") {
		if m == nil {
			m = map[string]check.Weight{}
		}
		m[t.name] = t.weight
	}
	return m
}

func (b *builder) routes(s section) []engine.Route {
	var routes []engine.Route
	for _, n := range get[[]*node](s, "routes") {
		r := section{node: n, pattern: "vip.*.routes[]"}
		if !b.must(r, "to", `"10.9.0.0/16"`) {
			continue
		}
		routes = append(routes, engine.Route{
			To:    get[netip.Prefix](r, "to"),
			Via:   get[netip.Addr](r, "via"),
			Table: get[int](r, "table"),
		})
	}
	return routes
}
