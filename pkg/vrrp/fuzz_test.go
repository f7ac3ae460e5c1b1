package vrrp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse: whatever is parsed can be sent, and then parses to the same. Every
// input is tried as it is and with its checksum put right, without which hardly
// any would come past the checksum. Conformance test 10.
func FuzzParse(f *testing.F) {
	f.Add(message(3, nil), false)
	f.Add(message(2, nil), false)
	f.Add(message6(nil), true)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		src, dst := src4, Group4
		if six {
			src, dst = src6, Group6
		}
		there(t, b, src, dst)
		if len(b) >= headerLen {
			b = slices.Clone(b)
			there(t, seal(b, nil, b[0]>>4, src, dst, add()), src, dst)
		}
	})
}

// there goes from bytes to an advert, to bytes, and to an advert again.
func there(t *testing.T, b []byte, src, dst netip.Addr) {
	t.Helper()
	a, form, err := Parse(b, src, dst)
	if err != nil {
		var d *Discard
		if !errors.As(err, &d) || d.Cause == "" || d.Detail == "" {
			t.Fatalf("error without a cause: %v", err)
		}
		return
	}
	wire, err := a.AppendTo(nil, src, dst, form)
	if err != nil {
		t.Fatalf("accepted %+v but cannot send it: %v", a, err)
	}
	again, form2, err := Parse(wire, src, dst)
	if err != nil || form2 != form {
		t.Fatalf("parse again: form %d, %v; the first time %d", form2, err, form)
	}
	if diff := cmp.Diff(a, again, byAddr); diff != "" {
		t.Errorf("parsed again (-first +second):\n%s", diff)
	}
}

func BenchmarkAppendTo(b *testing.B) {
	a := Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{vip4}}
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.AppendTo(buf, src4, Group4, ChecksumPseudoHeader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	wire := message(3, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(wire, src4, Group4); err != nil {
			b.Fatal(err)
		}
	}
}
