package netif

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestAddressesAreNeverTheSource(t *testing.T) {
	cases := []struct{ name, own, gateway, vip string }{
		{"same network", "10.20.0.5/24", "10.20.0.254", "10.20.0.4/24"},
		{"host address", "10.20.0.5/24", "10.20.0.254", "10.20.0.4/32"},
		{"longer prefix", "10.20.0.5/16", "10.20.0.254", "10.20.0.4/24"},
		{"shorter prefix", "10.20.0.5/24", "10.20.0.254", "10.20.0.4/16"},
		{"ipv6 same network", "fd20::5/64", "fd20::fe", "fd20::4/64"},
		{"ipv6 host address", "fd20::5/64", "fd20::fe", "fd20::4/128"},
		{"ipv6 closer to the destination", "fd20::5/64", "fd20::fe", "fd20::1:1/64"},
	}
	for i, c := range cases {
		for _, vmac := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s vmac=%v", c.name, vmac), func(t *testing.T) {
				name := fmt.Sprintf("src%d", i)
				pair(t, name, []string{c.own}, nil)
				own := netip.MustParsePrefix(c.own).Addr()
				onLink, far := "10.20.0.77", "198.51.100.77"
				family := netlink.FAMILY_V4
				if own.Is6() {
					onLink, far, family = "fd20::1:2", "2001:db8::77", netlink.FAMILY_V6
				}
				route := &netlink.Route{Dst: ipNet(netip.PrefixFrom(netip.MustParseAddr(far), 0).Masked()), Gw: netip.MustParseAddr(c.gateway).AsSlice()}
				check(t, netlink.RouteAdd(route))
				expect := func(when string) {
					t.Helper()
					for _, dst := range []string{onLink, c.gateway, far} {
						if got := source(t, dst); got != own.String() {
							t.Errorf("%s: source to %s is %s, want %s", when, dst, got, own)
						}
					}
				}
				a := newApplier(t)
				w := Wanted{Link: name, VMAC: vmac, VRID: 20, Family4: own.Is4(), Addresses: prefixes(c.vip), Present: true}
				a.must(w)
				expect("held")

				// The host's own address is renewed the hard way; the VIP is set again.
				check(t, netlink.AddrDel(named(t, name), addr(c.own)))
				check(t, netlink.AddrAdd(named(t, name), addr(c.own)))
				_ = netlink.RouteDel(route)
				check(t, netlink.RouteAdd(route))
				a.must(w)
				expect("own address added again")
				a.must(Wanted{Link: name, VMAC: vmac, VRID: 20, Family4: own.Is4(), Addresses: prefixes(c.vip)})
				expect("released")
				if n := len(must(netlink.RouteListFiltered(family, &netlink.Route{Dst: ipNet(netip.MustParsePrefix(c.own).Masked())}, netlink.RT_FILTER_DST))); n != 1 {
					t.Errorf("%d routes to the own network, want 1", n)
				}
			})
		}
	}
}

// Removing the first address of a network must not take the others with it, and
// the sysctl that sees to that is put back.
func TestAddressesPrimaryRemoved(t *testing.T) {
	pair(t, "add5", []string{"10.15.0.1/24"}, nil)
	a := newApplier(t)
	a.must(Wanted{Owner: "one", Link: "add5", Addresses: prefixes("10.16.0.1/24"), Present: true})
	a.must(Wanted{Owner: "two", Link: "add5", Addresses: prefixes("10.16.0.2/24"), Present: true})
	a.must(Wanted{Owner: "one", Link: "add5", Addresses: prefixes("10.16.0.1/24")})
	same(t, "the other one", []string{"10.15.0.1/24", "10.16.0.2/24"}, on(t, "add5"))
	value := func() uint32 {
		c := must(openRTNL())
		defer c.close()
		v, _ := must(c.device("add5")).conf(promoteSecondaries)
		return v
	}
	if value() != 1 {
		t.Error("promote_secondaries is not set")
	}
	a.must(Wanted{Owner: "two", Link: "add5", Addresses: prefixes("10.16.0.2/24")})
	a.stop()
	if value() != 0 {
		t.Error("promote_secondaries was not put back")
	}
}
