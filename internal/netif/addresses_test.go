package netif

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// applier is an Addresses at work.
type applier struct {
	*Addresses
	t    *testing.T
	out  chan Applied
	seq  uint64
	stop func()
}

func newApplier(t *testing.T) *applier {
	a := &applier{Addresses: NewAddresses(quiet), t: t, out: make(chan Applied, 1000)}
	a.stop = run(t, func(ctx context.Context) error { return a.Run(ctx, func(r Applied) { a.out <- r }) })
	return a
}

// want sets w and waits for the answer to it.
func (a *applier) want(w Wanted) Applied {
	a.t.Helper()
	a.seq++
	w.Seq = a.seq
	if w.Owner == "" {
		w.Owner = "web"
	}
	a.Set(w)
	return await(a.t, "the kernel", a.out, func(r Applied) bool { return r.Seq == w.Seq })
}

// must is want that has to succeed.
func (a *applier) must(w Wanted) Applied {
	a.t.Helper()
	r := a.want(w)
	check(a.t, r.Err)
	return r
}

// on lists the addresses on a link, without link-local ones.
func on(t *testing.T, link string) []string {
	t.Helper()
	c := must(openRTNL())
	defer c.close()
	var out []string
	for _, x := range must(c.addresses(must(c.device(link)).index)) {
		if !x.prefix.Addr().IsLinkLocalUnicast() {
			out = append(out, x.prefix.String())
		}
	}
	return out
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAddressesComeAndGo(t *testing.T) {
	pair(t, "add0", []string{"10.10.0.1/24", "fd10::1/64"}, nil)
	a := newApplier(t)
	w := Wanted{Link: "add0", Addresses: prefixes("10.10.0.9/24", "10.10.1.9/32", "fd10::9/64"), Present: true}
	a.must(w)
	a.must(w) // once more: nothing to do
	same(t, "held", []string{"10.10.0.1/24", "10.10.1.9/32", "10.10.0.9/24", "fd10::9/64", "fd10::1/64"}, on(t, "add0"))

	l := named(t, "add0")
	for _, x := range must(netlink.AddrList(l, netlink.FAMILY_V6)) {
		if x.IP.String() != "fd10::9" {
			continue
		}
		if want := unix.IFA_F_NODAD | unix.IFA_F_PERMANENT | unix.IFA_F_DEPRECATED; x.Flags != want {
			t.Errorf("flags of %s are %#x, want %#x", x.IP, x.Flags, want)
		}
	}

	check(t, netlink.AddrDel(l, addr("10.10.0.9/24")))
	a.must(w)
	same(t, "restored", []string{"10.10.0.1/24", "10.10.1.9/32", "10.10.0.9/24", "fd10::9/64", "fd10::1/64"}, on(t, "add0"))

	w.Addresses = prefixes("10.10.0.9/24", "fd10::8/64")
	a.must(w)
	same(t, "changed", []string{"10.10.0.1/24", "10.10.0.9/24", "fd10::8/64", "fd10::1/64"}, on(t, "add0"))

	w.Present = false
	a.must(w)
	a.must(w)
	same(t, "released", []string{"10.10.0.1/24", "fd10::1/64"}, on(t, "add0"))
}

func TestAddressesMoveBetweenOwners(t *testing.T) {
	pair(t, "add1", []string{"10.11.0.1/24"}, nil)
	a := newApplier(t)
	vips := prefixes("10.11.0.9/24")
	a.must(Wanted{Owner: "old", Link: "add1", Addresses: vips, Present: true})
	a.must(Wanted{Owner: "new", Link: "add1", Addresses: vips, Present: true})
	a.must(Wanted{Owner: "old", Link: "add1", Addresses: vips})
	same(t, "after the old owner's release", []string{"10.11.0.1/24", "10.11.0.9/24"}, on(t, "add1"))
	a.Forget("new")
	a.must(Wanted{Owner: "old", Link: "add1"})
	same(t, "after both", []string{"10.11.0.1/24"}, on(t, "add1"))
}

func TestAddressesErrors(t *testing.T) {
	pair(t, "add2", nil, nil)
	a := newApplier(t)
	cases := []struct {
		name string
		w    Wanted
		want string
	}{
		{"no such link", Wanted{Link: "nothere", Addresses: prefixes("10.12.0.9/24"), Present: true},
			"find interface nothere: no such device"},
		{"no such parent", Wanted{Link: "nothere", VMAC: true, VRID: 5, Addresses: prefixes("10.12.0.9/24"), Present: true},
			"find interface nothere: no such device"},
		{"release without link", Wanted{Link: "nothere", Addresses: prefixes("10.12.0.9/24")}, ""},
		{"address that cannot be", Wanted{Link: "add2", Addresses: prefixes("ff02::9/64", "10.12.0.9/24", "ff02::8/64"), Present: true},
			"add ff02::9/64 to add2: cannot assign requested address"},
		{"route without way", Wanted{Link: "add2", Addresses: prefixes("10.12.0.9/24"), Present: true,
			Routes: []Route{{To: netip.MustParsePrefix("10.99.0.0/16"), Via: netip.MustParseAddr("192.0.2.77")}}},
			"add route 10.99.0.0/16 via 192.0.2.77: network is unreachable"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := a.want(c.w).Err
			switch {
			case c.want == "":
				check(t, err)
			case err == nil || !strings.HasPrefix(err.Error(), c.want):
				t.Errorf("error %q, want %q", err, c.want)
			}
		})
	}
	same(t, "what was possible", []string{"10.12.0.9/24"}, on(t, "add2"))
}

