package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// trackRules checks what a VIP tracks.
func (b *builder) trackRules(s section, v engine.VIP, checks map[string]check.Config) {
	for _, t := range get[[]tracked](s, "track") {
		if _, ok := checks[t.name]; ok {
			continue
		}
		b.atKey(t.node, Error, fmt.Sprintf("%s: there is no check %q", s.node, t.name), checkHint(t.name, checks))
	}
	for _, t := range get[[]tracked](s, "track_interfaces") {
		if t.name == v.Interface && v.Interface != "" && !t.weight.Fault {
			b.atValue(t.node, Warning, fmt.Sprintf("%s: the weight of %s has no effect", s.node, t.name),
				"a VIP is never eligible while its own interface is down")
		}
	}
	if v.Priority != vrrp.PriorityOwner {
		return
	}
	for _, t := range weights(s, checks) {
		b.atValue(t.node, Error, fmt.Sprintf("%s: priority 255 has no weights, as that of %s", s.node, t.name),
			`the address owner is always at 255: use "fault", or a priority below 255`)
	}
}

// weights returns what changes the priority of a VIP, by a weight of the VIP's
// own or by that of the check.
func weights(s section, checks map[string]check.Config) []tracked {
	var list []tracked
	for _, key := range []string{"track", "track_interfaces"} {
		for _, t := range get[[]tracked](s, key) {
			if !t.weight.Fault || t.own && key == "track" && checks[t.name].Weight.Delta != 0 {
				list = append(list, t)
			}
		}
	}
	return list
}

// uniqueRouters refuses a VRID that is used twice on a network.
func (b *builder) uniqueRouters(vips map[string]engine.VIP) {
	type router struct {
		link string
		vrid uint8
		ip4  bool
	}
	seen := map[router]section{}
	for _, s := range b.vips() {
		v := vips[s.node.name]
		if v.Interface == "" || v.VRID == 0 || len(v.Addresses) == 0 {
			continue
		}
		r := router{v.Interface, v.VRID, v.Family4()}
		other, taken := seen[r]
		if !taken {
			seen[r] = s
			continue
		}
		b.bad(s, s.find("vrid"), fmt.Sprintf("%d is the VRID of %s on %s already (%s)", v.VRID, other.node, v.Interface, family(v)),
			"every VIP of one interface and family needs its own")
	}
}

// uniqueAddresses refuses an address that is listed twice. Link-local addresses
// may be, on different interfaces.
func (b *builder) uniqueAddresses(vips map[string]engine.VIP) {
	type place struct {
		addr netip.Addr
		link string
	}
	seen := map[place]section{}
	for _, s := range b.vips() {
		n := s.find("addresses")
		if n == nil {
			continue
		}
		for _, element := range n.list {
			p, ok := element.parsed.(netip.Prefix)
			if !ok {
				continue
			}
			at := place{addr: p.Addr()}
			if p.Addr().IsLinkLocalUnicast() {
				at.link = vips[s.node.name].Interface
			}
			other, taken := seen[at]
			switch {
			case !taken:
				seen[at] = s
			case other.node == s.node:
				b.wrong(element, fmt.Sprintf("%s is listed twice", p.Addr()), "")
			default:
				b.wrong(element, fmt.Sprintf("%s is an address of %s already", p.Addr(), other.node), "")
			}
		}
	}
}

// groupRules checks the sync groups.
func (b *builder) groupRules(c engine.Config) {
	groupOf := map[string]*node{}
	sections := map[string]section{}
	for _, s := range b.vips() {
		sections[s.node.name] = s
	}
	for _, group := range b.sections("sync") {
		n := group.find("vips")
		if n == nil || n.parsed == nil {
			continue
		}
		switch len(n.list) {
		case 0:
			b.wrong(n, "the list is empty", "")
		case 1:
			b.atValue(n, Warning, n.String()+": a group of one VIP changes nothing", "")
		}
		var members []section
		for _, element := range n.list {
			name := element.parsed.(string)
			vip, known := sections[name]
			switch other := groupOf[name]; {
			case !known:
				b.wrong(element, fmt.Sprintf("there is no VIP %q", name), vipHint(name, c.VIPs))
			case other == group.node:
				b.wrong(element, fmt.Sprintf("%q is listed twice", name), "")
			case other != nil:
				b.wrong(element, fmt.Sprintf("%q is a member of %s already", name, other), "a VIP has one group at most")
			default:
				groupOf[name] = group.node
				members = append(members, vip)
			}
		}
		b.memberRules(group, members, c.VIPs)
	}
}

func vipHint(name string, vips map[string]engine.VIP) string {
	if near := nearest(name, names(vips)); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Sprintf("add a [vip.%s] table", name)
}

// memberRules checks that the members of a group can only move together: the
// group is elected as one, so nothing may move one member alone.
func (b *builder) memberRules(group section, members []section, vips map[string]engine.VIP) {
	for i := 1; i < len(members); i++ {
		one, other := members[0].node, members[i].node
		v, w := vips[one.name], vips[other.name]
		n := group.find("vips")
		if v.Preempt != w.Preempt {
			b.wrong(n, fmt.Sprintf("%s and %s differ in `preempt`", one.name, other.name), "the members of a group move together")
		}
		if !maps.Equal(deltas(v), deltas(w)) {
			b.wrong(n, fmt.Sprintf("%s and %s differ in what changes their priority", one.name, other.name),
				`track the same checks and interfaces with the same weights in all members, or use "fault"`)
		}
		if v.Priority != w.Priority && v.Priority != 0 && w.Priority != 0 {
			b.atValue(n, Warning, fmt.Sprintf("%s: %s has priority %d, %s has %d", n, one.name, v.Priority, other.name, w.Priority),
				"give all members of a group the same priority, or two hosts may each win one")
		}
	}
}

// deltas is what changes the priority of a VIP.
func deltas(v engine.VIP) map[string]int {
	m := map[string]int{}
	for name, w := range v.Track {
		if w.Delta != 0 {
			m["check "+name] = w.Delta
		}
	}
	for name, w := range v.TrackLinks {
		if w.Delta != 0 {
			m["interface "+name] = w.Delta
		}
	}
	return m
}

func names[K cmp.Ordered, T any](m map[K]T) []K { return slices.Sorted(maps.Keys(m)) }
