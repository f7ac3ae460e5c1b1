package vrrp

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// slowSum is RFC 1071 word by word.
func slowSum(b []byte) uint16 {
	var acc uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		acc += w
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// TestSumCorners: conformance test 6.
func TestSumCorners(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		b    []byte
		want uint16
	}{
		{"empty", nil, 0},
		{"zeros", make([]byte, 20), 0},
		{"odd length counts a zero after it", []byte{0x12, 0x34, 0x56}, 0x6834},
		{"one byte", []byte{0xff}, 0xff00},
		{"carry goes round", []byte{0xff, 0xff, 0x00, 0x01}, 0x0001},
		{"ones", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 0xffff},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := fold(sum(0, tt.b)); got != tt.want {
				t.Errorf("sum %#04x, want %#04x", got, tt.want)
			}
		})
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 600 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32() >> (8 * rnd.UintN(3) / 2))
		}
		// 0 and 0xffff are the same number in ones' complement, but only zeros sum to 0.
		if got, want := fold(sum(0, b)), slowSum(b); got != want {
			t.Fatalf("%d bytes: sum %#04x, want %#04x", n, got, want)
		}
	}
}

// TestChecksumZero: conformance test 6, on the wire. The one advert in some
// 65 535 whose checksum is 0x0000 carries just that, and 0xffff, which is the
// same number, is accepted in its place.
func TestChecksumZero(t *testing.T) {
	t.Parallel()
	a := Advert{Version: 3, VRID: 1, Priority: 1, Interval: time.Second}
	for hi := range 256 {
		for lo := range 256 {
			a.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(hi), byte(lo)})}
			b, err := a.AppendTo(nil, src4, Group4, ChecksumMessage)
			if err != nil {
				t.Fatal(err)
			}
			if b[offChecksum] != 0 || b[offChecksum+1] != 0 {
				continue
			}
			for _, field := range []byte{0x00, 0xff} {
				b[offChecksum], b[offChecksum+1] = field, field
				if _, form, err := Parse(b, src4, Group4); err != nil || form != ChecksumMessage {
					t.Errorf("checksum %#02x%02x: form %d, %v", field, field, form, err)
				}
			}
			return
		}
	}
	t.Fatal("no advert with the checksum 0 found")
}