// A renamed link keeps its addresses: they go all the same, and come back with
// the name.
func TestAddressesOfARenamedLink(t *testing.T) {
	pair(t, "ren0", []string{"10.18.0.1/24"}, nil)
	a := newApplier(t)
	w := Wanted{Link: "ren0", Addresses: prefixes("10.18.0.9/24", "fd18::9/64"), Present: true}
	a.must(w)
	check(t, netlink.LinkSetName(named(t, "ren0"), "ren1"))
	t.Cleanup(func() { check(t, netlink.LinkSetName(named(t, "ren1"), "ren0")) }) // pair deletes it
	w.Present = false
	a.must(w)
	same(t, "after the release", []string{"10.18.0.1/24"}, on(t, "ren1"))

	// Another link that takes the name over is another place.
	w.Link, w.Present = "ren1", true
	a.must(w)
	check(t, netlink.LinkSetName(named(t, "ren1"), "ren2"))
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "ren1"}, PeerName: "ren1p"}))
	a.must(w)
	same(t, "left on the old link", []string{"10.18.0.1/24"}, on(t, "ren2"))
	same(t, "on the new link", []string{"10.18.0.9/24", "fd18::9/64"}, on(t, "ren1"))
	check(t, netlink.LinkDel(named(t, "ren1")))
	check(t, netlink.LinkSetName(named(t, "ren2"), "ren1"))
}

// The newest wins, an owner's waiting older one is not carried out, and nothing
// waits for Run.
func TestAddressesNewestWins(t *testing.T) {
	pair(t, "add3", nil, nil)
	a := &applier{Addresses: NewAddresses(quiet), t: t, out: make(chan Applied, 10)}
	for i := range 1000 {
		a.Set(Wanted{Owner: "web", Link: "add3", Addresses: prefixes(fmt.Sprintf("10.13.%d.9/32", i%200)), Present: i != 500, Seq: uint64(i)})
	}
	a.Set(Wanted{Owner: "mail", Link: "add3", Addresses: prefixes("10.13.0.1/32"), Present: true, Seq: 7})
	run(t, func(ctx context.Context) error { return a.Run(ctx, func(r Applied) { a.out <- r }) })
	for _, want := range []Applied{{Owner: "web", Seq: 999}, {Owner: "mail", Seq: 7}} {
		got := await(t, "an answer", a.out, func(Applied) bool { return true })
		got.Took = 0
		if got != want {
			t.Errorf("answer %+v, want %+v", got, want)
		}
	}
	same(t, "held", []string{"10.13.199.9/32", "10.13.0.1/32"}, on(t, "add3"))
}

