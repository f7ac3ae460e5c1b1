package config

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// rules checks what several keys must agree on. Values that are wrong by
// themselves are zero here, and no rule speaks about a zero value.
func (b *builder) rules(c *Config) {
	if len(c.Engine.VIPs) == 0 && len(c.Engine.Services) == 0 && b.kept[Error] == 0 {
		b.report(b.root.file, span{}, Warning, "there is no [vip.NAME] or [anycast.NAME] table: nothing to do", "")
	}
	for _, s := range b.sections("check") {
		b.checkRules(s, c.Engine.Checks[s.node.name])
	}
	for _, s := range b.vips() {
		v := c.Engine.VIPs[s.node.name]
		b.electionRules(s, v)
		b.addressRules(s, v)
		b.unicastRules(s, v)
		b.virtualMACRules(s, v)
		b.trackRules(s, v, c.Engine.Checks)
		b.preemptRules(s, v, c.Engine.Checks)
		b.garpRules(s, v)
		b.routeRules(s, v)
		if a, ok := c.Auth[s.node.name]; ok {
			b.authRules(s, v, a)
		}
		b.leaseRules(s, c, v)
	}
	b.uniqueRouters(c.Engine.VIPs)
	b.uniqueAddresses(c.Engine.VIPs)
	b.groupRules(c.Engine)
	b.neighborRules(c.Engine.BGP)
	b.serviceRules(c.Engine)
	b.pairRules(c)
	b.stopRules(c.Engine)
	b.dependRules(c.Engine)
	b.hookRules()
	b.fenceRules(c)
	b.votesRules(c)
	b.unusedChecks(c.Engine)
}

// bad adds an error about a value that is wrong for one VIP only, although it
// may stand in [vip_defaults].
func (b *builder) bad(s section, n *node, what, hint string) {
	if n.path[0] != s.node.path[0] {
		what += fmt.Sprintf(" (%s)", s.node)
	}
	b.wrong(n, what, hint)
}

// Limits of adverts.
const (
	centisecond  = 10 * time.Millisecond
	maxInterval3 = 4095 * centisecond // 12 bits of centiseconds
	maxInterval2 = 255 * time.Second  // one byte of seconds
	fastInterval = 100 * time.Millisecond
)

// electionRules checks version, interval and family against each other.
func (b *builder) electionRules(s section, v engine.VIP) {
	if n := s.find("advert_interval"); n != nil && v.Interval > 0 {
		switch {
		case v.Version == vrrp.Version2 && v.Interval%time.Second != 0:
			b.bad(s, n, fmt.Sprintf("%s is not in whole seconds, as version 2 needs", words(v.Interval)), "")
		case v.Version == vrrp.Version3 && v.Interval > maxInterval3:
			b.bad(s, n, fmt.Sprintf("%s is outside 10ms–40.95s, the range of version 3", words(v.Interval)), "")
		case v.Version == vrrp.Version3 && v.Interval%centisecond != 0:
			b.bad(s, n, fmt.Sprintf("%s is not a multiple of 10ms", words(v.Interval)), "adverts carry their interval in centiseconds")
		case v.Interval < fastInterval:
			b.atValue(n, Warning, fmt.Sprintf("%s: a host that stalls for %s loses its addresses", n, words(3*v.Interval)),
				"100ms is what an ordinary host keeps to")
		}
	}
	if len(v.Addresses) == 0 {
		return
	}
	n := first(s, "addresses")
	switch {
	case v.Version == vrrp.Version2 && !v.Family4():
		b.wrong(n, "version 2 elects over IPv4 only", "put an IPv4 address first, or use `version = 3`")
	case !v.Family4() && !v.Addresses[0].Addr().IsLinkLocalUnicast():
		b.wrong(n, "the first address of an IPv6 election must be link-local (RFC 9568, 5.2.9)",
			fmt.Sprintf(`put one in front: ["fe80::%x/64", %s]`, max(int(v.VRID), 1), n.raw()))
	}
}

// Limits of one advert.
const (
	maxAddresses  = 255 // the count is one byte
	maxAddresses2 = 20  // what older routers of version 2 accept
	maxAddresses6 = 90  // what fits into 1500 bytes; one less with the trailer of auth
)

