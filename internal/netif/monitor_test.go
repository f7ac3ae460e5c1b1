package netif

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
)

// monitor starts a Monitor for names and gives its reports.
func monitor(t *testing.T, names ...string) (*Monitor, <-chan Link) {
	t.Helper()
	m := NewMonitor(quiet)
	m.SetNames(names)
	links := make(chan Link, 1000)
	run(t, func(ctx context.Context) error { return m.Run(ctx, func(l Link) { links <- l }) })
	return m, links
}

var v4only = cmpopts.AcyclicTransformer("v4", func(l Link) Link {
	l.Addresses = slices.DeleteFunc(slices.Clone(l.Addresses), func(p netip.Prefix) bool { return p.Addr().Is6() })
	return l
})

var unread = cmpopts.IgnoreFields(Link{}, "Read")

func TestMonitorReportsFirstStateAndChanges(t *testing.T) {
	pair(t, "mon0", []string{"10.1.0.1/24", "10.1.0.2/24"}, nil)
	m, links := monitor(t, "mon0", "nothere")
	index := named(t, "mon0").Attrs().Index
	first := await(t, "the first state", links, func(l Link) bool { return l.Name == "mon0" && l.Up })
	want := Link{Name: "mon0", Index: index, Present: true, Up: true, MTU: 1500,
		MAC: named(t, "mon0").Attrs().HardwareAddr, Addresses: prefixes("10.1.0.1/24", "10.1.0.2/24")}
	if diff := cmp.Diff(want, first, v4only, unread, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("first state (-want +got):\n%s", diff)
	}

	steps := []struct {
		name string
		do   func() error
		want func(Link) bool
	}{
		{"address removed", func() error { return netlink.AddrDel(named(t, "mon0"), addr("10.1.0.2/24")) },
			func(l Link) bool {
				return l.Name == "mon0" && !slices.Contains(l.Addresses, netip.MustParsePrefix("10.1.0.2/24"))
			}},
		{"address added", func() error { return netlink.AddrAdd(named(t, "mon0"), addr("fd01::9/64")) },
			func(l Link) bool { return slices.Contains(l.Addresses, netip.MustParsePrefix("fd01::9/64")) }},
		{"mac changed", func() error { return netlink.LinkSetHardwareAddr(named(t, "mon0"), mac("02:00:00:00:01:99")) },
			func(l Link) bool { return l.MAC.String() == "02:00:00:00:01:99" }},
		{"mtu changed", func() error { return netlink.LinkSetMTU(named(t, "mon0"), 1400) },
			func(l Link) bool { return l.MTU == 1400 }},
		{"set down", func() error { return netlink.LinkSetDown(named(t, "mon0")) },
			func(l Link) bool { return l.Present && !l.Up }},
		{"renamed away", func() error { return netlink.LinkSetName(named(t, "mon0"), "mon0x") },
			func(l Link) bool { return l.Name == "mon0" && !l.Present }},
		{"renamed to", func() error { return netlink.LinkSetName(named(t, "mon0x"), "mon0") },
			func(l Link) bool { return l.Name == "mon0" && l.Present && l.Index == index }},
		{"set up", func() error { return netlink.LinkSetUp(named(t, "mon0")) },
			func(l Link) bool { return l.Up }},
		{"another name watched", func() error { m.SetNames([]string{"mon0", "lo"}); return nil },
			func(l Link) bool { return l.Name == "lo" && l.Up }},
		{"deleted", func() error { return netlink.LinkDel(named(t, "mon0")) },
			func(l Link) bool { return l.Name == "mon0" && !l.Present && l.Index == 0 && len(l.Addresses) == 0 }},
	}
	for _, s := range steps {
		check(t, s.do())
		await(t, s.name, links, s.want)
	}
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "mon0"}, PeerName: "mon0p"}))
	await(t, "made again", links, func(l Link) bool { return l.Name == "mon0" && l.Present && l.Index != index })
	check(t, netlink.AddrAdd(named(t, "mon0"), addr("10.1.0.7/24")))
	await(t, "address after that", links, func(l Link) bool { return len(l.Addresses) == 1 })
}