func TestAddressesRoutes(t *testing.T) {
	pair(t, "add4", []string{"10.14.0.1/24"}, nil)
	a := newApplier(t)
	to, direct, six := netip.MustParsePrefix("10.140.0.0/16"), netip.MustParsePrefix("10.141.0.0/16"), netip.MustParsePrefix("fd14:1::/64")
	w := Wanted{Link: "add4", Addresses: prefixes("10.14.0.9/24", "fd14::9/64"), Present: true, Routes: []Route{
		{To: to, Via: netip.MustParseAddr("10.14.0.254"), Table: 100}, {To: direct}, {To: six, Via: netip.MustParseAddr("fd14::254")}}}
	count := func() (n int) {
		all := must(netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: mark}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE))
		return len(all)
	}
	a.must(w)
	a.must(w)
	if got := count(); got != 3 {
		t.Errorf("%d routes, want 3", got)
	}
	check(t, netlink.RouteDel(&netlink.Route{Dst: ipNet(direct), LinkIndex: named(t, "add4").Attrs().Index, Scope: netlink.SCOPE_LINK}))
	a.must(w)
	if got := count(); got != 3 {
		t.Errorf("%d routes after one was deleted, want 3", got)
	}
	w.Routes = w.Routes[:1]
	a.must(w)
	if got := count(); got != 1 {
		t.Errorf("%d routes after a change, want 1", got)
	}
	other := &netlink.Route{Dst: ipNet(netip.MustParsePrefix("10.142.0.0/16")), Gw: []byte{10, 14, 0, 200}}
	check(t, netlink.RouteAdd(other))
	w.Routes = append(w.Routes, Route{To: netip.MustParsePrefix("10.142.0.0/16"), Via: netip.MustParseAddr("10.14.0.254")})
	if err := a.want(w).Err; err == nil || !strings.Contains(err.Error(), "another route exists") {
		t.Errorf("a foreign route in the way: error %v", err)
	}
	w.Present = false
	a.must(w)
	if got := count(); got != 0 {
		t.Errorf("%d routes after the release, want 0", got)
	}
	if got := must(netlink.RouteListFiltered(netlink.FAMILY_V4, other, netlink.RT_FILTER_DST)); len(got) != 1 {
		t.Error("the foreign route was removed")
	}
}

// source is the address from which this host sends to dst.
func source(t *testing.T, dst string) string {
	t.Helper()
	r := must(netlink.RouteGet(netip.MustParseAddr(dst).AsSlice()))
	return r[0].Src.String()
}

// An address that another host's answer to duplicate address detection made
// unusable is made again.
func TestAddressesRepairFailedDetection(t *testing.T) {
	pair(t, "add6", nil, []string{"fd16::9/64"})
	_, links := monitor(t, "add6")
	await(t, "link", links, func(l Link) bool { return l.Up && len(l.Addresses) > 0 }) // its link-local address is ready
	check(t, netlink.AddrAdd(named(t, "add6"), must(netlink.ParseAddr("fd16::9/64"))))
	failed := func() bool {
		return slices.ContainsFunc(must(netlink.AddrList(named(t, "add6"), netlink.FAMILY_V6)), func(x netlink.Addr) bool {
			return x.IP.String() == "fd16::9" && x.Flags&unix.IFA_F_DADFAILED != 0
		})
	}
	eventually(t, "failed detection", failed)
	newApplier(t).must(Wanted{Link: "add6", Addresses: prefixes("fd16::9/64"), Present: true})
	await(t, "usable address", links, func(l Link) bool { return slices.Contains(l.Addresses, netip.MustParsePrefix("fd16::9/64")) })
}

