package check

import (
	"slices"
	"time"
)

// Config says how one check is made and judged.
type Config struct {
	Spec         Spec
	Interval     time.Duration // between the starts of two probes, 10ms or more
	Timeout      time.Duration // of one probe, at most Interval
	FastInterval time.Duration // instead of Interval while rising or falling; 0 = Interval
	Jitter       time.Duration // a probe starts up to this much later than its tick, at most Interval
	Rise         int           // good results in a row that make it up, 1 or more
	Fall         int           // bad results in a row that make it down, 1 or more
	InitOK       bool          // health before the first change: up instead of down
	Weight       Weight        // for those who track it without a weight of their own
	HoldDown     HoldDown      // makes it wait when it flaps
	After        []string      // checks: while one of them is down this one is masked
	WhileHeld    string        // VIP: the check is masked while it is not held here, "" = none
}

// DependsOn lists the checks whose health matters to this one: those that it
// comes after, and the members of a group.
func (c Config) DependsOn() []string {
	if g, ok := c.Spec.(Group); ok {
		return append(slices.Clip(c.After), g.Members...)
	}
	return c.After
}

// Weight is what a failing check does to a VIP that tracks it.
type Weight struct {
	Fault bool // not eligible while it fails
	// Delta, when Fault is false, changes the priority by its value: a negative
	// one while the check fails, a positive one while it passes. -253 to 253.
	Delta int
	// Own says that it was taken over from the check: a value that the check
	// reports replaces it.
	Own bool
}

// Spec is what a probe does: one struct per type of check.
type Spec interface {
	// Type is the word in the configuration: exec, tcp, file.
	Type() string
}

// Counts is what the weight adds to a priority: a negative one while its subject
// fails, a positive one while it passes, and "fault" nothing.
func (w Weight) Counts(ok bool) int {
	if w.Fault || ok != (w.Delta > 0) {
		return 0
	}
	return w.Delta
}

// Watcher is a [Spec] that is watched instead of polled: what it is about tells
// by itself when it changes, so nothing is ever due, and one sight is enough to
// make the check up or down.
type Watcher interface {
	Spec
	// Watched marks the type; it does nothing.
	Watched()
}

// IsWatched reports whether a check of this Spec is watched instead of polled.
func IsWatched(s Spec) bool {
	_, ok := s.(Watcher)
	return ok
}

// IsPolled reports whether probes are made for a check of this Spec. It is
// neither watched nor a group.
func IsPolled(s Spec) bool {
	_, group := s.(Group)
	return !group && !IsWatched(s)
}
