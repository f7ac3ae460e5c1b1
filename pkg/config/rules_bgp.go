package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// neighborRules checks what the keys of BGP must agree on.
func (b *builder) neighborRules(c *bgp.Config) {
	if c == nil {
		return
	}
	for _, g := range b.sections("bgp.group") {
		for _, key := range []string{"group", "address", "interface"} {
			if n := g.find(key); n != nil {
				b.atKey(n, Error, fmt.Sprintf("%s: a group has no `%s`", g.node, key), "it belongs in [bgp.neighbor.NAME]")
			}
		}
	}
	seen := map[string]section{}
	for _, s := range b.neighbors() {
		n := c.Neighbors[s.node.name]
		b.neighborNames(s)
		b.neighborPlace(s, n, seen)
		b.neighborHops(s, n, c.LocalAS)
		b.neighborTimers(s, n)
		if list := s.find("families"); list != nil && list.parsed != nil && len(list.list) == 0 {
			b.bad(s, list, "the list is empty", "")
		}
		if p := s.find("passive"); p != nil && n.Passive && c.ListenPort < 0 {
			b.bad(s, p, "nobody can connect", "set `bgp.listen_port = 179`")
		}
	}
}

// neighborNames checks the names of groups and profiles.
func (b *builder) neighborNames(s section) {
	for key, table := range map[string]string{"group": "bgp.group", "bfd": "bfd"} {
		n := s.find(key)
		if n == nil || n.parsed == nil {
			continue
		}
		known := map[string]bool{}
		for _, t := range b.sections(table) {
			known[t.node.name] = true
		}
		if name := n.parsed.(string); !known[name] {
			hint := fmt.Sprintf("add a [%s.%s] table", table, name)
			if near := nearest(name, names(known)); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			b.bad(s, n, fmt.Sprintf("there is no [%s.%s]", table, name), hint)
		}
	}
}

// neighborPlace checks where a neighbor is; seen is where the others are.
func (b *builder) neighborPlace(s section, n bgp.Neighbor, seen map[string]section) {
	at, link := s.find("address"), s.find("interface")
	switch {
	case at != nil && link != nil:
		b.atKey(link, Error, fmt.Sprintf("%s: `address` and `interface` exclude each other", s.node),
			"an unnumbered neighbor is found by its interface alone")
	case at == nil && link == nil:
		b.must(s, "address", `"192.0.2.1"`)
	}
	place, where := n.Interface, link
	if n.Address.IsValid() {
		place, where = n.Address.String(), at
	}
	if place == "" || where == nil {
		return
	}
	if other, taken := seen[place]; taken {
		b.wrong(where, fmt.Sprintf("%s is %s already", place, other.node), "")
	}
	seen[place] = s
	source := s.find("source")
	switch {
	case source == nil || !n.Source.IsValid():
	case !n.Address.IsValid():
		b.bad(s, source, "an unnumbered neighbor is reached from the link-local address", "")
	case n.Source.Is4() != n.Address.Is4():
		b.bad(s, source, fmt.Sprintf("%s is not of the family of %s", n.Source, n.Address), "")
	}
}

// neighborHops checks what is said about the distance of a neighbor.
func (b *builder) neighborHops(s section, n bgp.Neighbor, localAS uint32) {
	security, multihop := s.find("ttl_security"), s.find("multihop")
	if bfd := s.find("bfd"); bfd != nil && (n.Multihop > 1 || n.TTLSecurity > 1) {
		b.bad(s, bfd, "BFD watches neighbors on the same network only (RFC 5881)", "leave `bfd` out, and set a short `hold_time`")
	}
	switch {
	case multihop == nil:
	case security != nil:
		b.atKey(multihop, Error, fmt.Sprintf("%s: `ttl_security` and `multihop` exclude each other", s.node),
			"ttl_security says how many hops away the neighbor may be, and proves it")
	case n.Interface != "":
		b.bad(s, multihop, "an unnumbered neighbor is on the same network", "")
	case n.RemoteAS == localAS && localAS != 0:
		b.atValue(multihop, Warning, fmt.Sprintf("%s has no effect on the internal neighbor %s", multihop, s.node.name),
			"internal neighbors may be any number of hops away")
	}
}

