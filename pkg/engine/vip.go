package engine

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// Copies of a release are sent after the first one, so that one lost packet does
// not cost the peer a whole Active_Down_Interval. They follow closely: other
// daemons start Skew_Time anew with each of them.
const (
	releaseCopies = 2
	releaseApart  = time.Millisecond
)

// vip is one VIP on its way through the stages.
type vip struct {
	name   string
	cfg    VIP
	group  *group
	router *vrrp.Router
	list   []netip.Addr // addresses of the election's family: what adverts list
	timer  timer

	state  State
	since  time.Time
	reason string
	text   string // why the state was entered, a sentence
	record uint64 // of the last transition

	own      []Blocker // why it is not eligible by itself
	blockers []Blocker // the same, or those of its sync group
	terms    []PriorityTerm
	drained  *DrainStatus

	kernel
	lease  lease
	ballot ballot
	epoch  uint64 // of the newest holder that is known
	announcing
	hooks
	resuming
	fellBack string // why this run gave up what the last one left to it, "" = it did not

	leaving bool // was Active: the addresses are on their way out, then a release is sent
	copies  int  // of the release, still to be sent
	copyAt  time.Time
	replace *VIP // configuration that waits for the release of the old one
	removed bool // a reload took it away; it ends with its release
	moving  *move
	quiet   bool // the first advert waits for the addresses
	loser   bool // lost to a better Active: a last advert is sent when the addresses are gone

	offer   offer // to a peer, while this host is Active
	going   *going
	handed  bool // a peer holds it already: no release is needed
	taking  taking
	seen    taking   // the newest offer, taken or not
	said    pair.VIP // what the peers were told of it
	saidSeq uint64   // Seq of the state that told it first

	holder    string    // who was last known to hold it, "" = nobody is
	proven    time.Time // when it last went from one host to another, or a drill passed
	drilledAt time.Time // last

	announced bool // since the takeover
	deferred  bool // to a peer, once in a silence

	releasedAt time.Time // when the Active gave it up, the last time

	sent, received, releasesSent, releasesReceived uint64
	contests, restored, disbelieved                uint64
	transitions                                    map[string]uint64
	sendFailedAt                                   time.Time
}

// move is a failover that an operator asked for and waits for.
type move struct {
	id    uint64
	since time.Time
}

// group is a sync group: all of its members are held here, or none.
type group struct {
	name    string
	members []*vip // sorted by name
}

func (v *vip) owner() bool { return v.cfg.Priority == vrrp.PriorityOwner }

// next returns the earliest deadline of the VIP.
func (v *vip) next() time.Time {
	next := earliest(v.router.Next(), v.retryAt, v.lookAt, v.announceAt(), v.copyAt, v.blockedUntil, v.hookDue, v.offer.until)
	if v.ballot.holder != nil {
		next = earliest(next, v.ballot.holder.Next())
	}
	if v.drained != nil {
		next = earliest(next, v.drained.Until)
	}
	return next
}

// vipTimer gives v a timer that is not running.
func (e *Engine) vipTimer(v *vip) {
	v.timer = timer{pos: -1, fire: func(now time.Time) { e.wake(now, v) }}
}

// wake acts on whatever is due.
func (e *Engine) wake(now time.Time, v *vip) {
	if e.byName[v.name] != v {
		return // it departed while other timers fired
	}
	if e.outvoted(now, v) {
		return
	}
	v.quiet = v.staysQuiet(now)
	e.follow(now, v, v.router.Wake(now), 0)
	if !v.copyAt.IsZero() && !now.Before(v.copyAt) {
		e.sendRelease(now, v)
		if v.copies == 0 && (v.removed || v.replace != nil) {
			e.evaluate(now, v.record) // it may depart
			return
		}
	}
	if !v.retryAt.IsZero() && !now.Before(v.retryAt) {
		v.retryAt = time.Time{}
		e.reconcile(now, v)
	}
	if !v.lookAt.IsZero() && !now.Before(v.lookAt) {
		v.lookAt = time.Time{}
		e.reconcile(now, v)
	}
	if !v.hookDue.IsZero() && !now.Before(v.hookDue) {
		e.hookLate(now, v)
	}
	if v.offer.to != "" && !now.Before(v.offer.until) {
		e.offerEnds(now, v)
	}
	if h := v.ballot.holder; h != nil && !h.Next().IsZero() && !now.Before(h.Next()) {
		e.stepVote(now, v, vote.Wake{})
	}
	e.announceDue(now, v)
	expired := v.drained != nil && !v.drained.Until.IsZero() && !now.Before(v.drained.Until)
	if expired {
		e.endDrain(now, v, "its time is over", Actor{})
	}
	if expired || !v.blockedUntil.IsZero() && !now.Before(v.blockedUntil) {
		e.evaluate(now, 0)
	}
	e.schedule(v)
}

