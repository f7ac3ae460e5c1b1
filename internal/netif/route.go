package netif

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// removeRoutes removes the routes that old had and t does not have, and those
// that t shall not have. A route that went with its link or its address is gone.
func removeRoutes(old, t *task) {
	var leave []Route
	if old != nil {
		leave = append(leave, old.Routes...)
	}
	if !t.Present {
		leave = append(leave, t.Routes...)
	}
	same := old != nil && old.device == t.device
	for i, r := range leave {
		if (t.Present && same && slices.Contains(t.Routes, r)) || slices.Contains(leave[:i], r) {
			continue
		}
		route := r.kernel(t)
		route.LinkIndex = 0 // it may have another index by now
		err := netlink.RouteDel(route)
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
			t.failed(fmt.Errorf("remove route %s: %w", r, err))
		}
	}
}

// addRoutes adds the routes of t. A route that is there already stays; one to
// the same network that is not ours is never replaced.
func addRoutes(t *task) {
	for _, r := range t.Routes {
		route := r.kernel(t)
		err := netlink.RouteAdd(route)
		if errors.Is(err, unix.EEXIST) {
			err = r.existing(route)
		}
		if err != nil {
			t.failed(fmt.Errorf("add route %s: %w", r, err))
		}
	}
}

// existing is nil when the route that is in the way is the very same one.
func (r Route) existing(route *netlink.Route) error {
	family := netlink.FAMILY_V6
	if r.To.Addr().Is4() {
		family = netlink.FAMILY_V4
	}
	there, err := netlink.RouteListFiltered(family, route, netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, o := range there {
		if o.Gw.Equal(route.Gw) && (route.LinkIndex == 0 || o.LinkIndex == route.LinkIndex) {
			return nil
		}
	}
	for _, o := range there {
		return fmt.Errorf("another route exists: %s", o)
	}
	return unix.EEXIST
}

// kernel is the route as the kernel has it. With a virtual MAC it leaves by the
// parent, or by whatever reaches its next hop.
func (r Route) kernel(t *task) *netlink.Route {
	route := &netlink.Route{Dst: ipNet(r.To.Masked()), Table: r.Table, Protocol: mark, LinkIndex: t.parent.index}
	if r.Table == 0 {
		route.Table = unix.RT_TABLE_MAIN
	}
	switch {
	case r.Via.IsValid():
		route.Gw = r.Via.AsSlice()
		if t.VMAC && !r.Via.IsLinkLocalUnicast() {
			route.LinkIndex = 0
		}
	case r.To.Addr().Is4():
		route.Scope = netlink.SCOPE_LINK
	}
	return route
}

// String is the route as in `ip route`.
func (r Route) String() string {
	s := r.To.String()
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Table != 0 {
		s += fmt.Sprintf(" table %d", r.Table)
	}
	return s
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
