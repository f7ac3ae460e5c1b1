package engine

import (
	"maps"
	"slices"
)

// Clone returns an engine that knows the same and goes its own way from here:
// nothing that either of them changes is shared. Configuration and snapshots of
// links are shared, since both replace them as a whole.
func (e *Engine) Clone() *Engine {
	c := *e
	c.links, c.managed = maps.Clone(e.links), maps.Clone(e.managed)
	c.groupTold = maps.Clone(e.groupTold)
	c.out, c.drill = nil, e.drill.clone()
	moved := make(map[*timer]*timer, len(e.timers))
	c.cloneVIPs(e, moved)
	c.cloneServices(e, moved)
	c.pairTimer()
	c.pair.timer.due, c.pair.timer.pos = e.pair.timer.due, e.pair.timer.pos
	moved[&e.pair.timer] = &c.pair.timer
	if e.votes.own != nil {
		c.votes.own = e.votes.own.Clone()
	}
	c.votes.stirred = nil
	c.fences = make([]*fencing, len(e.fences))
	for i, x := range e.fences {
		n := &fencing{peer: x.peer, f: x.f.Clone(), told: x.told, before: x.before, counted: x.counted}
		n.told.Waiting = slices.Clone(x.told.Waiting)
		c.fenceTimer(n)
		n.timer.due, n.timer.pos = x.timer.due, x.timer.pos
		moved[&x.timer] = &n.timer
		c.fences[i] = n
	}
	c.pair.said = slices.Clone(e.pair.said)
	c.pair.peers = make([]*peer, len(e.pair.peers))
	for i, p := range e.pair.peers {
		c.pair.peers[i] = p.clone()
	}
	c.checks = make([]*checkRun, len(e.checks))
	copies := make(map[*checkRun]*checkRun, len(e.checks))
	for i, old := range e.checks {
		n := *old
		n.state, n.recent = old.state.Clone(), slices.Clone(old.recent)
		n.sight, n.weight = copied(old.sight), copied(old.weight)
		if n.sight != nil {
			n.sight.Weight = copied(n.sight.Weight)
		}
		c.checkTimer(&n)
		n.timer.due, n.timer.pos = old.timer.due, old.timer.pos
		moved[&old.timer] = &n.timer
		c.checks[i], copies[old] = &n, &n
	}
	c.settled, c.bound = translate(e.settled, copies), translate(e.bound, copies)
	c.timers = make(timers, len(e.timers))
	for i, t := range e.timers {
		c.timers[i] = moved[t] // the order of equal times is part of what is decided
	}
	return &c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	value := *p
	return &value
}

// translate returns the copies of what list holds, in its order.
func translate[T any](list []*T, copies map[*T]*T) []*T {
	out := make([]*T, len(list))
	for i, old := range list {
		out[i] = copies[old]
	}
	return out
}

// cloneVIPs copies the VIPs of old, and what leads to them.
func (e *Engine) cloneVIPs(old *Engine, moved map[*timer]*timer) {
	copies := make(map[*vip]*vip, len(old.vips))
	groups := map[*group]*group{}
	e.vips = make([]*vip, len(old.vips))
	for i, o := range old.vips {
		v := o.clone()
		e.vipTimer(v)
		v.timer.due, v.timer.pos = o.timer.due, o.timer.pos
		moved[&o.timer] = &v.timer
		copies[o], e.vips[i] = v, v
	}
	for _, v := range e.vips {
		if v.group == nil {
			continue
		}
		if groups[v.group] == nil {
			groups[v.group] = &group{name: v.group.name, members: translate(v.group.members, copies)}
		}
		v.group = groups[v.group]
	}
	e.byName = make(map[string]*vip, len(old.byName))
	for name, o := range old.byName {
		e.byName[name] = copies[o]
	}
	e.byWire = make(map[wire]*vip, len(old.byWire))
	for w, o := range old.byWire {
		e.byWire[w] = copies[o]
	}
}

