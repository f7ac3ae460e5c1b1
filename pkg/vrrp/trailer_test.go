package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	key1 Secret = "0123456789abcdef0123456789abcdef"
	key2 Secret = "another key of 32 bytes and more"
)

// keyed is an Auth with both keys.
func keyed(mode AuthMode) Auth {
	return Auth{
		Mode: mode, Keys: map[uint8]Secret{1: key1, 2: key2}, ActiveKey: 1,
		AntiReplay: ReplayTime, Window: 5 * time.Second,
	}
}

// noon is 1 700 000 000 s, 0x6553f100, and a quarter of a second.
var noon = time.Unix(1_700_000_000, 250_000_000)

// signed is an advert as a host with that signer sends it.
func signed(t testing.TB, s *Signer, a Advert, src, dst netip.Addr, now time.Time) []byte {
	t.Helper()
	prefix := []byte("before")
	b, err := a.AppendTo(slices.Clone(prefix), src, dst, ChecksumPseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	b = s.Sign(b, len(prefix), src, dst, now)
	if !slices.Equal(b[:len(prefix)], prefix) {
		t.Fatal("what was before the message is changed")
	}
	return b[len(prefix):]
}

// handmade is the HMAC of a message and the first 12 bytes of its trailer.
func handmade(key Secret, pseudo, message, trailer []byte) []byte {
	unsummed := slices.Clone(message)
	unsummed[6], unsummed[7] = 0, 0
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(slices.Concat(pseudo, unsummed, trailer[:12], make([]byte, 16)))
	return mac.Sum(nil)[:16]
}

// TestTrailerGolden: conformance test A13. The bytes are laid out by hand, field
// by field, and so is what the HMAC is made of.
func TestTrailerGolden(t *testing.T) {
	t.Parallel()
	trailer := []byte{
		1,    // HMAC-SHA256
		1,    // key id
		0, 0, // reserved
		0x65, 0x53, 0xf1, 0x00, // seconds
		0x40, 0x00, // a quarter of a second
		0, 0, // counter
	}
	tests := []struct {
		name     string
		advert   Advert
		src, dst netip.Addr
		pseudo   []byte
		message  []byte // with its checksum
		checksum []byte // that goes on the wire; nil = as in message
	}{
		{
			name:   "v3 IPv4",
			advert: Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10")},
			src:    src4, dst: Group4,
			pseudo: []byte{
				4,  // family
				3,  // version
				51, // VRID
				0,
				192, 0, 2, 2, // source
				0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
			},
			message: []byte{
				0x31, 51, 150, 1,
				0x00, 0x64,
				0xd3, 0xca, // over the message alone, as without a trailer
				192, 0, 2, 10,
			},
		},
		{
			name:   "v2 IPv4",
			advert: Advert{Version: 2, VRID: 20, Priority: 100, Interval: time.Second, Addresses: addrs("192.0.2.10")},
			src:    src4, dst: Group4,
			pseudo: []byte{
				4, 2, 20, 0,
				192, 0, 2, 2,
				0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
			},
			message: []byte{
				0x21, 20, 100, 1,
				0, 1,
				0xb8, 0xde,
				192, 0, 2, 10,
				0, 0, 0, 0, 0, 0, 0, 0,
			},
		},
		{
			name:   "v3 IPv6",
			advert: Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("fe80::10")},
			src:    src6, dst: Group6,
			pseudo: []byte{
				6, 3, 51, 0,
				0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
			},
			message: []byte{
				0x31, 51, 150, 1,
				0x00, 0x64,
				0, 0, // over message, trailer and pseudo-header: below
				0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := slices.Concat(tt.message, trailer, handmade(key1, tt.pseudo, tt.message, trailer))
			if tt.src.Is6() {
				src, dst := tt.src.As16(), tt.dst.As16()
				n := byte(len(want))
				sum := ^slowSum(slices.Concat(src[:], dst[:], []byte{0, 0, 0, n, 0, 0, 0, 112}, want))
				want[6], want[7] = byte(sum>>8), byte(sum)
			}
			got := signed(t, NewSigner(keyed(AuthEnforce), nil), tt.advert, tt.src, tt.dst, noon)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("signed (-want +got):\n%s", diff)
			}
			auth := keyed(AuthEnforce)
			f := NewFilter(nil, Membership{
				VRID: tt.advert.VRID, Version: tt.advert.Version, Interval: time.Second, Addresses: tt.advert.Addresses, Auth: &auth,
			})
			a, err := f.Accept(Datagram{HopLimit: 255, Source: tt.src, Destination: tt.dst, Payload: got, Time: noon}, &Marks{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Accepted{Advert: tt.advert, Checksum: a.Checksum, Signed: true}, a, byAddr); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPasswordGolden: the password of version 2 is in the authentication data,
// and the checksum covers it.
func TestPasswordGolden(t *testing.T) {
	t.Parallel()
	auth := Auth{Mode: AuthPassword, Password: "secret"}
	got := signed(t, NewSigner(auth, nil), Advert{Version: 2, VRID: 20, Priority: 100, Interval: time.Second, Addresses: addrs("192.0.2.10")}, src4, Group4, noon)
	want := []byte{
		0x21, 20, 100, 1,
		1, // authentication type: password
		1,
		0, 0,
		192, 0, 2, 10,
		's', 'e', 'c', 'r', 'e', 't', 0, 0,
	}
	sum := ^slowSum(want)
	want[6], want[7] = byte(sum>>8), byte(sum)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSignerNumbers: conformance test A16, the sending side. Each number is above
// the one before, but after a clock that was far ahead is set right.
func TestSignerNumbers(t *testing.T) {
	t.Parallel()
	type step struct {
		at     time.Duration // of the clock, since noon
		want   time.Duration // of the number
		counts uint64        // that it is above that
	}
	for name, test := range map[string]struct {
		way   AntiReplay
		steps []step
	}{
		"time goes on":                      {ReplayTime, []step{{0, 0, 0}, {time.Second, time.Second, 0}}},
		"within one tick":                   {ReplayTime, []step{{0, 0, 0}, {0, 0, 1}, {time.Nanosecond, 0, 2}}},
		"back by less than the window":      {ReplayTime, []step{{0, 0, 0}, {-4 * time.Second, 0, 1}, {time.Second, time.Second, 0}}},
		"back by an hour":                   {ReplayTime, []step{{0, 0, 0}, {-time.Hour, -time.Hour, 0}, {-time.Hour, -time.Hour, 1}}},
		"ahead by an hour, and right again": {ReplayTime, []step{{0, 0, 0}, {time.Hour, time.Hour, 0}, {0, 0, 0}}},
		"monotonic, back by an hour":        {ReplayMonotonic, []step{{0, 0, 0}, {-time.Hour, 0, 1}, {-time.Hour, 0, 2}, {time.Second, time.Second, 0}}},
	} {
		auth := keyed(AuthEnforce)
		auth.AntiReplay = test.way
		s := NewSigner(auth, nil)
		for i, step := range test.steps {
			if i == 1 {
				s = NewSigner(auth, s) // a reload changes nothing
			}
			want := sequence(noon.Add(step.want)) + step.counts
			if got := s.next(noon.Add(step.at)); got != want {
				t.Errorf("%s, step %d: %#x, want %#x", name, i, got, want)
			}
		}
	}
	late := time.Unix(1<<31+7, 0) // beyond 2038, and then beyond 2106
	for range 2 {
		s := NewSigner(Auth{AntiReplay: ReplayMonotonic}, nil)
		if got, want := s.next(late), uint64(uint32(late.Unix()))<<32; got != want {
			t.Errorf("first number at %v is %#x, want %#x", late, got, want)
		}
		late = time.Unix(1<<32-1, 0)
		first, second := s.next(late), s.next(late.Add(2*time.Second))
		if !after(second, first) {
			t.Errorf("%#x does not follow %#x", second, first)
		}
	}
}

// TestSignerModes: who signs, and with what.
func TestSignerModes(t *testing.T) {
	t.Parallel()
	a := Advert{Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10")}
	for mode, want := range map[AuthMode]int{AuthReceiveOnly: 12, AuthPermissive: 40, AuthEnforce: 40, AuthPassword: 12} {
		if b := signed(t, NewSigner(keyed(mode), nil), a, src4, Group4, noon); len(b) != want {
			t.Errorf("%s: %d bytes, want %d", mode, len(b), want)
		}
	}
	auth := keyed(AuthEnforce)
	auth.ActiveKey = 2
	if b := signed(t, NewSigner(auth, nil), a, src4, Group4, noon); b[12+offKeyID] != 2 {
		t.Errorf("signed with key %d", b[12+offKeyID])
	}
}

// TestParseKey: keys of files, and what errors do not tell.
func TestParseKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		string(key1):                        string(key1),
		strings.Repeat("x", 64):             strings.Repeat("x", 64),
		"hex:" + strings.Repeat("0aFf", 16): strings.Repeat("\x0a\xff", 16),
		"hex:" + strings.Repeat("00", 64):   strings.Repeat("\x00", 64),
	} {
		if got, err := ParseKey(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, string(got), err)
		}
	}
	for text, want := range map[string]string{
		"":                                "is 0 bytes long, must be 32–64",
		strings.Repeat("x", 31):           "is 31 bytes long, must be 32–64",
		strings.Repeat("x", 65):           "is 65 bytes long, must be 32–64",
		"hex:" + strings.Repeat("00", 31): "is 31 bytes long, must be 32–64",
		"hex:" + strings.Repeat("00", 65): "is 65 bytes long, must be 32–64",
		"hex:" + strings.Repeat("0", 65):  `has "hex:" but is not a whole number of bytes in hexadecimal digits`,
		"hex:" + strings.Repeat("zz", 32): `has "hex:" but is not a whole number of bytes in hexadecimal digits`,
		strings.Repeat("x", 32) + "\n":    `holds what is not printable ASCII: write a binary key as "hex:" and its digits`,
		strings.Repeat("ü", 20):           `holds what is not printable ASCII: write a binary key as "hex:" and its digits`,
	} {
		if got, err := ParseKey(text); err == nil || err.Error() != want || got != "" {
			t.Errorf("%q: %q, %v", text, string(got), err)
		}
	}
	for text, good := range map[string]bool{"": false, "x": true, "12345678": true, "123456789": false, "a\nb": false, "ü": false} {
		if got, err := ParsePassword(text); (err == nil) != good || good && string(got) != text {
			t.Errorf("password %q: %q, %v", text, string(got), err)
		}
	}
}

// TestDefaultWindow: three adverts, within limits.
func TestDefaultWindow(t *testing.T) {
	t.Parallel()
	for interval, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond: 5 * time.Second,
		time.Second:           5 * time.Second,
		4 * time.Second:       12 * time.Second,
		255 * time.Second:     MaxWindow,
	} {
		if got := DefaultWindow(interval); got != want {
			t.Errorf("%v: %v, want %v", interval, got, want)
		}
	}
}
