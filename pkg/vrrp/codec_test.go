package vrrp

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	src4 = netip.MustParseAddr("192.0.2.2")
	src6 = netip.MustParseAddr("fe80::2")
	vip4 = netip.MustParseAddr("192.0.2.10")
	vip6 = netip.MustParseAddr("fe80::10")

	byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// TestAdvertGolden goes both ways: struct to bytes and bytes to struct.
// Conformance tests 1, 2, 4, 5, 14.
func TestAdvertGolden(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		advert   Advert
		form     Checksum
		src, dst netip.Addr
		wire     []byte
	}{
		{
			name: "v3 IPv4, checksum over the message (RFC 9568)",
			advert: Advert{
				Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10"),
			},
			form: ChecksumMessage,
			src:  src4, dst: Group4,
			wire: []byte{
				0x31,       // version 3, advertisement
				51,         // VRID
				150,        // priority
				1,          // count
				0x00, 0x64, // 100 centiseconds
				0x76, 0x5c, // checksum
				192, 0, 2, 10,
			},
		},
		{
			name: "v3 IPv4, checksum with pseudo-header (RFC 5798)",
			advert: Advert{
				Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10"),
			},
			form: ChecksumPseudoHeader,
			src:  src4, dst: Group4,
			wire: []byte{
				0x31,
				51,
				150,
				1,
				0x00, 0x64,
				0xd3, 0xca,
				192, 0, 2, 10,
			},
		},
		{
			name: "v3 IPv4 unicast, release, shortest interval, two addresses",
			advert: Advert{
				Version: 3, VRID: 1, Priority: 0, Interval: 10 * time.Millisecond, Addresses: addrs("192.0.2.10", "198.51.100.7"),
			},
			form: ChecksumPseudoHeader,
			src:  src4, dst: netip.MustParseAddr("192.0.2.3"),
			wire: []byte{
				0x31,
				1,
				0,
				2,
				0x00, 0x01,
				0x5e, 0x2f,
				192, 0, 2, 10,
				198, 51, 100, 7,
			},
		},
		{
			name: "v3 IPv6, owner, longest interval",
			advert: Advert{
				Version: 3, VRID: 255, Priority: 255, Interval: 40950 * time.Millisecond, Addresses: addrs("fe80::10", "2001:db8::10"),
			},
			form: ChecksumPseudoHeader,
			src:  src6, dst: Group6,
			wire: []byte{
				0x31,
				255,
				255,
				2,
				0x0f, 0xff,
				0x94, 0x74,
				0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
				0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
			},
		},
		{
			name: "v2",
			advert: Advert{
				Version: 2, VRID: 51, Priority: 100, Interval: 5 * time.Second, Addresses: addrs("192.0.2.10"),
			},
			form: ChecksumMessage,
			src:  src4, dst: Group4,
			wire: []byte{
				0x21, // version 2, advertisement
				51,
				100,
				1,
				0,          // no authentication
				5,          // seconds
				0xb8, 0xbb, // checksum
				192, 0, 2, 10,
				0, 0, 0, 0, 0, 0, 0, 0, // authentication data
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.advert.AppendTo([]byte("before"), tt.src, tt.dst, tt.form)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]byte("before"), tt.wire...), got); diff != "" {
				t.Errorf("bytes (-want +got):\n%s", diff)
			}
			advert, form, err := Parse(tt.wire, tt.src, tt.dst)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.advert, advert, byAddr); diff != "" {
				t.Errorf("advert (-want +got):\n%s", diff)
			}
			if form != tt.form {
				t.Errorf("checksum form %d, want %d", form, tt.form)
			}
		})
	}
}

// message is a good advert, changed by edit and given a checksum again.
func message(version uint8, edit func(b []byte) []byte) []byte {
	a := Advert{Version: version, VRID: 51, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{vip4}}
	b, err := a.AppendTo(nil, src4, Group4, ChecksumPseudoHeader)
	return seal(b, err, version, src4, Group4, edit)
}

func message6(edit func(b []byte) []byte) []byte {
	a := Advert{Version: Version3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{vip6}}
	b, err := a.AppendTo(nil, src6, Group6, ChecksumPseudoHeader)
	return seal(b, err, Version3, src6, Group6, edit)
}

func seal(b []byte, err error, version uint8, src, dst netip.Addr, edit func(b []byte) []byte) []byte {
	if err != nil {
		panic(err) // the adverts above are good
	}
	if edit == nil {
		return b
	}
	b = edit(b)
	if len(b) >= headerLen {
		b[offChecksum], b[offChecksum+1] = 0, 0
		sum := checksum(b, version, src, dst, ChecksumPseudoHeader)
		b[offChecksum], b[offChecksum+1] = byte(sum>>8), byte(sum)
	}
	return b
}

