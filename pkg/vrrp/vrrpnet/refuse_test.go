package vrrpnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
)

// marker is the VRID of a good advert that says that all before it has been read.
const marker = 200

// TestRefused puts single frames on the wire. Conformance tests 2, 7 to 11, 16,
// 17, 21 to 23, as they show on a socket.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, family4 := range []bool{true, false} {
		t.Run(family(family4), func(t *testing.T) {
			t.Parallel()
			one, two := pair(t)
			self, peer, g := one.addr[family4], two.addr[family4], group(family4)
			good := encode(t, advert(51, family4), peer, g)
			stranger, other := netip.MustParseAddr("fe80::99"), netip.MustParseAddr("ff02::1")
			if family4 {
				// Over IPv4 the kernel itself drops what claims to be from here.
				one.sysctl(t, "ipv4/conf/all/accept_local", "1")
				stranger, other = netip.MustParseAddr("10.0.0.99"), netip.MustParseAddr("224.0.0.1")
			}
			unicast := func(src netip.Addr) packet {
				return packet{src: src, dst: self, hops: 255, payload: encode(t, advert(60, family4), src, self)}
			}
			spoofed := packet{src: self, dst: g, hops: 255, payload: encode(t, advert(51, family4), self, g)}
			tests := []struct {
				name string
				p    packet
				want vrrp.Cause // "" = delivered
			}{
				{"good", packet{src: peer, dst: g, hops: 255, payload: good}, ""},
				{"hop limit 254", packet{src: peer, dst: g, hops: 254, payload: good}, vrrp.CauseHopLimit},
				{"hop limit 1", packet{src: peer, dst: g, hops: 1, payload: good}, vrrp.CauseHopLimit},
				{"no message", packet{src: peer, dst: g, hops: 255}, vrrp.CauseLength},
				{"cut", packet{src: peer, dst: g, hops: 255, payload: good[:11]}, vrrp.CauseLength},
				{"trailer", packet{src: peer, dst: g, hops: 255, payload: append(slices.Clone(good), make([]byte, 28)...)}, vrrp.CauseAuthTrailer},
				{"version 4", packet{src: peer, dst: g, hops: 255, payload: append([]byte{0x41}, good[1:]...)}, vrrp.CauseVersion},
				{"type 2", packet{src: peer, dst: g, hops: 255, payload: append([]byte{0x32}, good[1:]...)}, vrrp.CauseType},
				{"checksum", packet{src: stranger, dst: g, hops: 255, payload: good}, vrrp.CauseChecksum},
				{"unknown VRID", packet{src: peer, dst: g, hops: 255, payload: encode(t, advert(52, family4), peer, g)}, vrrp.CauseUnknownVRID},
				{"multicast to unicast members", packet{src: peer, dst: g, hops: 255, payload: encode(t, advert(60, family4), peer, g)}, vrrp.CauseDestination},
				{"another group", packet{src: peer, dst: other, hops: 255, payload: encode(t, advert(51, family4), peer, other)}, vrrp.CauseDestination},
				{"unicast to multicast members", packet{src: peer, dst: self, hops: 255, payload: encode(t, advert(51, family4), peer, self)}, vrrp.CauseDestination},
				{"unicast from a peer", unicast(peer), ""},
				{"unicast from a stranger", unicast(stranger), vrrp.CauseSource},
				{"from our own address", spoofed, vrrp.CauseOwn},
			}
			if family4 {
				tests = append(tests, []struct {
					name string
					p    packet
					want vrrp.Cause
				}{
					{"IP options", packet{src: peer, dst: g, hops: 255, payload: good, options: 4}, ""},
					{"Ethernet padding", packet{src: peer, dst: g, hops: 255, payload: append(slices.Clone(good), make([]byte, 14)...), total: 20 + len(good)}, ""},
					{"total length 3 too short", packet{src: peer, dst: g, hops: 255, payload: good, total: 17 + len(good)}, vrrp.CauseLength},
				}...)
			}
			c := one.listen(t, ifname, family4, append(members(51, marker), vrrp.Membership{VRID: 60, Version: 3, Peers: []netip.Addr{peer}})...)
			got := run(t, c)
			w := two.wire(t, one)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					before := c.Counters()
					w.send(t, w.frame(tt.p))
					w.send(t, w.frame(packet{src: peer, dst: g, hops: 255, payload: encode(t, advert(marker, family4), peer, g)}))
					r := next(t, got)
					if tt.want == "" {
						if r.Advert.VRID == marker {
							t.Error("refused")
						} else {
							r = next(t, got)
						}
					}
					if r.Advert.VRID != marker {
						t.Errorf("delivered: %+v", r)
					}
					after := c.Counters()
					for cause, n := range after.Dropped {
						want := before.Dropped[cause]
						if cause == tt.want {
							want++
						}
						if n != want {
							t.Errorf("%d refused for %s, want %d", n-before.Dropped[cause], cause, want-before.Dropped[cause])
						}
					}
				})
			}
			if n := c.Counters(); family4 && n.Checksums[vrrp.ChecksumPseudoHeader] != n.Delivered {
				t.Errorf("%d of %d adverts with a pseudo-header", n.Checksums[vrrp.ChecksumPseudoHeader], n.Delivered)
			}
		})
	}
}

