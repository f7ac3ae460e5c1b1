package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// link is the last snapshot of an interface.
type link struct {
	Link
	since    time.Time // of Up or not
	prefixes map[netip.Prefix]bool
}

func (l *link) has(p netip.Prefix) bool { return l.prefixes[p] }

// up reports whether a link can carry traffic; one never seen cannot.
func (l *link) up() bool { return l != nil && l.Present && l.Up }

// linkChanged takes a new snapshot and looks at everything that depends on it.
func (e *Engine) linkChanged(now time.Time, snapshot Link) {
	old := e.links[snapshot.Name]
	if snapshot.Read.IsZero() {
		snapshot.Read = now
	}
	l := &link{Link: snapshot, since: now, prefixes: make(map[netip.Prefix]bool, len(snapshot.Addresses))}
	for _, p := range snapshot.Addresses {
		l.prefixes[p] = true
	}
	e.links[snapshot.Name] = l
	var cause uint64
	switch {
	case old == nil, old.up() != l.up(), old.Present != l.Present:
		severity := Info
		if !l.up() {
			severity = Warning
		}
		cause = e.report(now, Record{Type: RecordLink, Name: l.Name, From: linkWord(old), To: linkWord(l), Severity: severity,
			Text: fmt.Sprintf("interface %s is %s", l.Name, linkWord(l))})
	default:
		l.since = old.since
	}
	e.evaluate(now, cause)
	for _, v := range e.vips {
		if v.cfg.Interface != l.Name {
			continue
		}
		if old != nil && old.MAC != l.MAC && v.want && v.applied && !v.cfg.VMAC {
			v.planBursts(now, "link")
			e.announceDue(now, v)
		}
		e.reconcile(now, v)
	}
	for _, s := range e.services {
		if s.cfg.Device == l.Name {
			e.reconcileService(now, s)
		}
	}
	e.goOn(now)
}

func linkWord(l *link) string {
	switch {
	case l == nil:
		return "unknown"
	case !l.Present:
		return "missing"
	case !l.Up:
		return "down"
	}
	return "up"
}

// source returns the address that adverts of v leave from: the configured one,
// or the interface's first of the election's family that is no VIP (RFC 9568,
// Sections 5.1.1.1 and 5.1.2.1: link-local for IPv6).
func (e *Engine) source(v *vip) netip.Addr {
	if v.cfg.UnicastSource.IsValid() {
		return v.cfg.UnicastSource
	}
	l := e.links[v.cfg.Interface]
	if l == nil {
		return netip.Addr{}
	}
	return l.primary(v.cfg.Family4(), e.managed)
}

// primary returns the first address of a family that is not managed.
func (l *link) primary(family4 bool, managed map[netip.Addr]bool) netip.Addr {
	i := slices.IndexFunc(l.Addresses, func(p netip.Prefix) bool {
		a := p.Addr()
		return a.Is4() == family4 && (family4 || a.IsLinkLocalUnicast()) && !managed[a]
	})
	if i < 0 {
		return netip.Addr{}
	}
	return l.Addresses[i].Addr()
}
