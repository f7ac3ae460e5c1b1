package check

import (
	"reflect"
	"time"
)

// MinInterval is the shortest time between the starts of two probes of one
// check; a [Config] that asks for less gets this.
const MinInterval = 10 * time.Millisecond

// Mask is why the results of a check do not count for now.
type Mask int

// The masks. A masked check is not probed, and a result that comes in counts for
// nothing.
const (
	Unmasked Mask = iota
	// MaskedAfter says that a check that this one comes after is down: the health
	// stays as it is.
	MaskedAfter
	// MaskedIdle says that the VIP which the check looks at is not held here: the
	// health stays as it is, but who is down gets another try when the wait of its
	// hold-down is over.
	MaskedIdle
)

// State is what is known about one check, and when its next probe is due. Make
// it with [New]. It is not safe for concurrent use.
//
//	          Started            Observe
//	due at ───────────▶ running ─────────▶ due at the next tick, or at once
//	                                       when the probe took longer than that
//
// Checks that are not polled are never due: a [Watcher] is told by See, a
// [Group] by Follow. [Pace] says where the ticks lie; a probe that started late
// does not shift those after it.
type State struct {
	cfg  Config
	pace Pace

	running bool
	stale   bool      // the running probe was started for an earlier Spec, or before a mask
	started time.Time // of the last probe, zero before the first
	due     time.Time // of the next probe, while none is running
	mask    Mask

	up        bool
	known     bool      // up was decided by results, not by InitOK
	goodSince time.Time // of the first of the good results in a row, zero after a bad one
	flaps     flapping
	stats     Stats
}

// Stats counts and dates the results of a check.
type Stats struct {
	Runs        uint64    // results so far
	Failures    uint64    // bad ones among them
	Consecutive int       // results in a row that agree with the last one
	LastOK      bool      // the last result
	LastRun     time.Time // start of the probe that gave it, zero before the first
	Since       time.Time // health and knowledge are as they are since then
	Ups, Downs  uint64    // how often it became up, and down, by results
}

// New returns the state of a check of which nothing is known yet: its health is
// cfg.InitOK, or good when it is probed only while a VIP is held, which it must
// not prevent. The first probe is due now or, so that not all are, in a moment.
func New(cfg Config, pace Pace, now time.Time) *State {
	s := &State{cfg: cfg, pace: pace, up: cfg.InitOK || cfg.WhileHeld != "", stats: Stats{Since: now}}
	s.due = now.Add(pace.splay(cfg.Interval))
	return s
}

// Clone returns a copy that goes its own way from here.
func (s *State) Clone() *State {
	c := *s
	return &c
}

// polled reports whether probes are made.
func (s *State) polled() bool { return IsPolled(s.cfg.Spec) }

// Due is when the next probe should start. It is the zero time while one is
// running, since a check never has two, while the check is masked, and always
// when it is not polled.
func (s *State) Due() time.Time {
	if s.running || s.mask != Unmasked || !s.polled() {
		return time.Time{}
	}
	return s.due
}

// Started says that a probe has been started. While one is running already, and
// while the check is masked, it does nothing.
func (s *State) Started(now time.Time) {
	if s.running || s.mask != Unmasked {
		return
	}
	s.running, s.started = true, now
}

// Observe takes the result of the running probe and reports whether
// [State.Healthy] or [State.Known] changed by it. A result that was not waited
// for, one that answers a Spec replaced in the meantime, and one whose probe saw
// a mask count for nothing.
func (s *State) Observe(now time.Time, ok bool) (changed bool) {
	if !s.running {
		return false
	}
	s.running = false
	if s.stale {
		s.stale, s.due = false, now
		return false
	}
	s.count(now, ok)
	s.stats.LastRun = s.started
	changed = s.judge(now)
	s.due = s.next(now)
	return changed
}

// See takes how a watched check stands, and reports whether [State.Healthy] or
// [State.Known] changed by it. Under a mask it counts for nothing, and is to be
// told again when that is gone.
func (s *State) See(now time.Time, ok bool) (changed bool) {
	if !IsWatched(s.cfg.Spec) || s.mask != Unmasked {
		return false
	}
	s.count(now, ok)
	s.stats.LastRun = now
	return s.judge(now)
}

// Follow gives a group the health that its members add up to, and reports
// whether [State.Healthy] or [State.Known] changed by it.
func (s *State) Follow(now time.Time, up, known bool) (changed bool) {
	if s.mask != Unmasked || s.up == up && s.known == known {
		return false
	}
	s.become(now, up, known)
	return true
}

// SetMask masks the check or ends that. Its health stays as it is. Results before
// and after do not add up; the first probe after a mask is due like that of a new
// check.
func (s *State) SetMask(now time.Time, m Mask) {
	if m == s.mask {
		return
	}
	s.mask, s.stats.Consecutive, s.goodSince = m, 0, time.Time{}
	s.stale, s.due = s.running, now.Add(s.pace.splay(s.cfg.Interval))
}