func set(at int, v byte) func([]byte) []byte {
	return func(b []byte) []byte { b[at] = v; return b }
}

func cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }

func add(tail ...byte) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, tail...) }
}

// TestParseDiscards: conformance tests 3 to 5, 8 to 11, 13, 14, 16, 18.
func TestParseDiscards(t *testing.T) {
	t.Parallel()
	flip := func(b []byte, at int) []byte { b[at] ^= 1; return b }
	tests := []struct {
		name string
		b    []byte
		want *Discard
	}{
		{"empty", nil, errShort},
		{"7 bytes", message(3, cut(7)), errShort},
		{"8 bytes with count 1", message(3, cut(8)), errLength},
		{"count 255 with a short body", message(3, set(offCount, 255)), errLength},
		{"address cut short", message(3, cut(11)), errLength},
		{"v2 without authentication data", message(2, cut(12)), errLength},
		{"v2 with half of the authentication data", message(2, cut(16)), errLength},
		{"one byte too many", message(3, add(0)), errLength},
		{"padding to 46 bytes that the kernel would have cut", message(3, add(make([]byte, 14)...)), errLength},
		{"an HMAC trailer of 28 bytes", message(3, add(make([]byte, 28)...)), errLength},
		{"v2 with junk after the authentication data", message(2, add(1, 2, 3, 4)), errLength},
		{"version 0", message(3, set(0, 0x01)), errVersion},
		{"version 1", message(3, set(0, 0x11)), errVersion},
		{"version 4", message(3, set(0, 0x41)), errVersion},
		{"version 15", message(3, set(0, 0xf1)), errVersion},
		{"type 0", message(3, set(0, 0x30)), errType},
		{"type 2", message(3, set(0, 0x32)), errType},
		{"type 15", message(3, set(0, 0x3f)), errType},
		{"VRID 0", message(3, set(offVRID, 0)), errVRID},
		{"v3 without an address", message(3, func(b []byte) []byte { b[offCount] = 0; return b[:8] }), errCount},
		{"v2 without an address", message(2, func(b []byte) []byte { b[offCount] = 0; return b[:16] }), errCount},
		{"checksum in neither form", flip(message(3, nil), offChecksum), errChecksum},
		{"checksum field zero", func() []byte { b := message(3, nil); b[6], b[7] = 0, 0; return b }(), errChecksum},
		{"priority changed on the way", flip(message(3, nil), offPriority), errChecksum},
		{"v2 checksum without the authentication data", func() []byte {
			b := message(2, func(b []byte) []byte { b[19] = 1; return b })
			b[19] = 0
			return b
		}(), errChecksum},
		{"v2 with a pseudo-header", func() []byte {
			b := message(2, nil)
			b[offChecksum], b[offChecksum+1] = 0, 0
			sum := checksum(b, Version3, src4, Group4, ChecksumPseudoHeader)
			b[offChecksum], b[offChecksum+1] = byte(sum>>8), byte(sum)
			return b
		}(), errChecksum},
		{"v3 interval 0", message(3, set(5, 0)), errInterval},
		{"v3 interval 0 beside reserved bits", message(3, func(b []byte) []byte { b[4], b[5] = 0xf0, 0; return b }), errInterval},
		{"v2 interval 0", message(2, set(offInterval2, 0)), errInterval},
		{"v2 simple password", message(2, set(offAuthType, 1)), errAuthType},
		{"v2 authentication header", message(2, set(offAuthType, 2)), errAuthType},
		{"IPv6 list in an IPv4 packet", message(3, add(make([]byte, 12)...)), errFamily},
		{"v2 IPv6 list in an IPv4 packet", message(2, add(make([]byte, 12)...)), errFamily},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			discards(t, tt.b, src4, Group4, tt.want)
		})
	}
}

// TestParseDiscards6: conformance tests 4 and 18 over IPv6.
func TestParseDiscards6(t *testing.T) {
	t.Parallel()
	mapped := netip.MustParseAddr("::ffff:192.0.2.10").As16()
	tests := []struct {
		name string
		b    []byte
		want *Discard
	}{
		{"version 2", message6(set(0, 0x21)), errVersion6},
		{"IPv4 list", message6(cut(12)), errFamily},
		{"IPv4-mapped address", message6(func(b []byte) []byte { copy(b[8:], mapped[:]); return b }), errFamily},
		{"checksum over the message only", func() []byte {
			b := message6(nil)
			b[offChecksum], b[offChecksum+1] = 0, 0
			sum := ^fold(sum(0, b))
			b[offChecksum], b[offChecksum+1] = byte(sum>>8), byte(sum)
			return b
		}(), errChecksum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			discards(t, tt.b, src6, Group6, tt.want)
		})
	}
	t.Run("every flipped bit", func(t *testing.T) {
		t.Parallel()
		for bit := range 8 * len(message6(nil)) {
			b := message6(nil)
			b[bit/8] ^= 1 << (bit % 8)
			if a, _, err := Parse(b, src6, Group6); err == nil {
				t.Errorf("bit %d flipped, accepted as %+v", bit, a)
			}
		}
	})
	t.Run("another source or destination", func(t *testing.T) {
		t.Parallel()
		discards(t, message6(nil), netip.MustParseAddr("fe80::3"), Group6, errChecksum)
		discards(t, message6(nil), src6, netip.MustParseAddr("fe80::3"), errChecksum)
		discards(t, message6(nil), src6, Group4, errCarrier)
	})
}

