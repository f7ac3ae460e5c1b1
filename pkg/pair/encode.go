package pair

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// One part of a State, the payload of a message of [TypeState]. Its parts have
// the numbers 1 to parts; those of Config, when it is told, follow up to parts
// plus config parts.
//
//	 0  seq of the State   8
//	 8  number             2
//	10  parts              2  with VIPs and Hears
//	12  config parts       2  0 = Config is not told
//	14  items: kind 1, length 2, fields
//
// A reader skips kinds that it does not know, and what follows the last field
// that it knows.
const (
	partLen = 14
	itemLen = 3
)

// Kinds of items.
const (
	itemVIP    = 1 // name, role, flags, priority, epoch 8, interval in ms 4, source, blocker, offer
	itemHears  = 2 // node, boot 8, seq 8, number of paths; each address, age in ms 2
	itemConfig = 3 // key, value
)

// Flags of a VIP.
const (
	flagHeld = 1 << iota
	flagEligible
	flagAsks
)

// Bounds of a State; octets where nothing else is said.
const (
	MaxParts   = 1024 // of each kind: about 10 000 VIPs
	MaxBlocker = 80   // a longer one is cut
	MaxPaths   = 16   // of one Hears: the first ones are told
	MaxKey     = 160  // of a key of Config
	MaxValue   = 200  // of a value of Config: see [Told]
	maxAge     = 65535 * time.Millisecond
)

// Parts is a State in its form on the wire, in parts that each fit into one
// message. The zero value is ready.
type Parts struct {
	buf    []byte
	starts []int // in buf
	keys   []string
}

// Len returns the number of parts, at least 1 after [Parts.Encode].
func (p *Parts) Len() int { return len(p.starts) }

// At returns part i, from 0. It is valid until the next Encode.
func (p *Parts) At(i int) []byte {
	end := len(p.buf)
	if i+1 < len(p.starts) {
		end = p.starts[i+1]
	}
	return p.buf[p.starts[i]:end]
}

// Encode replaces what p holds with s, reusing its memory. Equal States give
// equal parts. What is too long for the wire is an error if it is a name or a key
// and cut otherwise; then p is empty.
func (p *Parts) Encode(s *State) error {
	p.buf, p.starts = p.buf[:0], p.starts[:0]
	if err := p.encode(s); err != nil {
		p.buf, p.starts = p.buf[:0], p.starts[:0]
		return fmt.Errorf("encode state: %w", err)
	}
	return nil
}

func (p *Parts) encode(s *State) error {
	p.begin(s)
	for i := range s.VIPs {
		v := &s.VIPs[i]
		if err := tellable("vip", v.Name, 1, MaxName); err != nil {
			return err
		}
		if err := tellable("host", v.Offer, 0, MaxName); err != nil {
			return err
		}
		p.item(s, itemVIP, func(b []byte) []byte { return appendVIP(b, v) })
	}
	for i := range s.Hears {
		h := &s.Hears[i]
		if err := tellable("host", h.Node, 1, MaxName); err != nil {
			return err
		}
		p.item(s, itemHears, func(b []byte) []byte { return appendHears(b, h) })
	}
	parts := len(p.starts)
	if err := p.config(s); err != nil {
		return err
	}
	if parts > MaxParts || len(p.starts)-parts > MaxParts {
		return fmt.Errorf("%d parts with VIPs and %d with keys: at most %d of each fit", parts, len(p.starts)-parts, MaxParts)
	}
	for i, start := range p.starts {
		binary.BigEndian.PutUint16(p.buf[start+8:], uint16(i+1))
		binary.BigEndian.PutUint16(p.buf[start+10:], uint16(parts))
		binary.BigEndian.PutUint16(p.buf[start+12:], uint16(len(p.starts)-parts))
	}
	return nil
}

