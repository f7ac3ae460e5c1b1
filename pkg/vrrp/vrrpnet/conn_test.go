package vrrpnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
	"github.com/vipd/vipd/testenv"
)

var byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestAdverts sends between two hosts in both directions.
func TestAdverts(t *testing.T) {
	t.Parallel()
	for _, family4 := range []bool{true, false} {
		for _, unicast := range []bool{false, true} {
			for _, form := range []vrrp.Checksum{vrrp.ChecksumPseudoHeader, vrrp.ChecksumMessage} {
				if !family4 && form == vrrp.ChecksumMessage {
					continue
				}
				t.Run(fmt.Sprintf("%s unicast=%t checksum=%d", family(family4), unicast, form), func(t *testing.T) {
					t.Parallel()
					one, two := pair(t)
					hosts := [2]*host{one, two}
					var conns [2]*Conn
					var got [2]<-chan Received
					for i, h := range hosts {
						m := vrrp.Membership{VRID: 51, Version: 3}
						if unicast {
							m.Peers = []netip.Addr{hosts[1-i].addr[family4]}
						}
						conns[i] = h.listen(t, ifname, family4, m)
						got[i] = run(t, conns[i])
					}
					for i, h := range hosts {
						o := Outgoing{Source: h.addr[family4], Advert: advert(51, family4), Checksum: form}
						if unicast {
							o.Peers = []netip.Addr{hosts[1-i].addr[family4]}
						}
						must(t, conns[i].Send([]Outgoing{o}))
						want := Received{Source: h.addr[family4], Advert: o.Advert, Checksum: form}
						if diff := cmp.Diff(want, next(t, got[1-i]), byAddr); diff != "" {
							t.Errorf("received (-want +got):\n%s", diff)
						}
					}
					for i := range conns {
						want := Counters{Received: 1, Delivered: 1, Sent: 1}
						seen := conns[i].Counters()
						if seen.Received != want.Received || seen.Delivered != want.Delivered || seen.Sent != want.Sent {
							t.Errorf("host %d: counters %+v, want %+v", i+1, seen, want)
						}
						if n := seen.Checksums[form]; family4 && n != 1 {
							t.Errorf("host %d: %d adverts with checksum form %d, want 1", i+1, n, form)
						}
					}
				})
			}
		}
	}
}

// TestVersion2 sends one advert of version 2.
func TestVersion2(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	a := advert(51, true)
	a.Version = 2
	c := one.listen(t, ifname, true)
	got := run(t, two.listen(t, ifname, true, vrrp.Membership{VRID: 51, Version: 2, Interval: a.Interval, Addresses: a.Addresses}))
	must(t, c.Send([]Outgoing{{Source: one.addr[true], Advert: a}}))
	if diff := cmp.Diff(a, next(t, got).Advert, byAddr); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}

// TestBatch sends one advert of each VRID at once, of lengths up to the longest
// one, which over IPv6 is longer than the MTU.
func TestBatch(t *testing.T) {
	t.Parallel()
	for _, family4 := range []bool{true, false} {
		t.Run(family(family4), func(t *testing.T) {
			t.Parallel()
			one, two := pair(t)
			var batch []Outgoing
			var vrids []uint8
			for v := 1; v <= 255; v++ {
				a := advert(uint8(v), family4)
				for len(a.Addresses) < v {
					a.Addresses = append(a.Addresses, a.Addresses[len(a.Addresses)-1].Next())
				}
				batch = append(batch, Outgoing{Source: one.addr[family4], Advert: a})
				vrids = append(vrids, uint8(v))
			}
			got := run(t, two.listen(t, ifname, family4, members(vrids...)...))
			c := one.listen(t, ifname, family4)
			for range 2 { // the second time with the memory of the first
				must(t, c.Send(batch))
				for i := range batch {
					if diff := cmp.Diff(batch[i].Advert, next(t, got).Advert, byAddr); diff != "" {
						t.Fatalf("advert %d (-want +got):\n%s", i, diff)
					}
				}
			}
		})
	}
}

