package keepalived

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// addressWords are the words behind an address: how many words follow, and what
// vipd makes of them.
var addressWords = map[string]struct {
	args int
	note string // "" = nothing is lost
}{
	"dev": {1, ""}, // looked at
	"brd": {1, "no broadcast address is set"}, "broadcast": {1, "no broadcast address is set"},
	"label": {1, "addresses have no labels"}, "scope": {1, "the scope is the kernel's choice"},
	"peer": {1, "vipd sets no address of the other end"}, "home": {0, "not marked as a home address"},
	"-nodad": {0, ""}, "nodad": {0, ""}, "mngtmpaddr": {0, "makes no temporary addresses"},
	"noprefixroute": {0, "the kernel adds the route of the prefix: write /32 or /128 if there shall be none"},
	"autojoin":      {0, "joins no group"}, "no_track": {0, "an address that is removed is put back"},
	"preferred_lft": {1, "preferred as other addresses are"}, "use_vmac": {0, "a virtual MAC is for all addresses of a VIP"},
	"track_group": {1, ""},
}

// addresses converts the addresses of a block, of which there may be several on
// a line.
func (c *converter) addresses(v *vip, into *[]netip.Prefix, s *statement) {
	for _, line := range s.block {
		before := len(c.findings)
		for i := 0; i < len(line.words); i++ {
			w := line.words[i]
			if p, ok := prefix(w); ok && hosted(p) {
				*into = append(*into, p)
				continue
			}
			known, ok := addressWords[w]
			switch {
			case !ok:
				c.note(line, Refused, "%q is not understood", w)
			case i == 0:
				c.note(line, Refused, "there is no address in front")
			case w == "dev" && line.word(i+1) != v.interfaceName(c):
				*into = (*into)[:len(*into)-1]
				c.note(line, Refused, "left out: an address is on the interface of its election, %s; make it a VIP of its own on %s with its own VRID, both in a [sync] group",
					v.interfaceName(c), line.word(i+1))
				i = len(line.words)
			case known.note != "":
				c.note(line, Changed, "%s", known.note)
			}
			i += known.args
		}
		if len(c.findings) == before {
			c.note(line, Converted, "")
		}
	}
}

// families settles which family is elected over, and what becomes of the other
// one.
func (c *converter) families(v *vip) {
	first := v.addresses[0].Addr().Is4()
	list := v.keyword["virtual_ipaddress"]
	if list == nil {
		list = v.keyword["virtual_ipaddress_excluded"]
	}
	for _, p := range v.addresses {
		if p.Addr().Is4() != first {
			c.note(list, Changed, "%s is not of the family of the first address: keepalived ignores it, vipd holds it with the others", p.Addr())
		}
	}
	var listed []string
	for _, p := range v.excluded {
		if p.Addr().Is4() == first {
			listed = append(listed, p.Addr().String())
		}
	}
	v.addresses = append(v.addresses, v.excluded...)
	if len(listed) > 0 {
		c.note(v.keyword["virtual_ipaddress_excluded"], Changed,
			"adverts list them too (%s), and keepalived on the other host would not believe those: convert both hosts at once", listed[0])
	}
	seen := map[netip.Addr]bool{}
	v.addresses = slices.DeleteFunc(v.addresses, func(p netip.Prefix) bool {
		twice := seen[p.Addr()]
		seen[p.Addr()] = true
		other := c.holder(v, p.Addr())
		if !twice && other != nil {
			c.note(list, Refused, "left out: %s is an address of %s already", p.Addr(), other.name)
		}
		return twice || other != nil
	})
	if len(v.addresses) > 0 {
		c.linkLocal(v, list)
	}
}

// holder finds another VIP that has the address, which a link-local one may have
// on each interface.
func (c *converter) holder(v *vip, a netip.Addr) *vip {
	for _, other := range c.vips {
		if other == v || other.dropped || a.IsLinkLocalUnicast() && other.iface != v.iface {
			continue
		}
		if slices.ContainsFunc(other.addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return other
		}
	}
	return nil
}

// linkLocal puts a link-local address first in an IPv6 election, as the standard
// wants it and keepalived only warns.
func (c *converter) linkLocal(v *vip, list *statement) {
	if v.addresses[0].Addr().Is4() || v.addresses[0].Addr().IsLinkLocalUnicast() {
		return
	}
	if i := slices.IndexFunc(v.addresses, func(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }); i >= 0 {
		p := v.addresses[i]
		v.addresses = slices.Insert(slices.Delete(v.addresses, i, i+1), 0, p)
		c.note(list, Changed, "%s comes first (RFC 9568, 5.2.9)", p.Addr())
		return
	}
	p := netip.MustParsePrefix(fmt.Sprintf("fe80::5e:%x/64", v.vrid))
	v.addresses = slices.Insert(v.addresses, 0, p)
	c.note(list, Changed, "%s is added: the first address of an IPv6 election is link-local (RFC 9568, 5.2.9); add it to keepalived on the other host first", p)
}

// routeWords are the words of a route that need no counterpart.
var routeWords = map[string]int{"no_track": 0, "proto": 1, "protocol": 1, "inet": 0, "inet6": 0, "append": 0, "add": 0}

func virtualRoutes(c *converter, v *vip, s *statement) {
	for _, line := range s.block {
		r, why := c.route(v, line)
		if why == "" && slices.ContainsFunc(v.routes, func(other route) bool { return other.to == r.to && other.table == r.table }) {
			why = "a route to it is there already"
		}
		if why != "" {
			c.note(line, Refused, "left out: %s; add the route by `notify`", why)
			continue
		}
		v.routes = append(v.routes, r)
		c.note(line, Converted, "")
	}
}

// route reads one route, or says why vipd cannot have it.
func (c *converter) route(v *vip, s *statement) (r route, why string) {
	for i := 0; i < len(s.words); i++ {
		w, next := s.words[i], s.word(i+1)
		switch skip, harmless := routeWords[w]; {
		case w == "to" || w == "unicast":
		case w == "default" || w == "default6":
			r.to = netip.MustParsePrefix("0.0.0.0/0")
			if w == "default6" {
				r.to = netip.MustParsePrefix("::/0")
			}
		case w == "via" || w == "gw":
			a, err := netip.ParseAddr(next)
			if err != nil || a.Zone() != "" {
				return r, fmt.Sprintf("%q is not an address", next)
			}
			r.via = a
			i++
		case w == "table":
			n, err := strconv.Atoi(next)
			if err != nil || n < 1 {
				return r, fmt.Sprintf("vipd takes the number of a table, not %q", next)
			}
			r.table = n
			i++
		case w == "dev" && next == v.interfaceName(c):
			i++
		case w == "dev":
			return r, fmt.Sprintf("routes are on the VIP's interface, %s", v.interfaceName(c))
		case harmless:
			i += skip
		default:
			p, ok := prefix(w)
			if !ok || r.to.IsValid() {
				return r, fmt.Sprintf("vipd knows no %q", w)
			}
			r.to = p.Masked()
		}
	}
	switch {
	case !r.to.IsValid():
		return r, "there is no destination"
	case r.via.IsValid() && r.via.Is4() != r.to.Addr().Is4():
		return r, fmt.Sprintf("%s is not of the family of %s", r.via, r.to)
	}
	return r, ""
}
