package speaker

import (
	"errors"
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/vipd/vipd/pkg/bgp"
)

// errNoNextHop is why an IPv6 route cannot go to a neighbor that is reached by
// IPv4.
var errNoNextHop = errors.New("this host has no IPv6 address on the interface of the session, and no next hop is configured")

// pathOf is a route in the words of the library.
func pathOf(r bgp.Route, n bgp.Neighbor, localAS uint32, self6 netip.Addr) (*apiutil.Path, error) {
	internal := n.Internal(localAS)
	attrs := []wire.PathAttributeInterface{wire.NewPathAttributeOrigin(wire.BGP_ORIGIN_ATTR_TYPE_IGP)}
	a := r.Attributes
	// AS_PATH gets our AS once from the library, except towards internal
	// neighbors, for whom our own AS in it would be a loop.
	if a.Prepend > 0 && !internal {
		path := make([]uint32, a.Prepend)
		for i := range path {
			path[i] = localAS
		}
		attrs = append(attrs, wire.NewPathAttributeAsPath([]wire.AsPathParamInterface{
			wire.NewAs4PathParam(wire.BGP_ASPATH_ATTR_TYPE_SEQ, path),
		}))
	}
	if !internal || a.MED > 0 {
		attrs = append(attrs, wire.NewPathAttributeMultiExitDisc(a.MED))
	}
	if internal {
		attrs = append(attrs, wire.NewPathAttributeLocalPref(a.LocalPref))
	}
	if len(a.Communities) > 0 {
		values := make([]uint32, len(a.Communities))
		for i, c := range a.Communities {
			values[i] = uint32(c)
		}
		attrs = append(attrs, wire.NewPathAttributeCommunities(values))
	}
	if len(a.Large) > 0 {
		values := make([]*wire.LargeCommunity, len(a.Large))
		for i, c := range a.Large {
			values[i] = wire.NewLargeCommunity(c.Global, c.Local1, c.Local2)
		}
		attrs = append(attrs, wire.NewPathAttributeLargeCommunities(values))
	}
	hop, err := nextHop(r, n, self6)
	if err != nil {
		return nil, err
	}
	return newPath(r.Prefix, hop, attrs)
}

// nextHop is the one to give to the library, for which an unspecified address is
// this host's on the session.
func nextHop(r bgp.Route, n bgp.Neighbor, self6 netip.Addr) (netip.Addr, error) {
	switch {
	case r.NextHop.IsValid():
		return r.NextHop, nil
	case r.Prefix.Addr().Is4():
		return netip.IPv4Unspecified(), nil // on a session over IPv6 the library makes it RFC 8950
	case n.Address.Is4():
		if !self6.IsValid() {
			return netip.Addr{}, errNoNextHop
		}
		return self6, nil
	}
	return netip.IPv6Unspecified(), nil
}

// withdrawal is the path that takes a prefix back.
func withdrawal(p netip.Prefix) (*apiutil.Path, error) {
	hop := netip.IPv4Unspecified()
	if p.Addr().Is6() {
		hop = netip.IPv6Unspecified()
	}
	path, err := newPath(p, hop, nil)
	if err != nil {
		return nil, err
	}
	path.Withdrawal = true
	return path, nil
}

func newPath(p netip.Prefix, hop netip.Addr, attrs []wire.PathAttributeInterface) (*apiutil.Path, error) {
	nlri, err := wire.NewIPAddrPrefix(p)
	if err != nil {
		return nil, err
	}
	family := wire.RF_IPv4_UC
	if p.Addr().Is6() {
		family = wire.RF_IPv6_UC
		reach, err := wire.NewPathAttributeMpReachNLRI(family, []wire.PathNLRI{{NLRI: nlri}}, hop)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, reach)
	} else {
		next, err := wire.NewPathAttributeNextHop(hop)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, next)
	}
	return &apiutil.Path{Family: family, Nlri: nlri, Attrs: attrs}, nil
}
