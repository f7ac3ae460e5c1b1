package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/vipd/vipd/pkg/bgp"
)

// observeEvery is how often it is looked at who else announces our prefixes.
const observeEvery = 200 * time.Millisecond

// observe looks at who else announces the prefixes that are observed, in what
// neighbors sent: it is kept by session only, and refused everywhere else.
func (s *speaker) observe(now time.Time) {
	if s.library == nil || len(s.config.Observe)+len(s.others) == 0 || now.Sub(s.observed) < observeEvery {
		return
	}
	s.observed = now
	found := make(map[netip.Prefix][]string, len(s.config.Observe))
	for _, p := range s.config.Observe {
		found[p] = nil
	}
	for _, n := range s.neighbors {
		if n.session.State != bgp.Established {
			continue
		}
		for p, routes := range s.library.heard(n.address, s.config.Observe) {
			for _, h := range routes {
				if who := h.Announcer(s.config.LocalAS, s.config.RouterID); who != "" && len(found[p]) < maxSeen {
					found[p] = append(found[p], who)
				}
			}
		}
	}
	for p, others := range found {
		slices.Sort(others)
		others = slices.Compact(others)
		if was, known := s.others[p]; !known || !slices.Equal(was, others) {
			s.others[p] = others
			s.saw(p, others)
		}
	}
	for p := range s.others {
		if _, wanted := found[p]; !wanted {
			delete(s.others, p)
		}
	}
}

// heard returns what a neighbor sent of these prefixes.
func (l *library) heard(address netip.Addr, prefixes []netip.Prefix) map[netip.Prefix][]bgp.Heard {
	out := map[netip.Prefix][]bgp.Heard{}
	for _, family := range []wire.Family{wire.RF_IPv4_UC, wire.RF_IPv6_UC} {
		request := apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: address.String(), Family: family}
		for _, p := range prefixes {
			if p.Addr().Is4() == (family == wire.RF_IPv4_UC) {
				request.Prefixes = append(request.Prefixes, &apiutil.LookupPrefix{Prefix: p.String()})
			}
		}
		if len(request.Prefixes) == 0 {
			continue // none means all
		}
		_ = l.server.ListPath(request, func(nlri wire.NLRI, paths []*apiutil.Path) { // it fails while the session ends
			p, err := netip.ParsePrefix(nlri.String())
			if err != nil {
				return
			}
			for _, path := range paths {
				out[p] = append(out[p], heardOf(path))
			}
		})
	}
	return out
}

// heardOf is a path of the library as far as it tells who announces it.
func heardOf(path *apiutil.Path) (h bgp.Heard) {
	for _, attribute := range path.Attrs {
		switch a := attribute.(type) {
		case *wire.PathAttributeAsPath:
			for _, part := range a.Value {
				if part.GetType() == wire.BGP_ASPATH_ATTR_TYPE_SEQ {
					h.Path = append(h.Path, part.GetAS()...)
				}
			}
		case *wire.PathAttributeNextHop:
			h.NextHop = a.Value
		case *wire.PathAttributeMpReachNLRI:
			h.NextHop = a.Nexthop
		case *wire.PathAttributeOriginatorId:
			h.Originator = a.Value
		case *wire.PathAttributeCommunities:
			for _, c := range a.Value {
				h.Communities = append(h.Communities, bgp.Community(c))
			}
		}
	}
	return h
}
