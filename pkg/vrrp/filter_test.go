package vrrp

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	self4 = netip.MustParseAddr("192.0.2.1")
	self6 = netip.MustParseAddr("fe80::1")
	peer4 = netip.MustParseAddr("192.0.2.3") // the unicast peer of VRID 60
)

// testFilter is that of a host with one virtual router of every kind.
func testFilter() *Filter {
	return NewFilter([]netip.Addr{self4, self6.WithZone("eth0")},
		Membership{VRID: 51, Version: 3, Interval: time.Second, Addresses: []netip.Addr{vip4}},
		Membership{VRID: 20, Version: 2, Interval: time.Second, Addresses: addrs("192.0.2.20", "192.0.2.21")},
		Membership{VRID: 60, Version: 3, Addresses: []netip.Addr{vip4}, Peers: []netip.Addr{peer4, self4}},
		Membership{VRID: 66, Version: 3, Addresses: []netip.Addr{vip6}, Peers: addrs("fe80::3%eth0")},
	)
}

// datagram is an advert of VRID 51 from src4 as it arrives, changed by edit.
func datagram(t *testing.T, edit func(*Advert, *Datagram)) Datagram {
	t.Helper()
	a := Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{vip4}}
	d := Datagram{HopLimit: 255, Source: src4, Destination: Group4}
	if edit != nil {
		edit(&a, &d)
	}
	b, err := a.AppendTo(nil, d.Source, d.Destination, ChecksumPseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	d.Payload = b
	return d
}

// v2 makes the advert one that VRID 20 accepts.
func v2(a *Advert) {
	a.Version, a.VRID, a.Addresses = 2, 20, addrs("192.0.2.20", "192.0.2.21")
}

// v6 makes the advert one over IPv6.
func v6(a *Advert, d *Datagram) {
	a.Addresses, d.Source, d.Destination = []netip.Addr{vip6}, src6, Group6
}

