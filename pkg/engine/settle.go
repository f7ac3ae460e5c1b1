package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// orderChecks sorts the checks so that each comes after those that it depends
// on: the members of a group, and what it is masked by. The configuration has no
// cycles.
func (e *Engine) orderChecks() {
	e.settled, e.bound = e.settled[:0], e.bound[:0]
	done := map[*checkRun]bool{}
	var visit func(c *checkRun)
	visit = func(c *checkRun) {
		if c == nil || done[c] {
			return
		}
		done[c] = true
		for _, name := range c.cfg.DependsOn() {
			visit(e.check(name))
		}
		e.settled = append(e.settled, c)
	}
	for _, c := range e.checks {
		visit(c)
		if c.cfg.WhileHeld != "" {
			e.bound = append(e.bound, c)
		}
	}
}

// settle lets checks have their effect on other checks: groups follow their
// members, and masks come and go. One pass is enough, in order.
func (e *Engine) settle(now time.Time, cause uint64) {
	for _, c := range e.settled {
		before, because := c.stand(), cause
		for _, name := range c.cfg.DependsOn() {
			if d := e.check(name); d != nil {
				because = max(because, d.record)
			}
		}
		e.mask(now, c, because)
		if g, ok := c.cfg.Spec.(check.Group); ok {
			e.followMembers(now, c, g)
		}
		e.reportHealth(now, c, before, c.detail, because)
		e.planCheck(c)
	}
}

// mask masks c, or ends that.
func (e *Engine) mask(now time.Time, c *checkRun, cause uint64) {
	mask, by := e.maskOf(c)
	if by == c.mask {
		return
	}
	text := fmt.Sprintf("check %s: masked %s, stays %s", c.name, by, c.state)
	if by == "" {
		text = fmt.Sprintf("check %s: no longer masked", c.name)
	}
	e.report(now, Record{Type: RecordMask, Name: c.name, From: c.mask, To: by, Cause: cause, Text: text})
	c.mask = by
	c.state.SetMask(now, mask)
	if c.sight != nil {
		c.see(now, *c.sight)
	}
}

// maskOf returns what masks c, and the words for it. A check that is masked itself masks
// those that come after it: nobody knows how it stands.
func (e *Engine) maskOf(c *checkRun) (check.Mask, string) {
	for _, name := range c.cfg.After {
		if a := e.check(name); a != nil && (a.state.String() == "down" || a.mask != "") {
			return check.MaskedAfter, "by " + name
		}
	}
	if name := c.cfg.WhileHeld; name != "" && !e.isHeld(name) {
		return check.MaskedIdle, "while " + name + " is not held"
	}
	return check.Unmasked, ""
}

// isHeld reports whether the kernel has the addresses of a VIP, and we want it so.
func (e *Engine) isHeld(name string) bool {
	v := e.byName[name]
	return v != nil && v.want && v.there
}

// followHeld masks and unmasks the checks that look at a VIP while it is held.
func (e *Engine) followHeld(now time.Time) {
	moved := func(c *checkRun) bool {
		_, by := e.maskOf(c)
		return by != c.mask
	}
	for i := slices.IndexFunc(e.bound, moved); i >= 0; i = slices.IndexFunc(e.bound, moved) {
		var cause uint64
		if v := e.byName[e.bound[i].cfg.WhileHeld]; v != nil {
			cause = v.record
		}
		e.settle(now, cause)
		e.evaluate(now, cause)
	}
}

// followMembers gives a group the health of its members.
func (e *Engine) followMembers(now time.Time, c *checkRun, g check.Group) {
	if c.mask != "" {
		return
	}
	c.detail = e.countMembers(g)
	up, known := g.Judge(func(name string) (up, known bool) {
		m := e.check(name)
		return m != nil && m.state.Healthy(), m == nil || m.state.Known()
	})
	if c.state.Follow(now, up, known) {
		c.remember(now, up, c.detail, 0)
	}
}

// countMembers says how the members stand: "1 of 3 up, needs 2: a up, b down, c
// unknown".
func (e *Engine) countMembers(g check.Group) string {
	up, words := 0, make([]string, 0, len(g.Members))
	for _, name := range g.Members {
		word := "unknown"
		if m := e.check(name); m != nil {
			word = m.state.String()
			if m.state.Healthy() {
				up++
			}
		}
		words = append(words, name+" "+word)
	}
	return fmt.Sprintf("%d of %d up, needs %d: %s", up, len(g.Members), g.Need, strings.Join(words, ", "))
}

// health is what the checks that something tracks do to it. It is the one policy
// for everything that tracks checks.
type health struct {
	failing []*checkRun    // not eligible because of these
	terms   []PriorityTerm // what the others add to the priority
}

// healthOf adds up the checks of track: one with "fault" must be healthy, a
// negative weight counts while its check fails, a positive one while it passes,
// and a weight that a check reports counts in place of the check's own.
func (e *Engine) healthOf(track map[string]check.Weight) health {
	var h health
	for _, name := range slices.Sorted(maps.Keys(track)) {
		c, w := e.check(name), track[name]
		if c == nil {
			continue
		}
		delta := w.Counts(c.state.Healthy())
		switch {
		case w.Own && c.weight != nil:
			delta = *c.weight
		case w.Fault && !c.state.Healthy():
			h.failing = append(h.failing, c)
		}
		if delta != 0 {
			h.terms = append(h.terms, PriorityTerm{"check", name, delta})
		}
	}
	return h
}