func TestRemoveLeftovers(t *testing.T) {
	pair(t, "add7", []string{"10.17.0.1/24"}, nil)
	a := &applier{Addresses: NewAddresses(quiet), t: t, out: make(chan Applied, 10)}
	a.conn = must(openRTNL())
	defer a.conn.close()
	plain := &task{Wanted: Wanted{Owner: "plain", Link: "add7", Addresses: prefixes("10.17.0.9/24", "fd17::9/64"), Present: true,
		Routes: []Route{{To: netip.MustParsePrefix("10.170.0.0/16"), Via: netip.MustParseAddr("10.17.0.254")}}}}
	virtual := &task{Wanted: Wanted{Owner: "virtual", Link: "add7", VMAC: true, VRID: 17, Family4: true, Addresses: prefixes("10.17.0.8/24"), Present: true}}
	a.apply([]*task{plain, virtual}) // and then the process is killed
	check(t, plain.result())
	check(t, virtual.result())
	macvlan := VMACName(named(t, "add7").Attrs().Index, true, 17)
	stay := []Wanted{virtual.Wanted, plain.Wanted, {Link: "lo", Addresses: prefixes("fd17::9/64")}, {Link: "none"}}
	stay[1].Addresses = prefixes("10.17.0.9/24")
	gone := VMACName(named(t, "add7").Attrs().Index, true, 18)
	check(t, makeVMAC(quiet, gone, VirtualMAC(true, 18), must(a.conn.device("add7"))))
	check(t, RemoveLeftovers(quiet, stay))
	same(t, "left", []string{"10.17.0.1/24", "10.17.0.9/24"}, on(t, "add7"))
	same(t, "left", []string{"10.17.0.8/24"}, on(t, macvlan))
	same(t, "routes left", []string{"10.170.0.0/16"}, ourRoutes())
	if _, err := netlink.LinkByName(gone); err == nil {
		t.Error("the other macvlan is still there")
	}
	check(t, RemoveLeftovers(quiet, []Wanted{{Link: "add7", Addresses: prefixes("10.17.0.9/24")}}))
	same(t, "left", []string{"10.17.0.1/24", "10.17.0.9/24"}, on(t, "add7"))
	check(t, RemoveLeftovers(quiet, nil))
	same(t, "left", []string{"10.17.0.1/24"}, on(t, "add7"))
	if _, err := netlink.LinkByName(macvlan); err == nil {
		t.Error("the macvlan is still there")
	}
	same(t, "routes left", nil, ourRoutes())
	check(t, RemoveLeftovers(quiet, nil))
}

func ourRoutes() (list []string) {
	for _, r := range must(netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: mark}, netlink.RT_FILTER_PROTOCOL)) {
		list = append(list, r.Dst.String())
	}
	return list
}

// TestAddressesMany measures; it fails only when something is wrong by far.
func TestAddressesMany(t *testing.T) {
	for _, c := range []struct {
		name, format string
		n            int
	}{
		{"ipv4", "10.18.%d.%d/32", 255}, {"ipv4", "10.18.%d.%d/32", 1000},
		{"ipv6", "fd18::%d:%d/128", 255},
	} {
		t.Run(fmt.Sprintf("%s %d", c.name, c.n), func(t *testing.T) {
			pair(t, "many0", []string{"10.19.0.1/24"}, nil)
			w := Wanted{Link: "many0", Present: true}
			for i := range c.n {
				w.Addresses = append(w.Addresses, netip.MustParsePrefix(fmt.Sprintf(c.format, i/250, i%250+1)))
			}
			a := newApplier(t)
			added := a.must(w).Took
			if got := len(on(t, "many0")); got != c.n+1 {
				t.Errorf("%d addresses, want %d", got, c.n+1)
			}
			again := a.must(w).Took
			w.Present = false
			removed := a.must(w).Took
			if got := len(on(t, "many0")); got != 1 {
				t.Errorf("%d addresses left, want 1", got)
			}
			t.Logf("%d addresses: added in %v, set again in %v, removed in %v", c.n, added, again, removed)
			if total := added + removed; total > 5*time.Second {
				t.Errorf("took %v", total)
			}
		})
	}
}

// eventually polls a condition of the kernel for which there is no event.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
