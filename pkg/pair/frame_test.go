package pair

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func newKey(t testing.TB, secret []byte) *Key {
	t.Helper()
	k, err := NewKey(secret)
	must(t, err)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// causeOf returns the cause of a refusal, "" of none.
func causeOf(t testing.TB, err error) Cause {
	t.Helper()
	if err == nil {
		return ""
	}
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("%v is not a refusal", err)
	}
	return refusal.Cause
}

var header = Header{Type: TypeState, From: "lb1", To: "lb2", Boot: 0x0102030405060708, Seq: 9, Echo: Echo{0x1112131415161718, 7}}

func seal(t testing.TB, k *Key, h Header, payload string) []byte {
	t.Helper()
	b, err := k.Seal(nil, h, []byte(payload))
	must(t, err)
	return b
}

func TestFrame(t *testing.T) {
	t.Parallel()
	key, long := newKey(t, secret), strings.Repeat("n", MaxName)
	full := header
	full.From, full.To = long, long
	for name, test := range map[string]struct {
		header  Header
		payload string
	}{
		"state":    {header, "payload"},
		"hello":    {Header{Type: TypeHello, From: "a", To: "b", Boot: 1, Seq: 1}, ""},
		"longest":  {full, strings.Repeat("p", MaxPayload)},
		"of votes": {Header{Type: 16, From: "w", To: "b", Boot: 1<<64 - 1, Seq: 1<<64 - 1}, "grant"},
	} {
		b := seal(t, key, test.header, test.payload)
		if len(b) > MaxDatagram {
			t.Errorf("%s: %d octets", name, len(b))
		}
		h, payload, err := key.Open(b)
		if err != nil || h != test.header || string(payload) != test.payload {
			t.Errorf("%s: opened as %+v %q %v", name, h, payload, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	if _, err := NewKey(secret[:31]); err == nil {
		t.Error("a key of 31 octets is taken")
	}
	key := newKey(t, secret)
	for name, test := range map[string]struct {
		from, to string
		payload  int
	}{
		"nobody":    {"", "lb2", 0},
		"to nobody": {"lb1", "", 0},
		"long name": {strings.Repeat("x", MaxName+1), "lb2", 0},
		"long":      {"lb1", "lb2", MaxPayload + 1},
	} {
		b, err := key.Seal([]byte("kept"), Header{From: test.from, To: test.to}, make([]byte, test.payload))
		if err == nil || string(b) != "kept" {
			t.Errorf("%s: sealed as %q, %v", name, b, err)
		}
	}
}

// TestOpenRefuses: whatever is wrong with a datagram has its own cause.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	key := newKey(t, secret)
	good := seal(t, key, header, "payload")
	altered := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	// resealed is a frame that somebody with the key made wrong.
	resealed := func(change func(b []byte) []byte) []byte {
		b := change(bytes.Clone(good[:len(good)-sealLen]))
		binary.BigEndian.PutUint16(b[6:], uint16(len(b)+sealLen))
		return key.append(b, b)
	}
	for name, test := range map[string]struct {
		datagram []byte
		want     Cause
	}{
		"nothing":          {nil, CauseMalformed},
		"one octet":        {good[:1], CauseMalformed},
		"another protocol": {[]byte("GET / HTTP/1.1\r\n\r\n"), CauseMalformed},
		"cut":              {good[:len(good)-1], CauseTruncated},
		"cut to the head":  {good[:fixedLen], CauseTruncated},
		"extended":         {append(bytes.Clone(good), 0), CauseTruncated},
		"oversized":        {append(bytes.Clone(good), make([]byte, MaxDatagram)...), CauseOversized},
		"type altered":     {altered(5), CauseKey},
		"version altered":  {altered(4), CauseKey},
		"sender altered":   {altered(10), CauseKey},
		"number altered":   {altered(10 + 6 + 15), CauseKey},
		"payload altered":  {altered(len(good) - sealLen - 1), CauseKey},
		"seal altered":     {altered(len(good) - 1), CauseKey},
		"another key":      {seal(t, newKey(t, append([]byte{0}, secret...)), header, "payload"), CauseKey},
		"version 2":        {resealed(func(b []byte) []byte { b[4] = 2; return b }), CauseVersion},
		"version 2, short": {resealed(func(b []byte) []byte { b[4] = 2; return b[:16] }), CauseVersion},
		"no sender":        {resealed(func(b []byte) []byte { b[8] = 0; return b }), CauseMalformed},
		"long receiver":    {resealed(func(b []byte) []byte { b[9] = 65; return append(b, make([]byte, 99)...) }), CauseMalformed},
		"names only":       {resealed(func(b []byte) []byte { return b[:16] }), CauseMalformed},
		"boot 0":           {seal(t, key, Header{Type: 1, From: "a", To: "b", Seq: 1}, ""), CauseMalformed},
		"seq 0":            {seal(t, key, Header{Type: 1, From: "a", To: "b", Boot: 1}, ""), CauseMalformed},
	} {
		_, _, err := key.Open(test.datagram)
		if got := causeOf(t, err); got != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

// TestVersionName: who speaks another version is known by name.
func TestVersionName(t *testing.T) {
	t.Parallel()
	key := newKey(t, secret)
	b := seal(t, key, header, "")
	b[4] = 7
	b = key.append(b[:len(b)-sealLen], b[:len(b)-sealLen])
	_, _, err := key.Open(b)
	want := &Refusal{Cause: CauseVersion, Detail: "version 7", From: "lb1", Version: 7}
	got, _ := errors.AsType[*Refusal](err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusal (-want +got)\n%s", diff)
	}
}

func TestCauses(t *testing.T) {
	t.Parallel()
	seen := map[Cause]bool{}
	for _, c := range Causes() {
		seen[c] = true
	}
	if len(seen) != len(Causes()) || len(seen) != 14 {
		t.Errorf("%d causes, %d of them different, want 14", len(Causes()), len(seen))
	}
}

// TestGolden: these octets are version 1, for ever. The file was written once and
// is compared, never rewritten.
func TestGolden(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/version-1.hex")
	must(t, err)
	var want []byte
	for _, line := range strings.Split(string(text), "\n") {
		digits, _, _ := strings.Cut(line, "#")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		must(t, err)
		want = append(want, b...)
	}
	var parts Parts
	must(t, parts.Encode(&sample))
	got, err := newKey(t, secret).Seal(nil, header, parts.At(0))
	must(t, err)
	if diff := cmp.Diff(hex.Dump(want), hex.Dump(got)); diff != "" {
		t.Errorf("frame (-want +got)\n%s", diff)
	}
}
