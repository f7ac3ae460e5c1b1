package bgp

import (
	"maps"
	"net/netip"
	"slices"
)

// Change is what one neighbor must be told to get from one table to the next.
type Change struct {
	Neighbor string
	Withdraw []netip.Prefix `json:",omitempty"`
	Announce []Route        `json:",omitempty"` // new ones, and those with other attributes
}

// Diff lists the changes from one table to the next, by the name of the neighbor;
// a neighbor without changes is not in it. Withdrawn prefixes are in the order of
// the old table, announced routes in that of the new one.
func Diff(from, to Table) []Change {
	names := map[string]bool{}
	for name := range from {
		names[name] = true
	}
	for name := range to {
		names[name] = true
	}
	var out []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if c := diff(name, from[name], to[name]); len(c.Withdraw)+len(c.Announce) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func diff(name string, from, to []Route) Change {
	c := Change{Neighbor: name}
	old := byPrefix(from)
	for _, r := range to {
		if was, known := old[r.Prefix]; !known || !was.Equal(r) {
			c.Announce = append(c.Announce, r)
		}
	}
	stays := byPrefix(to)
	for _, r := range from {
		if _, known := stays[r.Prefix]; !known {
			c.Withdraw = append(c.Withdraw, r.Prefix)
		}
	}
	return c
}

func byPrefix(routes []Route) map[netip.Prefix]Route {
	out := make(map[netip.Prefix]Route, len(routes))
	for _, r := range routes {
		out[r.Prefix] = r
	}
	return out
}

// Apply is the table after the changes; t itself stays as it is. It is the
// inverse of [Diff]: from.Apply(Diff(from, to)) has the routes of to.
func (t Table) Apply(changes []Change) Table {
	out := maps.Clone(t)
	if out == nil {
		out = Table{}
	}
	changed := map[string]map[netip.Prefix]Route{}
	for _, c := range changes {
		routes := changed[c.Neighbor]
		if routes == nil {
			routes = byPrefix(out[c.Neighbor])
			changed[c.Neighbor] = routes
		}
		for _, p := range c.Withdraw {
			delete(routes, p)
		}
		for _, r := range c.Announce {
			routes[r.Prefix] = r
		}
	}
	for name, routes := range changed {
		if len(routes) == 0 {
			delete(out, name)
			continue
		}
		out[name] = slices.SortedFunc(maps.Values(routes), func(a, b Route) int { return ComparePrefixes(a.Prefix, b.Prefix) })
	}
	return out
}

// Count is the number of routes in the table: of the same prefix to two
// neighbors, both count.
func (t Table) Count() int {
	n := 0
	for _, routes := range t {
		n += len(routes)
	}
	return n
}

// ComparePrefixes orders prefixes as routing tables are printed: IPv4 first, by
// address, the shorter first.
func ComparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// Equal reports whether a neighbor would notice no difference.
func (r Route) Equal(o Route) bool {
	return r.Prefix == o.Prefix && r.NextHop == o.NextHop && r.Attributes.Equal(o.Attributes)
}

// Equal reports whether the attributes are the same, communities in the same
// order.
func (a Attributes) Equal(o Attributes) bool {
	return a.MED == o.MED && a.LocalPref == o.LocalPref && a.Prepend == o.Prepend &&
		slices.Equal(a.Communities, o.Communities) && slices.Equal(a.Large, o.Large)
}