// TestOnTheWire looks at every field that receivers and networks care about.
// Conformance test 7, sending side, and 15.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	w := two.wire(t, one)
	tests := []struct {
		name    string
		family4 bool
		peers   []netip.Addr
		mac     []byte
		dst     netip.Addr
	}{
		{"ipv4 multicast", true, nil, []byte{0x01, 0x00, 0x5e, 0x00, 0x00, 0x12}, vrrp.Group4},
		{"ipv4 unicast", true, []netip.Addr{two.addr[true]}, two.link.Attrs().HardwareAddr, two.addr[true]},
		{"ipv6 multicast", false, nil, []byte{0x33, 0x33, 0x00, 0x00, 0x00, 0x12}, vrrp.Group6},
		{"ipv6 unicast", false, []netip.Addr{two.addr[false]}, two.link.Attrs().HardwareAddr, two.addr[false]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := one.listen(t, ifname, tt.family4)
			must(t, c.Send([]Outgoing{{Source: one.addr[tt.family4], Peers: tt.peers, Advert: advert(51, tt.family4)}}))
			type header struct {
				DstMAC, SrcMAC []byte
				Class, Hops    byte
				Src, Dst       netip.Addr
				Payload        []byte
			}
			f := w.hear(t)
			got := header{DstMAC: f[:6], SrcMAC: f[6:12]}
			if ip := f[14:]; tt.family4 {
				got.Class, got.Hops, got.Payload = ip[1], ip[8], ip[20:]
				got.Src, got.Dst = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
			} else {
				got.Class, got.Hops, got.Payload = ip[0]<<4|ip[1]>>4, ip[7], ip[40:]
				got.Src, got.Dst = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
			}
			want := header{
				DstMAC: tt.mac, SrcMAC: one.link.Attrs().HardwareAddr, Class: 0xc0, Hops: 255,
				Src: one.addr[tt.family4], Dst: tt.dst,
				Payload: encode(t, advert(51, tt.family4), one.addr[tt.family4], tt.dst),
			}
			if diff := cmp.Diff(want, got, byAddr); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSource: the source is the one that was asked for, however many addresses
// there are, and one that the host does not have is an error of that advert.
func TestSource(t *testing.T) {
	t.Parallel()
	tests := []struct {
		family4  bool
		others   []string
		strange  string
		otherWay string
	}{
		{true, []string{"10.0.0.10/32", "10.0.0.77/24", "10.9.0.1/16"}, "10.0.0.99", "fe80::1"},
		{false, []string{"fe80::10/128", "fe80::77/64", "2001:db8::1/64"}, "fe80::99", "10.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(family(tt.family4), func(t *testing.T) {
			t.Parallel()
			one, two := pair(t)
			got := run(t, two.listen(t, ifname, tt.family4, members(1, 2, 3, 4, 5)...))
			c := one.listen(t, ifname, tt.family4)
			sources := []netip.Addr{one.addr[tt.family4]}
			for _, p := range tt.others {
				one.address(t, ifname, p)
				sources = append(sources, netip.MustParsePrefix(p).Addr())
			}
			for _, src := range sources {
				must(t, c.Send([]Outgoing{{Source: src, Advert: advert(1, tt.family4)}}))
				if r := next(t, got); r.Source != src {
					t.Errorf("came from %v, want %v", r.Source, src)
				}
			}

			good := Outgoing{Source: sources[0], Advert: advert(1, tt.family4)}
			strange, none, otherWay, invalid := good, good, good, good
			strange.Source, strange.Advert.VRID = netip.MustParseAddr(tt.strange), 2
			none.Source, none.Advert.VRID = netip.Addr{}, 3
			otherWay.Source, otherWay.Advert.VRID = netip.MustParseAddr(tt.otherWay), 4
			invalid.Advert.VRID = 0
			last := good
			last.Advert.VRID = 5
			batch := []Outgoing{strange, none, good, otherWay, invalid, strange, last}
			err := c.Send(batch)
			if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENETUNREACH) {
				t.Errorf("Send: %v, want %v or %v", err, unix.EINVAL, unix.ENETUNREACH)
			}
			for i, failed := range []bool{true, true, false, true, true, true, false} {
				if (batch[i].Err != nil) != failed {
					t.Errorf("advert %d: error %v", i, batch[i].Err)
				}
			}
			for _, vrid := range []uint8{1, 5} {
				if r := next(t, got); r.Advert.VRID != vrid {
					t.Errorf("got VRID %d, want %d", r.Advert.VRID, vrid)
				}
			}
			if n := c.Counters(); n.Sent != 6 || n.Unsent != 5 {
				t.Errorf("sent %d, unsent %d, want 6 and 5", n.Sent, n.Unsent)
			}
		})
	}
}

