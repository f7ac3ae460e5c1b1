package lease

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/testenv"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

var (
	webAddrs = addrs("10.9.0.10", "fd09::10")
	web      = Guarded{Name: "web", Interface: "eth0", Addresses: webAddrs, Timeout: time.Minute}
)

// brief is web, with a lease that expires while one looks.
func brief() Guarded {
	g := web
	g.Timeout = timeout
	return g
}

func addrPort(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// An address that is there answers nothing until its lease is armed, and nothing
// again when it has expired; a renewal that comes too late brings nothing back.
func TestLifeOfALease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	w.address(t, "eth0", webAddrs...)
	check(t, table.Set([]Guarded{brief()}))
	w.silent(t, webAddrs...)
	w.answering(t, addrs("10.9.0.1", "fd09::1")...) // the host itself
	refused(t, table, "web")                        // what was never armed
	w.silent(t, webAddrs...)

	check(t, table.Arm("web")[0])
	stop := renewing(t, table, timeout/10, "web")
	w.answering(t, webAddrs...)
	stop()
	testenv.Eventually(t, patience, "the lease expires", func() bool { return !alive(t, table)["web"] })
	refused(t, table, "web")
	w.silent(t, webAddrs...)

	check(t, table.Arm("web")[0])
	renewing(t, table, timeout/10, "web")
	w.answering(t, webAddrs...)
	check(t, table.Disarm("web"))
	w.silent(t, webAddrs...)
	refused(t, table, "web")
}

// refused fails the test if a lease is renewed.
func refused(t testing.TB, table *Table, name string) {
	t.Helper()
	var expired Expired
	if err := table.Renew([]string{name}); !errors.As(err, &expired) || !cmp.Equal(expired, Expired{name}) {
		t.Fatalf("renewed, which must not be: %v", err)
	}
}

func alive(t testing.TB, table *Table) map[string]bool {
	t.Helper()
	m, err := table.Alive()
	check(t, err)
	return m
}

// A host that guards an address is a client of whoever holds it, and of the
// other addresses of that host.
func TestGuardedHostIsAClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.client.Respond(port); err != nil {
		t.Fatal(err)
	}
	for _, a := range webAddrs { // held by the other host
		check(t, w.client.AddAddress("eth0", netip.PrefixFrom(a, a.BitLen())))
	}
	table := w.open(t)
	check(t, table.Set([]Guarded{web}))
	for _, a := range webAddrs {
		testenv.Eventually(t, patience, a.String()+" serves the guarded host", func() bool { return serve(t, w.host.NS, a, 1) > 0 })
	}
	// The next holder announces itself.
	if n, ok := w.host.Neighbour(webAddrs[0]); !ok || n.MAC.String() == stranger.String() {
		t.Fatalf("before: %v, %t", n, ok)
	}
	check(t, send(t, w.client.NS, garp(webAddrs[0])))
	testenv.Eventually(t, patience, "the guarded host knows the next holder", func() bool {
		n, ok := w.host.Neighbour(webAddrs[0])
		return ok && n.MAC.String() == stranger.String()
	})
}

// Nothing leaves from an address without a lease, whoever sends it: datagrams
// of a service, and announcements.
func TestNothingLeavesWithoutALease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.address(t, "eth0", webAddrs...)
	table := w.open(t)
	check(t, table.Set([]Guarded{web}))
	tap, err := w.client.ObserveAll("eth0")
	check(t, err)
	defer tap.Close() //nolint:errcheck // nothing was written
	frames := map[string]testenv.Packet{}
	for _, a := range webAddrs {
		frames["datagram from "+a.String()] = testenv.Packet{Source: a, Destination: addrs("10.9.0.9", "fd09::9")[a.BitLen()/128],
			Protocol: unix.IPPROTO_UDP, HopLimit: 64, Payload: []byte{1, 2, 3, 4, 0, 8, 0, 0}}
	}
	na := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, webAddrs[1].AsSlice()...)
	frames["neighbour advertisement"] = testenv.Packet{Source: netip.MustParseAddr("fe80::1"), Destination: netip.MustParseAddr("ff02::1"),
		Protocol: unix.IPPROTO_ICMPV6, HopLimit: 255, Payload: na}
	raws := map[string][]byte{"gratuitous ARP": garp(webAddrs[0])}
	for name, p := range frames {
		p.SourceMAC, p.DestinationMAC = stranger, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		raws[name] = p.Marshal()
	}
	for name, frame := range raws {
		if err := send(t, w.host.NS, frame); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("%s without a lease: %v, want %v", name, err, unix.ENOBUFS)
		}
	}
	check(t, table.Arm("web")[0])
	for name, frame := range raws {
		if err := send(t, w.host.NS, frame); err != nil {
			t.Errorf("%s with a lease: %v", name, err)
		}
	}
}

