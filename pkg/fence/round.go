package fence

import (
	"fmt"
	"strings"
	"time"
)

// round is one way through the levels.
type round struct {
	number   int // from 1, 0 = none is under way
	level    int
	device   int // of the level: the one whose turn it is
	tries    int // of the device, that failed
	after    time.Time
	cut      []string // devices of the level that said they cut the peer off
	shot     bool     // a device of any level did
	streak   int      // whole readings of off in a row
	reading  time.Time
	deadline time.Time // of the readings
	recheck  bool      // it was off before: read first, and shoot only if it is not any more
	levels   []levelState
}

// levelState is how a level fared in this round.
type levelState struct {
	state  LevelState
	since  time.Time
	took   time.Duration
	detail string
}

const (
	firstRest   = time.Second      // after a failed attempt, and after a failed round
	longestRest = 30 * time.Second // each doubles the rest before, up to this
	renewal     = 2500 * time.Millisecond
)

// rest is the pause after n failures.
func rest(n int) time.Duration {
	return min(longestRest, firstRest<<min(n-1, 10))
}

// fence takes the round as far as it goes now.
func (f *Fencer) fence(now time.Time) {
	if f.run != nil && f.run.monitor {
		f.stop(now) // it is in the way
	}
	if f.proof.Kind == ByOperator {
		if f.run != nil && f.run.verb != VerbOn {
			f.stop(now)
		}
		f.become(now, Proven)
		f.round = round{number: 1}
		return
	}
	if f.proof.Kind == ByReboot && f.phase == Idle {
		f.round = round{number: 1, levels: make([]levelState, len(f.cfg.Levels))}
		f.become(now, Proven)
	}
	if f.round.number == 0 {
		f.begin(now)
	}
	for f.run == nil && !now.Before(f.round.after) {
		if f.phase == Proven && f.cfg.Reboot {
			return // it is over when it expires
		}
		if f.reads() {
			f.start(now, f.name(), VerbStatus, f.cfg.AttemptTimeout)
			if f.round.device == 0 {
				f.round.reading = now
			}
			return
		}
		if f.cfg.manual(f.round.level) {
			f.fail(now, "waits for: vipd fence confirm "+f.peer)
			continue
		}
		if name, why := f.distrusted(f.round.level); name != "" {
			f.fail(now, name+" is not trusted: "+why)
			continue
		}
		f.shoot(now)
		return
	}
}

// reads reports whether the devices are to be read, and not told to cut.
func (f *Fencer) reads() bool { return f.phase == Verifying || f.phase == Proven }

// begin begins the first round since the peer fell silent, or since something
// waits for it.
func (f *Fencer) begin(now time.Time) {
	f.round = round{number: 1, levels: make([]levelState, len(f.cfg.Levels))}
	silent := "was not heard since this host started"
	if f.heardSince() {
		silent = fmt.Sprintf("is silent for %s", short(now.Sub(f.heard)))
	}
	f.report(Decided, -1, "", Warning, "%s %s, and %s waits: fence it", f.peer, silent, strings.Join(f.sit.Waiting, ", "))
	if level := f.perhapsOff(now); level >= 0 {
		f.round.level, f.round.recheck = level, true
		f.verify(now)
		return
	}
	f.become(now, Cutting)
}

// perhapsOff returns a level whose devices are read before anything else, -1 = none.
// The brake holds back shots, and not readings: one that was called off, or acted
// late, may have cut the peer off after it was heard.
func (f *Fencer) perhapsOff(now time.Time) int {
	if f.offLevel >= 0 || f.aimed < 0 || len(f.recent(now)) < f.cfg.Rate.Max {
		return f.offLevel
	}
	if name, _ := f.distrusted(f.aimed); name != "" {
		return -1
	}
	return f.aimed
}

// shoot tells the device whose turn it is to cut the peer off, if nothing
// forbids it.
func (f *Fencer) shoot(now time.Time) {
	timeout, why, again, turning := f.allowed(now)
	if why != "" {
		if f.phase != Forbidden || f.why != why {
			severity := Warning
			if turning {
				severity = Info
			}
			f.report(Held, -1, "", severity, "%s must not be fenced now: %s", f.peer, why)
		}
		f.become(now, Forbidden)
		f.why, f.again, f.turning = why, again, turning
		return
	}
	f.become(now, Cutting)
	f.power = nil
	l := &f.round.levels[f.round.level]
	if l.state != LevelRuns {
		*l = levelState{state: LevelRuns, since: now}
	}
	f.aimed = f.round.level
	f.start(now, f.name(), VerbOff, timeout)
}

// name is the device whose turn it is.
func (f *Fencer) name() string { return f.cfg.Levels[f.round.level][f.round.device] }

// cutOff takes the answer of a device that was told to cut the peer off.
func (f *Fencer) cutOff(now time.Time, run *attempt, o outcome, e Ended) {
	r := &f.round
	if o != done {
		r.tries++
		f.misses++
		if f.loud() {
			f.report(Attempt, r.level, run.device, Warning, "%s did not cut %s off (attempt %d of %d, %s): %s",
				run.device, f.peer, r.tries, f.cfg.Attempts, short(now.Sub(run.started)), because(e.Detail))
		}
		if r.tries >= f.cfg.Attempts {
			f.fail(now, because(e.Detail))
			return
		}
		r.after = now.Add(rest(r.tries))
		return
	}
	r.cut = append(r.cut, run.device)
	f.shot(now, run.device, fmt.Sprintf("%s says that it cut %s off, after %s", run.device, f.peer, short(now.Sub(run.started))))
	r.device, r.tries, r.after = r.device+1, 0, now
	if r.device == len(f.cfg.Levels[r.level]) {
		f.verify(now)
	}
}

