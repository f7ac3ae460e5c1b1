package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The kernel's part of a VIP can fail or be undone by others. These bound how
// often we try again.
const (
	retryFirst   = 100 * time.Millisecond // after a failed SetAddresses, doubled each time
	retryMost    = 5 * time.Second
	giveUpAfter  = 3                      // failures in a row: let a peer have it
	giveUpFor    = 10 * time.Second       // before this host is eligible again
	settleTime   = 100 * time.Millisecond // a snapshot of a link may be older than our own change
	restoreFirst = 10 * time.Millisecond  // before the second restore in a row, doubled each time
	restoreMost  = time.Second
	restoreCalm  = 10 * time.Second // without a loss: the next restore is at once again
)

// kernel is what a VIP wants of the kernel and how far that got.
type kernel struct {
	want         bool // the addresses shall be there
	seq          uint64
	applied      bool // the kernel confirmed seq
	there        bool // the kernel has them, until it confirms that they are gone
	appliedAt    time.Time
	seen         bool      // a snapshot of the link has shown them since
	lookAt       time.Time // not seen yet: when a snapshot without them is no longer an old one
	failures     int       // in a row
	lastErr      string
	retryAt      time.Time
	blockedUntil time.Time // gave up: not eligible until then
	restores     int       // in a row
	restoredAt   time.Time
}

// setAddresses wants the addresses of v there, or gone. The owner's addresses
// are the host's own: they are left alone.
func (e *Engine) setAddresses(now time.Time, v *vip, present bool) {
	v.want, v.applied, v.seen, v.retryAt, v.lookAt = present, false, false, time.Time{}, time.Time{}
	v.bursts, v.refreshAt, v.claimAt = nil, time.Time{}, time.Time{} // announced again when it is applied
	e.applySeq++
	v.seq = e.applySeq
	if v.owner() {
		e.addressesApplied(now, AddressesApplied{VIP: v.name, Seq: v.seq})
		return
	}
	e.do(v.setAddressesAction())
}

// setAddressesAction is what v wants of the kernel.
func (v *vip) setAddressesAction() SetAddresses {
	return SetAddresses{
		VIP: v.name, Interface: v.cfg.Interface, VMAC: v.cfg.VMAC, VRID: v.cfg.VRID,
		Addresses: v.cfg.Addresses, Routes: v.cfg.Routes, Present: v.want, Seq: v.seq,
	}
}

// addressesApplied continues what waited for the kernel: the announcement after
// a takeover, the release after a withdrawal.
func (e *Engine) addressesApplied(now time.Time, ev AddressesApplied) {
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
	v.applied, v.there, v.appliedAt, v.failures, v.lastErr = true, v.want, now, 0, ""
	switch {
	case v.want:
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
		e.left(now, v)
	case v.loser:
		e.concede(v)
	}
	e.reconcile(now, v)
}

// addressesFailed tries again later; an Active that cannot have its addresses
// lets another host have them.
func (e *Engine) addressesFailed(now time.Time, v *vip, err string) {
	v.failures++
	v.retryAt = now.Add(min(retryFirst<<min(v.failures-1, 10), retryMost))
	if err != v.lastErr {
		v.lastErr = err
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
	switch {
	case v.owner() || l == nil || !v.retryAt.IsZero():
	case !v.applied:
		if v.failures > 0 {
			e.setAddresses(now, v, v.want)
		}
	case v.want:
		e.reconcileHeld(now, v, l)
	case !containsAny(l.Addresses, v.cfg.Addresses):
	case now.Sub(v.appliedAt) < settleTime:
		v.retryAt = v.appliedAt.Add(settleTime) // look again when the picture is newer
	default:
		e.report(now, Record{Type: RecordLost, Name: v.name, To: "absent", Severity: Warning,
			Text: fmt.Sprintf("%s: %s appeared on %s although it is not held here; removed", v.name, prefixes(v.cfg.Addresses), l.Name)})
		e.setAddresses(now, v, false)
	}
	e.schedule(v)
}

// reconcileHeld puts addresses back that somebody else removed, and behind the
// interface's own when these have changed places.
func (e *Engine) reconcileHeld(now time.Time, v *vip, l *link) {
	var lost []netip.Prefix
	for _, p := range v.cfg.Addresses {
		if !l.has(p) {
			lost = append(lost, p)
		}
	}
	first := e.first(v, l)
	switch {
	case len(lost) == 0 && !first.IsValid():
		v.seen, v.lookAt = true, time.Time{}
		return
	case !v.seen && now.Sub(v.appliedAt) < settleTime:
		// Whoever removes them before they were ever seen leaves a picture that
		// does not change any more.
		v.lookAt = v.appliedAt.Add(settleTime)
		return
	}
	if now.Sub(v.restoredAt) > restoreCalm {
		v.restores = 0
	}
	if v.restores > 0 {
		wait := min(restoreFirst<<min(v.restores-1, 10), restoreMost)
		if at := v.restoredAt.Add(wait); now.Before(at) {
			v.retryAt = at
			return
		}
	}
	v.restores++
	v.restoredAt = now
	if len(lost) > 0 {
		v.restored++
		e.report(now, Record{Type: RecordLost, Name: v.name, From: "present", To: "absent", Severity: Warning,
			Text: fmt.Sprintf("%s: somebody removed %s from %s; put back", v.name, prefixes(lost), l.Name)})
	} else {
		e.report(now, Record{Type: RecordAddress, Name: v.name, To: "moved", Cause: v.record,
			Text: fmt.Sprintf("%s: %s came before the own addresses of %s and is put behind them", v.name, first, l.Name)})
	}
	e.setAddresses(now, v, true)
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

// containsAny reports whether one of the wanted addresses is among those of a
// link, whatever the prefix length.
func containsAny(have, want []netip.Prefix) bool {
	return slices.ContainsFunc(want, func(w netip.Prefix) bool {
		return slices.ContainsFunc(have, func(h netip.Prefix) bool { return h.Addr() == w.Addr() })
	})
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
