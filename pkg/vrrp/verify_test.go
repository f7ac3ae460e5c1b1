package vrrp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// ear is a host that verifies.
type ear struct {
	t     testing.TB
	auth  Auth
	marks Marks
}

// members of an ear: 51 and 52 over IPv4, 66 over IPv6, 20 in version 2.
func (e *ear) filter() *Filter {
	return NewFilter(nil,
		Membership{VRID: 51, Version: 3, Addresses: []netip.Addr{vip4}, Auth: &e.auth},
		Membership{VRID: 52, Version: 3, Addresses: []netip.Addr{vip4}, Auth: &e.auth},
		Membership{VRID: 66, Version: 3, Addresses: []netip.Addr{vip6}, Auth: &e.auth},
		Membership{VRID: 20, Version: 2, Interval: time.Second, Addresses: []netip.Addr{vip4}, Auth: &e.auth},
		Membership{VRID: 7, Version: 3, Addresses: []netip.Addr{vip4}})
}

// hear accepts a payload or says why not.
func (e *ear) hear(b []byte, src netip.Addr, now time.Time) (signed bool, no error) {
	dst := Group4
	if src.Is6() {
		dst = Group6
	}
	a, err := e.filter().Accept(Datagram{HopLimit: 255, Source: src, Destination: dst, Payload: b, Time: now}, &e.marks)
	return a.Signed, err
}

// wants demands a decision; nil = accepted as signed.
func (e *ear) wants(what string, b []byte, src netip.Addr, now time.Time, want *Discard) {
	e.t.Helper()
	signed, err := e.hear(b, src, now)
	if want == nil && (err != nil || !signed) || want != nil && !errors.Is(err, want) {
		e.t.Errorf("%s: signed %t, %v; want %v", what, signed, err, want)
	}
}

func advert51() Advert {
	return Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10")}
}

// resum puts the checksum of an advert over IPv4 right, or of all over IPv6.
func resum(b []byte, src netip.Addr) []byte {
	dst := Group4
	if src.Is6() {
		dst = Group6
	}
	message, _ := split(b, src.Is4())
	reseal(covered(b, message, src.Is4()), src, dst)
	return b
}

// TestVerifyFlippedBits: conformance test A14. Whatever bit is changed, the advert
// is refused, also when the checksum is made right again.
func TestVerifyFlippedBits(t *testing.T) {
	t.Parallel()
	adverts := map[string]struct {
		advert Advert
		src    netip.Addr
	}{
		"v3 IPv4": {advert51(), src4},
		"v2 IPv4": {Advert{Version: 2, VRID: 20, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10")}, src4},
		"v3 IPv6": {Advert{Version: 3, VRID: 66, Priority: 150, Interval: time.Second, Addresses: addrs("fe80::10")}, src6},
	}
	for name, tt := range adverts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dst := Group4
			if tt.src.Is6() {
				dst = Group6
			}
			e := &ear{t: t, auth: keyed(AuthEnforce)}
			good := signed(t, NewSigner(keyed(AuthEnforce), nil), tt.advert, tt.src, dst, noon)
			for i := range good {
				for bit := range 8 {
					b := slices.Clone(good)
					b[i] ^= 1 << bit
					if i != offChecksum && i != offChecksum+1 {
						resum(b, tt.src)
					}
					if _, err := e.hear(b, tt.src, noon); err == nil {
						t.Errorf("bit %d of byte %d flipped, and accepted", bit, i)
					}
				}
			}
			e.wants("unchanged", good, tt.src, noon, nil)
		})
	}
}

// TestVerifyRefuses: conformance tests A14 and A15, by cause.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	edit := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte {
			b[12+at] = v
			return b
		}
	}
	same := func(b []byte) []byte { return b }
	tests := []struct {
		name string
		edit func([]byte) []byte
		src  netip.Addr
		at   time.Duration
		want *Discard
	}{
		{"as sent", same, src4, 0, nil},
		{"at the end of the window", same, src4, 5 * time.Second, nil},
		{"at its beginning", same, src4, -5 * time.Second, nil},
		{"stale", same, src4, 6 * time.Second, errStale},
		{"from the future", same, src4, -6 * time.Second, errStale},
		{"another source", func(b []byte) []byte { return resum(b, netip.MustParseAddr("192.0.2.9")) }, netip.MustParseAddr("192.0.2.9"), 0, errHMAC},
		{"another VRID", func(b []byte) []byte { b[offVRID] = 52; return resum(b, src4) }, src4, 0, errHMAC},
		{"another priority", func(b []byte) []byte { b[offPriority] = 255; return resum(b, src4) }, src4, 0, errHMAC},
		{"a VRID without keys", func(b []byte) []byte { b[offVRID] = 7; return resum(b, src4) }, src4, 0, errSigned},
		{"another type", edit(0, 2), src4, 0, errTrailer},
		{"reserved 1", edit(offReserved, 1), src4, 0, errTrailer},
		{"reserved 2", edit(offReserved+1, 1), src4, 0, errTrailer},
		{"unknown key", edit(offKeyID, 9), src4, 0, errUnknownKey[9]},
		{"key id 0", edit(offKeyID, 0), src4, 0, errUnknownKey[0]},
		{"the other key", edit(offKeyID, 2), src4, 0, errHMAC},
		{"HMAC of zeros", func(b []byte) []byte { clear(b[12+offHMAC:]); return b }, src4, 0, errHMAC},
		{"no trailer", cut(12), src4, 0, errUnsigned},
		{"half a trailer", cut(30), src4, 0, errLength},
		{"two trailers", func(b []byte) []byte { return append(b, b[12:]...) }, src4, 0, errLength},
	}
	for _, tt := range tests {
		e := &ear{t: t, auth: keyed(AuthEnforce)}
		b := signed(t, NewSigner(keyed(AuthEnforce), nil), advert51(), src4, Group4, noon)
		e.wants(tt.name, tt.edit(b), tt.src, noon.Add(tt.at), tt.want)
	}
}