// TestFilterAccepts: conformance tests 2, 7, 16, 17, 19, 20, 21.
func TestFilterAccepts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		edit    func(*Advert, *Datagram)
		anomaly Anomaly
	}{
		{"v3 multicast", nil, ""},
		{"v3 release", func(a *Advert, _ *Datagram) { a.Priority = 0 }, ""},
		{"v3 another interval", func(a *Advert, _ *Datagram) { a.Interval = 10 * time.Millisecond }, ""},
		{"v3 longest interval", func(a *Advert, _ *Datagram) { a.Interval = 40950 * time.Millisecond }, ""},
		{"v3 another list", func(a *Advert, _ *Datagram) { a.Addresses = addrs("192.0.2.99") }, ""},
		{"v3 a longer list", func(a *Advert, _ *Datagram) { a.Addresses = addrs("192.0.2.10", "192.0.2.11") }, ""},
		{"v3 from an owner", func(a *Advert, _ *Datagram) { a.Priority = 255 }, ""},
		{"v2", func(a *Advert, _ *Datagram) { v2(a) }, ""},
		{"v2 list in another order", func(a *Advert, _ *Datagram) { v2(a); a.Addresses = addrs("192.0.2.21", "192.0.2.20") }, ""},
		{"v2 another list from the owner", func(a *Advert, _ *Datagram) { v2(a); a.Addresses, a.Priority = addrs("192.0.2.99"), 255 }, ""},
		{"unicast from a peer", func(a *Advert, d *Datagram) { a.VRID, d.Source, d.Destination = 60, peer4, self4 }, ""},
		{"IPv6 multicast", v6, ""},
		{"IPv6 unicast from a peer configured with a zone", func(a *Advert, d *Datagram) {
			v6(a, d)
			a.VRID, d.Source, d.Destination = 66, netip.MustParseAddr("fe80::3"), self6
		}, ""},
		{"IPv6 with a global address first", func(a *Advert, d *Datagram) {
			v6(a, d)
			a.Addresses = addrs("2001:db8::10", "fe80::10")
		}, AnomalyLinkLocal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := datagram(t, tt.edit)
			got, err := testFilter().Accept(d, &Marks{})
			if err != nil {
				t.Fatal(err)
			}
			advert, form, err := Parse(d.Payload, d.Source, d.Destination)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Accepted{Advert: advert, Checksum: form, Anomaly: tt.anomaly}, got, byAddr); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFilterDiscards: conformance tests 7, 8, 16, 19 to 22.
func TestFilterDiscards(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*Advert, *Datagram)
		want *Discard
	}{
		{"hop limit 254", func(_ *Advert, d *Datagram) { d.HopLimit = 254 }, errHopLimit},
		{"hop limit 0", func(_ *Advert, d *Datagram) { d.HopLimit = 0 }, errHopLimit},
		{"hop limit 254 by unicast", func(a *Advert, d *Datagram) {
			a.VRID, d.Source, d.Destination, d.HopLimit = 60, peer4, self4, 254
		}, errHopLimit},
		{"v2 to a v3 virtual router", func(a *Advert, _ *Datagram) { a.Version = 2 }, errOtherVersion},
		{"v3 to a v2 virtual router", func(a *Advert, _ *Datagram) { a.VRID = 20 }, errOtherVersion},
		{"VRID not configured", func(a *Advert, _ *Datagram) { a.VRID = 52 }, errUnknownVRID},
		{"v2 longer interval", func(a *Advert, _ *Datagram) { v2(a); a.Interval = 2 * time.Second }, errV2Interval},
		{"v2 another interval from the owner", func(a *Advert, _ *Datagram) { v2(a); a.Interval, a.Priority = 2*time.Second, 255 }, errV2Interval},
		{"v2 list shorter", func(a *Advert, _ *Datagram) { v2(a); a.Addresses = addrs("192.0.2.20") }, errAddressList},
		{"v2 list with another address", func(a *Advert, _ *Datagram) { v2(a); a.Addresses = addrs("192.0.2.20", "192.0.2.22") }, errAddressList},
		{"v2 list with one address twice", func(a *Advert, _ *Datagram) { v2(a); a.Addresses = addrs("192.0.2.20", "192.0.2.20") }, errAddressList},
		{"v2 release with another list", func(a *Advert, _ *Datagram) { v2(a); a.Addresses, a.Priority = addrs("192.0.2.20"), 0 }, errAddressList},
		{"multicast from a unicast peer", func(a *Advert, d *Datagram) { a.VRID, d.Source = 60, peer4 }, errMulticast},
		{"unicast to a multicast virtual router", func(_ *Advert, d *Datagram) { d.Destination = self4 }, errUnicast},
		{"to another multicast group", func(_ *Advert, d *Datagram) { d.Destination = netip.MustParseAddr("224.0.0.1") }, errUnicast},
		{"IPv6 to another multicast group", func(a *Advert, d *Datagram) { v6(a, d); d.Destination = netip.MustParseAddr("ff02::1") }, errUnicast},
		{"unicast from a stranger", func(a *Advert, d *Datagram) { a.VRID, d.Destination = 60, self4 }, errSource},
		{"from nobody", func(_ *Advert, d *Datagram) { d.Source = netip.IPv4Unspecified() }, errNoSource},
		{"from our own address", func(_ *Advert, d *Datagram) { d.Source = self4 }, errOwn},
		{"unicast from our own address, listed as a peer", func(a *Advert, d *Datagram) {
			a.VRID, d.Source, d.Destination = 60, self4, self4
		}, errOwn},
		{"IPv6 from our own address, configured with a zone", func(a *Advert, d *Datagram) { v6(a, d); d.Source = self6 }, errOwn},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := testFilter().Accept(datagram(t, tt.edit), &Marks{})
			var d *Discard
			if !errors.As(err, &d) || d != tt.want {
				t.Errorf("Accept: error %v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(Accepted{}, got, byAddr); diff != "" {
				t.Errorf("something escaped:\n%s", diff)
			}
		})
	}
}

