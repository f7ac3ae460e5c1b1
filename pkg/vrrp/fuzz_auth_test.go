package vrrp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// FuzzVerify: nothing that is not signed with our key is believed as signed,
// whatever it looks like, and no mark moves for it.
func FuzzVerify(f *testing.F) {
	signer := NewSigner(keyed(AuthEnforce), nil)
	good := signed(f, signer, advert51(), src4, Group4, noon)
	f.Add(good, false)
	f.Add(signed(f, signer, Advert{Version: 2, VRID: 20, Priority: 1, Interval: time.Second, Addresses: addrs("192.0.2.10")}, src4, Group4, noon), false)
	f.Add(signed(f, signer, Advert{Version: 3, VRID: 66, Priority: 0, Interval: time.Second, Addresses: addrs("fe80::10")}, src6, Group6, noon), true)
	f.Add(good[:12], false)
	f.Add(good[:30], false)
	f.Add(append(slices.Clone(good), good[12:]...), false)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		src := src4
		if six {
			src = src6
		}
		e := &ear{t: t, auth: keyed(AuthEnforce)}
		for _, b := range [][]byte{b, resummed(b, src)} {
			before := len(e.marks.last)
			proven, err := e.hear(b, src, noon)
			var d *Discard
			switch {
			case err != nil && (!errors.As(err, &d) || d.Cause == "" || d.Detail == ""):
				t.Fatalf("error without a cause: %v", err)
			case err != nil && len(e.marks.last) != before:
				t.Fatalf("refused by %v, and a mark moved", err)
			case err == nil && !proven && b[offVRID] != 7:
				t.Fatal("enforce believes what is not signed")
			}
			if !proven {
				continue
			}
			n := len(b) - 28
			pseudo := slices.Concat([]byte{4, b[0] >> 4, b[1], 0}, src.AsSlice(), make([]byte, 16-len(src.AsSlice())))
			if six {
				pseudo[0] = 6
			}
			if want := handmade(keyed(AuthEnforce).Keys[b[n+1]], pseudo, b[:n], b[n:]); !slices.Equal(want, b[n+12:]) {
				t.Fatalf("believed % x, whose HMAC would be % x", b, want)
			}
		}
	})
}

// resummed is a payload with the checksum put right, if it is long enough to
// have one.
func resummed(b []byte, src netip.Addr) []byte {
	if len(b) < headerLen {
		return b
	}
	return resum(slices.Clone(b), src)
}

func BenchmarkSign(b *testing.B) {
	s := NewSigner(keyed(AuthEnforce), nil)
	buf, err := advert51().AppendTo(make([]byte, 0, 64), src4, Group4, ChecksumPseudoHeader)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Sign(buf, 0, src4, Group4, noon)
	}
}

func BenchmarkVerify(b *testing.B) {
	e := &ear{t: b, auth: keyed(AuthEnforce)}
	f := e.filter()
	d := Datagram{HopLimit: 255, Source: src4, Destination: Group4, Time: noon}
	d.Payload = signed(b, NewSigner(keyed(AuthEnforce), nil), advert51(), src4, Group4, noon)
	b.ReportAllocs()
	for b.Loop() {
		clear(e.marks.last)
		if _, err := f.Accept(d, &e.marks); err != nil {
			b.Fatal(err)
		}
	}
}