func discards(t *testing.T, b []byte, src, dst netip.Addr, want *Discard) {
	t.Helper()
	advert, _, err := Parse(b, src, dst)
	var d *Discard
	if !errors.As(err, &d) || d != want {
		t.Errorf("Parse: error %v, want %v", err, want)
	}
	if diff := cmp.Diff(Advert{}, advert, byAddr); diff != "" {
		t.Errorf("a half-filled advert escaped:\n%s", diff)
	}
}

// TestParseReservedBits: conformance test 15, and 14 for the shortest interval.
func TestParseReservedBits(t *testing.T) {
	t.Parallel()
	b := message(3, func(b []byte) []byte { b[4], b[5] = 0xf0, 1; return b })
	a, _, err := Parse(b, src4, Group4)
	if err != nil || a.Interval != 10*time.Millisecond {
		t.Errorf("Parse: %v, %v, want 10ms", a.Interval, err)
	}
}

// TestAppendToRefuses: what we send is what a strict receiver accepts.
func TestAppendToRefuses(t *testing.T) {
	t.Parallel()
	good := Advert{Version: 3, VRID: 1, Priority: 1, Interval: time.Second, Addresses: []netip.Addr{vip4}}
	many := make([]netip.Addr, 256)
	for i := range many {
		many[i] = vip4
	}
	tests := []struct {
		name     string
		edit     func(*Advert)
		src, dst netip.Addr
		form     Checksum
	}{
		{"version 1", func(a *Advert) { a.Version = 1 }, src4, Group4, 0},
		{"version 4", func(a *Advert) { a.Version = 4 }, src4, Group4, 0},
		{"VRID 0", func(a *Advert) { a.VRID = 0 }, src4, Group4, 0},
		{"v3 interval 0", func(a *Advert) { a.Interval = 0 }, src4, Group4, 0},
		{"v3 interval 5ms", func(a *Advert) { a.Interval = 5 * time.Millisecond }, src4, Group4, 0},
		{"v3 interval 15ms", func(a *Advert) { a.Interval = 15 * time.Millisecond }, src4, Group4, 0},
		{"v3 interval 40.96s", func(a *Advert) { a.Interval = 40960 * time.Millisecond }, src4, Group4, 0},
		{"v3 interval negative", func(a *Advert) { a.Interval = -time.Second }, src4, Group4, 0},
		{"v2 interval 100ms", func(a *Advert) { a.Version, a.Interval = 2, 100*time.Millisecond }, src4, Group4, 0},
		{"v2 interval 256s", func(a *Advert) { a.Version, a.Interval = 2, 256*time.Second }, src4, Group4, 0},
		{"no address", func(a *Advert) { a.Addresses = nil }, src4, Group4, 0},
		{"256 addresses", func(a *Advert) { a.Addresses = many }, src4, Group4, 0},
		{"invalid address", func(a *Advert) { a.Addresses = make([]netip.Addr, 1) }, src4, Group4, 0},
		{"IPv6 address in IPv4", func(a *Advert) { a.Addresses = addrs("192.0.2.10", "2001:db8::1") }, src4, Group4, 0},
		{"IPv4 address in IPv6", func(*Advert) {}, src6, Group6, 0},
		{"IPv4-mapped address", func(a *Advert) { a.Addresses = addrs("::ffff:192.0.2.10") }, src6, Group6, 0},
		{"zone", func(a *Advert) { a.Addresses = addrs("fe80::1%eth0") }, src6, Group6, 0},
		{"v2 over IPv6", func(a *Advert) { a.Version, a.Addresses = 2, addrs("fe80::1") }, src6, Group6, 0},
		{"families of source and destination", func(*Advert) {}, src4, Group6, 0},
		{"no source", func(*Advert) {}, netip.Addr{}, Group4, 0},
		{"unknown checksum form", func(*Advert) {}, src4, Group4, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := good
			tt.edit(&a)
			b, err := a.AppendTo([]byte("before"), tt.src, tt.dst, tt.form)
			if err == nil || string(b) != "before" {
				t.Errorf("AppendTo: %q, %v, want an error and nothing appended", b, err)
			}
		})
	}
}