// TestFilterOrder has packets in which everything from one check on is wrong:
// the first wrong thing is what counts.
func TestFilterOrder(t *testing.T) {
	t.Parallel()
	self := func(d Datagram) Datagram { d.Source = self4; return d } // last in the order
	tests := []struct {
		b    []byte
		hop  uint8
		want Cause
	}{
		{message(3, cut(7)), 254, CauseHopLimit},
		{message(3, cut(7)), 255, CauseLength},
		{[]byte{0x40, 0, 0, 0, 0, 0, 0, 0}, 255, CauseVersion},
		{[]byte{0x30, 0, 0, 0, 0, 0, 0, 0}, 255, CauseType},
		{[]byte{0x31, 0, 0, 0, 0, 0, 0, 0}, 255, CauseVRID},
		{[]byte{0x31, 1, 0, 0, 0, 0, 0, 0}, 255, CauseUnknownVRID},
		{[]byte{0x31, 51, 0, 0, 0, 0, 0, 0}, 255, CauseCount},
		{[]byte{0x31, 51, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4}, 255, CauseChecksum},
		{[]byte{0x21, 20, 0, 1, 1, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}, 255, CauseChecksum},
		{seal([]byte{0x21, 20, 0, 1, 1, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}, nil, 2, self4, Group4, add()), 255, CauseInterval},
		{seal([]byte{0x21, 20, 0, 1, 1, 1, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}, nil, 2, self4, Group4, add()), 255, CauseAuthType},
		{seal(append([]byte{0x31, 51, 0, 1, 0, 1, 0, 0}, make([]byte, 16)...), nil, 3, self4, Group4, add()), 255, CauseFamily},
		{seal([]byte{0x21, 20, 0, 1, 0, 1, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}, nil, 2, self4, Group4, add()), 255, CauseAddressList},
		{seal([]byte{0x31, 60, 0, 1, 0, 1, 0, 0, 1, 2, 3, 4}, nil, 3, self4, Group4, add()), 255, CauseDestination},
		{seal([]byte{0x31, 51, 0, 1, 0, 1, 0, 0, 1, 2, 3, 4}, nil, 3, self4, Group4, add()), 255, CauseOwn},
	}
	for _, tt := range tests {
		t.Run(string(tt.want), func(t *testing.T) {
			t.Parallel()
			_, err := testFilter().Accept(self(Datagram{HopLimit: tt.hop, Destination: Group4, Payload: tt.b}), &Marks{})
			var d *Discard
			if !errors.As(err, &d) || d.Cause != tt.want {
				t.Errorf("Accept: error %v, want cause %s", err, tt.want)
			}
		})
	}
}

// TestFilterAllocates: an advert that lists what we list costs nothing, and so
// does one that is refused.
func TestFilterAllocates(t *testing.T) {
	f := testFilter()
	good := datagram(t, nil)
	bad := datagram(t, func(a *Advert, _ *Datagram) { a.VRID = 52 })
	n := testing.AllocsPerRun(100, func() {
		if _, err := f.Accept(good, &Marks{}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Accept(bad, &Marks{}); err == nil {
			t.Fatal("accepted an unknown VRID")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestFilterEmpty: a host without virtual routers believes nobody.
func TestFilterEmpty(t *testing.T) {
	t.Parallel()
	if _, err := NewFilter(nil).Accept(datagram(t, nil), &Marks{}); !errors.Is(err, errUnknownVRID) {
		t.Errorf("Accept: %v, want %v", err, errUnknownVRID)
	}
}

// TestCauses: the list holds every cause that a discard can have, once.
func TestCauses(t *testing.T) {
	t.Parallel()
	seen := map[Cause]int{}
	for _, c := range Causes() {
		seen[c]++
	}
	for _, d := range []*Discard{
		errHopLimit, errShort, errLength, errVersion, errVersion6, errOtherVersion, errType, errVRID, errUnknownVRID,
		errCount, errChecksum, errInterval, errV2Interval, errAuthType, errCarrier, errFamily, errAddressList,
		errMulticast, errUnicast, errSource, errNoSource, errOwn, errSigned, errTrailer, errPassword, errUnsigned, errStale,
		errUnknownKey[7], errHMAC, errReplay,
	} {
		if seen[d.Cause] != 1 {
			t.Errorf("cause %q is listed %d times", d.Cause, seen[d.Cause])
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	f := testFilter()
	d := Datagram{HopLimit: 255, Source: src4, Destination: Group4, Payload: message(3, nil)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Accept(d, &Marks{}); err != nil {
			b.Fatal(err)
		}
	}
}