// sysctl sets a value below /proc/sys/net for the host.
func (h *host) sysctl(t testing.TB, key, value string) {
	t.Helper()
	must(t, h.ns.Do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) }))
}

// TestKernelRefuses: what the package leaves to the kernel, the kernel does.
// Conformance test 12: total length above what came. Conformance test 22 over
// IPv4: a source that is our own address.
func TestKernelRefuses(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	self, peer, g := one.addr[true], two.addr[true], vrrp.Group4
	c := one.listen(t, ifname, true, members(51, marker)...)
	got := run(t, c)
	w := two.wire(t, one)
	good := encode(t, advert(51, true), peer, g)
	w.send(t, w.frame(packet{src: peer, dst: g, hops: 255, payload: good, total: 21 + len(good)}))
	w.send(t, w.frame(packet{src: self, dst: g, hops: 255, payload: encode(t, advert(51, true), self, g)}))
	w.send(t, w.frame(packet{src: peer, dst: g, hops: 255, payload: encode(t, advert(marker, true), peer, g)}))
	if r := next(t, got); r.Advert.VRID != marker {
		t.Errorf("delivered: %+v", r)
	}
	if n := c.Counters().Received; n != 1 {
		t.Errorf("%d datagrams reached us, want 1", n)
	}
}

// TestAnomaly: conformance test 17. A list without a link-local address is
// believed, and counted.
func TestAnomaly(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	a := advert(51, false)
	a.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::10")}
	c := one.listen(t, ifname, false, members(51)...)
	got := run(t, c)
	must(t, two.listen(t, ifname, false).Send([]Outgoing{{Source: two.addr[false], Advert: a}}))
	if diff := cmp.Diff(a, next(t, got).Advert, byAddr); diff != "" {
		t.Errorf("advert (-want +got):\n%s", diff)
	}
	if n := c.Counters().Anomalies[vrrp.AnomalyLinkLocal]; n != 1 {
		t.Errorf("%d anomalies, want 1", n)
	}
}

// TestInterfacesApart: a Conn hears its own interface and family only, and not
// what its host sends. Conformance tests 16, 22 and 23.
func TestInterfacesApart(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	cable(t, one, two, "eth1")
	for i, h := range []*host{one, two} {
		h.up(t, "eth1")
		h.address(t, "eth1", fmt.Sprintf("10.1.0.%d/24", i+1))
		h.address(t, "eth1", fmt.Sprintf("fe80::1:%d/64", i+1))
	}
	one.running(t, "eth1")
	type key struct {
		name    string
		family4 bool
	}
	source := map[key]netip.Addr{
		{ifname, true}: two.addr[true], {ifname, false}: two.addr[false],
		{"eth1", true}: netip.MustParseAddr("10.1.0.2"), {"eth1", false}: netip.MustParseAddr("fe80::1:2"),
	}
	conns, got := map[key]*Conn{}, map[key]<-chan Received{}
	for k := range source {
		conns[k] = one.listen(t, k.name, k.family4, members(51)...)
		got[k] = run(t, conns[k])
		own := one.addr[k.family4]
		if k.name == "eth1" {
			own = netip.MustParseAddr(map[bool]string{true: "10.1.0.1", false: "fe80::1:1"}[k.family4])
		}
		must(t, conns[k].Send([]Outgoing{{Source: own, Advert: advert(51, k.family4)}}))
	}
	for k, src := range source {
		must(t, two.listen(t, k.name, k.family4).Send([]Outgoing{{Source: src, Advert: advert(51, k.family4)}}))
		if r := next(t, got[k]); r.Source != src {
			t.Errorf("%+v: from %v, want %v", k, r.Source, src)
		}
	}
	for k := range source {
		if n := conns[k].Counters(); n.Received != 1 || n.Delivered != 1 {
			t.Errorf("%+v: received %d, delivered %d, want 1 and 1", k, n.Received, n.Delivered)
		}
	}
}

