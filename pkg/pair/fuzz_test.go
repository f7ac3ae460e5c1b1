package pair

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParsePart: what is read is written and read again as the same.
func FuzzParsePart(f *testing.F) {
	var parts Parts
	for _, s := range []State{{}, sample, {Config: config(3)}, large(30)} {
		must(f, parts.Encode(&s))
		for i := range parts.Len() {
			f.Add(parts.At(i))
		}
	}
	f.Add(payload(1, 1, 0, newerKind, newerVIP, newerHears))
	f.Add(payload(2, 1, 1, newerConfig, newerKind))
	f.Add(payload(1, 1, 0, "\x09\x00\x03new", "\x02\x00\x15\x03lb2"+"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"+"\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePart(b)
		if err != nil || len(b) > MaxPayload {
			return
		}
		got, _ := told(t, &p.State)
		if diff := cmp.Diff(p.State, got, byAddr, empty); diff != "" {
			t.Errorf("read, written and read again (-read +again)\n%s", diff)
		}
	})
}

// FuzzOpen: nothing that was not sealed is opened, and what is opened is sealed
// as the same datagram.
func FuzzOpen(f *testing.F) {
	key := newKey(f, secret)
	for _, h := range []Header{header, {Type: TypeHello, From: "a", To: "b", Boot: 1, Seq: 1}} {
		b, err := key.Seal(nil, h, []byte("payload"))
		must(f, err)
		f.Add(b, false)
		f.Add(b[:len(b)-sealLen], true)
		f.Add(b[:20], true)
		newer := bytes.Clone(b[:len(b)-sealLen])
		newer[4]++
		f.Add(newer, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		key := newKey(t, secret)
		if sealed {
			b = key.append(b, b)
		}
		h, payload, err := key.Open(b)
		if err != nil {
			causeOf(t, err)
			return
		}
		again, err := key.Seal(nil, h, payload)
		must(t, err)
		if diff := cmp.Diff(b, again); diff != "" {
			t.Errorf("opened and sealed again (-opened +again)\n%s", diff)
		}
	})
}
