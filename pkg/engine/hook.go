package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// hookGrace is how long after its timeout a before_hold is waited for: whoever
// runs it ends it at the timeout, and the engine does not rely on that.
const hookGrace = 50 * time.Millisecond

// hookStopWithin bounds how long a polite end waits for the hooks that are told
// of it.
const hookStopWithin = 10 * time.Second

// Change is what a hook is told: a VIP or a sync group has come to a state.
type Change struct {
	Group    bool
	Name     string // of the VIP or the sync group
	State    State  // Active once the addresses are there; Initialize once it is out of service
	From     State  // that it was told before
	Reason   string // of the transition
	Priority uint8  // effective; 0 of a group

	Interface string // "" of a group, like the VRID 0
	VRID      uint8
	Addresses []netip.Prefix
	Peer      netip.Addr // the other host that was heard last, invalid when none was
	SyncGroup string     // of the VIP, or the group itself
	Record    Record     // of the transition that led to it
}

// HookResult is the end of a hook in one word.
type HookResult string

// The ends of hooks.
const (
	HookOK      HookResult = "ok"
	HookFailed  HookResult = "failed"  // could not be started, another exit code than 0, or a signal
	HookTimeout HookResult = "timeout" // killed since it took too long
	HookStopped HookResult = "stopped" // killed since nobody waits for it any more
	HookDropped HookResult = "dropped" // not run: too many newer ones wait
)

// hooks is what the operator's programs know of a VIP, and the one that its
// takeover waits for.
type hooks struct {
	told    State  // what was told last, "" = nothing yet
	entered Record // of the last transition

	closed     bool // Active, and the addresses wait for before_hold
	hookSeq    uint64
	hookSince  time.Time // when the running one was started
	hookDue    time.Time // when it is waited for no longer; zero = none runs
	heldAnyway uint64    // takeovers that went on although it did not end well
}

// tell tells the hooks of a VIP and its sync group where it is now. It is called
// after everything that may change that, and repeats nothing.
func (e *Engine) tell(v *vip) {
	state := v.tellable()
	if state == "" || state == v.told {
		return
	}
	from := v.told
	v.told = state
	if v.cfg.Notify {
		e.notify(v.change(state, from))
	}
	if v.group != nil {
		e.tellGroup(v.group, v)
	}
}

// tellable is the state of a VIP as hooks are told it, "" while it is on its way
// to one: Active counts when the addresses are there, Initialize when the VIP
// was in service and is taken out of it.
func (v *vip) tellable() State {
	switch v.state {
	case Active:
		if v.want && v.applied {
			return Active
		}
	case Initialize:
		quiet := slices.Contains([]BlockerKind{BlockedStop, BlockedDrain, BlockedDrill, BlockedReload}, BlockerKind(v.reason))
		if quiet && v.told != "" {
			return Initialize
		}
	case Backup, Fault:
		return v.state
	}
	return ""
}

func (v *vip) change(state, from State) Change {
	c := Change{
		Name: v.name, State: state, From: from, Reason: v.reason, Priority: v.router.Settings().Priority,
		Interface: v.cfg.Interface, VRID: v.cfg.VRID, Addresses: v.cfg.Addresses, Peer: v.router.Heard().Source, Record: v.entered,
	}
	if from == "" {
		c.From = Initialize
	}
	if v.group != nil {
		c.SyncGroup = v.group.name
	}
	return c
}

// tellGroup tells the hooks of a sync group, when the last of its members made
// the group's state another one.
func (e *Engine) tellGroup(g *group, last *vip) {
	state, from := g.state(), e.groupTold[g.name]
	if state == "" || state == from {
		return
	}
	e.groupTold[g.name] = state
	if !e.cfg.GroupNotify[g.name] {
		return
	}
	c := last.change(state, from)
	c.Group, c.Name, c.Priority, c.Interface, c.VRID, c.Addresses = true, g.name, 0, "", 0, nil
	for _, m := range g.members {
		c.Addresses = append(c.Addresses, m.cfg.Addresses...)
	}
	e.notify(c)
}

// state is the state of a whole group as its hooks are told it, "" while its
// members are on their way to one.
func (g *group) state() State {
	count := map[State]int{}
	for _, m := range g.members {
		count[m.told]++
	}
	switch {
	case count[Active] == len(g.members):
		return Active
	case count[Fault] > 0:
		return Fault
	case count[Initialize] > 0:
		return Initialize
	case count[Backup] == len(g.members):
		return Backup
	}
	return ""
}

func (e *Engine) notify(c Change) {
	e.notifying++
	e.do(Notify{c})
}

// notifyDone puts the end of a hook into the history.
func (e *Engine) notifyDone(now time.Time, ev NotifyDone) {
	e.notifying = max(e.notifying-1, 0)
	if ev.Result == "" {
		return
	}
	e.report(now, Record{
		Type: RecordNotify, Name: ev.Name, To: string(ev.State), Reason: string(ev.Result), Cause: ev.Cause, Severity: ev.Result.severity(),
		Text: fmt.Sprintf("%s: notify of %s: %s%s", ev.Name, ev.State, ev.Detail, after(ev.Took)),
	})
}

