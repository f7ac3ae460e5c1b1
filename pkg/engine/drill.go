package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vrrp"
)

// A drill has a peer take a VIP, on purpose, to prove that it can, and takes it
// back. It is a blocker that ends by itself: whoever asked may go away, and a
// restart knows nothing of it.

// How long a drill waits.
const (
	drillWithin = time.Second      // for the peer, unless the drill says otherwise
	drillHold   = time.Second      // and lets it serve
	drillClient = 2 * time.Second  // for what a client saw
	drillBack   = 10 * time.Second // for the VIP to be back here
	drillCalm   = 30 * time.Second // between two drills of one VIP
)

// drill is one that is under way.
type drill struct {
	ask     Drill
	phase   DrillPhase
	due     time.Time // the phase ends then, whatever happens
	record  uint64    // of its beginning
	watched bool      // a client looks
	heard   bool      // an advert of a peer for it
	report  DrillReport
}

// on reports whether a VIP takes part.
func (d *drill) on(v *vip) bool { return d != nil && slices.Contains(d.report.VIPs, v.name) }

// blocks reports whether v must not be held here.
func (d *drill) blocks(v *vip) bool { return d.on(v) && d.phase != DrillReturn }

// abrupt reports whether v is given up without asking a peer first.
func (d *drill) abrupt(v *vip) bool { return d.blocks(v) && d.ask.Kind != DrillCheck }

// silent reports whether this host keeps its silence, as if its link were cut: until
// it hears that a peer has taken over. Who is silent on the pair channel cannot know
// how new is what it is told there.
func (d *drill) silent() bool {
	return d != nil && d.ask.Kind == DrillLink && d.phase == DrillAway && !d.heard
}

// advertHeard ends the silence.
func (d *drill) advertHeard(v *vip, priority uint8) bool {
	if !d.on(v) || d.phase != DrillAway || d.heard || v.there || priority == vrrp.PriorityRelease {
		return false
	}
	d.heard = true
	return true
}

// returns reports whether v is wanted back.
func (d *drill) returns(v *vip) bool { return d.on(v) && d.phase == DrillReturn && !d.report.Stays }

func (d *drill) text() string { return fmt.Sprintf("drill by %s (%s)", d.report.By, d.ask.Kind) }

// ends is when a peer has had it for long enough, at the latest.
func (d *drill) ends() time.Time {
	return d.report.Began.Add(d.report.Limit + d.ask.Hold + drillClient)
}

func (d *drill) step(now time.Time, format string, args ...any) {
	d.report.Steps = append(d.report.Steps, DrillStep{now.Sub(d.report.Began), fmt.Sprintf(format, args...)})
}

// clone copies what a drill changes.
func (d *drill) clone() *drill {
	n := copied(d)
	if n != nil {
		n.report.VIPs, n.report.Steps, n.report.Client = slices.Clone(d.report.VIPs), slices.Clone(d.report.Steps), copied(d.report.Client)
	}
	return n
}

// followDrill takes a drill on.
func (e *Engine) followDrill(now time.Time) {
	d := e.drill
	if d == nil {
		return
	}
	var vips []*vip
	for _, name := range d.report.VIPs {
		if v := e.byName[name]; v != nil && !v.removed && v.replace == nil {
			vips = append(vips, v)
		}
	}
	switch {
	case !e.stopping.IsZero():
		e.failDrill(now, "vipd stopped meanwhile")
		e.endDrill(now)
		return
	case len(vips) < len(d.report.VIPs) || e.cfg.Pair == nil:
		e.failDrill(now, "a reload changed it meanwhile")
		e.endDrill(now)
		return
	}
	over := !now.Before(d.due)
	switch d.phase {
	case DrillAway:
		e.drillAway(now, vips, over)
	case DrillServed:
		if e.drillHolder(now, vips) == "" {
			e.failDrill(now, d.report.Peer+" lost it again")
			return
		}
		if over {
			e.drillServed(now)
		}
	case DrillSeen:
		if over {
			e.failDrill(now, "what a client saw is not known")
		}
	case DrillReturn:
		e.drillReturns(now, vips, over)
	}
}