// cloneServices copies the services of old, and what is known of the speaker.
func (e *Engine) cloneServices(old *Engine, moved map[*timer]*timer) {
	e.services = make([]*service, len(old.services))
	for i, o := range old.services {
		s := *o
		s.blockers, s.terms = slices.Clone(o.blockers), slices.Clone(o.terms)
		s.gone, s.fresh = slices.Clone(o.gone), slices.Clone(o.fresh)
		s.changes, s.drained, s.replace = maps.Clone(o.changes), copied(o.drained), copied(o.replace)
		e.serviceTimer(&s)
		s.timer.due, s.timer.pos = o.timer.due, o.timer.pos
		moved[&o.timer] = &s.timer
		e.services[i] = &s
	}
	e.speaker.sessions = make(map[string]*session, len(old.speaker.sessions))
	for name, s := range old.speaker.sessions {
		e.speaker.sessions[name] = copied(s)
	}
}

func (p *peer) clone() *peer {
	n := *p
	n.addresses, n.hearsOn, n.drift = slices.Clone(p.addresses), slices.Clone(p.hearsOn), slices.Clone(p.drift)
	n.vips, n.told, n.sources = maps.Clone(p.vips), maps.Clone(p.told), maps.Clone(p.sources)
	n.config = maps.Clone(p.config)
	n.paths, n.was = slices.Clone(p.paths), slices.Clone(p.was)
	for i := range n.was {
		n.was[i].vips = maps.Clone(n.was[i].vips)
	}
	return &n
}

// clone copies everything but the timer and the group.
func (v *vip) clone() *vip {
	n := *v
	router := *v.router
	n.router = &router
	n.own, n.blockers, n.terms = slices.Clone(v.own), slices.Clone(v.blockers), slices.Clone(v.terms)
	n.list, n.bursts = slices.Clone(v.list), slices.Clone(v.bursts)
	n.transitions = maps.Clone(v.transitions)
	if v.drained != nil {
		d := *v.drained
		n.drained = &d
	}
	if v.replace != nil {
		r := *v.replace
		n.replace = &r
	}
	n.going, n.kept = copied(v.going), copied(v.kept)
	if n.ballot.holder != nil {
		n.ballot.holder = n.ballot.holder.Clone()
	}
	if v.moving != nil {
		m := *v.moving
		n.moving = &m
	}
	return &n
}

// Config returns the configuration in force. Its maps are the engine's own: they
// are read only.
func (e *Engine) Config() Config { return e.cfg }

// Links returns the last snapshot of every interface, sorted by name.
func (e *Engine) Links() []Link {
	var list []Link
	for _, name := range slices.Sorted(maps.Keys(e.links)) {
		l := e.links[name].Link
		l.Addresses = slices.Clone(l.Addresses)
		list = append(list, l)
	}
	return list
}

// Pending returns the actions whose answers are still to come: who goes on with
// a [Engine.Clone] in a world of its own carries them out there.
func (e *Engine) Pending() []Action {
	var list []Action
	for _, v := range e.vips {
		if !v.applied && v.retryAt.IsZero() {
			list = append(list, e.setAddressesAction(v))
		}
		if !v.lease.asked.IsZero() {
			list = append(list, SetLease{VIP: v.name, On: v.lease.on, Seq: v.lease.seq})
		}
		if !v.hookDue.IsZero() {
			list = append(list, RunHook{Change: v.change(Active, v.told), Seq: v.hookSeq, Within: v.cfg.BeforeHold})
		}
	}
	for _, s := range e.services {
		if s.seq > 0 && !s.applied && s.retryAt.IsZero() {
			list = append(list, s.setAddressesAction())
		}
	}
	if e.speaker.announced < e.speaker.seq {
		list = append(list, SetTable{e.speaker.table, e.speaker.seq})
	}
	for _, c := range e.checks {
		if c.state.Running() {
			list = append(list, RunCheck{c.name})
		}
	}
	return list
}
