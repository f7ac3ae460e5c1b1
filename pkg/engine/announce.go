package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/vrrp"
)

// contestApart is the least time between two bursts that lesser adverts cause.
const contestApart = 50 * time.Millisecond

// Claims are answered claimGrace later, by claimsMost bursts at once and
// claimsPerSecond in the long run.
const (
	claimGrace      = 20 * time.Millisecond
	claimsMost      = 10
	claimsPerSecond = 1
)

// contestCalm is how long no lesser advert must have come before one is worth a
// record of its own again.
const contestCalm = 10 * time.Second

// announcing is what a held VIP still has to tell the network.
type announcing struct {
	bursts    []time.Time // due times, earliest first
	cause     string      // of the bursts
	refreshAt time.Time
	contestAt time.Time // last contest
	contested time.Time // last burst for one

	claimAt    time.Time // when a claim is answered, zero when there is none
	claimText  string
	answers    float64 // bursts that claims may still cause
	answeredAt time.Time
}

// burstDue is when the next burst is due, zero when none is planned.
func (a *announcing) burstDue() time.Time {
	if len(a.bursts) == 0 {
		return time.Time{}
	}
	return a.bursts[0]
}

// planBursts starts the whole series again from now.
func (v *vip) planBursts(now time.Time, cause string) {
	v.bursts, v.cause = v.bursts[:0], cause
	for _, after := range v.cfg.GARP.Bursts {
		v.bursts = append(v.bursts, now.Add(after))
	}
	v.refreshAt = time.Time{}
	if v.cfg.GARP.Refresh > 0 {
		v.refreshAt = now.Add(v.cfg.GARP.Refresh)
	}
}

// announceAt is when something is to be announced next. While v is offered to a
// peer nothing is: clients that follow the new holder would come back to this
// host, which is about to close.
func (v *vip) announceAt() time.Time {
	if v.offer.to != "" {
		return time.Time{}
	}
	return earliest(v.burstDue(), v.refreshAt, v.claimAt)
}

// announceDue sends the bursts and refreshes that are due, and answers claims.
// None are planned unless the kernel has the addresses.
func (e *Engine) announceDue(now time.Time, v *vip) {
	if v.offer.to != "" {
		return
	}
	if !v.claimAt.IsZero() && !now.Before(v.claimAt) {
		e.answerClaim(now, v)
	}
	due := false
	for len(v.bursts) > 0 && !now.Before(v.bursts[0]) {
		v.bursts = v.bursts[1:]
		due = true
	}
	if due {
		e.announce(v, v.cfg.GARP.Repeat, v.cause)
	}
	if !v.refreshAt.IsZero() && !now.Before(v.refreshAt) {
		v.refreshAt = now.Add(v.cfg.GARP.Refresh)
		e.announce(v, 1, "refresh")
	}
}

func (e *Engine) announce(v *vip, repeat int, cause string) {
	addrs := make([]netip.Addr, len(v.cfg.Addresses))
	for i, p := range v.cfg.Addresses {
		addrs[i] = p.Addr()
	}
	e.do(Announce{
		VIP: v.name, Interface: v.cfg.Interface, VMAC: v.cfg.VMAC, VRID: v.cfg.VRID, Addresses: addrs,
		Repeat: repeat, Interval: v.cfg.GARP.Interval, Cause: cause,
	})
}

// concede sends one more advert for a VIP that was lost to a better Active, now
// that its addresses are gone. Who has been Active for long may not know that
// we were, too; our clients follow it again only when it repeats its
// announcement, as Actives do for a lesser advert (RFC 9568, Section 6.4.3).
func (e *Engine) concede(v *vip) {
	v.loser = false
	if v.router.State() == vrrp.Backup {
		e.advertise(v, v.router.Settings().Priority)
	}
}

// contest answers a lesser Active: clients may have followed its announcement,
// so ours is repeated after it, more than once. One that we just preempted says
// its last word, which is worth no record.
func (e *Engine) contest(now time.Time, v *vip) {
	if v.closed && v.quiet {
		v.contestAt = now // it serves on until we are ready, as it should
		return
	}
	if v.reason == string(vrrp.ReasonPreempted) && now.Sub(v.since) < v.cfg.Interval {
		v.contestAt = now
	}
	e.answerContest(now, v, "lower-priority", "another host advertised it with a lower priority")
}

// addressClaimed notes that another machine announced an address that is held
// here. Where adverts are lost it is the first sign, or the only one, that a
// lesser Active has been there. It is answered after claimGrace, unless a better
// Active was heard by then: one that preempts announces before it advertises.
func (e *Engine) addressClaimed(now time.Time, ev AddressClaimed) {
	for _, v := range e.vips {
		holds := v.state == Active && v.want && v.applied && v.offer.to == "" && v.cfg.Interface == ev.Interface
		if !holds || !slices.ContainsFunc(v.cfg.Addresses, func(p netip.Prefix) bool { return p.Addr() == ev.Address }) {
			continue
		}
		if v.claimAt.IsZero() {
			v.claimAt, v.claimText = now.Add(claimGrace), fmt.Sprintf("%s announced %s", ev.MAC, ev.Address)
			e.schedule(v)
		}
	}
}

// answerClaim answers what addressClaimed noted. Two that hear each other's
// announcements and not each other's adverts would answer for ever: they may,
// but not often.
func (e *Engine) answerClaim(now time.Time, v *vip) {
	v.claimAt = time.Time{}
	v.answers = min(v.answers+claimsPerSecond*now.Sub(v.answeredAt).Seconds(), claimsMost)
	v.answeredAt = now
	if v.answers >= 1 {
		v.answers--
		e.answerContest(now, v, "claim", v.claimText)
	}
}

// answerContest announces the addresses again, and reports the first contest
// after a calm time.
func (e *Engine) answerContest(now time.Time, v *vip, reason, what string) {
	v.contests++
	if v.contestAt.IsZero() || now.Sub(v.contestAt) > contestCalm {
		e.report(now, Record{Type: RecordConflict, Name: v.name, Reason: reason, Severity: Warning, Cause: v.record,
			Text: fmt.Sprintf("%s: %s; announced again", v.name, what)})
	}
	v.contestAt = now
	if !v.want || !v.applied || now.Sub(v.contested) < contestApart {
		return // the takeover's own bursts are still to come, or just went
	}
	v.contested = now
	v.planBursts(now, "contest")
	e.announceDue(now, v)
}
