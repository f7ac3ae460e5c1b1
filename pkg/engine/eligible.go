package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/vrrp"
)

// evaluate decides for every VIP whether it is eligible and with which priority,
// and moves those for which that changed.
func (e *Engine) evaluate(now time.Time, cause uint64) {
	e.pair.stirred = true
	for again := true; again; again = e.departures(now) {
		for _, v := range e.vips {
			v.own = e.ownBlockers(now, v)
		}
		for _, v := range e.vips {
			v.blockers = v.own
			if v.group != nil {
				v.blockers = v.group.blockers(v)
			}
			e.judge(now, v, cause)
		}
	}
	for _, v := range e.vips {
		if v.closed {
			e.open(now, v)
		}
	}
	e.evaluateServices(now, cause)
}

// blockers returns those of v, then those of the other members: a sync group is
// eligible as a whole or not at all.
func (g *group) blockers(v *vip) []Blocker {
	list := v.own
	for _, m := range g.members {
		if m == v {
			continue
		}
		for _, b := range m.own {
			if !b.Quiet() {
				b.Kind, b.Name = BlockedSync, m.name
			}
			b.Text = fmt.Sprintf("%s of sync group %s: %s", m.name, g.name, b.Text)
			list = append(slices.Clip(list), b)
		}
	}
	return list
}

// ownBlockers lists why v is not eligible by itself.
func (e *Engine) ownBlockers(now time.Time, v *vip) []Blocker {
	var list []Blocker
	active := v.router.State() == vrrp.Active // also since the last run: what is not known yet takes nothing away
	if !e.stopping.IsZero() && !v.keptOn() {
		list = append(list, Blocker{Kind: BlockedStop, Text: "vipd is stopping"})
	}
	if v.removed || v.replace != nil {
		list = append(list, Blocker{Kind: BlockedReload, Text: "a reload takes it away from here"})
	}
	if v.drained != nil {
		list = append(list, Blocker{Kind: BlockedDrain, Text: v.drained.text(), Ends: v.drained.Until})
	}
	if e.drill.blocks(v) {
		list = append(list, Blocker{Kind: BlockedDrill, Text: e.drill.text(), Ends: e.drill.ends()})
	}
	if ready := e.started.Add(e.cfg.StartupDelay); now.Before(ready) && !active {
		list = append(list, Blocker{Kind: BlockedStartup, Text: fmt.Sprintf("startup delay of %s", e.cfg.StartupDelay), Ends: ready})
		v.blockedUntil = earliest(v.blockedUntil, ready)
	}
	list = append(list, e.linkBlockers(v)...)
	for _, b := range checkBlockers(e.healthOf(v.cfg.Track).failing) {
		if b.Kind != BlockedStartup || !active {
			list = append(list, b)
		}
	}
	if v.failures >= giveUpAfter && now.Before(v.blockedUntil) {
		list = append(list, Blocker{Kind: BlockedKernel, Text: v.lastErr, Ends: v.blockedUntil})
	}
	if v.lease.fails >= giveUpAfter && now.Before(v.blockedUntil) {
		list = append(list, Blocker{Kind: BlockedKernel, Text: "its lease cannot be had: " + v.lease.err, Ends: v.blockedUntil})
	}
	if !v.blockedUntil.IsZero() && !now.Before(v.blockedUntil) {
		v.blockedUntil = time.Time{}
	}
	return list
}

// checkBlockers are those of checks that fail, or that nobody knows about yet.
func checkBlockers(failing []*checkRun) []Blocker {
	var list []Blocker
	for _, c := range failing {
		b := Blocker{Kind: BlockedCheck, Name: c.name, Text: fmt.Sprintf("check %s %s", c.name, c.words()), Ends: c.state.HeldDownUntil()}
		if !c.state.Known() {
			b.Kind = BlockedStartup
		}
		list = append(list, b)
	}
	return list
}

