package netif

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Local lists the addresses that this host answers for: those that are ready to
// use, on links that are up and have a carrier, whoever put them there.
func Local() ([]netip.Addr, error) {
	conn, err := openRTNL()
	if err != nil {
		return nil, err
	}
	defer conn.close()
	links, err := conn.devices()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	up := map[int]bool{}
	for _, l := range links {
		up[l.index] = l.flags&unix.IFF_UP != 0 && l.flags&unix.IFF_RUNNING != 0
	}
	all, err := conn.addresses(0)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []netip.Addr
	for _, a := range all {
		if up[a.index] && a.ready() {
			list = append(list, a.prefix.Addr())
		}
	}
	return list, nil
}