// shot counts what may have cut the peer off: once a round for the brake.
func (f *Fencer) shot(now time.Time, device, text string) {
	f.fired++
	f.report(Shot, f.round.level, device, Warning, "%s", text)
	if !f.round.shot {
		f.round.shot = true
		f.shots = append(f.recent(now), now)
		f.remember(now, Shot, f.round.level, "", text)
	}
}

// verify begins to read the devices of the level.
func (f *Fencer) verify(now time.Time) {
	r := &f.round
	r.device, r.streak, r.after, r.deadline = 0, 0, now, now.Add(f.cfg.Verify.Within)
	if l := &r.levels[r.level]; l.state != LevelRuns {
		*l = levelState{state: LevelRuns, since: now}
	}
	f.become(now, Verifying)
}

// read takes a reading of a device of the level.
func (f *Fencer) read(now time.Time, run *attempt, o outcome, detail string) {
	r := &f.round
	if o == readsOff {
		if r.device++; r.device < len(f.cfg.Levels[r.level]) {
			r.after = now
			return
		}
		f.readAllOff(now)
		return
	}
	r.device, r.streak = 0, 0
	r.after = later(now, r.reading.Add(f.cfg.Verify.Every))
	switch {
	case f.phase == Proven && o == reads:
		f.void(now, fmt.Sprintf("%s reads on again", run.device))
	case f.phase == Proven: // it lasts until it expires
	case o == reads && r.recheck:
		f.offLevel = -1
		f.cutAgain(now)
	case !now.Before(r.deadline):
		if o == reads {
			detail = run.device + " reads on still"
		}
		f.fail(now, "not verified within "+short(f.cfg.Verify.Within)+": "+because(detail))
	}
}

// readAllOff takes it that all devices of the level have read off.
func (f *Fencer) readAllOff(now time.Time) {
	r := &f.round
	r.device = 0
	r.streak++
	pause := f.cfg.Verify.Every
	if f.phase == Proven {
		pause = renewal
		f.proof.Read, f.proof.Until = r.reading, now.Add(proofAge)
	} else if r.streak >= f.cfg.Verify.Reads {
		f.prove(now)
		pause = renewal
	}
	r.after = later(now, r.reading.Add(pause))
}

// cutAgain goes back to the first level: the peer is not off.
func (f *Fencer) cutAgain(now time.Time) {
	r := &f.round
	*r = round{number: r.number, after: now, levels: make([]levelState, len(f.cfg.Levels))}
	f.become(now, Cutting)
}

// fail ends a level that did not do it, and goes on to the next one.
func (f *Fencer) fail(now time.Time, detail string) {
	r := &f.round
	if r.recheck {
		f.offLevel = -1
		f.cutAgain(now)
		return
	}
	l := &r.levels[r.level]
	if l.since.IsZero() {
		l.since = now
	}
	*l = levelState{state: LevelFailed, since: l.since, took: now.Sub(l.since), detail: detail}
	if f.cfg.manual(r.level) {
		l.state = LevelManual
	} else if f.loud() {
		f.report(NextLevel, r.level, "", Warning, "level %d (%s) failed to cut %s off: %s",
			r.level+1, strings.Join(f.cfg.Levels[r.level], ", "), f.peer, detail)
	}
	r.level, r.device, r.tries, r.cut, r.after = r.level+1, 0, 0, nil, now
	f.become(now, Cutting)
	if r.level == len(f.cfg.Levels) {
		f.failAll(now)
	}
}

// failAll ends a round in which no level did it. There is another one.
func (f *Fencer) failAll(now time.Time) {
	r := &f.round
	pause := rest(r.number)
	text := fmt.Sprintf("%s is not fenced: %s; it is tried again. If you are sure that it is off: vipd fence confirm %s",
		f.peer, f.lastFailure(), f.peer)
	if f.loud() {
		f.report(Failed, -1, "", Critical, "%s", text)
	}
	if r.number == 1 {
		f.remember(now, Failed, -1, "", text)
	}
	*r = round{number: r.number + 1, after: now.Add(pause), levels: r.levels}
	f.become(now, Resting)
}

// loud reports whether failures of this round are worth a word: those of the
// first rounds are, and later ever fewer.
func (f *Fencer) loud() bool { return f.round.number&(f.round.number-1) == 0 }

// lastFailure is what the last level that is not an operator said.
func (f *Fencer) lastFailure() string {
	for i := len(f.round.levels) - 1; i >= 0; i-- {
		if l := f.round.levels[i]; l.state == LevelFailed {
			return fmt.Sprintf("level %d %s", i+1, l.detail)
		}
	}
	return "there is no device, only an operator"
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// because stands for a reason that an agent did not give.
func because(detail string) string {
	if detail == "" {
		return "it does not say why"
	}
	return detail
}

// short writes a duration as one would say it: to a tenth of a second.
func short(d time.Duration) string {
	if d >= time.Second {
		d = d.Round(100 * time.Millisecond)
	} else {
		d = d.Round(time.Millisecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