// TestOtherInterface: what came in elsewhere before the socket was bound is not
// taken. Conformance test 23.
func TestOtherInterface(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	for _, family4 := range []bool{true, false} {
		c := one.listen(t, ifname, family4)
		must(t, two.listen(t, ifname, family4).Send([]Outgoing{{Source: two.addr[family4], Advert: advert(51, family4)}}))
		n := 0
		must(t, c.in.rc.Read(func(fd uintptr) bool {
			var err error
			n, err = c.in.msgs.Receive(fd)
			return n > 0 || err != nil
		}))
		_, err := c.in.datagram(0, c.index)
		must(t, err)
		if _, err = c.in.datagram(0, c.index+1); !errors.Is(err, errInterface) {
			t.Errorf("%s: %v, want %v", family(family4), err, errInterface)
		}
	}
}

// TestFlood sends 20 000 random and mutated packets as fast as it can, with a
// good advert after every hundred. Nothing is lost without being counted, and
// the good ones all arrive. It never has more on the way than the kernel's queue
// between two interfaces holds (net.core.netdev_max_backlog, 1 000), for what
// is dropped there nobody can count here.
func TestFlood(t *testing.T) {
	t.Parallel()
	const hostile, every, window = 20000, 100, 4
	for _, family4 := range []bool{true, false} {
		t.Run(family(family4), func(t *testing.T) {
			t.Parallel()
			one, two := pair(t)
			peer, g := two.addr[family4], group(family4)
			c := one.listen(t, ifname, family4, append(members(51, marker),
				vrrp.Membership{VRID: 20, Version: 2, Interval: time.Second, Addresses: advert(20, family4).Addresses},
				vrrp.Membership{VRID: 60, Version: 3, Peers: []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fe80::9")}})...)
			got := run(t, c)
			w := two.wire(t, one)
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 0))
			mark := w.frame(packet{src: peer, dst: g, hops: 255, payload: encode(t, advert(marker, family4), peer, g)})
			sent, seen := 0, 0
			heard := func(marks int) {
				for seen < marks {
					if r := next(t, got); r.Advert.VRID == marker {
						seen++
					}
				}
			}
			for i := range hostile {
				w.send(t, w.frame(mutant(t, rnd, one, two, family4)))
				if i%every == every-1 {
					w.send(t, mark)
					sent++
					heard(sent - window)
				}
			}
			heard(sent)
			n := c.Counters()
			sum := n.Delivered
			for _, dropped := range n.Dropped {
				sum += dropped
			}
			if want := uint64(hostile + sent); sum != want {
				t.Errorf("%d delivered or counted by cause, want %d: %+v", sum, want, n)
			}
			t.Logf("delivered %d, dropped %v", n.Delivered, n.Dropped)
		})
	}
}

// TestOverflow: what finds the buffer full is counted, too.
func TestOverflow(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	c := one.listen(t, ifname, true, members(51)...)
	must(t, c.bound.SetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVBUF, 1)) // the kernel's least
	out := two.listen(t, ifname, true)
	batch := make([]Outgoing, 100)
	for i := range batch {
		batch[i] = Outgoing{Source: two.addr[true], Advert: advert(51, true)}
	}
	must(t, out.Send(batch))
	lost := c.Counters().Dropped[vrrp.CauseOverflow]
	if lost == 0 || lost >= 100 {
		t.Fatalf("%d lost, want some", lost)
	}
	got := run(t, c)
	for range 100 - lost {
		next(t, got)
	}
	if n := c.Counters(); n.Received+n.Dropped[vrrp.CauseOverflow] != 100 {
		t.Errorf("received %d, lost %d, want 100 together", n.Received, n.Dropped[vrrp.CauseOverflow])
	}
}

