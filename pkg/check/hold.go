package check

import (
	"slices"
	"time"
)

// HoldDown keeps a check down that flaps. It has gone down Flaps times within
// Within: then it must stay good for Time before it counts as up again. Each
// further time it goes down doubles that, up to Most; each Within that it stays
// up halves it, and in the end it is forgotten. Going down is never delayed.
//
// BGP operators know this as route flap dampening (RFC 2439), without penalties:
// Time is what a route waits, Most the maximum suppress time.
type HoldDown struct {
	Time   time.Duration // 0 = no hold-down
	Most   time.Duration // below Time counts as Time
	Flaps  int           // below 1 counts as 1
	Within time.Duration
}

// A check that is probed only while a VIP is held here, and failed, waits this
// long until it is given another try, unless it says otherwise.
const (
	retryTime   = 10 * time.Second
	retryMost   = 5 * time.Minute
	retryWithin = time.Minute
)

// holdDown is what applies to the check: when nobody probes it while it is down,
// it waits from the first time on.
func (c Config) holdDown() HoldDown {
	h := c.HoldDown
	if c.WhileHeld == "" {
		return h
	}
	h.Flaps = 1
	if h.Time == 0 {
		h.Time, h.Most, h.Within = retryTime, max(h.Most, retryMost), max(h.Within, retryWithin)
	}
	return h
}

// flapping remembers how often a check went down lately.
type flapping struct {
	downs []time.Time // the last Flaps times it went down, oldest first
	level int         // 0 = calm; the wait doubles with each above 1
	up    time.Time   // since when it is up, zero while it is not
}

// cameUp notes that the check is up.
func (f *flapping) cameUp(now time.Time) { f.up = now }

// wentDown notes that the check went down, and whether that was once too often.
func (f *flapping) wentDown(now time.Time, h HoldDown) {
	if h.Time <= 0 {
		*f = flapping{}
		return
	}
	if !f.up.IsZero() && h.Within > 0 {
		f.level = max(0, f.level-int(now.Sub(f.up)/h.Within))
	}
	f.up = time.Time{}
	most := max(h.Flaps, 1)
	f.downs = append(slices.Clip(f.downs), now) // a copy of the state may share the old ones
	f.downs = f.downs[max(0, len(f.downs)-most):]
	again := f.level > 0 && f.wait(h) < h.Most
	first := f.level == 0 && len(f.downs) == most && now.Sub(f.downs[0]) <= h.Within
	if again || first {
		f.level++
	}
}

// wait is how long the check must stay good before it counts as up, 0 when it is
// calm.
func (f *flapping) wait(h HoldDown) time.Duration {
	if f.level == 0 || h.Time <= 0 {
		return 0
	}
	most := max(h.Most, h.Time)
	d := h.Time
	for range f.level - 1 {
		if d >= most {
			break
		}
		d *= 2
	}
	return min(d, most)
}