func TestMonitorReportsAbsentLinks(t *testing.T) {
	pair(t, "mon1", nil, nil)
	_, links := monitor(t, "nothere")
	got := await(t, "the first state", links, func(Link) bool { return true })
	if diff := cmp.Diff(Link{Name: "nothere"}, got, unread); diff != "" {
		t.Error(diff)
	}
}

// TestMonitorReadsAgain: who asks gets a new picture of a link that is as it was, and
// of no other.
func TestMonitorReadsAgain(t *testing.T) {
	pair(t, "mon3", []string{"10.1.3.1/24"}, nil)
	m, links := monitor(t, "lo", "mon3")
	first := await(t, "the first state", links, func(l Link) bool { return l.Name == "mon3" && l.Up && len(l.Addresses) > 1 }) // link-local too
	for range 3 {
		asked := time.Now()
		m.Again("mon3")
		again := await(t, "another one", links, func(Link) bool { return true })
		if diff := cmp.Diff(first, again, unread, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("it differs (-first +again):\n%s", diff)
		}
		if again.Read.Before(asked) {
			t.Errorf("read %v before that was asked for", asked.Sub(again.Read))
		}
	}
}

func TestMonitorLeavesTentativeAddressesOut(t *testing.T) {
	pair(t, "mon2", nil, nil)
	_, links := monitor(t, "mon2")
	await(t, "link", links, func(l Link) bool { return l.Up })
	tentative := must(netlink.ParseAddr("fd02::1/64"))
	start := time.Now()
	check(t, netlink.AddrAdd(named(t, "mon2"), tentative))
	await(t, "ready address", links, func(l Link) bool { return slices.Contains(l.Addresses, netip.MustParsePrefix("fd02::1/64")) })
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("an address in duplicate address detection was reported after %v", took)
	}
}

func TestMonitorMergesBursts(t *testing.T) {
	pair(t, "mon3", nil, nil)
	_, links := monitor(t, "mon3")
	await(t, "link", links, func(l Link) bool { return l.Up })
	l, start := named(t, "mon3"), time.Now()
	for i := range 255 {
		check(t, netlink.AddrAdd(l, addr(fmt.Sprintf("10.3.0.%d/32", i+1))))
	}
	reports, full := 0, func(l Link) bool { return len(l.Addresses) >= 255 }
	await(t, "all addresses", links, func(l Link) bool { reports++; return full(l) })
	took := time.Since(start)
	if limit := int(took/minReread) + 2; reports > limit {
		t.Errorf("%d reports in %v, want at most %d", reports, took, limit)
	}
	t.Logf("255 addresses: %d reports in %v", reports, took)
}

// An event of the kernel may come a second late when the link has just changed;
// the poll does not wait for it.
func TestMonitorSeesCarrierLossWhileTheLinkFlaps(t *testing.T) {
	ns := pair(t, "mon4", []string{"10.4.0.1/24"}, nil)
	_, links := monitor(t, "mon4")
	await(t, "link", links, func(l Link) bool { return l.Up })
	far := must(ns.Netlink().LinkByName("eth0"))
	var worst time.Duration
	for range 20 {
		start := time.Now()
		check(t, ns.Netlink().LinkSetDown(far))
		await(t, "carrier loss", links, func(l Link) bool { return !l.Up })
		worst = max(worst, time.Since(start))
		check(t, ns.Netlink().LinkSetUp(far))
		await(t, "carrier", links, func(l Link) bool { return l.Up })
	}
	t.Logf("worst of 20: carrier loss reported after %v", worst)
	if worst > 500*time.Millisecond {
		t.Errorf("carrier loss reported after %v", worst)
	}
}
