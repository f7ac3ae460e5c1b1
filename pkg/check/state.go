package check

import (
	"reflect"
	"time"
)

// MinInterval is the shortest time between the starts of two probes of one
// check; a [Config] that asks for less gets this.
const MinInterval = 10 * time.Millisecond

// State is what is known about one check, and when its next probe is due. Make
// it with [New]. It is not safe for concurrent use.
//
//	          Started            Observe
//	due at ───────────▶ running ─────────▶ due at the next tick, or at once
//	                                       when the probe took longer than that
//
// Ticks lie on a grid: the epoch plus whole intervals. Checks with the same
// epoch and interval therefore come due together and cost one wake-up, and a
// probe that started late does not shift those after it.
type State struct {
	cfg   Config
	epoch time.Time

	running bool
	stale   bool      // the running probe was started for an earlier Spec
	started time.Time // of the last probe, zero before the first
	due     time.Time // of the next probe, while none is running

	up    bool
	known bool // up was decided by results, not by InitOK
	stats Stats
}

// Stats counts and dates the results of a check.
type Stats struct {
	Runs        uint64    // results so far
	Failures    uint64    // bad ones among them
	Consecutive int       // results in a row that agree with the last one
	LastOK      bool      // the last result
	LastRun     time.Time // start of the probe that gave it, zero before the first
	Since       time.Time // health and knowledge are as they are since then
}

// New returns the state of a check of which nothing is known yet: its health is
// cfg.InitOK, and its first probe is due now. The ticks of all later probes are
// counted from epoch; give every check the same one.
func New(cfg Config, epoch, now time.Time) *State {
	return &State{cfg: cfg, epoch: epoch, due: now, up: cfg.InitOK, stats: Stats{Since: now}}
}

// Clone returns a copy that goes its own way from here.
func (s *State) Clone() *State {
	c := *s
	return &c
}

// polled reports whether probes are made.
func (s *State) polled() bool { return !IsWatched(s.cfg.Spec) }

// Due is when the next probe should start. It is the zero time while one is
// running: a check never has two. For a check that is watched it always is.
func (s *State) Due() time.Time {
	if s.running || !s.polled() {
		return time.Time{}
	}
	return s.due
}

// Started says that a probe has been started. While one is running already it
// does nothing.
func (s *State) Started(now time.Time) {
	if s.running {
		return
	}
	s.running, s.started = true, now
}

// Observe takes the result of the running probe and reports whether
// [State.Healthy] or [State.Known] changed by it. A result that was not waited
// for, and one that answers a Spec replaced in the meantime, count for nothing.
func (s *State) Observe(now time.Time, ok bool) (changed bool) {
	if !s.running {
		return false
	}
	s.running = false
	if s.stale {
		s.stale, s.due = false, now
		return false
	}
	s.count(ok)
	s.stats.LastRun = s.started
	changed = s.judge(now)
	s.due = s.next(now)
	return changed
}

// See takes how a watched check stands, and reports whether [State.Healthy] or
// [State.Known] changed by it. For a check that is polled it does nothing.
func (s *State) See(now time.Time, ok bool) (changed bool) {
	if s.polled() {
		return false
	}
	s.count(ok)
	s.stats.LastRun = now
	return s.judge(now)
}

// count adds a result to the counters.
func (s *State) count(ok bool) {
	if ok != s.stats.LastOK {
		s.stats.Consecutive = 0
	}
	s.stats.Consecutive++
	s.stats.Runs++
	if !ok {
		s.stats.Failures++
	}
	s.stats.LastOK = ok
}

// judge applies Rise and Fall to the results so far.
func (s *State) judge(now time.Time) (changed bool) {
	need := s.cfg.Fall
	if s.stats.LastOK {
		need = s.cfg.Rise
	}
	if !s.polled() {
		need = 1
	}
	if s.stats.Consecutive < max(need, 1) || s.known && s.up == s.stats.LastOK {
		return false
	}
	s.up, s.known, s.stats.Since = s.stats.LastOK, true, now
	return true
}

// next is the first tick after the start of the last probe, and not before now.
func (s *State) next(now time.Time) time.Time {
	interval := s.cfg.Interval
	if fast := s.cfg.FastInterval; fast > 0 && s.Moving() {
		interval = min(interval, fast)
	}
	interval = max(interval, MinInterval)
	into := s.started.Sub(s.epoch) % interval
	if into < 0 {
		into += interval
	}
	if tick := s.started.Add(interval - into); tick.After(now) {
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

// Moving reports whether the last result disagrees with the health, or the
// health is not known yet: the check is rising or falling.
func (s *State) Moving() bool { return !s.known || s.stats.LastOK != s.up }

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