// addressRules checks the list of addresses by itself.
func (b *builder) addressRules(s section, v engine.VIP) {
	n := s.find("addresses")
	if n == nil || n.parsed == nil {
		return
	}
	if len(v.Addresses) == 0 {
		b.wrong(n, "the list is empty", "")
		return
	}
	listed := 0
	for _, p := range v.Addresses {
		if p.Addr().Is4() == v.Family4() {
			listed++
		}
	}
	switch {
	case listed > maxAddresses:
		b.wrong(n, fmt.Sprintf("%d addresses of one family: an advert lists at most %d", listed, maxAddresses), "make it two VIPs in a [sync.NAME]")
	case !v.Family4() && (listed > maxAddresses6 || listed == maxAddresses6 && s.find("auth.keys") != nil):
		b.atValue(n, Warning, fmt.Sprintf("%s: an advert with %d IPv6 addresses does not fit into 1500 bytes", n, listed), "make it two VIPs in a [sync.NAME]")
	case v.Version == vrrp.Version2 && listed > maxAddresses2:
		b.atValue(n, Warning, fmt.Sprintf("%s: some routers of version 2 ignore adverts with more than %d addresses", n, maxAddresses2), "")
	}
}

// unicastRules checks unicast peers and source.
func (b *builder) unicastRules(s section, v engine.VIP) {
	peers, source := s.find("unicast_peers"), s.find("unicast_source")
	if peers == nil {
		if source != nil {
			b.atKey(source, Error, source.String()+": there are no unicast_peers to send to", "")
		}
		return
	}
	if peers.parsed != nil && len(v.UnicastPeers) == 0 {
		b.wrong(peers, "the list is empty", "leave the key out for multicast")
	}
	seen := map[netip.Addr]bool{}
	for _, n := range peers.list {
		a, ok := n.parsed.(netip.Addr)
		if !ok {
			continue
		}
		if seen[a] {
			b.wrong(n, a.String()+" is listed twice", "")
		}
		seen[a] = true
		b.unicastAddress(s, n, a, v)
		if a == v.UnicastSource {
			b.bad(s, n, a.String()+" is this host's own unicast_source", "list the other hosts only")
		}
	}
	if source != nil && v.UnicastSource.IsValid() {
		b.unicastAddress(s, source, v.UnicastSource, v)
	}
}

// virtualMACRules checks that the virtual MAC can move: with the adverts, to a
// multicast group, and with the addresses, which an owner keeps on its interface.
func (b *builder) virtualMACRules(s section, v engine.VIP) {
	if !v.VMAC {
		return
	}
	if s.find("unicast_peers") != nil {
		b.atValue(s.find("vmac"), Error, fmt.Sprintf("%s: vmac and unicast_peers exclude each other", s.node), "")
	}
	if v.Priority == vrrp.PriorityOwner {
		b.atValue(s.find("vmac"), Error, fmt.Sprintf("%s: vmac and priority 255 exclude each other", s.node),
			"the owner's addresses stay on its interface; use a priority below 255")
	}
}

// unicastAddress checks an address that adverts are sent to or from.
func (b *builder) unicastAddress(s section, n *node, a netip.Addr, v engine.VIP) {
	if len(v.Addresses) == 0 {
		return
	}
	if a.Is4() != v.Family4() {
		b.bad(s, n, fmt.Sprintf("%s is not of the election's family, %s", a, family(v)), "the first of `addresses` decides the family")
	}
	for _, p := range v.Addresses {
		if p.Addr() == a {
			b.bad(s, n, fmt.Sprintf("%s moves with the VIP", a), "use an address that stays on its host")
		}
	}
}

// preemptRules warns of what preempt makes ineffective.
func (b *builder) preemptRules(s section, v engine.VIP, checks map[string]check.Config) {
	n := s.find("preempt")
	if n == nil || n.parsed != any(false) {
		return
	}
	if v.Priority == vrrp.PriorityOwner {
		b.atValue(n, Warning, n.String()+" has no effect with priority 255", "the address owner always preempts")
	}
	if d := s.find("preempt_delay"); d != nil && v.PreemptDelay > 0 {
		b.atValue(d, Warning, d.String()+" has no effect with `preempt = false`", "")
	}
	for _, t := range weights(s, checks) {
		b.atValue(t.node, Warning, fmt.Sprintf("%s: the weight of %s moves nothing with `preempt = false`", s.node, t.name),
			`a Backup that may not preempt ignores an Active with a lower priority; use "fault"`)
	}
}

