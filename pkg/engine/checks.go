package engine

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// checkRun is one check, its health and its last result.
type checkRun struct {
	name   string
	cfg    check.Config
	state  *check.State
	timer  timer
	detail string // of the last result
	weight *int   // that the last sight of a watched check reported
	took   time.Duration
}

// words tells a human how the check stands, after "check NAME".
func (c *checkRun) words() string {
	stats := c.state.Stats()
	switch {
	case stats.Runs == 0:
		return "has no result yet"
	case !c.state.Known():
		return fmt.Sprintf("has not passed %d times in a row yet (%s)", c.cfg.Rise, c.detail)
	case stats.LastOK:
		return fmt.Sprintf("passed %d of %d times in a row", stats.Consecutive, c.cfg.Rise)
	}
	return "fails: " + c.detail
}

// word is the health in one word.
func (c *checkRun) word() string {
	switch {
	case !c.state.Known():
		return "unknown"
	case c.state.Healthy():
		return "up"
	}
	return "down"
}

// checkTimer gives c a timer that is not running.
func (e *Engine) checkTimer(c *checkRun) {
	c.timer = timer{pos: -1, fire: func(now time.Time) { e.wakeCheck(now, c) }}
}

// wakeCheck starts a probe that is due.
func (e *Engine) wakeCheck(now time.Time, c *checkRun) {
	if due := c.state.Due(); !due.IsZero() && !now.Before(due) {
		c.state.Started(now)
		e.do(RunCheck{c.name})
	}
	e.timers.set(&c.timer, c.state.Due())
}

// checkDone counts a result and lets a change of health have its effect.
func (e *Engine) checkDone(now time.Time, ev CheckDone) {
	c := e.check(ev.Check)
	if c == nil {
		return // a check that a reload removed
	}
	from := c.word()
	c.detail, c.took = ev.Detail, ev.Took
	changed := c.state.Observe(now, ev.OK)
	e.timers.set(&c.timer, c.state.Due())
	if changed {
		e.evaluate(now, e.reportCheck(now, c, from))
	}
}

// checkSeen does the same with a sight of a watched check.
func (e *Engine) checkSeen(now time.Time, ev CheckSeen) {
	c := e.check(ev.Check)
	if c == nil || !check.IsWatched(c.cfg.Spec) {
		return // a reload removed it, or has it polled now
	}
	from, cause := c.word(), uint64(0)
	reweighed := weightOf(c.weight) != weightOf(ev.Weight)
	c.detail, c.weight = ev.Detail, ev.Weight
	changed := c.state.See(now, ev.OK)
	if changed {
		cause = e.reportCheck(now, c, from)
	}
	if changed || reweighed {
		e.evaluate(now, cause)
	}
}

// weightOf makes reported weights comparable.
func weightOf(w *int) (weight struct {
	value    int
	reported bool
}) {
	if w != nil {
		weight.value, weight.reported = *w, true
	}
	return weight
}

// reportCheck tells that the health of c has changed, and returns the number of
// the record.
func (e *Engine) reportCheck(now time.Time, c *checkRun, from string) uint64 {
	severity := Warning
	if c.state.Healthy() {
		severity = Notice
	}
	return e.report(now, Record{Type: RecordCheck, Name: c.name, From: from, To: c.word(), Severity: severity,
		Text: fmt.Sprintf("check %s: %s -> %s (%s)", c.name, from, c.word(), c.detail)})
}

func (e *Engine) check(name string) *checkRun {
	for _, c := range e.checks {
		if c.name == name {
			return c
		}
	}
	return nil
}
