package lease

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		os.Exit(child(os.Args[2]))
	}
	os.Exit(testenv.Main(m))
}

const (
	patience = 10 * time.Second // bounds every wait for something that must happen
	port     = 7777             // of the service on guarded addresses
	timeout  = time.Second      // of leases that are to expire
)

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// world is a guarded host, host, and a client on one switch.
type world struct {
	*testenv.Lab
	host, client *testenv.Host
	service      *testenv.Responder // of host
}

func newWorld(t testing.TB, programs ...string) *world {
	t.Helper()
	lab := testenv.TestLab(t, programs...)
	w := &world{Lab: lab}
	var err error
	if w.host, err = lab.Host("host", "10.9.0.1/24", "fd09::1/64"); err != nil {
		t.Fatal(err)
	}
	if w.client, err = lab.Host("client", "10.9.0.9/24", "fd09::9/64"); err != nil {
		t.Fatal(err)
	}
	if w.service, err = w.host.Respond(port); err != nil {
		t.Fatal(err)
	}
	return w
}

// open opens a table on the guarded host.
func (w *world) open(t testing.TB) *Table {
	t.Helper()
	var table *Table
	err := w.host.NS.Do(func() (err error) {
		table, err = Open(discard, vmacName, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(false); err != nil {
			t.Error(err)
		}
	})
	return table
}

func vmacName(parent int, family4 bool, vrid uint8) string {
	return "vm" + strconv.Itoa(parent) + "-" + strconv.FormatBool(family4)[:1] + strconv.Itoa(int(vrid))
}

// address puts an address on an interface of the host and has the client know
// where it is, so that what it asks for does not depend on ARP or ND.
func (w *world) address(t testing.TB, dev string, list ...netip.Addr) {
	t.Helper()
	nl := w.client.NS.Netlink()
	eth0, err := nl.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if err := w.host.AddAddress(dev, netip.PrefixFrom(a, a.BitLen())); err != nil {
			t.Fatal(err)
		}
		family := unix.AF_INET6
		if a.Is4() {
			family = unix.AF_INET
		}
		if err := nl.NeighSet(&netlink.Neigh{LinkIndex: eth0.Attrs().Index, Family: family, State: unix.NUD_PERMANENT,
			IP: a.AsSlice(), HardwareAddr: w.host.MAC(dev)}); err != nil {
			t.Fatal(err)
		}
	}
}

// answering waits until the addresses answer: the service, and who-has or
// neighbour solicitation.
func (w *world) answering(t testing.TB, list ...netip.Addr) {
	t.Helper()
	for _, a := range list {
		testenv.Eventually(t, patience, a.String()+" answers the service's clients", func() bool { return serve(t, w.client.NS, a, 1) > 0 })
		testenv.Eventually(t, patience, a.String()+" answers who-has", func() bool { return w.whoHas(t, a, 1) > 0 })
	}
}

// silent fails the test if an address answers anything, of some questions of
// each kind, or if the service behind it is asked anything.
func (w *world) silent(t testing.TB, list ...netip.Addr) {
	t.Helper()
	for _, a := range list {
		if n := w.whoHas(t, a, 3); n > 0 {
			t.Errorf("%s answers %d of some questions who has it", a, n)
		}
		before := w.service.Answered()
		if n := serve(t, w.client.NS, a, 10); n > 0 {
			t.Errorf("%s answers %d of 10 requests", a, n)
		}
		if n := w.service.Answered() - before; n > 0 {
			t.Errorf("%d of 10 requests to %s reached the service", n, a)
		}
	}
}

// whoHas asks some times who has an address, and counts the answers.
func (w *world) whoHas(t testing.TB, a netip.Addr, times int) int {
	t.Helper()
	const every = 4 * time.Millisecond
	q, err := w.client.WhoHas("eth0", a, every)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	testenv.Eventually(t, patience, "questions are asked", func() bool { return time.Since(start) > time.Duration(times+1)*every })
	r := q.Stop()
	return r.Asked - r.Silent
}

// serve sends requests to the service on an address, and counts the answers
// that come within a short time.
func serve(t testing.TB, from *testenv.NS, a netip.Addr, times int) (answers int) {
	t.Helper()
	var c *net.UDPConn
	err := from.Do(func() (err error) {
		c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, port)))
		return err
	})
	check(t, err)
	defer c.Close()                                        //nolint:errcheck // nothing is lost
	request := append([]byte("vprb"), make([]byte, 12)...) // what testenv's Responder answers
	for range times {
		if _, err := c.Write(request); err != nil {
			t.Logf("ask %s: %v", a, err) // the host said that nobody is there
		}
	}
	check(t, c.SetReadDeadline(time.Now().Add(40*time.Millisecond)))
	for answers < times {
		if _, err := c.Read(make([]byte, 64)); err != nil {
			return answers
		}
		answers++
	}
	return answers
}

// runTable runs the table's watcher until the test ends, and returns what it
// tells.
func runTable(t testing.TB, table *Table) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	told, done := make(chan string, 100), make(chan error, 1)
	go func() { done <- table.Run(ctx, func(what string) { told <- what }) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			check(t, err)
		case <-time.After(patience):
			t.Error("Run did not end with its context")
		}
	})
	return told
}

// renewing renews leases every interval until the test ends or stop is called.
func renewing(t testing.TB, table *Table, every time.Duration, names ...string) (stop func()) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				_ = table.Renew(names) // what it says is for other tests
			}
		}
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			close(quit)
			<-done
		}
	}
	t.Cleanup(stop)
	return stop
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// routeToVIPs has client and host reach each other's addresses outside of their
// networks directly.
func routeToVIPs(t testing.TB, w *world) {
	t.Helper()
	nl := w.client.NS.Netlink()
	eth0, err := nl.LinkByName("eth0")
	check(t, err)
	_, four, err := net.ParseCIDR("10.9.0.0/16")
	check(t, err)
	check(t, nl.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: four, Scope: netlink.SCOPE_LINK}))
}