// Wake lets a wait end that is over by now, and reports whether [State.Healthy]
// or [State.Known] changed by it.
func (s *State) Wake(now time.Time) (changed bool) {
	if until := s.HeldDownUntil(); until.IsZero() || now.Before(until) {
		return false
	}
	s.become(now, true, s.mask == Unmasked)
	return true
}

// HeldDownUntil is when [State.Wake] makes a check up that is kept down for
// flapping, unless a bad result comes before; zero when nothing but results can.
func (s *State) HeldDownUntil() time.Time {
	switch wait := s.HoldDown(); {
	case s.up || s.mask == MaskedAfter:
	case s.mask == MaskedIdle:
		return s.stats.Since.Add(wait)
	case s.stats.LastOK && !s.goodSince.IsZero() && s.stats.Consecutive >= s.need():
		return s.goodSince.Add(wait)
	}
	return time.Time{}
}

// HoldDown is how long a check that is down must stay good before it counts as
// up, 0 when Rise alone decides. Under [MaskedIdle] it is how long it waits for
// another try.
func (s *State) HoldDown() time.Duration {
	if s.mask != MaskedIdle && s.cfg.HoldDown.Time == 0 {
		return 0
	}
	return s.flaps.wait(s.cfg.holdDown())
}

// count adds a result to the counters.
func (s *State) count(now time.Time, ok bool) {
	if ok != s.stats.LastOK {
		s.stats.Consecutive = 0
	}
	s.stats.Consecutive++
	s.stats.Runs++
	s.stats.LastOK = ok
	switch {
	case !ok:
		s.stats.Failures++
		s.goodSince = time.Time{}
	case s.goodSince.IsZero():
		s.goodSince = now
	}
}

// need is how many results like the last one, in a row, decide.
func (s *State) need() int {
	switch {
	case !s.polled():
		return 1
	case s.stats.LastOK:
		return max(s.cfg.Rise, 1)
	}
	return max(s.cfg.Fall, 1)
}

// judge applies Rise, Fall and the hold-down to the results so far.
func (s *State) judge(now time.Time) (changed bool) {
	ok := s.stats.LastOK
	if s.stats.Consecutive < s.need() || s.known && s.up == ok {
		return false
	}
	if ok && !s.up && now.Before(s.goodSince.Add(s.HoldDown())) {
		return false
	}
	s.become(now, ok, true)
	return true
}

// become sets health and knowledge.
func (s *State) become(now time.Time, up, known bool) {
	switch {
	case s.up && !up:
		s.flaps.wentDown(now, s.cfg.holdDown())
	case up && !s.up:
		s.flaps.cameUp(now)
	}
	switch {
	case known && up:
		s.stats.Ups++
	case known:
		s.stats.Downs++
	}
	s.up, s.known, s.stats.Since = up, known, now
}

// next is the first tick after the one of the last probe, with its jitter, and
// not before now.
func (s *State) next(now time.Time) time.Time {
	interval := s.cfg.Interval
	if fast := s.cfg.FastInterval; fast > 0 && s.Moving() {
		interval = min(interval, fast)
	}
	interval = max(interval, MinInterval)
	tick := s.pace.after(s.started, interval)
	tick = tick.Add(s.pace.jitter(s.stats.Runs, min(s.cfg.Jitter, interval)))
	if tick.After(now) {
		return tick
	}
	return now
}

// Reconfigure replaces the configuration. Health stays as it is, so that a
// reload never takes a service down by itself; when Spec differs it is no longer
// known, and the new probe, due at once, has to confirm or change it.
func (s *State) Reconfigure(cfg Config, now time.Time) {
	same := reflect.DeepEqual(s.cfg.Spec, cfg.Spec)
	s.cfg = cfg
	if !same {
		if s.known {
			s.known, s.stats.Since = false, now
		}
		s.stats.Consecutive, s.stale, s.due = 0, s.running, now
		s.goodSince, s.flaps = time.Time{}, flapping{}
		return
	}
	if !s.running && s.due.After(now) {
		s.due = s.next(now)
	}
}

// Healthy reports whether the check is up. Before the first Rise good or Fall
// bad results in a row it is what Config.InitOK says.
func (s *State) Healthy() bool { return s.up }

// Known reports whether results, not Config.InitOK, decided the health.
func (s *State) Known() bool { return s.known }

// Running reports whether a probe is running.
func (s *State) Running() bool { return s.running }

// Masked reports why results do not count for now.
func (s *State) Masked() Mask { return s.mask }

// Moving reports whether the check is rising or falling: the health is not known
// yet, or the last result disagrees with it and is not waiting for the end of a
// hold-down.
func (s *State) Moving() bool {
	return !s.known || s.stats.LastOK != s.up && s.stats.Consecutive < s.need()
}

// Stats returns a copy of the counters.
func (s *State) Stats() Stats { return s.stats }

// String is the word for a status: up, down or unknown.
func (s *State) String() string {
	switch {
	case !s.known:
		return "unknown"
	case s.up:
		return "up"
	default:
		return "down"
	}
}