// neighborTimers checks the times of a session.
func (b *builder) neighborTimers(s section, n bgp.Neighbor) {
	hold, keepalive := s.find("hold_time"), s.find("keepalive")
	if hold != nil && n.HoldTime%time.Second != 0 {
		b.bad(s, hold, fmt.Sprintf("%s is not in whole seconds", words(n.HoldTime)), "the message has a field of seconds")
	}
	switch {
	case keepalive == nil || keepalive.parsed == nil || hold != nil && hold.parsed == nil:
	case n.HoldTime == 0:
		b.bad(s, keepalive, "there are no keepalives with `hold_time = \"0s\"`", "")
	case n.Keepalive*3 > n.HoldTime:
		b.bad(s, keepalive, fmt.Sprintf("%s is more than a third of hold_time, %s", words(n.Keepalive), words(n.HoldTime)),
			fmt.Sprintf("use %s or less", words((n.HoldTime/3).Truncate(time.Second))))
	case n.Keepalive%time.Second != 0:
		b.bad(s, keepalive, fmt.Sprintf("%s is not in whole seconds", words(n.Keepalive)), "")
	}
}

// serviceRules checks anycast services against each other and against the rest.
func (b *builder) serviceRules(c engine.Config) {
	list := b.sections("anycast")
	if c.BGP != nil && len(list) == 0 && len(c.VIPs) > 0 {
		b.atValue(b.root.table["bgp"], Warning, "there is no [anycast.NAME] table: nothing is announced", "")
	}
	if n := find(b.root, []string{"bgp", "withdraw_budget"}); n != nil && n.isTable() && n.table["max"] == nil {
		b.atValue(n, Error, n.String()+": `max` is missing", "add `max = 3`")
	}
	for _, s := range list {
		v := c.Services[s.node.name]
		if c.BGP == nil {
			b.atValue(s.node, Error, fmt.Sprintf("%s: there is no [bgp] table", s.node), "add [bgp] and [bgp.neighbor.NAME]")
		}
		for _, t := range get[[]tracked](s, "track") {
			if _, ok := c.Checks[t.name]; !ok {
				b.atKey(t.node, Error, fmt.Sprintf("%s: there is no check %q", s.node, t.name), checkHint(t.name, c.Checks))
			}
		}
		if n := s.find("follow_vip"); n != nil && n.parsed != nil {
			if _, ok := c.VIPs[v.FollowVIP]; !ok {
				b.wrong(n, fmt.Sprintf("there is no VIP %q", v.FollowVIP), vipHint(v.FollowVIP, c.VIPs))
			}
		}
		if n := s.find("communities"); n != nil && slices.Contains(v.Communities, bgp.GracefulShutdown) {
			b.atValue(n, Warning, fmt.Sprintf("%s: with graceful-shutdown, neighbors send traffic here only when nobody else is left", n),
				"vipd drain adds it")
		}
		b.guardRules(s, v)
		b.toldRules(s, v, c.BGP)
		b.prefixRules(s, v, c.VIPs)
	}
	b.overlaps()
}

// stopRules checks what a stop is to leave behind.
func (b *builder) stopRules(c engine.Config) {
	n := find(b.root, []string{"node", "on_stop"})
	if n == nil || !c.Keep {
		return
	}
	switch {
	case len(c.Services) == 0 && len(c.VIPs) == 0:
		b.atValue(n, Warning, n.String()+": there is nothing to keep", "it is for [vip.NAME] and [anycast.NAME] tables")
	case len(c.Services) > 0 && c.BGP != nil && c.BGP.GracefulRestart == 0:
		b.wrong(n, "the neighbors would drop the routes", `add `+"`graceful_restart = { time = \"120s\" }`"+` to [bgp]`)
	}
	var not []string
	for _, name := range slices.Sorted(maps.Keys(c.VIPs)) {
		if !c.VIPs[name].Keepable() {
			not = append(not, name)
		}
	}
	if len(not) > 0 {
		b.atValue(n, Warning, n.String()+": released all the same: "+strings.Join(not, ", "),
			"a VIP is kept with a lease in the packet filter, a priority below 255, and takeover by `vrrp` or `fence`")
	}
}

// guardRules checks what is said about the last announcer.
func (b *builder) guardRules(s section, v engine.Service) {
	n := s.find("min_announcers")
	if n == nil || v.MinAnnouncers == 0 {
		return
	}
	withdraws := func(_ string, w check.Weight) bool { return w.Fault }
	if !anyOf(v.Track, withdraws) {
		b.atValue(n, Warning, n.String()+" has no effect: no check withdraws this service", "a check in `track` without a number does")
	}
	if c := s.find("communities"); c != nil && (slices.Contains(v.Communities, bgp.NoExport) || slices.Contains(v.Communities, bgp.NoAdvertise)) {
		b.atValue(n, Warning, n.String()+": routers do not pass routes with no-export or no-advertise on, so no other host is seen",
			"a service whose check fails is then never withdrawn, but by an operator")
	}
}

