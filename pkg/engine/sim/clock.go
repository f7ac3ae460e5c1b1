package sim

import "time"

// clock is that of a host or a witness. It may run at another speed than the world's.
type clock struct {
	w    *World
	ppm  int64     // by how much it is faster
	set  time.Time // since when
	read time.Time // what it showed then
}

// SetClock makes the clock of a host, or of a witness, faster by so many parts in a
// million from now on.
func (w *World) SetClock(name string, ppm int) {
	var c *clock
	if h := w.byName[name]; h != nil {
		c = &h.clock
	} else {
		c = &w.witnesses[name].clock
	}
	c.set, c.read, c.ppm = w.now, c.now(), int64(ppm)
}

// now is what the clock shows.
func (c *clock) now() time.Time {
	if c.set.IsZero() {
		return c.w.now
	}
	return c.read.Add(c.counts(c.w.now.Sub(c.set)))
}

// counts is how long it takes for something to last by this clock.
func (c *clock) counts(d time.Duration) time.Duration { return d + d*time.Duration(c.ppm)/1e6 }

// lasts is how long something really takes that lasts for d by this clock, or a moment
// more.
func (c *clock) lasts(d time.Duration) time.Duration {
	if c.ppm == 0 {
		return d
	}
	return d - d*time.Duration(c.ppm)/time.Duration(1e6+c.ppm) + 1
}

// when is when the clock will show t.
func (c *clock) when(t time.Time) time.Time {
	if c.set.IsZero() {
		return t
	}
	return c.set.Add(c.lasts(t.Sub(c.read)))
}
