package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/vrrp"
)

func (d *DrainStatus) text() string {
	text := "drained by " + d.Actor
	if d.Reason != "" {
		text += " (" + d.Reason + ")"
	}
	return text
}

// picked is what a command is about.
type picked struct {
	vips     []*vip
	services []*service
}

// pick returns the named VIPs with the members of their sync groups, and the
// named services; all of them for no names; and the names that do not exist. A
// VIP and a service of one name are both meant.
func (e *Engine) pick(names []string) (p picked, unknown []string) {
	if len(names) == 0 {
		return picked{slices.Clone(e.vips), slices.Clone(e.services)}, nil
	}
	for _, n := range names {
		v, s := e.byName[n], e.service(n)
		switch {
		case v == nil && s == nil:
			unknown = append(unknown, n)
		case v != nil && v.group != nil:
			p.vips = append(p.vips, v.group.members...)
		case v != nil:
			p.vips = append(p.vips, v)
		}
		if s != nil {
			p.services = append(p.services, s)
		}
	}
	return p, unknown
}

// names lists what was picked, each name once.
func (p picked) names() string {
	list := serviceNames(p.services)
	for _, v := range p.vips {
		list = append(list, v.name)
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

func (e *Engine) refuseUnknown(id uint64, unknown []string) {
	e.do(Answer{ID: id, Refused: true, Text: fmt.Sprintf("no such vip or anycast service: %s", strings.Join(unknown, ", "))})
}

// drain takes VIPs out of service.
func (e *Engine) drain(now time.Time, ev Drain) {
	p, unknown := e.pick(ev.Names)
	if len(unknown) > 0 {
		e.refuseUnknown(ev.ID, unknown)
		return
	}
	e.interruptDrill(now, p.vips, "it was drained meanwhile by "+ev.Actor.Name)
	d := &DrainStatus{Actor: ev.Actor.Name, Reason: ev.Reason, Since: now}
	if ev.For > 0 {
		d.Until = now.Add(ev.For)
	}
	for _, v := range p.vips {
		v.drained = d
		e.schedule(v)
	}
	for _, s := range p.services {
		s.drained = d
	}
	cause := e.report(now, Record{Type: RecordDrain, Name: p.names(), To: "drained", Severity: Notice, Actor: ev.Actor,
		Text: fmt.Sprintf("%s: %s", p.names(), d.text())})
	e.evaluate(now, cause)
	text := "drained: " + p.names()
	if n := e.draining(p.services); n != "" {
		text += fmt.Sprintf("; %s: announced with graceful-shutdown, withdrawn in %s", n, e.cfg.DrainWait)
	}
	e.do(Answer{ID: ev.ID, Text: text})
}

// restoreDrains keeps VIPs out of service that an earlier run had drained,
// except those whose time is over.
func (e *Engine) restoreDrains(now time.Time, ev RestoreDrains) {
	for _, v := range e.vips {
		d, ok := ev.Drains[v.name]
		if !ok || !d.Until.IsZero() && !now.Before(d.Until) {
			continue
		}
		v.drained = &d
		e.report(now, Record{Type: RecordDrain, Name: v.name, To: "drained", Severity: Notice,
			Text: fmt.Sprintf("%s: still %s", v.name, d.text())})
	}
	for _, s := range e.services {
		d, ok := ev.Services[s.name]
		if !ok || !d.Until.IsZero() && !now.Before(d.Until) {
			continue
		}
		s.drained = &d
		e.report(now, Record{Type: RecordDrain, Name: s.name, To: "drained", Severity: Notice,
			Text: fmt.Sprintf("%s: still %s", s.name, d.text())})
	}
	e.evaluate(now, 0)
}

// undrain puts VIPs back into service, and ends the effect of a failover.
func (e *Engine) undrain(now time.Time, ev Undrain) {
	p, unknown := e.pick(ev.Names)
	if len(unknown) > 0 {
		e.refuseUnknown(ev.ID, unknown)
		return
	}
	e.interruptDrill(now, p.vips, "it was ended by "+ev.Actor.Name+" (undrain)")
	for _, v := range p.vips {
		v.router.Yield(false)
		if v.drained != nil {
			e.endDrain(now, v, ev.Actor.Name, ev.Actor)
		}
	}
	for _, s := range p.services {
		if s.drained != nil {
			e.endServiceDrain(now, s, ev.Actor.Name, ev.Actor)
		}
	}
	e.evaluate(now, 0)
	e.do(Answer{ID: ev.ID, Text: "in service: " + p.names()})
}

func (e *Engine) endDrain(now time.Time, v *vip, why string, actor Actor) {
	v.drained = nil
	e.report(now, Record{Type: RecordDrain, Name: v.name, From: "drained", Severity: Notice, Actor: actor,
		Text: fmt.Sprintf("%s: drain ended: %s", v.name, why)})
	e.schedule(v)
}

// failover gives a held VIP and its sync group away. It is answered when a peer
// advertises it, or when we are Active again because nobody did.
func (e *Engine) failover(now time.Time, ev Failover) {
	p, unknown := e.pick([]string{ev.Name})
	if len(unknown) > 0 {
		e.refuseUnknown(ev.ID, unknown)
		return
	}
	vips, v := p.vips, e.byName[ev.Name]
	if v == nil {
		e.do(Answer{ID: ev.ID, Refused: true, Text: ev.Name + " is an anycast service: every host that has it announces it; use drain"})
		return
	}
	if v.state != Active || v.moving != nil {
		e.do(Answer{ID: ev.ID, Refused: true, Text: fmt.Sprintf("%s is %s here: %s", v.name, v.state, e.why(now, v))})
		return
	}
	if v.owner() {
		e.do(Answer{ID: ev.ID, Refused: true, Text: v.name + " has priority 255: its owner always takes it back; use drain"})
		return
	}
	if unready := e.unready(now, v); unready != "" {
		e.do(Answer{ID: ev.ID, Refused: true, Text: fmt.Sprintf("nobody could take %s: %s; to give it up all the same: vipd drain %s", v.name, unready, v.name)})
		return
	}
	v.moving = &move{id: ev.ID, since: now}
	cause := e.report(now, Record{Type: RecordFailover, Name: v.name, Severity: Notice, Actor: ev.Actor,
		Text: fmt.Sprintf("%s: failover asked for by %s", names(vips), ev.Actor.Name)})
	for _, m := range vips {
		m.router.Yield(true)
	}
	for _, m := range vips {
		if m.router.State() == vrrp.Active {
			e.leave(now, m, going{Initialize, "failover", "given away by " + ev.Actor.Name, cause})
		}
	}
}

// peerHeard ends a failover when another host advertises the VIP.
func (e *Engine) peerHeard(now time.Time, v *vip, before vrrp.Heard) {
	heard := v.router.Heard()
	if heard == before || !heard.Source.IsValid() {
		return
	}
	e.endMove(now, v, false)
}

// endMove answers a failover: back means that nobody took the VIP.
func (e *Engine) endMove(now time.Time, v *vip, back bool) {
	if v.moving == nil {
		return
	}
	id, took := v.moving.id, round(now.Sub(v.moving.since))
	v.moving = nil
	if back {
		e.do(Answer{ID: id, Refused: true,
			Text: fmt.Sprintf("nobody took %s: this host has it again after %s; is the peer up and eligible?", v.name, took)})
		return
	}
	e.do(Answer{ID: id, Text: fmt.Sprintf("%s has %s after %s", v.router.Heard().Source, v.name, took)})
}

// sendFailed reports that adverts do not leave the host, once in a while.
func (e *Engine) sendFailed(now time.Time, ev SendFailed) {
	v := e.byName[ev.VIP]
	if v == nil {
		return
	}
	if !v.sendFailedAt.IsZero() && now.Sub(v.sendFailedAt) < contestCalm {
		return
	}
	v.sendFailedAt = now
	e.report(now, Record{Type: RecordLink, Name: v.cfg.Interface, Severity: Warning, Cause: v.record,
		Text: fmt.Sprintf("%s: adverts do not leave: %s", v.name, ev.Err)})
}

func names(vips []*vip) string {
	list := make([]string, len(vips))
	for i, v := range vips {
		list[i] = v.name
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}
