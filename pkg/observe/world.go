package observe

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/vrrp"
)

// Sighting is an advert on the wire, whether vipd believes it or not.
type Sighting struct {
	Source netip.Addr
	Own    bool // another program of this host sent it
	Advert vrrp.Advert
	At     time.Time
}

// Decision is what vipd would do with a VIP.
type Decision struct {
	VIP       string
	Decided   bool          // false while it starts: there is nothing to compare yet
	Hold      bool          // it would have the addresses here
	Why       string        // in a sentence
	Advert    vrrp.Advert   // that it would send while it holds
	Addresses []netip.Addr  // all of them, of both families
	Patience  time.Duration // for how long a difference may last before it is told
}

// Kind is a kind of difference, in one word.
type Kind string

// The kinds.
const (
	Holder    Kind = "holder"    // who has the addresses
	Addresses Kind = "addresses" // this host has some of them, and not the others
	Advert    Kind = "advert"    // what is advertised
)

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{Holder, Addresses, Advert} }

// Difference is one between what vipd would do and what is.
type Difference struct {
	Kind  Kind
	Text  string    // a sentence, as it is now
	Since time.Time // it is so
}

// Change is a difference that began to count, or is over.
type Change struct {
	VIP   string
	Begun bool
	Difference
}

// Report is what is known of one VIP.
type Report struct {
	Here        bool            // this host has addresses of it
	Holders     []netip.Addr    // other hosts that advertise it, sorted
	Differences []Difference    // that count, in the order of [Kinds]
	Begun       map[Kind]uint64 // how many there were, with these
}

// World is what is seen and what became of it. The zero value has seen nothing.
type World struct {
	vips map[string]*vip
}

// vip is what is known of one VIP.
type vip struct {
	seen        []Sighting // the newest one of each source
	here        bool
	differences map[Kind]*difference
	begun       map[Kind]uint64
}

// difference is one that counts, or will when it lasts.
type difference struct {
	Difference
	counts bool
}

// Saw notes an advert of the virtual router of a VIP. A release takes back what
// its sender said before.
func (w *World) Saw(name string, s Sighting) {
	v := w.vip(name)
	v.seen = slices.DeleteFunc(v.seen, func(o Sighting) bool { return o.Source == s.Source && o.Own == s.Own })
	if s.Advert.Priority != vrrp.PriorityRelease {
		v.seen = append(v.seen, s)
	}
}

func (w *World) vip(name string) *vip {
	if w.vips == nil {
		w.vips = map[string]*vip{}
	}
	if w.vips[name] == nil {
		w.vips[name] = &vip{differences: map[Kind]*difference{}, begun: map[Kind]uint64{}}
	}
	return w.vips[name]
}

// Look compares all decisions with what is, given every address of this host. VIPs
// without a decision are forgotten. The changes are sorted by VIP.
func (w *World) Look(now time.Time, decisions []Decision, local []netip.Addr) []Change {
	var changes []Change
	known := map[string]*vip{}
	for _, d := range slices.SortedFunc(slices.Values(decisions), func(a, b Decision) int { return cmp.Compare(a.VIP, b.VIP) }) {
		v := w.vip(d.VIP)
		known[d.VIP] = v
		changes = append(changes, v.look(now, d, local)...)
	}
	w.vips = known
	return changes
}

// Report tells what is known of a VIP.
func (w *World) Report(name string) Report {
	v := w.vip(name)
	r := Report{Here: v.here, Begun: map[Kind]uint64{}}
	for _, s := range v.seen {
		if !s.Own {
			r.Holders = append(r.Holders, s.Source)
		}
	}
	slices.SortFunc(r.Holders, netip.Addr.Compare)
	for _, k := range Kinds() {
		r.Begun[k] = v.begun[k]
		if d := v.differences[k]; d != nil && d.counts {
			r.Differences = append(r.Differences, d.Difference)
		}
	}
	return r
}

// look compares one decision with what is.
func (v *vip) look(now time.Time, d Decision, local []netip.Addr) (changes []Change) {
	v.seen = slices.DeleteFunc(v.seen, func(s Sighting) bool { return now.Sub(s.At) > lasts(s.Advert) })
	slices.SortFunc(v.seen, func(a, b Sighting) int {
		switch {
		case a.Own == b.Own:
			return a.Source.Compare(b.Source)
		case a.Own:
			return -1
		}
		return 1
	})
	found := v.compare(d, local)
	for _, k := range Kinds() {
		text, old := found[k], v.differences[k]
		switch {
		case text == "" && old == nil:
		case text == "":
			delete(v.differences, k)
			if old.counts {
				changes = append(changes, Change{VIP: d.VIP, Difference: old.Difference})
			}
		case old == nil:
			v.differences[k] = &difference{Difference: Difference{Kind: k, Text: text, Since: now}}
		default:
			old.Text = text
			if !old.counts && now.Sub(old.Since) >= d.Patience {
				old.counts = true
				v.begun[k]++
				changes = append(changes, Change{VIP: d.VIP, Begun: true, Difference: old.Difference})
			}
		}
	}
	return changes
}

// lasts is for how long an advert says who is Active: as long as anybody waits for
// the next one.
func lasts(a vrrp.Advert) time.Duration { return 3*a.Interval + max(a.Interval, time.Second) }