// follow carries out what the election wants.
func (e *Engine) follow(now time.Time, v *vip, out vrrp.Outcome, cause uint64) {
	if out.Changed {
		switch out.Became {
		case vrrp.Active:
			e.becomeActive(now, v, out.Reason, cause)
		case vrrp.Backup:
			e.becomeBackup(now, v, out.Reason, cause)
		case vrrp.Initialize:
		}
	}
	if v.offer.taken || v.kept != nil {
		out.Advertise = false // a switch would send to this host what is the new holder's; or the lease may be over
	}
	if out.Advertise && e.outvoted(now, v) {
		return
	}
	if out.Advertise {
		e.renew(now, v)
	}
	if out.Advertise && !v.quiet {
		e.advertise(v, v.router.Settings().Priority)
	}
	if out.Contest {
		e.contest(now, v)
	}
	if out.Due {
		for _, m := range v.peers() {
			e.stir(m) // votes are asked for when all members are due
		}
		e.promote(now, v)
	}
}

// becomeBackup gives the addresses up, if it had them, to a better Active.
func (e *Engine) becomeBackup(now time.Time, v *vip, reason vrrp.Reason, cause uint64) {
	was := v.state
	text := "listens for an Active"
	if heard := v.router.Heard(); reason != vrrp.ReasonListen && heard.Source.IsValid() {
		text = fmt.Sprintf("%s advertises %d, own %d", heard.Source, heard.Priority, v.router.Settings().Priority)
	}
	cause = e.transition(now, v, Backup, string(reason), text, cause)
	if was != Active {
		return
	}
	v.loser = true
	v.offer, v.going, v.taking = offer{}, nil, taking{}
	e.abandonHook(v)
	e.shut(now, v)
	if v.group == nil {
		return
	}
	for _, m := range v.group.members {
		if m.state == Active {
			e.withdraw(now, m, Initialize, "sync", fmt.Sprintf("%s of sync group %s went to another host", v.name, v.group.name), cause)
		}
	}
}

// withdraw leaves the election. An Active removes its addresses first and sends
// its release when they are gone (RFC 9568, Section 6.4.3, step 305).
func (e *Engine) withdraw(now time.Time, v *vip, to State, reason, text string, cause uint64) {
	wasActive := v.router.State() == vrrp.Active
	v.router.Stop()
	v.offer, v.going, v.taking = offer{}, nil, taking{}
	e.transition(now, v, to, reason, text, cause)
	if wasActive {
		v.leaving = true
		e.abandonHook(v)
		e.shut(now, v)
	}
	e.schedule(v)
}

// left is called when the addresses of a VIP that leaves are gone.
func (e *Engine) left(now time.Time, v *vip) {
	v.leaving = false
	if !v.handed && !e.drill.silent() {
		v.copies = releaseCopies + 1
		e.sendRelease(now, v)
	}
	v.handed = false
	e.evaluate(now, v.record)
}

// sendRelease sends one copy of the release and plans the next.
func (e *Engine) sendRelease(now time.Time, v *vip) {
	e.advertise(v, vrrp.PriorityRelease)
	v.releasesSent++
	v.copies--
	v.copyAt = time.Time{}
	if v.copies > 0 {
		v.copyAt = now.Add(releaseApart)
	}
}

// advertise sends one advert with the given priority. The last word of one that
// is Active no more never leaves from the virtual MAC: its device may be down by
// then, and no switch shall learn once more that the MAC is here.
func (e *Engine) advertise(v *vip, priority uint8) {
	set := v.router.Settings()
	v.sent++
	e.do(SendAdvert{
		VIP: v.name, Interface: v.cfg.Interface, VMAC: v.cfg.VMAC && v.router.State() == vrrp.Active && !v.closed,
		Source: set.Address, Peers: v.cfg.UnicastPeers,
		Advert: vrrp.Advert{
			Version: v.cfg.Version, VRID: v.cfg.VRID, Priority: priority, Interval: v.cfg.Interval, Addresses: v.list,
		},
		Checksum: v.cfg.Checksum,
	})
}

// transition enters a state, counts it and reports it once.
func (e *Engine) transition(now time.Time, v *vip, to State, reason, text string, cause uint64) uint64 {
	from := v.state
	v.reason, v.text = reason, text
	e.pair.stirred = true
	if from == to {
		e.tell(v)
		return v.record
	}
	v.state, v.since = to, now
	v.fallBack(reason, text)
	v.resuming = resuming{stays: v.stays}
	v.transitions[string(from)+" "+string(to)+" "+reason]++
	severity := Notice
	if to == Fault {
		severity = Warning
	}
	var took time.Duration
	if to == Active {
		took = v.silence(now, vrrp.Reason(reason))
	}
	v.record = e.report(now, Record{
		Type: RecordTransition, Name: v.name, From: string(from), To: string(to), Reason: reason, Cause: cause, Severity: severity, Took: took,
		Text: fmt.Sprintf("%s: %s -> %s (%s)", v.name, from, to, text),
	})
	v.entered = e.out[len(e.out)-1].(Report).Record // with its number and times
	e.tell(v)
	return v.record
}
