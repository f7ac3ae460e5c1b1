package netif

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vishvananda/netlink"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == prolongArg {
		os.Exit(prolongUntilKilled(os.Args[2], os.Args[3]))
	}
	os.Exit(testenv.Main(m))
}

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// pair makes a cable between a link of this process's namespace, named here, and
// eth0 of a host of its own, with addresses on both ends. The tests share the
// namespace: each one names its own link and uses its own network.
func pair(t *testing.T, here string, hereAddrs, thereAddrs []string) *testenv.NS {
	t.Helper()
	testenv.Require(t)
	ns := must(testenv.NewNS())
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: here}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd())}
	check(t, netlink.LinkAdd(veth))
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(here); err == nil {
			check(t, netlink.LinkDel(l))
		}
		check(t, ns.Close())
	})
	there := must(ns.Netlink().LinkByName("eth0"))
	for _, a := range thereAddrs {
		check(t, ns.Netlink().AddrAdd(there, addr(a)))
	}
	check(t, ns.Netlink().LinkSetUp(there))
	for _, a := range hereAddrs {
		check(t, netlink.AddrAdd(named(t, here), addr(a)))
	}
	check(t, netlink.LinkSetUp(named(t, here)))
	// Until then the kernel drops what is sent, and says nothing.
	eventually(t, "both ends to carry frames", func() bool {
		there, err := ns.Netlink().LinkByName("eth0")
		return err == nil && there.Attrs().OperState == netlink.OperUp && named(t, here).Attrs().OperState == netlink.OperUp
	})
	return ns
}

func addr(s string) *netlink.Addr {
	a := must(netlink.ParseAddr(s))
	if a.IP.To4() == nil {
		a.Flags = 0x02 // IFA_F_NODAD: ready at once
	}
	return a
}

func named(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("find link %s: %v", name, err)
	}
	return l
}

// run runs f until the test ends, and fails the test if it returned an error.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-done:
			check(t, err)
		case <-time.After(patience):
			t.Error("Run did not end with its context")
		}
	}
	t.Cleanup(stop)
	return stop
}

// await receives until match says yes, and returns that value.
func await[T any](t *testing.T, what string, ch <-chan T, match func(T) bool) T {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case v := <-ch:
			if match(v) {
				return v
			}
		case <-timeout:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func prefixes(ss ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addrs(ss ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range ss {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func mac(s string) net.HardwareAddr { return must(net.ParseMAC(s)) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
