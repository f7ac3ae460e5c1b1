package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/vrrp"
)

// promote takes over when Active_Down_Timer ran out. A member of a sync group
// waits until no other member hears a live Active: then all of them move.
func (e *Engine) promote(now time.Time, v *vip) {
	if h := e.holder(now, v); h != nil && h.name != v.taking.from {
		v.router.Await(h.heardAt.Add(e.pairMay() + 1)) // it lives as long as its word counts: it is asked, and not taken from
		return
	}
	if e.defers(now, v) {
		return
	}
	members := v.peers()
	if e.tooLate(now, members) {
		return
	}
	ready := func(m *vip) bool { return m.router.Due() && !e.spares(now, m) || m.router.State() == vrrp.Active }
	if !allOf(members, ready) || !e.clear(now, members) || e.listensAgain(now, members) {
		return
	}
	for _, m := range members {
		e.follow(now, m, m.router.TakeOver(now), v.record)
		e.schedule(m)
	}
	e.open(now, v)
}

// tooLate reports whether an offer of a member is over that was to be taken, and makes
// that one listen again: who made it may be closing.
func (e *Engine) tooLate(now time.Time, members []*vip) bool {
	late := false
	for _, m := range members {
		if m.taking.from != "" && m.router.Due() && now.Sub(m.taking.since) > acceptMost {
			m.taking = taking{}
			m.router.Relisten(now)
			e.schedule(m)
			late = true
		}
	}
	return late
}

// clear reports whether nothing stands between the members of a sync group and
// their takeover, and sees to it that this comes to be.
func (e *Engine) clear(now time.Time, members []*vip) bool {
	cleared := true
	e.pair.stirred = true // the fencers look at what waits
	for _, m := range members {
		cleared = e.guarded(now, m) && cleared
	}
	for _, m := range members {
		cleared = cleared && e.armed(now, m)
	}
	return cleared
}

func allOf(vips []*vip, ok func(*vip) bool) bool {
	return !slices.ContainsFunc(vips, func(v *vip) bool { return !ok(v) })
}

// becomeActive begins a takeover: the addresses are opened when no before_hold is
// to be waited for, and announced when the kernel has them.
//
// Who preempts a live Active, or is given its role, keeps quiet until then: the other one holds the
// addresses until it hears us, so no packet falls between the two. So does who
// advertises from a virtual MAC: its device comes with the addresses, unless a
// before_hold delays them; then the adverts leave from the interface itself.
func (e *Engine) becomeActive(now time.Time, v *vip, reason vrrp.Reason, cause uint64) {
	v.copies, v.copyAt = 0, time.Time{}
	v.loser, v.deferred, v.announced = false, false, false
	v.epoch++
	v.epoch = max(v.epoch, v.ballot.epoch())
	if heard := v.router.Heard().Source; e.cfg.Pair == nil && heard.IsValid() {
		v.holder = heard.String() // as far as adverts tell
	}
	v.quiet = reason == vrrp.ReasonPreempted || reason == vrrp.ReasonHandover || v.cfg.VMAC && !v.owner() && !v.hooked()
	e.transition(now, v, Active, string(reason), e.activeText(now, v, reason), cause)
	e.startHook(now, v)
	e.endMove(now, v, true)
}

// silence is how long a takeover was in coming: since the last advert of the
// Active that died, or since it gave up. 0 when nothing was waited for.
func (v *vip) silence(now time.Time, reason vrrp.Reason) time.Duration {
	heard := v.router.Heard()
	switch {
	case reason == vrrp.ReasonRelease && !v.releasedAt.IsZero():
		return now.Sub(v.releasedAt)
	case reason == vrrp.ReasonNoResponse && heard.Source.IsValid():
		return now.Sub(heard.At)
	}
	return 0
}

func (e *Engine) activeText(now time.Time, v *vip, reason vrrp.Reason) string {
	heard := v.router.Heard()
	limit := round(v.router.ActiveDownInterval())
	switch {
	case reason == vrrp.ReasonOwner:
		return "the addresses are this host's own (priority 255)"
	case reason == vrrp.ReasonRelease && heard.Source.IsValid():
		return fmt.Sprintf("%s gave it up", heard.Source)
	case reason == vrrp.ReasonRelease:
		return "the Active gave it up"
	case reason == vrrp.ReasonVacant:
		return "no other host held it"
	case reason == vrrp.ReasonHandover && v.taking.from != "":
		return v.taking.from + " handed it over"
	case reason == vrrp.ReasonHandover:
		return "it was handed over, and given up meanwhile"
	case reason == vrrp.ReasonPreempted:
		return fmt.Sprintf("%s advertises %d, own %d", heard.Source, heard.Priority, v.router.Settings().Priority)
	case heard.Source.IsValid():
		return fmt.Sprintf("no advert from %s for %s%s", heard.Source, round(now.Sub(heard.At)), e.proofText(now, v)+e.votesText(now, v))
	}
	return fmt.Sprintf("nobody was heard for %s%s", limit, e.proofText(now, v)+e.votesText(now, v))
}
