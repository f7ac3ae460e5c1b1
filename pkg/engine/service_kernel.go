package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// place wants the addresses of s there, as long as it is in service here and
// there is a link to put them on.
func (e *Engine) place(s *service) {
	if l := e.links[s.cfg.Device]; len(s.cfg.Addresses()) > 0 && l != nil && l.Present && !s.want && s.belongs() {
		e.putAddresses(s, true)
	}
}

// belongs reports whether the addresses of s have their place here, whatever its
// health is.
func (s *service) belongs() bool {
	return !slices.ContainsFunc(s.blockers, func(b Blocker) bool {
		return b.Kind == BlockedStop || b.Kind == BlockedReload || b.Kind == BlockedDrain || b.Kind == BlockedVIP
	})
}

// unplace removes addresses whose routes are withdrawn: all of them when s has
// left, or those that a reload took away.
func (e *Engine) unplace(now time.Time, s *service) {
	if s.told && len(s.gone) == 0 {
		s.leaveBy, s.lingers = time.Time{}, false
		return
	}
	if e.withdrawn(s) && !s.lingers && !s.leaveBy.IsZero() && e.heard(s) {
		s.lingers, s.leaveBy = true, now.Add(lingerFor)
	}
	waits := !s.leaveBy.IsZero() && now.Before(s.leaveBy)
	if s.lingers && waits && !e.hurry || !s.lingers && !e.withdrawn(s) && (waits || s.leaveBy.IsZero()) {
		return
	}
	s.leaveBy, s.lingers = time.Time{}, false
	had := len(s.gone) > 0
	s.gone = nil
	switch {
	case s.want && !s.told && !s.belongs(), s.seq == 0 && len(s.cfg.Addresses()) > 0 && !s.belongs():
		e.putAddresses(s, false)
	case had && s.seq > 0:
		e.putAddresses(s, s.want)
	}
}

// withdrawn reports whether the neighbors know the newest table that had to do
// with s.
func (e *Engine) withdrawn(s *service) bool {
	return s.tableSeq == 0 || e.speaker.announced >= s.tableSeq
}

// away reports whether nothing of s is announced or in the kernel any more.
func (e *Engine) away(s *service) bool {
	return !s.told && s.leaveBy.IsZero() && (s.seq == 0 || s.applied && !s.there)
}

// putAddresses wants the addresses of s there, or gone. Those that were to go may have
// gone, also when the kernel has not said so.
func (e *Engine) putAddresses(s *service, present bool) {
	if present && !s.want && !s.applied {
		s.there = false
	}
	e.applySeq++
	s.begin(e.applySeq, present)
	e.do(s.setAddressesAction())
}

func (s *service) setAddressesAction() SetAddresses {
	return SetAddresses{
		Service: s.name, Interface: s.cfg.Device, Addresses: slices.Concat(s.cfg.Addresses(), s.gone), Present: s.want, Seq: s.seq,
	}
}

// serviceApplied continues what waited for the kernel.
func (e *Engine) serviceApplied(now time.Time, ev AddressesApplied) {
	s := e.service(ev.Service)
	if s == nil || ev.Seq != s.seq {
		return
	}
	if ev.Err != "" {
		if s.refused(now, ev.Err) {
			e.report(now, Record{Type: RecordAddress, Name: s.name, To: "failed", Cause: s.record, Severity: Warning,
				Text: fmt.Sprintf("%s: %s; trying again", s.name, ev.Err)})
		}
		e.evaluateServices(now, 0)
		return
	}
	had := s.there
	s.confirmed(now)
	word := ""
	switch {
	case s.want && !had:
		word = "present"
	case !s.want && had:
		word = "absent"
	}
	if word != "" {
		e.report(now, Record{Type: RecordAddress, Name: s.name, To: word, Cause: s.record,
			Text: fmt.Sprintf("%s: %s %s on %s after %s", s.name, prefixes(s.cfg.Addresses()), word, s.cfg.Device, round(ev.Took))})
	}
	if s.want && len(s.fresh) > 0 {
		s.fresh = nil
		if s.told {
			e.retell(s)
		}
	}
	e.reconcileService(now, s)
	e.evaluateServices(now, 0)
}

