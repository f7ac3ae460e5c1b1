package pair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"
)

// Part is one part of a State: some of its VIPs and Hears, or some of its Config.
type Part struct {
	State       State // without Node
	Number      int   // from 1; those above Parts carry Config
	Parts       int   // with VIPs and Hears, 1–MaxParts
	ConfigParts int   // 0 = Config is not told this time
}

// ParsePart reads the payload of a message of [TypeState]. What it does not know
// it skips, as a newer host may have added it.
func ParsePart(b []byte) (Part, error) {
	if len(b) < partLen {
		return Part{}, errors.New("parse part of a state: shorter than its head")
	}
	p := Part{
		State:       State{Seq: binary.BigEndian.Uint64(b)},
		Number:      int(binary.BigEndian.Uint16(b[8:])),
		Parts:       int(binary.BigEndian.Uint16(b[10:])),
		ConfigParts: int(binary.BigEndian.Uint16(b[12:])),
	}
	if p.Parts < 1 || p.Parts > MaxParts || p.ConfigParts > MaxParts || p.Number < 1 || p.Number > p.Parts+p.ConfigParts {
		return Part{}, fmt.Errorf("parse part of a state: number %d of %d and %d", p.Number, p.Parts, p.ConfigParts)
	}
	if p.Number > p.Parts {
		p.State.Config = map[string]string{}
	}
	for r := (reader{b: b[partLen:]}); len(r.b) > 0; {
		kind := r.byte()
		item := reader{b: r.take(int(r.uint(2)))}
		p.item(kind, &item)
		if r.bad || item.bad {
			return Part{}, fmt.Errorf("parse part of a state: item of kind %d is cut short or out of range", kind)
		}
	}
	return p, nil
}

// item adds what an item says. Those that are in a part of the wrong sort count
// for nothing.
func (p *Part) item(kind byte, r *reader) {
	switch config := p.State.Config != nil; {
	case kind == itemVIP && !config:
		p.State.VIPs = append(p.State.VIPs, readVIP(r))
	case kind == itemHears && !config:
		p.State.Hears = append(p.State.Hears, readHears(r))
	case kind == itemConfig && config:
		key := r.text(1, MaxKey)
		p.State.Config[key] = r.text(0, MaxValue)
	}
}

func readVIP(r *reader) VIP {
	v := VIP{Name: r.text(1, MaxName), Role: Role(r.byte())}
	flags := r.byte()
	v.Held, v.Eligible, v.Asks = flags&flagHeld != 0, flags&flagEligible != 0, flags&flagAsks != 0
	v.Priority, v.Epoch = r.byte(), r.uint(8)
	v.Interval = time.Duration(r.uint(4)) * time.Millisecond
	v.Source, v.Blocker, v.Offer = r.address(), r.text(0, MaxBlocker), r.text(0, MaxName)
	r.bad = r.bad || v.Role > Active
	return v
}

func readHears(r *reader) Hears {
	h := Hears{Node: r.text(1, MaxName), Boot: r.uint(8), Seq: r.uint(8)}
	n := int(r.byte())
	r.bad = r.bad || n > MaxPaths
	for range n {
		if r.bad {
			break
		}
		h.Paths = append(h.Paths, Path{Address: r.address(), Age: time.Duration(r.uint(2)) * time.Millisecond})
	}
	return h
}

// reader takes fields off the front of b. Once one is missing or out of range it
// is bad, and all that it gives is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) || r.bad {
		r.bad, r.b = true, nil
		return nil
	}
	field := r.b[:n]
	r.b = r.b[n:]
	return field
}

func (r *reader) uint(octets int) uint64 {
	var n uint64
	for _, c := range r.take(octets) {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *reader) byte() byte { return byte(r.uint(1)) }

// text reads one line of least to most octets.
func (r *reader) text(least, most int) string {
	s := string(r.take(int(r.byte())))
	if len(s) < least || len(s) > most || !printable(s) {
		r.bad = true
		return ""
	}
	return s
}

func (r *reader) address() netip.Addr {
	n := int(r.byte())
	a, ok := netip.AddrFromSlice(r.take(n))
	if n != 0 && !ok {
		r.bad = true
	}
	return a.Unmap()
}

// Inbox puts the parts of one host's States together. The zero value is ready.
type Inbox struct {
	boot, seq   uint64
	parts       int
	configParts int
	have        [2*MaxParts/64 + 1]uint64 // parts that have come, by number
	config      map[string]string         // nil = has been delivered
}

// Add takes one part of a State that the process with that boot number sent, and
// returns what is to be delivered of it at once: its VIPs and Hears, and all of
// Config, once, with the part that completes the State. whole says that all parts
// of this Seq have come, in this message and in earlier ones. A part of a State
// older than the newest one is not ok: what it says is over.
func (in *Inbox) Add(boot uint64, p Part) (s State, whole, ok bool) {
	if boot == in.boot && p.State.Seq < in.seq {
		return State{}, false, false
	}
	if boot != in.boot || p.State.Seq != in.seq || p.Parts != in.parts {
		*in = Inbox{boot: boot, seq: p.State.Seq, parts: p.Parts}
	}
	if p.ConfigParts != 0 && p.ConfigParts != in.configParts {
		in.forgetConfig(p.ConfigParts)
	}
	in.have[p.Number/64] |= 1 << (p.Number % 64)
	whole = in.all(p.Parts + p.ConfigParts)
	s = p.State
	if in.config != nil {
		maps.Copy(in.config, s.Config)
	}
	s.Config = nil
	if whole && p.ConfigParts > 0 {
		s.Config, in.config = in.config, nil
	}
	return s, whole, true
}

// forgetConfig begins a telling of Config in so many parts.
func (in *Inbox) forgetConfig(parts int) {
	in.configParts, in.config = parts, map[string]string{}
	for n := in.parts + 1; n < 64*len(in.have); n++ {
		in.have[n/64] &^= 1 << (n % 64)
	}
}

// all reports whether the parts up to that number have come.
func (in *Inbox) all(to int) bool {
	for n := 1; n <= to; n++ {
		if in.have[n/64]&(1<<(n%64)) == 0 {
			return false
		}
	}
	return true
}