// TestVerifyModes: what each mode believes; conformance test A18 from one host's
// side.
func TestVerifyModes(t *testing.T) {
	t.Parallel()
	plain, err := advert51().AppendTo(nil, src4, Group4, ChecksumPseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[AuthMode]*Discard{AuthReceiveOnly: nil, AuthPermissive: nil, AuthEnforce: errUnsigned} {
		e := &ear{t: t, auth: keyed(mode)}
		signer := NewSigner(keyed(AuthEnforce), nil)
		e.wants(string(mode), signed(t, signer, advert51(), src4, Group4, noon), src4, noon, nil)
		bad := signed(t, signer, advert51(), src4, Group4, noon)
		bad[len(bad)-1]++
		e.wants(string(mode)+", forged", bad, src4, noon, errHMAC)
		proven, err := e.hear(plain, src4, noon)
		if proven || want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s, unsigned: signed %t, %v", mode, proven, err)
		}
	}
}

// TestVerifyReplay: conformance test A15. Each number counts once, from each
// sender and for each virtual router by itself.
func TestVerifyReplay(t *testing.T) {
	t.Parallel()
	for _, way := range []AntiReplay{ReplayTime, ReplayMonotonic} {
		auth := keyed(AuthEnforce)
		auth.AntiReplay = way
		e := &ear{t: t, auth: auth}
		s := NewSigner(auth, nil)
		var sent [][]byte
		for range 3 {
			sent = append(sent, signed(t, s, advert51(), src4, Group4, noon))
		}
		e.wants("second", sent[1], src4, noon, nil)
		e.wants("second again", sent[1], src4, noon, errReplay)
		e.wants("first, after the second", sent[0], src4, noon, errReplay)
		forged := slices.Clone(sent[2])
		forged[len(forged)-1]++
		e.wants("forged", forged, src4, noon, errHMAC)
		e.wants("third, and the forged one has moved nothing", sent[2], src4, noon, nil)

		other := advert51()
		other.VRID = 52
		e.wants("another virtual router", signed(t, NewSigner(auth, nil), other, src4, Group4, noon), src4, noon, nil)
		e.wants("another sender", signed(t, NewSigner(auth, nil), advert51(), peer4, Group4, noon), peer4, noon, nil)

		later := noon.Add(24 * time.Hour)
		want := map[AntiReplay]*Discard{ReplayTime: errStale, ReplayMonotonic: errReplay}[way]
		e.wants("a day later", sent[2], src4, later, want)
	}
}

// TestVerifyClockSteps: conformance test A16. A clock that is set, on either side
// or both, is got over: at the latest when both agree again.
func TestVerifyClockSteps(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{time.Hour, -time.Hour, 4 * time.Second, -4 * time.Second} {
		for name, both := range map[string][]struct{ sender, receiver time.Duration }{
			"sender, and right again":   {{by, 0}, {0, 0}},
			"receiver, and right again": {{0, by}, {0, 0}},
			"sender first":              {{by, 0}, {by, by}},
			"receiver first":            {{0, by}, {by, by}},
			"both at once":              {{by, by}},
		} {
			for _, way := range []AntiReplay{ReplayTime, ReplayMonotonic} {
				t.Run(fmt.Sprintf("%s by %v, %s", name, by, way), func(t *testing.T) {
					t.Parallel()
					auth := keyed(AuthEnforce)
					auth.AntiReplay = way
					e := &ear{t: t, auth: auth}
					s := NewSigner(auth, nil)
					now := noon
					said := func(sender, receiver time.Duration) error {
						now = now.Add(time.Second)
						_, err := e.hear(signed(t, s, advert51(), src4, Group4, now.Add(sender)), src4, now.Add(receiver))
						return err
					}
					if err := said(0, 0); err != nil {
						t.Fatal(err)
					}
					for _, step := range both {
						for range 3 {
							err := said(step.sender, step.receiver)
							apart := (step.sender - step.receiver).Abs() > auth.Window
							if apart && way == ReplayTime && !errors.Is(err, errStale) {
								t.Errorf("clocks %v apart: %v", step.sender-step.receiver, err)
							}
							if (!apart || way == ReplayMonotonic) && err != nil {
								t.Errorf("sender %v, receiver %v: %v", step.sender, step.receiver, err)
							}
						}
					}
				})
			}
		}
	}
}

