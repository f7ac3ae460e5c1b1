package check

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Slots are the parts of an interval over which the checks of one host are
// spread, for intervals of minSpread or more.
const (
	slots     = 4
	minSpread = 200 * time.Millisecond
	maxSplay  = 25 * time.Millisecond // between two slots of first probes
)

// Pace is the grid on which the probes of one check start.
//
//	epoch ── phase of the host ──┬───── interval ─────┬──
//	                             0    1    2    3     0      slots: the check's name chooses one
//
// Ticks are shared: checks of one slot and interval come due together and cost
// one wake-up, where a time of its own for each would cost one each. Sharing has
// two prices, and the grid takes the edge off both. All hosts of a rack that got
// power together would probe a service at the same instant, so each host has a
// phase of its own, from its name. And a hundred programs would be started at
// once, so checks are spread over a few slots, from their names. Jitter goes
// further, where a server shall not see a rhythm at all, and costs the sharing.
//
// Nothing is drawn at random: the same names give the same times, which is what
// a recording needs to be replayed.
type Pace struct {
	Epoch time.Time // the same for every check of a host
	host  uint64
	check uint64
}

// NewPace returns the grid of a check on a host.
func NewPace(epoch time.Time, node, name string) Pace {
	return Pace{Epoch: epoch, host: hash(node), check: hash(name)}
}

// slot is the part of an interval at which the check is due.
func (p Pace) slot(interval time.Duration) time.Duration {
	if interval < minSpread {
		return 0
	}
	return time.Duration(p.check % slots)
}

// after returns the first tick after t.
func (p Pace) after(t time.Time, interval time.Duration) time.Time {
	offset := time.Duration(p.host%uint64(interval)) + p.slot(interval)*interval/slots
	into := (t.Sub(p.Epoch) - offset) % interval
	if into < 0 {
		into += interval
	}
	return t.Add(interval - into)
}

// splay is how long the first probe waits, so that those of all checks do not
// start at one instant. It is short: somebody waits for the health.
func (p Pace) splay(interval time.Duration) time.Duration {
	return p.slot(interval) * min(interval/16, maxSplay)
}

// jitter is how much later than its tick a probe starts: from 0 to below most,
// another time for every run.
func (p Pace) jitter(run uint64, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	var b [24]byte
	for i, v := range []uint64{p.host, p.check, run} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	return time.Duration(hash(string(b[:])) % uint64(most))
}

// hash is FNV-1a, stirred once more: its low bits are too regular for short names.
func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // a hash takes any write
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