func (r HookResult) severity() Severity {
	if r == HookOK {
		return Info
	}
	return Warning
}

// after says how long something took, "" for no time at all.
func after(took time.Duration) string {
	if took <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%s)", round(took))
}

// peers are the members of the sync group of v, or v alone.
func (v *vip) peers() []*vip {
	if v.group == nil {
		return []*vip{v}
	}
	return v.group.members
}

// hooked reports whether a takeover of v waits for a before_hold.
func (v *vip) hooked() bool {
	return slices.ContainsFunc(v.peers(), func(m *vip) bool { return m.cfg.BeforeHold > 0 })
}

// startHook runs the before_hold of a VIP that has just become Active. Where its
// sync group has one, [Engine.open] is called when the whole group is Active.
func (e *Engine) startHook(now time.Time, v *vip) {
	v.closed = true
	switch {
	case !v.hooked():
		e.open(now, v)
		return
	case v.cfg.BeforeHold == 0:
		return
	}
	e.hookSeq++
	v.hookSeq, v.hookSince, v.hookDue = e.hookSeq, now, now.Add(v.cfg.BeforeHold+hookGrace)
	e.do(RunHook{Change: v.change(Active, v.told), Seq: v.hookSeq, Within: v.cfg.BeforeHold})
}

// open wants the addresses of v and its sync group there, unless one of them
// still waits for its before_hold: traffic that comes in at one member and leaves
// at another needs all of them.
func (e *Engine) open(now time.Time, v *vip) {
	if slices.ContainsFunc(v.peers(), func(m *vip) bool { return !m.hookDue.IsZero() }) {
		return
	}
	for _, m := range v.peers() {
		if m.closed {
			m.closed = false
			m.quiet = m.quiet || m.cfg.VMAC && !m.owner() // its device comes with the addresses
			e.setAddresses(now, m, true)
		}
		e.schedule(m)
	}
}

// hookDone lets a takeover go on.
func (e *Engine) hookDone(now time.Time, ev HookDone) {
	v := e.byName[ev.VIP]
	if v == nil || v.hookDue.IsZero() || ev.Seq != v.hookSeq {
		return // nobody waits for it any more
	}
	e.endHook(now, v, ev.Result, ev.Detail+after(ev.Took))
}

// hookLate lets a takeover go on although nobody answered.
func (e *Engine) hookLate(now time.Time, v *vip) {
	e.do(StopHook{VIP: v.name, Seq: v.hookSeq})
	e.endHook(now, v, HookTimeout, fmt.Sprintf("no answer within %s", round(now.Sub(v.hookSince))))
}

// endHook goes on with a takeover, whatever the end of the before_hold was: an
// address that nobody answers helps nobody.
func (e *Engine) endHook(now time.Time, v *vip, result HookResult, text string) {
	v.hookDue = time.Time{}
	if result != HookOK {
		v.heldAnyway++
		text += "; held anyway"
	}
	e.report(now, Record{Type: RecordBeforeHold, Name: v.name, Reason: string(result), Cause: v.record, Severity: result.severity(),
		Text: fmt.Sprintf("%s: before_hold: %s", v.name, text)})
	e.open(now, v)
}

// abandonHook ends what a takeover waits for: v is not Active any more.
func (e *Engine) abandonHook(v *vip) {
	v.closed = false
	if !v.hookDue.IsZero() {
		v.hookDue = time.Time{}
		e.do(StopHook{VIP: v.name, Seq: v.hookSeq})
	}
}

// waitsFor returns the member of its sync group whose before_hold a closed VIP
// waits for, its own first; nil when there is none.
func (v *vip) waitsFor() *vip {
	switch {
	case !v.closed:
		return nil
	case !v.hookDue.IsZero():
		return v
	}
	i := slices.IndexFunc(v.peers(), func(m *vip) bool { return !m.hookDue.IsZero() })
	if i < 0 {
		return nil
	}
	return v.peers()[i]
}

// hookText says what a closed VIP waits for.
func (v *vip) hookText(now time.Time) string {
	m := v.waitsFor()
	if m == nil {
		return "the addresses are being added"
	}
	of := ""
	if m != v {
		of = " of " + m.name
	}
	return fmt.Sprintf("waits for before_hold%s for %s, at most %s", of, round(now.Sub(m.hookSince)), round(m.hookDue.Sub(m.hookSince)-hookGrace))
}

// staysQuiet reports whether the first advert is held back after it was due.
func (v *vip) staysQuiet(now time.Time) bool {
	recent := func(t time.Time) bool { return now.Sub(t) < 5*v.cfg.Interval/2 } // before others take over
	switch {
	case !v.quiet || v.failures > 0:
		return false
	case v.closed: // who is preempted serves on meanwhile, as long as it is heard
		return recent(v.since) || recent(v.contestAt)
	}
	return v.cfg.VMAC // its device comes with the addresses
}