// linkBlockers are those of the interface of v and of the ones it tracks.
func (e *Engine) linkBlockers(v *vip) []Blocker {
	var list []Blocker
	add := func(name, format string, args ...any) {
		list = append(list, Blocker{Kind: BlockedInterface, Name: name, Text: fmt.Sprintf(format, args...)})
	}
	l := e.links[v.cfg.Interface]
	switch {
	case l == nil && v.router.State() == vrrp.Active:
	case l == nil:
		list = append(list, Blocker{Kind: BlockedStartup, Name: v.cfg.Interface, Text: "waits for the state of interface " + v.cfg.Interface})
	case !l.up():
		add(l.Name, "interface %s is %s", l.Name, linkWord(l))
	case l.deaf(v.cfg.Family4()) != "" && v.kept != nil:
	case l.deaf(v.cfg.Family4()) != "" && v.state == Initialize:
		list = append(list, Blocker{Kind: BlockedStartup, Name: l.Name, Text: fmt.Sprintf("adverts on %s cannot be heard: %s", l.Name, l.deaf(v.cfg.Family4()))})
	case l.deaf(v.cfg.Family4()) != "":
		add(l.Name, "adverts on %s cannot be heard: %s", l.Name, l.deaf(v.cfg.Family4()))
	case v.owner():
		for _, p := range v.cfg.Addresses {
			if !l.has(p) {
				add(l.Name, "priority 255 says that this host owns %s, but %s does not have it", p, l.Name)
			}
		}
	case !e.source(v).IsValid() && v.cfg.Family4():
		add(l.Name, "interface %s has no IPv4 address of its own to send adverts from", l.Name)
	case !e.source(v).IsValid():
		add(l.Name, "interface %s has no IPv6 link-local address to send adverts from", l.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(v.cfg.TrackLinks)) {
		if v.cfg.TrackLinks[name].Fault && !e.links[name].up() && name != v.cfg.Interface && (e.links[name] != nil || v.router.State() != vrrp.Active) {
			add(name, "tracked interface %s is %s", name, linkWord(e.links[name]))
		}
	}
	return list
}

// judge moves v according to its blockers and priority.
func (e *Engine) judge(now time.Time, v *vip, cause uint64) {
	e.changeSettings(now, v, cause)
	running := v.router.State() != vrrp.Initialize
	switch {
	case len(v.blockers) > 0:
		b := v.blockers[0]
		if c := e.check(b.Name); c != nil && b.Kind == BlockedCheck {
			cause = max(cause, c.record)
		}
		state := Fault
		if b.Quiet() {
			state = Initialize
		}
		switch {
		case running:
			e.leave(now, v, going{state, string(b.Kind), b.Text, cause})
		case v.state != state || v.reason != string(b.Kind):
			e.transition(now, v, state, string(b.Kind), b.Text, cause)
		default:
			v.text = b.Text
		}
	case !running && !v.leaving:
		e.follow(now, v, v.router.Start(now), cause)
	}
	e.schedule(v)
}

// changeSettings gives the election the effective priority and source address.
func (e *Engine) changeSettings(now time.Time, v *vip, cause uint64) {
	old := v.router.Settings()
	set := e.settings(v)
	if set == old {
		return
	}
	if set.Priority != old.Priority {
		e.report(now, Record{Type: RecordPriority, Name: v.name, Cause: cause,
			From: fmt.Sprint(old.Priority), To: fmt.Sprint(set.Priority),
			Text: fmt.Sprintf("%s: priority %d -> %d%s", v.name, old.Priority, set.Priority, termsText(v.terms))})
	}
	e.follow(now, v, v.router.Change(now, set), cause)
}

// settings computes what the election of v is run by.
func (e *Engine) settings(v *vip) vrrp.Settings {
	v.terms = e.priorityTerms(v)
	priority := int(v.cfg.Priority)
	for _, t := range v.terms {
		priority += t.Delta
	}
	if v.frozen != 0 && e.unknown(v) {
		priority = int(v.frozen)
	} else {
		v.frozen = 0
	}
	if !v.owner() {
		priority = min(max(priority, 1), vrrp.PriorityOwner-1)
	}
	return vrrp.Settings{
		Version: v.cfg.Version, Priority: uint8(priority), Interval: v.cfg.Interval,
		Preempt: v.cfg.Preempt, PreemptDelay: v.cfg.PreemptDelay, Address: e.source(v),
	}
}

// priorityTerms lists what changes the configured priority. The owner's priority
// is fixed (RFC 9568, Section 6.1).
func (e *Engine) priorityTerms(v *vip) []PriorityTerm {
	if v.owner() {
		return nil
	}
	terms := e.healthOf(v.cfg.Track).terms
	for _, name := range slices.Sorted(maps.Keys(v.cfg.TrackLinks)) {
		if delta := v.cfg.TrackLinks[name].Counts(e.links[name].up()); delta != 0 {
			terms = append(terms, PriorityTerm{"interface", name, delta})
		}
	}
	return terms
}

func termsText(terms []PriorityTerm) string {
	if len(terms) == 0 {
		return ""
	}
	texts := make([]string, len(terms))
	for i, t := range terms {
		texts[i] = fmt.Sprintf("%s %s %+d", t.Source, t.Name, t.Delta)
	}
	return " (" + strings.Join(texts, ", ") + ")"
}