// TestSetMembers while Run runs: who is believed changes with it.
func TestSetMembers(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	c, out := one.listen(t, ifname, true), two.listen(t, ifname, true)
	got := run(t, c)
	both := []Outgoing{{Source: two.addr[true], Advert: advert(51, true)}, {Source: two.addr[true], Advert: advert(52, true)}}
	for i, vrid := range []uint8{51, 52, 51} {
		c.SetMembers(nil, members(vrid)...)
		must(t, out.Send(both))
		if r := next(t, got); r.Advert.VRID != vrid {
			t.Errorf("round %d: got VRID %d, want %d", i, r.Advert.VRID, vrid)
		}
		c.SetMembers(nil, members(marker)...)
		must(t, out.Send([]Outgoing{{Source: two.addr[true], Advert: advert(marker, true)}}))
		if r := next(t, got); r.Advert.VRID != marker {
			t.Errorf("round %d: got VRID %d, want the marker", i, r.Advert.VRID)
		}
	}
	if n := c.Counters().Dropped[vrrp.CauseUnknownVRID]; n != 3 {
		t.Errorf("%d refused, want 3", n)
	}
}

// mutant is a packet that the kernel lets through and that is seldom an advert
// of a member.
func mutant(t testing.TB, rnd *rand.Rand, one, two *host, family4 bool) packet {
	vrids := []uint8{51, 60, 20, 7}
	p := packet{src: two.addr[family4], dst: group(family4), hops: 255}
	a := advert(vrids[rnd.IntN(len(vrids))], family4)
	if family4 && rnd.IntN(3) == 0 {
		a.Version = 2
	}
	if rnd.IntN(4) == 0 {
		p.dst = one.addr[family4]
	}
	p.payload = encode(t, a, p.src, p.dst)
	switch rnd.IntN(5) {
	case 0: // random bytes
		p.payload = make([]byte, rnd.IntN(80))
		for i := range p.payload {
			p.payload[i] = byte(rnd.Uint32())
		}
	case 1: // some bits
		for range 1 + rnd.IntN(4) {
			p.payload[rnd.IntN(len(p.payload))] ^= 1 << rnd.IntN(8)
		}
	case 2: // cut or longer
		p.payload = append(p.payload, make([]byte, rnd.IntN(60))...)[:rnd.IntN(len(p.payload)+1)]
	case 3:
		p.hops = uint8(rnd.IntN(256))
	case 4: // as it is, to whoever
	}
	return p
}

// TestHeader4: conformance test 12. The kernel drops or cuts such packets; should
// one come through, it is refused here.
func TestHeader4(t *testing.T) {
	t.Parallel()
	w := &wire{}
	ip := func(edit func(b []byte)) []byte {
		p := packet{src: netip.MustParseAddr("10.0.0.2"), dst: vrrp.Group4, hops: 255, payload: []byte{1, 2, 3, 4}}
		b := w.frame(p)[8:] // the wire has no MAC addresses here
		edit(b)
		return b
	}
	if b := ip(func([]byte) {}); b[0] != 0x45 {
		t.Fatalf("test packet starts with %#x", b[0])
	}
	tests := []struct {
		name string
		b    []byte
		want error
	}{
		{"good", ip(func([]byte) {}), nil},
		{"empty", nil, errHeader},
		{"shorter than a header", ip(func([]byte) {})[:19], errHeader},
		{"total length above", ip(func(b []byte) { b[3]++ }), errHeader},
		{"total length below", ip(func(b []byte) { b[3]-- }), errHeader},
		{"header length below 20", ip(func(b []byte) { b[0] = 0x44 }), errHeader},
		{"header longer than the packet", ip(func(b []byte) { b[0] = 0x4f }), errHeader},
		{"version 6", ip(func(b []byte) { b[0] = 0x65 }), errHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := header4(tt.b)
			if !errors.Is(err, tt.want) {
				t.Fatalf("header4: %v, want %v", err, tt.want)
			}
			want := vrrp.Datagram{HopLimit: 255, Source: netip.MustParseAddr("10.0.0.2"), Destination: vrrp.Group4, Payload: []byte{1, 2, 3, 4}}
			if diff := cmp.Diff(want, d, byAddr); err == nil && diff != "" {
				t.Errorf("datagram (-want +got):\n%s", diff)
			}
		})
	}
}