// config adds the parts with what must be equal on all hosts.
func (p *Parts) config(s *State) error {
	if s.Config == nil {
		return nil
	}
	p.begin(s)
	p.keys = p.keys[:0]
	for key := range s.Config {
		if err := tellable("key", key, 1, MaxKey); err != nil {
			return err
		}
		p.keys = append(p.keys, key)
	}
	slices.Sort(p.keys)
	for _, key := range p.keys {
		p.item(s, itemConfig, func(b []byte) []byte { return appendText(appendText(b, key), Told(s.Config[key])) })
	}
	return nil
}

// tellable refuses a name that the other side would refuse.
func tellable(of, name string, least, most int) error {
	if len(name) < least || len(name) > most || !printable(name) {
		return fmt.Errorf("name of %s %q: must be %d–%d printable octets", of, name, least, most)
	}
	return nil
}

// begin starts a part. Its numbers are filled in at the end.
func (p *Parts) begin(s *State) {
	p.starts = append(p.starts, len(p.buf))
	p.buf = append(p.buf, head(s)...)
}

func head(s *State) []byte {
	var b [partLen]byte
	binary.BigEndian.PutUint64(b[:], s.Seq)
	return b[:]
}

// item adds an item, in a part of its own when the last one has no room for it.
func (p *Parts) item(s *State, kind byte, fields func([]byte) []byte) {
	at := len(p.buf)
	p.buf = fields(append(p.buf, kind, 0, 0))
	binary.BigEndian.PutUint16(p.buf[at+1:], uint16(len(p.buf)-at-itemLen))
	if len(p.buf)-p.starts[len(p.starts)-1] > MaxPayload {
		p.starts = append(p.starts, at)
		p.buf = slices.Insert(p.buf, at, head(s)...)
	}
}

func appendVIP(b []byte, v *VIP) []byte {
	b = append(appendText(b, v.Name), byte(v.Role), flags(v), v.Priority)
	b = binary.BigEndian.AppendUint64(b, v.Epoch)
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(v.Interval.Milliseconds(), 0), 1<<32-1)))
	b = appendAddress(b, v.Source)
	b = appendText(b, cut(onLine(v.Blocker), MaxBlocker))
	return appendText(b, v.Offer)
}

func flags(v *VIP) byte {
	var f byte
	if v.Held {
		f |= flagHeld
	}
	if v.Eligible {
		f |= flagEligible
	}
	if v.Asks {
		f |= flagAsks
	}
	return f
}

func appendHears(b []byte, h *Hears) []byte {
	b = appendText(b, h.Node)
	b = binary.BigEndian.AppendUint64(b, h.Boot)
	b = binary.BigEndian.AppendUint64(b, h.Seq)
	paths := h.Paths[:min(len(h.Paths), MaxPaths)]
	b = append(b, byte(len(paths)))
	for _, path := range paths {
		age := min(max(path.Age, 0), maxAge)
		b = binary.BigEndian.AppendUint16(appendAddress(b, path.Address), uint16(age.Milliseconds()))
	}
	return b
}

func appendText(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

// appendAddress writes 0, 4 or 16 octets after their number; a zone stays at home.
func appendAddress(b []byte, a netip.Addr) []byte {
	a = a.Unmap()
	switch {
	case !a.IsValid():
		return append(b, 0)
	case a.Is4():
		four := a.As4()
		return append(append(b, 4), four[:]...)
	}
	sixteen := a.As16()
	return append(append(b, 16), sixteen[:]...)
}

// Told is what is told of a value of Config: the value, and of a long one its
// beginning and a digest of all of it. Told values are equal if and only if the
// values are, so whoever compares an own value with a peer's compares this.
func Told(value string) string {
	if len(value) <= MaxValue && printable(value) {
		return value
	}
	const digest = 8 // octets
	sum := sha256.Sum256([]byte(value))
	end := "… sha256:" + hex.EncodeToString(sum[:digest])
	return cut(onLine(value), MaxValue-len(end)) + end
}

// onLine puts a text on one line, without what must not reach a terminal.
func onLine(s string) string {
	if printable(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// cut returns whole characters of s of up to most octets.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