// garpRules checks the schedule of gratuitous ARP.
func (b *builder) garpRules(s section, v engine.VIP) {
	n := s.find("garp.bursts")
	if n == nil || n.parsed == nil {
		return
	}
	switch bursts := v.GARP.Bursts; {
	case len(bursts) == 0 || len(bursts) > 16:
		b.wrong(n, fmt.Sprintf("%d bursts, must be 1–16", len(bursts)), "")
	case !slices.IsSorted(bursts) || len(slices.Compact(slices.Clone(bursts))) < len(bursts):
		b.wrong(n, "bursts must come in order, each once", "")
	}
}

// routeRules checks routes against the VIP's addresses.
func (b *builder) routeRules(s section, v engine.VIP) {
	seen := map[engine.Route]bool{}
	for _, n := range get[[]*node](s, "routes") {
		r := section{node: n, pattern: "vip.*.routes[]"}
		route := engine.Route{To: get[netip.Prefix](r, "to"), Table: get[int](r, "table")}
		via := get[netip.Addr](r, "via")
		if !route.To.IsValid() {
			continue
		}
		if via.IsValid() && via.Is4() != route.To.Addr().Is4() {
			b.wrong(r.find("via"), fmt.Sprintf("%s is not of the family of %s", via, route.To), "")
		}
		for _, p := range v.Addresses {
			if via == p.Addr() {
				b.wrong(r.find("via"), fmt.Sprintf("%s is an address of the VIP itself", via), "")
			}
		}
		if seen[route] {
			b.wrong(r.find("to"), fmt.Sprintf("%s is listed twice", route.To), "")
		}
		seen[route] = true
	}
}

// checkRules checks the keys of one check against each other.
func (b *builder) checkRules(s section, c check.Config) {
	for _, key := range []string{"timeout", "fast_interval", "jitter"} {
		n := s.find(key)
		if n == nil || c.Interval == 0 {
			continue
		}
		if d, ok := n.parsed.(time.Duration); ok && d > c.Interval {
			b.wrong(n, fmt.Sprintf("%s is longer than the interval, %s", words(d), words(c.Interval)), "")
		}
	}
	n := s.find("command")
	if n == nil || n.parsed == nil || c.Spec == nil || c.Spec.Type() != "exec" {
		return
	}
	if len(n.list) == 0 {
		b.wrong(n, "the list is empty", "")
		return
	}
	program := n.list[0]
	if !path.IsAbs(program.parsed.(string)) {
		b.wrong(program, program.raw()+" is not an absolute path", "there is no shell and no PATH")
		return
	}
	b.programRule(program, program.parsed.(string))
}

// unusedChecks warns of checks that nothing listens to.
func (b *builder) unusedChecks(c engine.Config) {
	if len(c.VIPs)+len(c.Services) == 0 || b.kept[Error] > 0 { // the error may be in what would use it
		return
	}
	used := map[string]bool{}
	var use func(name string)
	use = func(name string) {
		if used[name] {
			return
		}
		used[name] = true
		for _, other := range c.Checks[name].DependsOn() {
			use(other)
		}
	}
	for _, v := range c.VIPs {
		for name := range maps.Keys(v.Track) {
			use(name)
		}
	}
	for _, v := range c.Services {
		for name := range maps.Keys(v.Track) {
			use(name)
		}
	}
	for _, f := range c.Fences {
		for _, name := range f.Track {
			use(name)
		}
	}
	for _, s := range b.sections("check") {
		if !used[s.node.name] {
			b.atValue(s.node, Warning, fmt.Sprintf("no VIP and no anycast service tracks the check %s", s.node.name),
				fmt.Sprintf("add `track = [%q]` to a [vip.NAME] or [anycast.NAME]", s.node.name))
		}
	}
}

// first returns the first element of a list, or the list when it has none.
func first(s section, key string) *node {
	n := s.find(key)
	if len(n.list) > 0 {
		return n.list[0]
	}
	return n
}

func family(v engine.VIP) string {
	if v.Family4() {
		return "IPv4"
	}
	return "IPv6"
}
