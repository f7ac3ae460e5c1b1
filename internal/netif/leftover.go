package netif

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// RemoveLeftovers removes what an earlier run left on this host: addresses and
// routes with our mark and the macvlans. It is for the start, before Run. What it
// finds of stay is left to who sets that in any case. Linux before 5.18 does not
// keep the mark of an address: there, setting each owner to not present removes
// what the configuration still names. Sysctls stay: what they were before that run
// is not known any more.
func RemoveLeftovers(log *slog.Logger, stay []Wanted) error {
	conn, err := openRTNL()
	if err != nil {
		return err
	}
	defer conn.close()
	k := &keeps{addresses: map[int][]netip.Prefix{}, devices: map[string]bool{}}
	for _, w := range stay {
		k.add(conn, w)
	}
	return errors.Join(k.removeRoutes(log), k.removeAddresses(log, conn), k.removeVMACs(conn))
}

// keeps is what stays of an earlier run.
type keeps struct {
	addresses map[int][]netip.Prefix // by index of the device
	routes    []*netlink.Route
	devices   map[string]bool // macvlans
}

func (k *keeps) add(conn *rtnl, w Wanted) {
	t := &task{Wanted: w, device: w.Link}
	var err error
	if t.parent, err = conn.device(w.Link); err != nil {
		return // nothing of it is left
	}
	if w.VMAC {
		t.device = VMACName(t.parent.index, w.Family4, w.VRID)
		k.devices[t.device] = true
	}
	if d, err := conn.device(t.device); err == nil {
		k.addresses[d.index] = append(k.addresses[d.index], w.Addresses...)
	}
	for _, r := range w.Routes {
		k.routes = append(k.routes, r.kernel(t))
	}
}

func (k *keeps) removeRoutes(log *slog.Logger) error {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL,
		&netlink.Route{Protocol: mark, Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var errs []error
	for _, r := range routes {
		stays := func(o *netlink.Route) bool {
			return o.Dst.String() == r.Dst.String() && o.Table == r.Table && o.Gw.Equal(r.Gw) && (o.LinkIndex == 0 || o.LinkIndex == r.LinkIndex)
		}
		if r.Dst != nil && slices.ContainsFunc(k.routes, stays) {
			continue
		}
		log.Info("route left by an earlier run removed", "route", r.String())
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route %s: %w", r, err))
		}
	}
	return errors.Join(errs...)
}

func (k *keeps) removeAddresses(log *slog.Logger, conn *rtnl) error {
	addrs, err := conn.addresses(0)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	var reqs []*nl.NetlinkRequest
	for _, a := range addrs {
		if a.mark == mark && !slices.Contains(k.addresses[a.index], a.prefix) {
			log.Info("address left by an earlier run removed", "address", a.prefix.String(), "index", a.index)
			reqs = append(reqs, addressRequest(unix.RTM_DELADDR, 0, a.index, a.prefix))
		}
	}
	var errs []error
	for _, err := range conn.all(reqs) {
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove address: %w", err))
		}
	}
	return errors.Join(errs...)
}

// removeVMACs deletes all macvlans at once, unless some of them stay: each single
// deletion waits for the kernel.
func (k *keeps) removeVMACs(conn *rtnl) error {
	reqs := []*nl.NetlinkRequest{deleteVMACs()}
	if len(k.devices) > 0 {
		all, err := conn.devices()
		if err != nil {
			return fmt.Errorf("list interfaces: %w", err)
		}
		reqs = nil
		for _, d := range all {
			ours := d.kind == "macvlan" && (strings.HasPrefix(d.name, vmacPrefix+"4-") || strings.HasPrefix(d.name, vmacPrefix+"6-"))
			if ours && !k.devices[d.name] {
				reqs = append(reqs, deleteLink(d.index))
			}
		}
	}
	for _, err := range conn.all(reqs) {
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("delete virtual MAC devices: %w", err)
		}
	}
	return nil
}