// toldRules checks who is told about a service.
func (b *builder) toldRules(s section, v engine.Service, c *bgp.Config) {
	if c == nil {
		return
	}
	if n := s.find("neighbors"); n != nil && n.parsed != nil {
		if len(n.list) == 0 {
			b.wrong(n, "the list is empty", "leave the key out for all neighbors")
		}
		seen := map[string]bool{}
		for _, element := range n.list {
			name := element.parsed.(string)
			_, known := c.Neighbors[name]
			switch {
			case seen[name]:
				b.wrong(element, fmt.Sprintf("%q is listed twice", name), "")
			case !known:
				hint := fmt.Sprintf("add a [bgp.neighbor.%s] table", name)
				if near := nearest(name, names(c.Neighbors)); near != "" {
					hint = fmt.Sprintf("did you mean %q?", near)
				}
				b.wrong(element, fmt.Sprintf("there is no neighbor %q", name), hint)
			}
			seen[name] = true
		}
	}
	if len(c.Neighbors) == 0 {
		b.atValue(s.node, Error, fmt.Sprintf("%s: there is no neighbor to tell", s.node), "add a [bgp.neighbor.NAME] table")
		return
	}
	for _, n := range prefixNodes(s) {
		family := bgp.FamilyOf(n.parsed.(netip.Prefix))
		told := func(name string, to bgp.Neighbor) bool { return v.Tells(name) && to.Speaks(family) }
		if b.kept[Error] == 0 && !anyOf(c.Neighbors, told) {
			b.atValue(n, Warning, fmt.Sprintf("%s: no neighbor is told about %s routes", n, family), fmt.Sprintf("add %q to the `families` of a neighbor", family))
		}
	}
}

func anyOf[T any](m map[string]T, ok func(string, T) bool) bool {
	for name := range maps.Keys(m) {
		if ok(name, m[name]) {
			return true
		}
	}
	return false
}

// prefixNodes returns the elements of prefixes that are good.
func prefixNodes(s section) []*node {
	n := s.find("prefixes")
	if n == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.list), func(e *node) bool { return e.parsed == nil })
}

// prefixRules checks the prefixes of one service.
func (b *builder) prefixRules(s section, v engine.Service, vips map[string]engine.VIP) {
	if n := s.find("prefixes"); n != nil && n.parsed != nil && len(n.list) == 0 {
		b.wrong(n, "the list is empty", "")
	}
	aggregates := get[bool](s, "allow_aggregate")
	for _, n := range prefixNodes(s) {
		p := n.parsed.(netip.Prefix)
		if !p.IsSingleIP() && !aggregates {
			b.wrong(n, fmt.Sprintf("%s is a network of many addresses", p), "announce one address, or set `allow_aggregate = true`")
		}
		for _, name := range names(vips) {
			held := slices.ContainsFunc(vips[name].Addresses, func(a netip.Prefix) bool { return p.IsSingleIP() && a.Addr() == p.Addr() })
			switch {
			case !held:
			case v.Device != "":
				b.wrong(n, fmt.Sprintf("%s is an address of vip.%s already", p.Addr(), name),
					fmt.Sprintf("to announce it where it is held: `follow_vip = %q` without `device`", name))
			case v.FollowVIP != name:
				b.atValue(n, Warning, fmt.Sprintf("%s: %s moves with vip.%s, which this service does not follow", n, p.Addr(), name),
					fmt.Sprintf("add `follow_vip = %q`", name))
			}
		}
	}
}

// overlaps refuses prefixes that are announced twice, or inside of another one.
func (b *builder) overlaps() {
	type place struct {
		node   *node
		prefix netip.Prefix
		of     section
	}
	var all []place
	for _, s := range b.sections("anycast") {
		for _, n := range prefixNodes(s) {
			all = append(all, place{n, n.parsed.(netip.Prefix), s})
		}
	}
	// In order, a prefix is followed at once by what is inside of it: thousands that
	// do not overlap need not be compared with each other.
	sorted := slices.SortedFunc(slices.Values(all), func(x, y place) int { return bgp.ComparePrefixes(x.prefix, y.prefix) })
	clash := false
	for i := 1; i < len(sorted); i++ {
		clash = clash || sorted[i-1].prefix.Overlaps(sorted[i].prefix)
	}
	if !clash {
		return
	}
	for i, this := range all {
		p := this.prefix
		for _, other := range all[:i] {
			switch {
			case other.prefix == p && other.of.node == this.of.node:
				b.wrong(this.node, fmt.Sprintf("%s is listed twice", p), "")
			case other.prefix == p:
				b.wrong(this.node, fmt.Sprintf("%s is a prefix of %s already", p, other.of.node), "one service decides about a prefix")
			case p.Overlaps(other.prefix):
				b.wrong(this.node, fmt.Sprintf("%s overlaps with %s of %s", p, other.prefix, other.of.node),
					"the wider one would attract the traffic of the other after that is withdrawn")
			}
		}
	}
}
