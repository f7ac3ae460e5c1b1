package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// recentResults is how many results of a check are remembered.
const recentResults = 5

// checkRun is one check, its health and its last results.
type checkRun struct {
	name   string
	cfg    check.Config
	state  *check.State
	mask   string // "by net", "while web is not held"; "" = nothing masks it
	timer  timer
	detail string // of the last result
	took   time.Duration
	sight  *CheckSeen // the last one of a watched check, also from under a mask
	weight *int       // that the last sight that counted reported
	record uint64     // of the last change of health

	recent []CheckResult // oldest first
	probes CheckDurations
}

// remember keeps a result for who asks why.
func (c *checkRun) remember(now time.Time, ok bool, detail string, took time.Duration) {
	c.detail, c.took = detail, took
	c.recent = append(slices.Clip(c.recent), CheckResult{Time: now, OK: ok, Detail: detail, Took: took})
	c.recent = c.recent[max(0, len(c.recent)-recentResults):]
}

// words tells a human how the check stands, after "check NAME".
func (c *checkRun) words() string {
	stats := c.state.Stats()
	text := "fails: " + c.detail
	switch {
	case c.isGroup():
	case c.state.Masked() == check.MaskedIdle && !c.state.Healthy():
		text = fmt.Sprintf("failed (%s) and gets another try after %s", c.detail, c.state.HoldDown())
	case stats.Runs == 0:
		text = "has no result yet"
	case !c.state.Known():
		text = fmt.Sprintf("has not passed %d times in a row yet (%s)", c.cfg.Rise, c.detail)
	case !c.state.HeldDownUntil().IsZero():
		text = fmt.Sprintf("is held down for %s because it flaps", c.state.HoldDown())
	case stats.LastOK:
		text = fmt.Sprintf("passed %d of %d times in a row", stats.Consecutive, c.cfg.Rise)
	}
	if c.mask != "" {
		text += " (masked " + c.mask + ")"
	}
	return text
}

func (c *checkRun) isGroup() bool {
	_, ok := c.cfg.Spec.(check.Group)
	return ok
}

// checkTimer gives c a timer that is not running.
func (e *Engine) checkTimer(c *checkRun) {
	c.timer = timer{pos: -1, fire: func(now time.Time) { e.wakeCheck(now, c) }}
}

// wakeCheck starts a probe that is due, and ends a wait that is over.
func (e *Engine) wakeCheck(now time.Time, c *checkRun) {
	if due := c.state.Due(); !due.IsZero() && !now.Before(due) {
		c.state.Started(now)
		e.do(RunCheck{c.name})
	}
	before, why := c.stand(), fmt.Sprintf("has passed for %s", c.state.HoldDown())
	if c.mask != "" {
		why = "another try"
	}
	if c.state.Wake(now) {
		e.checkMoved(now, c, before, why)
	}
	e.planCheck(c)
}

// checkDone counts a result and lets a change of health have its effect.
func (e *Engine) checkDone(now time.Time, ev CheckDone) {
	c := e.check(ev.Check)
	if c == nil {
		return // a check that a reload removed
	}
	before, runs := c.stand(), c.state.Stats().Runs
	c.state.Observe(now, ev.OK)
	if c.state.Stats().Runs > runs { // it counted
		c.remember(now, ev.OK, ev.Detail, ev.Took)
		c.probes.add(ev.Took)
	}
	e.checkMoved(now, c, before, c.detail)
}

// checkSeen does the same with a sight of a watched check.
func (e *Engine) checkSeen(now time.Time, ev CheckSeen) {
	c := e.check(ev.Check)
	if c == nil || !check.IsWatched(c.cfg.Spec) {
		return // a reload removed it, or has it polled now
	}
	before := c.stand()
	c.see(now, ev)
	e.checkMoved(now, c, before, c.detail)
}

// see takes a sight; from under a mask it is only kept.
func (c *checkRun) see(now time.Time, ev CheckSeen) {
	c.sight = &ev
	if c.mask == "" {
		c.state.See(now, ev.OK)
		c.weight = ev.Weight
		c.remember(now, ev.OK, ev.Detail, 0)
	}
}

// stand is how a check stands, for a comparison.
type stand struct {
	word             string
	healthy, lastOK  bool
	weight           int
	weighs, heldDown bool
}

func (c *checkRun) stand() stand {
	s := stand{
		word: c.state.String(), healthy: c.state.Healthy(), lastOK: c.state.Stats().LastOK,
		weighs: c.weight != nil, heldDown: !c.state.HeldDownUntil().IsZero(),
	}
	if s.weighs {
		s.weight = *c.weight
	}
	return s
}

// planCheck plans the next probe, or the end of a wait.
func (e *Engine) planCheck(c *checkRun) {
	e.timers.set(&c.timer, earliest(c.state.Due(), c.state.HeldDownUntil()))
}

// checkMoved plans what is next for c, and lets what differs from before have its
// effect on other checks and on VIPs, or on what is told of them.
func (e *Engine) checkMoved(now time.Time, c *checkRun, before stand, why string) {
	e.planCheck(c)
	after := c.stand()
	if before == after {
		return
	}
	cause := e.reportHealth(now, c, before, why, 0)
	if before.word != after.word || before.healthy != after.healthy {
		e.settle(now, cause)
	}
	e.evaluate(now, cause)
}

// reportHealth tells that the state of c is another one than before, if it is,
// and returns the number of the record, or cause when there is none.
func (e *Engine) reportHealth(now time.Time, c *checkRun, before stand, why string, cause uint64) uint64 {
	to := c.state.String()
	if to == before.word {
		return cause
	}
	severity := Warning
	if c.state.Healthy() {
		severity = Notice
	}
	c.record = e.report(now, Record{Type: RecordCheck, Name: c.name, From: before.word, To: to, Severity: severity, Cause: cause,
		Text: fmt.Sprintf("check %s: %s -> %s (%s)", c.name, before.word, to, why)})
	return c.record
}

// check finds a check by its name, nil when there is none.
func (e *Engine) check(name string) *checkRun {
	i, ok := slices.BinarySearchFunc(e.checks, name, func(c *checkRun, name string) int { return strings.Compare(c.name, name) })
	if !ok {
		return nil
	}
	return e.checks[i]
}