// TestSendNeverWaits fills the send buffer with adverts to a peer that does not
// answer ARP.
func TestSendNeverWaits(t *testing.T) {
	t.Parallel()
	one, _ := pair(t)
	c := one.listen(t, ifname, true)
	must(t, unix.SetsockoptInt(int(c.direct.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, 1))
	batch := make([]Outgoing, 255)
	for i := range batch {
		batch[i] = Outgoing{Source: one.addr[true], Peers: []netip.Addr{netip.MustParseAddr("10.0.0.200")}, Advert: advert(uint8(i+1), true)}
	}
	began := time.Now()
	full := func(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) }
	if err := c.Send(batch); !full(err) {
		t.Errorf("Send: %v, want %v or %v", err, unix.EAGAIN, unix.ENOBUFS)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
	if batch[0].Err != nil || !full(batch[254].Err) {
		t.Errorf("first: %v, last: %v", batch[0].Err, batch[254].Err)
	}
}

// TestLinkDown: an error for every advert while the link is down, and both
// directions again as soon as it is up.
func TestLinkDown(t *testing.T) {
	t.Parallel()
	for _, family4 := range []bool{true, false} {
		t.Run(family(family4), func(t *testing.T) {
			t.Parallel()
			one, two := pair(t)
			a, b := one.listen(t, ifname, family4, members(51)...), two.listen(t, ifname, family4, members(51)...)
			gotA, gotB := run(t, a), run(t, b)
			must(t, one.ns.Netlink().LinkSetDown(one.link))
			if err := a.Send([]Outgoing{{Source: one.addr[family4], Advert: advert(51, family4)}}); err == nil {
				t.Error("Send on a link that is down: no error")
			}
			must(t, one.ns.Netlink().LinkSetUp(one.link))
			if !family4 { // the kernel has removed it
				one.address(t, ifname, one.addr[false].String()+"/64")
			}
			one.running(t, ifname)
			two.running(t, ifname)
			must(t, a.Send([]Outgoing{{Source: one.addr[family4], Advert: advert(51, family4)}}))
			must(t, b.Send([]Outgoing{{Source: two.addr[family4], Advert: advert(51, family4)}}))
			next(t, gotA)
			next(t, gotB)
		})
	}
}

// TestGone: Run says at once that there is nothing more to receive.
func TestGone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(h, other *host) error
	}{
		{"deleted", func(h, _ *host) error { return h.ns.Netlink().LinkDel(h.link) }},
		{"deleted at the other end", func(_, other *host) error { return other.ns.Netlink().LinkDel(other.link) }},
		{"renamed", func(h, _ *host) error {
			if err := h.ns.Netlink().LinkSetDown(h.link); err != nil {
				return err
			}
			return h.ns.Netlink().LinkSetName(h.link, "eth9")
		}},
		{"moved away", func(h, other *host) error {
			if err := other.ns.Netlink().LinkSetName(other.link, "eth9"); err != nil {
				return err
			}
			return h.ns.Netlink().LinkSetNsFd(h.link, other.ns.Fd())
		}},
		{"created again", func(h, _ *host) error {
			if err := h.ns.Netlink().LinkDel(h.link); err != nil {
				return err
			}
			return h.ns.Netlink().LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: ifname}, PeerName: "eth1"})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			one, two := pair(t)
			c := one.listen(t, ifname, true)
			ended := make(chan error, 1)
			go func() { ended <- c.Run(context.Background(), func([]Received) {}) }()
			must(t, tt.do(one, two))
			select {
			case err := <-ended:
				if !errors.Is(err, ErrGone) {
					t.Errorf("Run: %v, want %v", err, ErrGone)
				}
			case <-time.After(10 * time.Second):
				t.Error("Run goes on")
			}
			if err := c.Send([]Outgoing{{Source: one.addr[true], Advert: advert(51, true)}}); err == nil {
				t.Error("Send: no error")
			}
		})
	}
}

// TestRunEnds with its context, may be run again, and ends with Close.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	a, b := one.listen(t, ifname, true), two.listen(t, ifname, true, members(51)...)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended, got := make(chan error, 1), make(chan Received, 1)
		go func() { ended <- b.Run(ctx, func(r []Received) { got <- r[0] }) }()
		must(t, a.Send([]Outgoing{{Source: one.addr[true], Advert: advert(51, true)}}))
		next(t, got)
		cancel()
		must(t, <-ended)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(t.Context(), func([]Received) {}) }()
	must(t, b.Close())
	if err := <-ended; err == nil {
		t.Error("Run on a closed Conn: no error")
	}
}

// TestListenErrors: what an operator reads when an interface is not there.
func TestListenErrors(t *testing.T) {
	t.Parallel()
	testenv.Require(t)
	for _, name := range []string{"nope0", "", "a-name-that-is-far-too-long", "lo "} {
		_, err := Listen(name, true, slog.New(slog.DiscardHandler))
		if !errors.Is(err, unix.ENODEV) {
			t.Errorf("Listen on %q: %v, want %v", name, err, unix.ENODEV)
		}
	}
}