var stranger = net.HardwareAddr{2, 0, 0, 0, 0, 1}

// garp is a gratuitous ARP request.
func garp(a netip.Addr) []byte {
	mac := stranger
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, mac...), a.AsSlice()...)
	return append(append(b, 0, 0, 0, 0, 0, 0), a.AsSlice()...)
}

// send sends a frame once on eth0.
func send(t testing.TB, ns *testenv.NS, frame []byte) error {
	t.Helper()
	var sent error
	check(t, ns.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		sent = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
		return unix.Close(fd)
	}))
	return sent
}

// Frames of anybody else on lo renew, arm and end nothing.
func TestForeignFrames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	check(t, table.Set([]Guarded{brief()}))
	check(t, table.Arm("web")[0])
	var foreign *frames
	check(t, w.host.NS.Do(func() (err error) {
		foreign, err = openFrames() // with another cookie
		return err
	}))
	defer foreign.close()
	id := table.vips["web"].id
	for _, v := range []verb{renew, arm, end} {
		if done, err := foreign.say(v, id, timeout); done || err != nil {
			t.Errorf("verb %x with a wrong cookie: %t, %v", v, done, err)
		}
	}
	foreign.cookie = table.frames.cookie
	copy(foreign.frame[:], foreign.cookie[:])
	if done, err := foreign.say(renew, id, timeout+time.Millisecond); done || err != nil {
		t.Errorf("a timeout that nobody has: %t, %v", done, err)
	}
	if done, err := foreign.say(renew, id, timeout); !done || err != nil {
		t.Errorf("the same frame with our cookie: %t, %v", done, err) // so that the others failed by their cookie
	}
}

// A grant counts for half of a timeout, and once.
func TestGrantExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	check(t, table.Set([]Guarded{brief()}))
	id := table.vips["web"].id
	b := writer{batch: batch{table: tableName}}
	b.change(unix.NFT_MSG_NEWSETELEM, grants, []*nl.RtAttr{element(idBytes(id), millis(unix.NFTA_SET_ELEM_TIMEOUT, timeout/2))})
	check(t, table.nft.do(&b.batch))
	start := time.Now()
	testenv.Eventually(t, patience, "the grant expires", func() bool { return time.Since(start) > timeout/2 })
	if done, err := table.frames.say(arm, id, timeout); done || err != nil {
		t.Errorf("armed with an old grant: %t, %v", done, err)
	}
}

// A decision to arm that is overtaken by a Disarm, by a Set or by time arms nothing.
func TestArmTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	for want, meanwhile := range map[string]func(*decision){
		"it was disarmed meanwhile": func(*decision) { check(t, table.Disarm("web")) },
		"it was disarmed meanwhile ": func(*decision) {
			check(t, table.Set(nil))
			check(t, table.Set([]Guarded{web}))
		},
		"it took 1h0m0s, longer than half of its timeout": func(d *decision) { d.at = d.at.Add(-time.Hour) },
	} {
		check(t, table.Set([]Guarded{web}))
		d, err := table.decide("web")
		check(t, err)
		meanwhile(&d)
		errs := make([]error, 1)
		table.carryOut([]decision{d}, errs)
		if errs[0] == nil || errs[0].Error() != strings.TrimSpace(want) {
			t.Errorf("%v, want %s", errs[0], want)
		}
		if alive(t, table)["web"] {
			t.Error("the lease lives")
		}
	}
	if err := table.Arm("mail")[0]; err == nil || err.Error() != "arm lease of mail: not guarded" {
		t.Error(err)
	}
}