// reconcileService compares the addresses of s with what the kernel shows.
func (e *Engine) reconcileService(now time.Time, s *service) {
	l := e.links[s.cfg.Device]
	if s.seq == 0 || l == nil || !l.Present {
		return
	}
	addresses := slices.Concat(s.cfg.Addresses(), s.gone)
	switch f, lost := s.compare(now, l, addresses, false); f {
	case asWanted, misplaced:
		e.scheduleService(s)
		return
	case outdated:
		e.do(ReadLink{Interface: l.Name})
		e.scheduleService(s)
		return
	case unanswered:
	case missing:
		s.restored++
		e.report(now, Record{Type: RecordLost, Name: s.name, From: "present", To: "absent", Severity: Warning,
			Text: fmt.Sprintf("%s: somebody removed %s from %s; put back", s.name, prefixes(lost), l.Name)})
	case stray:
		e.report(now, Record{Type: RecordLost, Name: s.name, To: "absent", Severity: Warning,
			Text: fmt.Sprintf("%s: %s appeared on %s although it is out of service; removed", s.name, prefixes(addresses), l.Name)})
	}
	e.putAddresses(s, s.want)
	e.scheduleService(s)
}

// configureServices takes the services of a new configuration as a difference.
func (e *Engine) configureServices(now time.Time, next map[string]Service) {
	for _, s := range e.services {
		cfg, ok := next[s.name]
		s.removed, s.replace = !ok, nil
		switch {
		case !ok:
		case cfg.Device != s.cfg.Device:
			s.replace = &cfg
		case !reflect.DeepEqual(s.cfg, cfg):
			e.reconfigureService(now, s, cfg)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if e.service(name) == nil {
			e.addService(now, name, next[name])
		}
	}
}

// reconfigureService changes a service that goes on. New addresses come before
// their routes, and old ones go after theirs.
func (e *Engine) reconfigureService(now time.Time, s *service, next Service) {
	old := s.cfg
	s.cfg = next
	before, after := old.Addresses(), next.Addresses()
	s.gone = slices.DeleteFunc(slices.Concat(s.gone, before), func(p netip.Prefix) bool { return slices.Contains(after, p) })
	added := slices.DeleteFunc(slices.Clone(after), func(p netip.Prefix) bool { return slices.Contains(before, p) })
	if s.told || s.there {
		s.fresh = slices.Concat(s.fresh, added)
	}
	if s.told {
		if len(s.gone) > 0 {
			s.leaveBy, s.lingers = now.Add(withdrawWithin), false
		}
		e.retell(s)
	}
	if s.seq > 0 && !slices.Equal(before, after) {
		e.putAddresses(s, s.want)
	}
}

// addService starts a service as withdrawn.
func (e *Engine) addService(now time.Time, name string, cfg Service) {
	s := &service{
		name: name, cfg: cfg, state: ServiceWaiting, since: now, reason: "startup", text: "has just been configured", changes: map[string]uint64{},
	}
	s.follows = e.isHeld(cfg.FollowVIP)
	e.serviceTimer(s)
	i, _ := e.findService(name)
	e.services = slices.Insert(e.services, i, s)
}

// serviceDepartures ends the services that a reload took away and that have left,
// starts what replaces them, and reports whether it started any.
func (e *Engine) serviceDepartures(now time.Time) bool {
	var gone []*service
	e.services = slices.DeleteFunc(e.services, func(s *service) bool {
		departs := (s.removed || s.replace != nil) && e.away(s)
		if departs {
			gone = append(gone, s)
		}
		return departs
	})
	started := false
	for _, s := range gone {
		e.timers.set(&s.timer, time.Time{})
		e.report(now, Record{Type: RecordAnycast, Name: s.name, From: string(s.state), Reason: string(BlockedReload), Cause: s.record, Severity: Notice,
			Text: s.name + ": gone, a reload took it away"})
		if s.replace != nil {
			e.addService(now, s.name, *s.replace)
			if drained := s.drained; drained != nil {
				e.service(s.name).drained = drained
			}
			started = true
		}
	}
	if len(gone) > 0 {
		e.index()
	}
	return started
}

// followVIPs lets services follow the VIPs that they are announced with.
func (e *Engine) followVIPs(now time.Time) {
	var moved *service
	for _, s := range e.services {
		if held := e.isHeld(s.cfg.FollowVIP); held != s.follows {
			s.follows, moved = held, s
		}
	}
	if moved == nil {
		return
	}
	var cause uint64
	if v := e.byName[moved.cfg.FollowVIP]; v != nil {
		cause = v.record
	}
	e.evaluateServices(now, cause)
}
