package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// An Active that cannot have its addresses lets a peer have them.
const (
	giveUpAfter = 3                // failures in a row
	giveUpFor   = 10 * time.Second // before this host is eligible again
)

// setAddresses wants the addresses of v there, or gone. The owner's addresses
// are the host's own: they are left alone.
func (e *Engine) setAddresses(now time.Time, v *vip, present bool) {
	e.applySeq++
	v.begin(e.applySeq, present)
	v.bursts, v.refreshAt, v.claimAt = nil, time.Time{}, time.Time{} // announced again when it is applied
	if v.owner() {
		e.addressesApplied(now, AddressesApplied{VIP: v.name, Seq: v.seq})
		return
	}
	e.do(e.setAddressesAction(v))
}

// shut makes this host answer no more for v, first of all by its lease.
func (e *Engine) shut(now time.Time, v *vip) {
	e.dropLease(now, v)
	e.setAddresses(now, v, false)
}

// setAddressesAction is what v wants of the kernel.
func (e *Engine) setAddressesAction(v *vip) SetAddresses {
	return SetAddresses{
		VIP: v.name, Interface: v.cfg.Interface, VMAC: v.cfg.VMAC, VRID: v.cfg.VRID,
		Addresses: v.cfg.Addresses, Routes: v.cfg.Routes, Present: v.want, Lifetime: e.lifetime(v), Seq: v.seq,
	}
}

// addressesApplied continues what waited for the kernel: the announcement after
// a takeover, the release after a withdrawal.
func (e *Engine) addressesApplied(now time.Time, ev AddressesApplied) {
	if ev.Service != "" {
		e.serviceApplied(now, ev)
		return
	}
	v := e.byName[ev.VIP]
	if v == nil || ev.Seq != v.seq {
		return
	}
	defer func() { e.schedule(v) }()
	if ev.Err != "" {
		e.addressesFailed(now, v, ev.Err)
		return
	}
	had := v.there
	e.pair.stirred = true
	v.confirmed(now)
	if e.outvoted(now, v) {
		return
	}
	if v.want && e.leaseKind(v) == LeaseAddress {
		v.lease.armed, v.lease.until = true, now.Add(-ev.Took).Add(e.leaseTime(v))
		e.watchLease(v)
	}
	switch {
	case v.want:
		e.noteHolder(now, v, e.cfg.Node)
		e.report(now, Record{Type: RecordAddress, Name: v.name, To: "present", Cause: v.record, Took: ev.Took,
			Text: fmt.Sprintf("%s: %s on %s after %s", v.name, prefixes(v.cfg.Addresses), v.cfg.Interface, round(ev.Took))})
		v.planBursts(now, "takeover")
		e.announceDue(now, v)
		e.tell(v)
		if v.quiet {
			v.quiet = false
			e.advertise(v, v.router.Settings().Priority)
		}
	case v.leaving:
		if had {
			e.report(now, Record{Type: RecordAddress, Name: v.name, To: "absent", Cause: v.record, Took: ev.Took,
				Text: fmt.Sprintf("%s: %s gone from %s after %s", v.name, prefixes(v.cfg.Addresses), v.cfg.Interface, round(ev.Took))})
		}
		if v.lease.asked.IsZero() {
			e.left(now, v)
		}
	case v.loser:
		e.concede(v)
	}
	e.reconcile(now, v)
}

// addressesFailed tries again later; an Active that cannot have its addresses
// lets another host have them.
func (e *Engine) addressesFailed(now time.Time, v *vip, err string) {
	if v.refused(now, err) {
		e.report(now, Record{Type: RecordAddress, Name: v.name, To: "failed", Cause: v.record, Severity: Warning,
			Text: fmt.Sprintf("%s: %s; trying again", v.name, err)})
	}
	if v.want && v.failures >= giveUpAfter {
		v.blockedUntil = now.Add(giveUpFor)
		e.evaluate(now, v.record)
	}
}

// reconcile compares what the kernel shows with what is wanted, in both
// directions, and repeats what has to be repeated.
func (e *Engine) reconcile(now time.Time, v *vip) {
	l := e.links[v.cfg.Interface]
	if v.owner() || l == nil {
		e.schedule(v)
		return
	}
	first := e.first(v, l)
	switch f, lost := v.compare(now, l, v.cfg.Addresses, first.IsValid()); f {
	case asWanted:
		e.schedule(v)
		return
	case outdated:
		e.do(ReadLink{Interface: l.Name})
		e.schedule(v)
		return
	case unanswered:
	case missing:
		v.restored++
		e.report(now, Record{Type: RecordLost, Name: v.name, From: "present", To: "absent", Severity: Warning,
			Text: fmt.Sprintf("%s: somebody removed %s from %s; put back", v.name, prefixes(lost), l.Name)})
	case misplaced:
		e.report(now, Record{Type: RecordAddress, Name: v.name, To: "moved", Cause: v.record,
			Text: fmt.Sprintf("%s: %s came before the own addresses of %s and is put behind them", v.name, first, l.Name)})
	case stray:
		e.report(now, Record{Type: RecordLost, Name: v.name, To: "absent", Severity: Warning,
			Text: fmt.Sprintf("%s: %s appeared on %s although it is not held here; removed", v.name, prefixes(v.cfg.Addresses), l.Name)})
	}
	e.setAddresses(now, v, v.want)
	e.schedule(v)
}

// first returns an IPv4 address of v that the kernel lists before the link's own
// ones of its network, and so takes as the source of outgoing traffic: somebody
// removed and added those. Invalid when there is none.
func (e *Engine) first(v *vip, l *link) netip.Prefix {
	for i, p := range l.Addresses {
		if !p.Addr().Is4() || !slices.Contains(v.cfg.Addresses, p) {
			continue
		}
		own := func(o netip.Prefix) bool { return !e.managed[o.Addr()] && o.Overlaps(p) }
		if slices.ContainsFunc(l.Addresses[i:], own) && !slices.ContainsFunc(l.Addresses[:i], own) {
			return p
		}
	}
	return netip.Prefix{}
}

// prefixes prints the first of a list and how many more there are.
func prefixes(list []netip.Prefix) string {
	if len(list) <= 3 {
		texts := make([]string, len(list))
		for i, p := range list {
			texts[i] = p.String()
		}
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", list[0], len(list)-1)
}
