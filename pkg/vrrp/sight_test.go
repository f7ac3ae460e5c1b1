package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestSight reads adverts that nobody here would believe, and nothing else.
func TestSight(t *testing.T) {
	t.Parallel()
	src4, src6 := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("fe80::2")
	v2 := Advert{Version: Version2, VRID: 51, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")}}
	v3 := Advert{Version: Version3, VRID: 52, Priority: 100, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{netip.MustParseAddr("fe80::52"), netip.MustParseAddr("2001:db8::1")}}
	of := func(a Advert, src, dst netip.Addr) []byte {
		b, err := a.AppendTo(nil, src, dst, ChecksumPseudoHeader)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	changed := func(b []byte, at int, to byte) []byte {
		b[at] = to
		return b
	}
	password := v2
	for name, c := range map[string]struct {
		b        []byte
		src, dst netip.Addr
		want     *Advert
	}{
		"version 2":       {of(v2, src4, Group4), src4, Group4, &v2},
		"version 3":       {of(v3, src6, Group6), src6, Group6, &v3},
		"wrong checksum":  {changed(of(v2, src4, Group4), offChecksum, 0xff), src4, Group4, &v2},
		"with a password": {changed(of(v2, src4, Group4), offAuthType, authSimple), src4, Group4, &password},
		"signed":          {append(of(v3, src6, Group6), make([]byte, trailerLen)...), src6, Group6, &v3},
		"too short":       {of(v2, src4, Group4)[:7], src4, Group4, nil},
		"cut":             {of(v3, src6, Group6)[:30], src6, Group6, nil},
		"lists nothing":   {changed(of(v2, src4, Group4)[:headerLen+authLen], offCount, 0), src4, Group4, nil},
		"other family":    {of(v3, src6, Group6), src4, Group4, nil},
	} {
		got, ok := Sight(c.b, c.src, c.dst)
		if ok != (c.want != nil) {
			t.Errorf("%s: %v", name, ok)
		}
		if c.want != nil {
			if diff := cmp.Diff(*c.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}
