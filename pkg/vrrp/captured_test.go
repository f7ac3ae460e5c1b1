package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestParseCaptured reads what keepalived 2.2.7 of Debian 12 put on the wire,
// and builds the same bytes from it.
func TestParseCaptured(t *testing.T) {
	t.Parallel()
	src, src6 := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fe80::2")
	global := []byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10}
	tests := []struct {
		name     string
		src, dst netip.Addr
		wire     []byte
		want     Advert
	}{
		{
			"v3 IPv4", src, Group4,
			[]byte{0x31, 0x33, 0x96, 0x01, 0x00, 0x64, 0x43, 0xcc, 0x0a, 0x00, 0x00, 0x0a},
			Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("10.0.0.10")},
		},
		{
			"v3 IPv4 release", src, Group4,
			[]byte{0x31, 0x33, 0x00, 0x01, 0x00, 0x64, 0xd9, 0xcc, 0x0a, 0x00, 0x00, 0x0a},
			Advert{Version: 3, VRID: 51, Priority: 0, Interval: time.Second, Addresses: addrs("10.0.0.10")},
		},
		{
			"v2", src, Group4,
			[]byte{0x21, 0x33, 0x96, 0x01, 0x00, 0x01, 0x3e, 0xc0, 0x0a, 0x00, 0x00, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0},
			Advert{Version: 2, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("10.0.0.10")},
		},
		{
			"v3 IPv6 with a global address only", src6, Group6,
			append([]byte{0x31, 0x33, 0x96, 0x01, 0x00, 0x64, 0x0c, 0x7e}, global...),
			Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("2001:db8::10")},
		},
		{
			"v3 IPv6 unicast", src6, netip.MustParseAddr("fe80::1"),
			append([]byte{0x31, 0x33, 0x96, 0x01, 0x00, 0x64, 0x0d, 0x11}, global...),
			Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("2001:db8::10")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, form, err := Parse(tt.wire, tt.src, tt.dst)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, byAddr); diff != "" {
				t.Errorf("advert (-want +got):\n%s", diff)
			}
			again, err := got.AppendTo(nil, tt.src, tt.dst, form)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.wire, again); diff != "" {
				t.Errorf("bytes (-want +got):\n%s", diff)
			}
		})
	}
}
