package fence

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is how a Fencer stands. It is a copy.
type Status struct {
	Peer    string
	Phase   Phase
	Since   time.Time // of the phase
	Waiting []string  // VIPs that wait for the proof
	Heard   time.Time // last message of the peer, zero = never
	Why     string    // why a shot must not begin now, "" = nothing forbids it
	Again   time.Time // when it is tried again by itself, zero = not known
	Levels  []LevelStatus
	Proof   Proof  // its Kind says whether there is one
	Shots   int    // that the brake counts
	Fired   uint64 // times that a device said it cut the peer off, since this process started
	Misses  uint64 // attempts at that which failed
	Devices []DeviceStatus
	// Unprotected: every level has a device that does not work.
	Unprotected bool
}

// LevelState is how a level fares.
type LevelState string

// The states of a level.
const (
	LevelUntried LevelState = "not reached"
	LevelRuns    LevelState = "running"
	LevelFailed  LevelState = "failed"
	LevelManual  LevelState = "waits"
	LevelProved  LevelState = "proved"
)

// LevelStatus is how a level fares in this round.
type LevelStatus struct {
	Devices []string
	State   LevelState
	Since   time.Time     // it runs, zero if it does not
	Took    time.Duration // it took, when it is over
	Limit   time.Duration // it may take: all attempts, and the readings
	Detail  string        // why it failed
}

// DeviceStatus is what the readings of a device say.
type DeviceStatus struct {
	Name  string
	OK    bool
	Known bool      // it was read
	Power string    // the last reading: "on", "off", "" = none
	Since time.Time // OK is as it is
	Text  string    // why it is not OK
}

// Intent reports whether a shot at the peer runs, or is the next thing to do: the
// peer should know, and may release what it holds or answer by another way.
func (f *Fencer) Intent() bool {
	switch f.phase {
	case Cutting, Verifying:
		return true
	case Forbidden:
		return f.turning
	}
	return false
}

// Status returns how the Fencer stands.
func (f *Fencer) Status(now time.Time) Status {
	s := Status{
		Peer: f.peer, Phase: f.phase, Since: f.since, Waiting: slices.Clone(f.sit.Waiting), Heard: f.heard, Why: f.why, Again: f.again,
		Shots: len(f.recent(now)), Unprotected: f.unprotected(), Fired: f.fired, Misses: f.misses,
	}
	if f.phase == Resting {
		s.Again = f.round.after
	}
	s.Proof, _ = f.Proof(now)
	for i, names := range f.cfg.Levels {
		l := LevelStatus{Devices: slices.Clone(names), State: LevelUntried, Limit: f.limit(i)}
		if i < len(f.round.levels) && f.round.levels[i].state != "" {
			at := f.round.levels[i]
			l.State, l.Since, l.Took, l.Detail = at.state, at.since, at.took, at.detail
		}
		s.Levels = append(s.Levels, l)
	}
	for _, name := range f.names() {
		d := f.devices[name]
		s.Devices = append(s.Devices, DeviceStatus{Name: name, OK: d.known && !d.bad, Known: d.known, Power: d.on, Since: d.since, Text: d.text})
	}
	return s
}

// limit is the longest that a level may take once its shot may begin.
func (f *Fencer) limit(level int) time.Duration {
	if f.cfg.manual(level) {
		return 0
	}
	var each time.Duration
	for n := 1; n <= f.cfg.Attempts; n++ {
		each += f.cfg.AttemptTimeout
		if n < f.cfg.Attempts {
			each += rest(n)
		}
	}
	return time.Duration(len(f.cfg.Levels[level]))*each + f.cfg.Verify.Within + f.cfg.AttemptTimeout
}

// Text is the level in words: "level 1 lb1-ipmi failed after 12.1s (no route to
// host)", as it is printed in a list.
func (l LevelStatus) Text(number int, now time.Time) string {
	s := fmt.Sprintf("level %d %s ", number, strings.Join(l.Devices, ", "))
	switch l.State {
	case LevelRuns:
		return s + fmt.Sprintf("running for %s, limit %s", short(now.Sub(l.Since)), short(l.Limit))
	case LevelFailed:
		return s + fmt.Sprintf("failed after %s (%s)", short(l.Took), l.Detail)
	case LevelManual:
		return s + l.Detail
	case LevelProved:
		return s + "read off after " + short(l.Took)
	}
	return s + string(LevelUntried)
}

// Lines is what `vipd why` prints of a VIP that waits: how far the fence is,
// level by level, and what to do.
func (s Status) Lines(now time.Time) []string {
	lines := []string{s.headline(now)}
	if s.Phase != Idle && s.Proof.Kind != ByOperator {
		for i, l := range s.Levels {
			lines = append(lines, "  "+l.Text(i+1, now))
		}
	}
	if len(s.Waiting) > 0 && s.Proof.Kind == "" && s.Phase != Idle {
		lines = append(lines, fmt.Sprintf("If you are sure that %s is powered off:   vipd fence confirm %s", s.Peer, s.Peer))
	}
	return lines
}

func (s Status) headline(now time.Time) string {
	text := map[Phase]string{
		Idle: "not needed", Forbidden: "HELD: " + s.Why, Cutting: "RUNNING", Verifying: "RUNNING: reads whether it is off",
		Proven: "done: " + s.Proof.String(), Resting: "FAILED: all levels",
	}[s.Phase]
	if s.Phase == Resting && s.Again.After(now) {
		text += ", tried again in " + short(s.Again.Sub(now))
	}
	return "fence of " + s.Peer + "  " + text
}
