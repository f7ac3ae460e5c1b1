package netif

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// RemoveLeftovers removes what an earlier run, which was killed, left on this
// host: addresses and routes with our mark and the macvlans. It is for the start,
// before Run. Linux before 5.18 does not keep the mark of an address: there,
// setting each owner to not present removes what the configuration still names.
// Sysctls stay: what they were before that run is not known any more. Addresses
// in stay, by device, are left to who adds them again in any case.
func RemoveLeftovers(log *slog.Logger, stay map[string][]netip.Prefix) error {
	conn, err := openRTNL()
	if err != nil {
		return err
	}
	defer conn.close()
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL,
		&netlink.Route{Protocol: mark, Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var errs []error
	for _, r := range routes {
		log.Info("route left by an earlier run removed", "route", r.String())
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route %s: %w", r, err))
		}
	}
	addrs, err := conn.addresses(0)
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("list addresses: %w", err))...)
	}
	adopted := map[int][]netip.Prefix{}
	for name, list := range stay {
		if d, err := conn.device(name); err == nil {
			adopted[d.index] = list
		}
	}
	var reqs []*nl.NetlinkRequest
	for _, a := range addrs {
		if a.mark == mark && !slices.Contains(adopted[a.index], a.prefix) {
			log.Info("address left by an earlier run removed", "address", a.prefix.String(), "index", a.index)
			reqs = append(reqs, addressRequest(unix.RTM_DELADDR, 0, a.index, a.prefix))
		}
	}
	for _, err := range conn.all(reqs) {
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove address: %w", err))
		}
	}
	if err := conn.one(deleteVMACs()); err != nil && !errors.Is(err, unix.ENODEV) {
		errs = append(errs, fmt.Errorf("delete virtual MAC devices: %w", err))
	}
	return errors.Join(errs...)
}