// drillAway waits until one peer holds all of it.
func (e *Engine) drillAway(now time.Time, vips []*vip, over bool) {
	d := e.drill
	if gone := allOf(vips, func(v *vip) bool { return !v.there }); gone && !d.watched {
		d.watched = true
		d.step(now, "gone from here")
		e.probeVIP(vips, true)
	}
	if peer := e.drillHolder(now, vips); peer != "" {
		d.report.Peer, d.report.Took = peer, now.Sub(d.report.Began)
		d.step(now, "%s holds it", peer)
		d.phase, d.due = DrillServed, now.Add(d.ask.Hold)
		e.pair.stirred = true // no silence any more
		return
	}
	hopeless := d.ask.Kind != DrillLink && !slices.ContainsFunc(e.pair.peers, func(p *peer) bool { return e.fresh(now, p) })
	if over || hopeless {
		e.failDrill(now, fmt.Sprintf("no peer held it after %s: %s", round(now.Sub(d.report.Began)), e.standby(now, vips[0])))
	}
}

// drillHolder names the peer that says that it holds all of them, and that this
// host holds none of, "" when there is none.
func (e *Engine) drillHolder(now time.Time, vips []*vip) string {
	for _, p := range e.pair.peers {
		holds := func(v *vip) bool {
			r := p.vips[v.name]
			return !v.there && r.Role == pair.Active && r.Held
		}
		if e.fresh(now, p) && allOf(vips, holds) {
			return p.name
		}
	}
	return ""
}

// probeVIP begins or ends the look of a client at the VIP that was asked for.
func (e *Engine) probeVIP(vips []*vip, on bool) {
	d := e.drill
	i := slices.IndexFunc(vips, func(v *vip) bool { return v.name == d.ask.Name })
	if i >= 0 && d.ask.Probe != DrillNoProbe {
		e.do(ProbeVIP{VIP: d.ask.Name, Address: vips[i].cfg.Addresses[0].Addr(), Target: d.ask.Probe, On: on})
	}
}

// drillServed asks what a client saw.
func (e *Engine) drillServed(now time.Time) {
	d := e.drill
	if d.ask.Probe == DrillNoProbe {
		e.passDrill(now)
		return
	}
	d.phase, d.due = DrillSeen, now.Add(drillClient)
	e.do(ProbeVIP{VIP: d.ask.Name})
}

// vipProbed judges what a client saw.
func (e *Engine) vipProbed(now time.Time, ev VIPProbed) {
	d := e.drill
	if d == nil || d.phase != DrillSeen || ev.VIP != d.ask.Name {
		return
	}
	c := ev.Client
	d.report.Client = &c
	d.step(now, "a client lost %d of %d probes of %s, none answered for %s", c.Lost, c.Sent, c.Target, round(c.Outage))
	switch {
	case !c.OK:
		e.failDrill(now, fmt.Sprintf("%s holds it, but does not answer a client: %s", d.report.Peer, c.Detail))
	case c.Outage > d.report.Limit:
		e.failDrill(now, fmt.Sprintf("a client had no answer for %s, the limit is %s", round(c.Outage), d.report.Limit))
	default:
		e.passDrill(now)
	}
}

// passDrill notes the proof, and has the VIP come back.
func (e *Engine) passDrill(now time.Time) {
	d := e.drill
	d.report.Passed = true
	for _, name := range d.report.VIPs {
		if v := e.byName[name]; v != nil {
			e.prove(now, v)
		}
	}
	e.drillHome(now)
}

