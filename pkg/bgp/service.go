package bgp

import (
	"net/netip"
	"slices"
)

// MaxMED is the highest MULTI_EXIT_DISC: the route that nobody prefers.
const MaxMED = 1<<32 - 1

// Service is a set of prefixes that are announced together, while something
// works on this host.
type Service struct {
	Prefixes  []netip.Prefix // of either family, each once
	Neighbors []string       // names of those who are told; none = all
	Attributes
}

// Standing is how a service stands, as far as its routes show it.
type Standing struct {
	Penalty  int  // added to the MED: what failing checks weigh, or less than 0 for a bonus
	Draining bool // still announced, but traffic is asked to go elsewhere (RFC 8326)
	Last     bool // announced although it fails: nobody shall prefer it, whatever a neighbor compares
}

// Tells reports whether the service is announced to a neighbor at all, whatever
// the family of a prefix.
func (s Service) Tells(neighbor string) bool {
	return len(s.Neighbors) == 0 || slices.Contains(s.Neighbors, neighbor)
}

// lastPrepend is how many times more the own AS is in the path of a route that is
// announced for want of a better one.
const lastPrepend = 3

// MaxPrepend is how often the own AS may be put before the path.
const MaxPrepend = 10

// Effective is the MED of a service as it stands, kept within what fits.
func (s Service) Effective(st Standing) uint32 {
	if st.Last {
		return MaxMED
	}
	return uint32(min(max(int64(s.MED)+int64(st.Penalty), 0), MaxMED))
}

// To returns the attributes that a neighbor is told. LOCAL_PREF goes to internal
// ones only, and is 0 while the service drains (RFC 8326, Section 4.2).
func (s Service) To(n Neighbor, localAS uint32, st Standing) Attributes {
	a := s.Attributes
	a.MED = s.Effective(st)
	if !n.Internal(localAS) {
		a.LocalPref = 0
	}
	if st.Last {
		a.Prepend = min(a.Prepend+lastPrepend, MaxPrepend)
	}
	if st.Draining || st.Last {
		a.LocalPref = 0
		if !slices.Contains(a.Communities, GracefulShutdown) {
			a.Communities = append(slices.Clip(a.Communities), GracefulShutdown)
		}
	}
	return a
}

// FamilyOf returns the address family that a prefix belongs to.
func FamilyOf(p netip.Prefix) Family {
	if p.Addr().Is4() {
		return IPv4
	}
	return IPv6
}

// Speaks reports whether routes of a family are exchanged with n.
func (n Neighbor) Speaks(f Family) bool { return slices.Contains(n.Families, f) }

// Announced is a service that is announced, and how.
type Announced struct {
	Service  Service
	Standing Standing
}

// NewTable returns what the neighbors are told, given everything that is
// announced. A prefix goes to the neighbors that speak its family. No two
// services share a prefix.
func NewTable(cfg Config, list []Announced) Table {
	t := Table{}
	for name, n := range cfg.Neighbors {
		var routes []Route
		for _, a := range list {
			if !a.Service.Tells(name) {
				continue
			}
			attributes := a.Service.To(n, cfg.LocalAS, a.Standing)
			for _, p := range a.Service.Prefixes {
				if n.Speaks(FamilyOf(p)) {
					routes = append(routes, Route{Prefix: p, Attributes: attributes})
				}
			}
		}
		if len(routes) > 0 {
			slices.SortFunc(routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
			t[name] = routes
		}
	}
	return t
}