// TestMarksBounded: conformance test A17. Forged sources get no mark, so they
// evict none; and hosts that know a key cannot make it grow without end.
func TestMarksBounded(t *testing.T) {
	t.Parallel()
	e := &ear{t: t, auth: keyed(AuthEnforce)}
	s := NewSigner(keyed(AuthEnforce), nil)
	first := signed(t, s, advert51(), src4, Group4, noon)
	e.wants("first", first, src4, noon, nil)
	source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range 3 * maxMarks {
		forged := signed(t, s, advert51(), source(i), Group4, noon)
		forged[len(forged)-1]++
		if _, err := e.hear(forged, source(i), noon); !errors.Is(err, errHMAC) {
			t.Fatalf("forged: %v", err)
		}
	}
	if len(e.marks.last) != 1 {
		t.Errorf("%d marks", len(e.marks.last))
	}
	e.wants("first, replayed", first, src4, noon, errReplay)
	for i := range maxMarks + 10 {
		b := signed(t, s, advert51(), source(i), Group4, noon)
		if _, err := e.hear(b, source(i), noon); err != nil {
			t.Fatalf("host %d: %v", i, err)
		}
	}
	last := source(maxMarks + 9)
	if _, known := e.marks.last[sender{51, last}]; len(e.marks.last) != maxMarks || !known {
		t.Errorf("%d marks, the last one %t", len(e.marks.last), known)
	}
}

// TestRotation: a new key is added everywhere, then used, then the old one goes.
func TestRotation(t *testing.T) {
	t.Parallel()
	old, both, next := keyed(AuthEnforce), keyed(AuthEnforce), keyed(AuthEnforce)
	old.Keys = map[uint8]Secret{1: key1}
	next.Keys, next.ActiveKey = map[uint8]Secret{2: key2}, 2
	used := both
	used.ActiveKey = 2
	e := &ear{t: t}
	var s *Signer
	now := noon
	for i, step := range []struct {
		sender, receiver Auth
		want             *Discard
	}{
		{old, old, nil}, {old, both, nil}, {both, both, nil}, {used, both, nil}, {used, used, nil}, {used, next, nil}, {next, next, nil},
		{next, old, errUnknownKey[2]},
	} {
		now = now.Add(time.Second)
		s, e.auth = NewSigner(step.sender, s), step.receiver
		e.wants(fmt.Sprint("step ", i), signed(t, s, advert51(), src4, Group4, now), src4, now, step.want)
	}
}

// TestPassword: version 2 with a password believes that password and no other.
func TestPassword(t *testing.T) {
	t.Parallel()
	a := Advert{Version: 2, VRID: 20, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10")}
	secret, other := Auth{Mode: AuthPassword, Password: "secret"}, Auth{Mode: AuthPassword, Password: "secret2"}
	none := Auth{}
	for _, tt := range []struct {
		name             string
		sender, receiver Auth
		want             error
	}{
		{"the same", secret, secret, nil},
		{"another", other, secret, errPassword},
		{"none", none, secret, errAuthType},
		{"not asked for", secret, keyed(AuthPermissive), errAuthType},
		{"an HMAC", keyed(AuthEnforce), secret, errSigned},
	} {
		e := &ear{t: t, auth: tt.receiver}
		proven, err := e.hear(signed(t, NewSigner(tt.sender, nil), a, src4, Group4, noon), src4, noon)
		if proven || !errors.Is(err, tt.want) {
			t.Errorf("%s: signed %t, %v; want %v", tt.name, proven, err, tt.want)
		}
	}
}

// TestSecretIsNotPrinted in any of the usual ways.
func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	a := keyed(AuthEnforce)
	a.Password = "password"
	doc, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %s", a, a, a, a.Password, doc)
	for _, secret := range []string{string(key1), string(key2), "password\"", "{password"} {
		if strings.Contains(text, secret) {
			t.Errorf("printed: %s", text)
		}
	}
}

// TestVerifyAllocates: neither what is verified nor what is refused costs memory,
// and neither does signing.
func TestVerifyAllocates(t *testing.T) {
	auth := keyed(AuthEnforce)
	e := &ear{t: t, auth: auth}
	f, s := e.filter(), NewSigner(auth, nil)
	buf := make([]byte, 0, 128)
	now := noon
	n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Millisecond)
		b, err := advert51().AppendTo(buf, src4, Group4, ChecksumPseudoHeader)
		if err != nil {
			t.Fatal(err)
		}
		d := Datagram{HopLimit: 255, Source: src4, Destination: Group4, Payload: s.Sign(b, 0, src4, Group4, now), Time: now}
		if _, err := f.Accept(d, &e.marks); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Accept(d, &e.marks); !errors.Is(err, errReplay) {
			t.Fatal(err)
		}
	})
	if n > 1 { // advert51 makes a list
		t.Errorf("%v allocations", n)
	}
}