// failDrill notes the first thing that went wrong, and has the VIP come back.
func (e *Engine) failDrill(now time.Time, why string) {
	d := e.drill
	if d.watched && d.report.Client == nil && d.ask.Probe != DrillNoProbe {
		e.do(ProbeVIP{VIP: d.ask.Name})
	}
	if d.report.Why == "" {
		d.report.Passed, d.report.Why = false, why
	}
	if d.phase != DrillReturn && e.stopping.IsZero() {
		e.drillHome(now)
	}
}

// drillHome unblocks the VIP. It stays with the peer when that was asked for, or when
// the peer shall have it by its priority.
func (e *Engine) drillHome(now time.Time) {
	d := e.drill
	d.report.Stays = d.ask.Stay && d.report.Passed
	d.phase, d.due = DrillReturn, now.Add(drillBack)
	var vips []*vip
	for _, name := range d.report.VIPs {
		if v := e.byName[name]; v != nil {
			vips = append(vips, v)
			v.router.Yield(d.report.Stays)
		}
	}
	for _, v := range vips {
		if h := e.holder(now, v); h != nil && !d.report.Stays && !outranks(v.bare(), h.vips[v.name]) {
			d.report.Stays = true
			d.step(now, "it stays with %s, which has priority %d, own %d", h.name, h.vips[v.name].Priority, v.router.Settings().Priority)
			break
		}
	}
	e.evaluate(now, d.record)
}

// bare is how v stands to that of a peer, whatever was yielded.
func (v *vip) bare() pair.VIP {
	set := v.router.Settings()
	return pair.VIP{Priority: set.Priority, Source: set.Address}
}

// drillReturns ends a drill when the VIP is back.
func (e *Engine) drillReturns(now time.Time, vips []*vip, over bool) {
	d := e.drill
	back := allOf(vips, func(v *vip) bool { return v.state == Active && v.there && v.applied && !v.quiet && v.taking.from == "" })
	switch {
	case d.report.Stays:
		d.step(now, "%s keeps it", cmp.Or(d.report.Peer, "a peer"))
	case back:
		d.step(now, "back here")
	case over:
		i := slices.IndexFunc(vips, func(v *vip) bool { return v.state != Active || !v.there })
		e.failDrill(now, fmt.Sprintf("it is not back here after %s: %s", drillBack, e.why(now, vips[max(i, 0)])))
	default:
		e.pair.stirred = true // it is asked for
		return
	}
	e.endDrill(now)
}

// interruptDrill ends a drill of VIPs of which an operator wants something else now.
func (e *Engine) interruptDrill(now time.Time, vips []*vip, why string) {
	if e.drill != nil && slices.ContainsFunc(vips, e.drill.on) {
		e.failDrill(now, why)
		e.endDrill(now)
	}
}

// endDrill reports and answers.
func (e *Engine) endDrill(now time.Time) {
	d := e.drill
	e.drill = nil
	r := Record{Type: RecordDrill, Name: strings.Join(d.report.VIPs, ", "), From: "begun", To: "passed", Reason: string(d.ask.Kind), Actor: d.ask.Actor,
		Cause: d.record, Severity: Notice, Took: d.report.Took}
	r.Text = fmt.Sprintf("%s: %s passed: %s held it after %s%s", r.Name, d.text(), d.report.Peer, round(d.report.Took), clientWords(d.report.Client))
	if !d.report.Passed {
		r.To, r.Severity = "failed", Warning
		r.Text = fmt.Sprintf("%s: %s failed: %s", r.Name, d.text(), d.report.Why)
	}
	e.report(now, r)
	report := d.clone().report
	e.do(Answer{ID: d.ask.ID, Text: r.Text, Drill: &report})
}

func clientWords(c *ClientReport) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(", a client lost %d of %d probes", c.Lost, c.Sent)
}

// wantsBack reports whether v is asked for at the end of a drill, whatever its
// preempt says.
func (e *Engine) wantsBack(now time.Time, v *vip) bool {
	if !e.drill.returns(v) || v.router.State() != vrrp.Backup {
		return false
	}
	h := e.holder(now, v)
	return h != nil && outranks(v.bare(), h.vips[v.name])
}
