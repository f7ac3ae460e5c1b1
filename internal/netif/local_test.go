package netif

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestLocal lists the addresses of links that are up and have a carrier, and no
// others: a Backup of FRR keeps its addresses on a link that is not.
func TestLocal(t *testing.T) {
	ns := pair(t, "loc0", []string{"10.9.0.1/24", "fd00:9::1/64"}, nil)
	has := func(s string) func() bool {
		return func() bool { return slices.Contains(must(Local()), netip.MustParseAddr(s)) }
	}
	eventually(t, "both addresses", func() bool { return has("10.9.0.1")() && has("fd00:9::1")() })
	if has("10.9.0.2")() {
		t.Error("it has what nobody has")
	}
	there := must(ns.Netlink().LinkByName("eth0"))
	check(t, ns.Netlink().LinkSetDown(there)) // no carrier
	eventually(t, "no address without a carrier", func() bool { return !has("10.9.0.1")() })
	check(t, ns.Netlink().LinkSetUp(there))
	eventually(t, "the address again", has("10.9.0.1"))
	check(t, netlink.LinkSetDown(named(t, "loc0")))
	eventually(t, "no address of a link that is down", func() bool { return !has("10.9.0.1")() })
}