// While the list changes around a VIP that is armed, and its own addresses,
// timeout and neighbours change, no probe is lost.
func TestSetKeepsLeases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.address(t, "eth0", webAddrs...)
	table := w.open(t)
	check(t, table.Set([]Guarded{web}))
	check(t, table.Arm("web")[0])
	renewing(t, table, timeout/20, "web")
	w.answering(t, webAddrs...)
	p, err := w.client.Probe(addrPort(webAddrs[0]), 0)
	check(t, err)
	for i := range 30 {
		g := web
		if i%2 == 1 {
			g.Addresses = append(addrs(fmt.Sprintf("10.9.1.%d", i), fmt.Sprintf("fd09::1:%d", i)), webAddrs...)
		}
		if i%3 == 1 {
			g.Timeout += time.Duration(i) * time.Millisecond
		}
		list := []Guarded{g}
		if i%5 == 0 {
			list = append(list, Guarded{Name: "mail", Interface: fmt.Sprintf("eth%d", i%4), Timeout: time.Second,
				Addresses: addrs("10.9.0.77")})
		}
		check(t, table.Set(list))
		sent := p.Sent()
		testenv.Eventually(t, patience, "some probes are sent", func() bool { return p.Sent() > sent+10 })
	}
	if r := p.Stop(); r.Lost > 0 {
		t.Errorf("%d of %d probes lost, the longest gap was %v", r.Lost, r.Sent, r.LongestGap)
	}
	check(t, table.Set(nil))
	if _, err := table.Alive(); err != nil {
		t.Error(err)
	}
}

// A Set that changes nothing does not touch the table.
func TestSetOfTheSameIsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	check(t, table.Set([]Guarded{web}))
	before, err := table.generation()
	check(t, err)
	check(t, table.Set([]Guarded{web}))
	after, err := table.generation()
	check(t, err)
	if before != after {
		t.Errorf("generation %d became %d", before, after)
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	for want, list := range map[string][]Guarded{
		"guard web: named twice":                               {web, web},
		"guard web: timeout 0s is outside 1ms–4h39m37.215s":    {{Name: "web", Interface: "eth0"}},
		`guard web: interface "" cannot exist`:                 {{Name: "web", Timeout: time.Second}},
		`guard web: interface "abcdefghijklmnop" cannot exist`: {{Name: "web", Timeout: time.Second, Interface: "abcdefghijklmnop"}},
		"guard 10.9.0.10 of mail on eth0: web has it":          {web, {Name: "mail", Interface: "eth0", Timeout: time.Second, Addresses: webAddrs}},
	} {
		if err := validate(list); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	same := addrs("fe80::1")
	if err := validate([]Guarded{{Name: "web", Interface: "eth0", Timeout: time.Second, Addresses: same},
		{Name: "mail", Interface: "eth1", Timeout: time.Second, Addresses: same}}); err != nil {
		t.Errorf("one link-local address on two interfaces: %v", err)
	}
}

// A thousand addresses of each family are one VIP like any other.
func TestThousandAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	big := Guarded{Name: "big", Interface: "eth0", Timeout: timeout}
	for i := range 1000 {
		big.Addresses = append(big.Addresses, netip.AddrFrom4([4]byte{10, 9, byte(4 + i>>8), byte(i)}),
			netip.AddrFrom16([16]byte{0xfd, 9, 13: 1, 14: byte(i >> 8), 15: byte(i)}))
	}
	some := []netip.Addr{big.Addresses[2], big.Addresses[3], big.Addresses[1000], big.Addresses[1001], big.Addresses[1998], big.Addresses[1999]}
	w.address(t, "eth0", some...)
	table := w.open(t)
	check(t, w.client.Sysctl("net.ipv4.conf.all.rp_filter", "0"))
	routeToVIPs(t, w)
	check(t, table.Set([]Guarded{big}))
	w.silent(t, some...)
	check(t, table.Arm("big")[0])
	stop := renewing(t, table, timeout/10, "big")
	w.answering(t, some...)
	stop()
	testenv.Eventually(t, patience, "the lease expires", func() bool { return !alive(t, table)["big"] })
	w.silent(t, some...)
}

// Only the newest ids and addresses are in the table after it was closed politely,
// and none when it was removed.
func TestClose(t *testing.T) {
	t.Parallel()
	for _, remove := range []bool{true, false} {
		t.Run(fmt.Sprintf("remove=%t", remove), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.address(t, "eth0", webAddrs...)
			var table *Table
			check(t, w.host.NS.Do(func() (err error) {
				table, err = Open(discard, vmacName, nil)
				return err
			}))
			check(t, table.Set([]Guarded{web}))
			check(t, table.Arm("web")[0])
			check(t, table.Close(remove))
			if remove {
				w.answering(t, webAddrs...)
			} else {
				w.silent(t, webAddrs...)
			}
		})
	}
}
