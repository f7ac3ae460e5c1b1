package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// beginDrill begins one, or says why not.
func (e *Engine) beginDrill(now time.Time, ev Drill) {
	v := e.byName[ev.Name]
	if why := e.noDrill(now, v, ev); why != "" {
		e.do(Answer{ID: ev.ID, Refused: true, Text: why})
		return
	}
	if ev.Hold <= 0 {
		ev.Hold = drillHold
	}
	d := &drill{ask: ev, phase: DrillAway, report: DrillReport{
		VIP: ev.Name, Kind: ev.Kind, By: ev.Actor.Name, Began: now, Limit: ev.Within, Steps: []DrillStep{},
	}}
	for _, m := range v.peers() {
		d.report.VIPs = append(d.report.VIPs, m.name)
		if ev.Within <= 0 {
			d.report.Limit = max(d.report.Limit, e.drillLimit(m, ev.Kind))
		}
		m.drilledAt = now
	}
	slices.Sort(d.report.VIPs)
	d.report.Limit = d.report.Limit.Round(10 * time.Millisecond)
	d.due, e.drill = now.Add(d.report.Limit), d
	d.record = e.report(now, Record{Type: RecordDrill, Name: strings.Join(d.report.VIPs, ", "), To: "begun", Reason: string(ev.Kind), Severity: Notice, Actor: ev.Actor,
		Text: fmt.Sprintf("%s: %s begins: a peer is to have it within %s", strings.Join(d.report.VIPs, ", "), d.text(), d.report.Limit)})
	e.evaluate(now, d.record)
}

// drillLimit is how long a takeover of v may take.
func (e *Engine) drillLimit(v *vip, kind DrillKind) time.Duration {
	if kind == DrillLink {
		return v.router.ActiveDownInterval() + v.cfg.Interval + v.cfg.BeforeHold + drillWithin
	}
	return v.cfg.BeforeHold + drillWithin
}

// noDrill says why v cannot be drilled, "" when it can: a drill takes no risk that
// is known.
func (e *Engine) noDrill(now time.Time, v *vip, ev Drill) string {
	switch {
	case v == nil && e.service(ev.Name) != nil:
		return ev.Name + " is an anycast service: every host that has it announces it; use drain"
	case v == nil:
		return "no such vip: " + ev.Name
	case e.drill != nil:
		return fmt.Sprintf("a %s is under way: %s", e.drill.text(), strings.Join(e.drill.report.VIPs, ", "))
	case !slices.Contains([]DrillKind{DrillCheck, DrillStop, DrillLink}, ev.Kind):
		return fmt.Sprintf("no drill is %q", ev.Kind)
	case v.owner():
		return v.name + " has priority 255: the addresses are this host's own, and stay here"
	case !e.stopping.IsZero():
		return "vipd is stopping"
	case e.cfg.Pair == nil:
		return "nobody could tell that the peer took it: no [pair] is configured"
	case e.pair.boot == 0:
		return "nobody could tell that the peer took it: the pair channel is not open" + orColon(e.pair.err)
	}
	for _, m := range v.peers() {
		if m.state != Active || !m.there || !m.applied || m.quiet || m.moving != nil || m.offer.to != "" {
			return fmt.Sprintf("%s is not held here, or is on its way: it is %s: %s", m.name, m.state, e.why(now, m))
		}
		if m.lease.fails > 0 || m.failures > 0 {
			return fmt.Sprintf("%s is held, but the kernel refused something lately: vipd why %s", m.name, m.name)
		}
		if again := m.drilledAt.Add(drillCalm); !m.drilledAt.IsZero() && now.Before(again) {
			return fmt.Sprintf("the last drill of %s was %s ago: wait for %s", m.name, round(now.Sub(m.drilledAt)), round(again.Sub(now)))
		}
	}
	return e.pairUnfit(now, v, ev.Kind)
}

// pairUnfit says why nobody may be trusted to take v in a drill.
func (e *Engine) pairUnfit(now time.Time, v *vip, kind DrillKind) string {
	if e.taker(now, v) == nil {
		return fmt.Sprintf("no peer is ready to take %s: %s", v.name, e.standby(now, v))
	}
	for _, p := range e.pair.peers {
		switch {
		case !e.fresh(now, p):
			return fmt.Sprintf("peer %s is silent: what it would do is not known", p.name)
		case p.hearsUs < v.saidSeq:
			return fmt.Sprintf("peer %s does not hear this host", p.name)
		case p.config == nil:
			return fmt.Sprintf("peer %s has not told its configuration yet: try again in %s", p.name, configEach)
		case len(p.drift) > 0:
			return fmt.Sprintf("the configuration of %s differs: %s", p.name, p.drift[0])
		}
	}
	for _, m := range v.peers() {
		if voter := e.voteless(now, m); voter != "" {
			return fmt.Sprintf("%s has not the vote of %s: if a peer failed in the drill, nobody might have a majority", m.name, voter)
		}
	}
	for _, x := range e.fences {
		if x.f.Status(now).Unprotected {
			return fmt.Sprintf("%s is unprotected, nothing could cut it off: vipd fence list", x.peer)
		}
	}
	shoots := func(o *vip) bool { return o.cfg.Takeover != TakeoverVRRP }
	if i := slices.IndexFunc(e.vips, shoots); kind == DrillLink && (i >= 0 || len(e.cfg.Fences) > 0) {
		return "a host that falls silent may be cut off for good, as peers are fenced here: use another kind"
	}
	return ""
}

// voteless names a voter whose vote v has not, or which does not renew it: it has just
// started. "" is none.
func (e *Engine) voteless(now time.Time, v *vip) string {
	if s := e.votesStatus(now, v); s != nil {
		for _, vote := range s.Votes {
			switch {
			case vote.Why != "":
				return vote.Voter + " (" + strings.ReplaceAll(vote.Why, "_", " ") + ")"
			case !vote.Counts:
				return vote.Voter
			}
		}
	}
	return ""
}

func orColon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
