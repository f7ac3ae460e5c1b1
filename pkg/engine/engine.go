package engine

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// stopWithin bounds a polite end: what could not be released by then is reported
// and left.
const stopWithin = 5 * time.Second

// Engine decides for one host. It is not safe for concurrent use: one loop owns
// it. The same events at the same times give the same actions.
type Engine struct {
	cfg      Config
	started  time.Time
	stopping time.Time       // when Stop came; zero before
	parted   time.Time       // when the last word was said for what the next run has; zero = it was not
	kept     map[string]Kept // by the last run, until the first Configure

	vips     []*vip     // sorted by name
	services []*service // sorted by name
	byName   map[string]*vip
	byWire   map[wire]*vip
	checks   []*checkRun // sorted by name
	settled  []*checkRun // the same, each after those that it depends on
	bound    []*checkRun // those that are masked while a VIP is not held
	links    map[string]*link
	managed  map[netip.Addr]bool // every address of a VIP: never a source of adverts

	timers   timers
	out      []Action
	records  uint64 // Seq of the newest record
	applySeq uint64 // Seq of the newest SetAddresses

	hookSeq   uint64           // of the newest RunHook
	notifying int              // Notify without an answer
	groupTold map[string]State // what the hooks of a sync group were told last

	drill   *drill // under way, nil = none is
	guard   guard
	pair    pairing
	fences  []*fencing // sorted by peer
	proven  bool       // a fencer did something: a takeover may go on
	votes   voting
	upset   time.Time // since when this host knows what it knows, zero = since it started
	speaker speaker
	spent   []time.Time // when checks withdrew services, in order; those of the last Budget.Per
	hurry   bool        // a second Stop came
}

// wire is how an advert finds its virtual router.
type wire struct {
	link    string
	vrid    uint8
	family4 bool
}

// New returns an engine without configuration: the first event to give it is
// [Configure].
func New(now time.Time) *Engine {
	e := &Engine{
		started: now,
		byName:  map[string]*vip{},
		byWire:  map[wire]*vip{},
		links:   map[string]*link{},
		managed: map[netip.Addr]bool{},

		groupTold: map[string]State{},

		speaker: speaker{sessions: map[string]*session{}},
	}
	e.pairTimer()
	return e
}

// Step takes one event and returns what is to be done, in order. now never goes
// back. The returned slice is valid until the next call.
func (e *Engine) Step(now time.Time, ev Event) []Action {
	e.out = e.out[:0]
	e.lateWake(now)
	switch ev := ev.(type) {
	case Wake:
		e.timers.run(now)
	case Stop:
		e.stop(now, ev)
	case Resume:
		e.resume(now, ev)
	case Configure:
		e.configure(now, ev)
	case AdvertReceived:
		e.advertReceived(now, ev)
	case LinkChanged:
		e.linkChanged(now, ev.Link)
	case AddressClaimed:
		e.addressClaimed(now, ev)
	case AddressesApplied:
		e.addressesApplied(now, ev)
	case AnnouncementSent:
		e.announcementSent(ev)
	case GuardSet:
		e.guardSet(now, ev)
	case LeaseSet:
		e.leaseSet(now, ev)
	case LeaseLost:
		e.leaseLost(now, ev)
	case PairUp:
		e.pairUp(now, ev)
	case PairDown:
		e.pairDown(now, ev)
	case PeerHeard:
		e.peerStateHeard(now, ev)
	case FenceEnded:
		e.fenceEnded(now, ev)
	case ConfirmFence:
		e.confirmFence(now, ev)
	case RestoreFences:
		e.restoreFences(now, ev)
	case VoteAsked, VoteAnswered:
		e.voteTold(now, ev)
	case SpeakerUp:
		e.speakerUp(now, ev)
	case SpeakerDown:
		e.speakerDown(now, ev)
	case SessionChanged:
		e.sessionChanged(now, ev.Session)
	case TableAnnounced:
		e.tableAnnounced(now, ev)
	case AnnouncersSeen:
		e.announcersSeen(now, ev)
	case CheckDone:
		e.checkDone(now, ev)
	case CheckSeen:
		e.checkSeen(now, ev)
	case NotifyDone:
		e.notifyDone(now, ev)
	case HookDone:
		e.hookDone(now, ev)
	case SendFailed:
		e.sendFailed(now, ev)
	case Drain:
		e.drain(now, ev)
	case RestoreDrains:
		e.restoreDrains(now, ev)
	case Undrain:
		e.undrain(now, ev)
	case Failover:
		e.failover(now, ev)
	case Drill:
		e.beginDrill(now, ev)
	case VIPProbed, RestoreProven:
		e.proof(now, ev)
	case Noted:
		e.report(now, ev.Record)
	}
	e.conclude(now)
	return e.out
}

// conclude ends a Step: what follows from any event is done here, once.
func (e *Engine) conclude(now time.Time) {
	e.followVotes(now)
	e.followHeld(now)
	e.followVIPs(now)
	e.followDrill(now)
	e.lookAround(now)
	e.announceTable(now)
	e.part(now)
	e.tellPeers(now)
}

// Next returns when Step is to be called with Wake; zero means that no timer is
// running. It may be in the past.
func (e *Engine) Next() time.Time {
	next := earliest(e.timers.next(), e.speaker.holdUntil)
	if e.drill != nil {
		next = earliest(next, e.drill.due)
	}
	switch {
	case e.stopping.IsZero():
	case e.releasing():
		next = earliest(next, e.stopEnds())
	case e.notifying > 0:
		next = earliest(next, e.stopping.Add(hookStopWithin))
	}
	return next
}

// Done reports whether everything held has been released after a [Stop], and
// the hooks that were told of it are done.
func (e *Engine) Done(now time.Time) bool {
	switch {
	case e.stopping.IsZero():
		return false
	case e.releasing():
		return !now.Before(e.stopEnds())
	}
	return e.notifying == 0 || !now.Before(e.stopping.Add(hookStopWithin))
}

// releasing reports whether something is still on its way out.
func (e *Engine) releasing() bool {
	return slices.ContainsFunc(e.vips, func(v *vip) bool { return v.leaving || v.copies > 0 || !v.applied || v.offer.to != "" }) ||
		slices.ContainsFunc(e.services, func(s *service) bool { return !e.away(s) && !e.stays(s) })
}

// stopEnds is when a polite end is over, whatever is left.
func (e *Engine) stopEnds() time.Time {
	end := e.stopping.Add(stopWithin)
	if len(e.services) > 0 {
		end = end.Add(min(e.cfg.DrainWait, stopDrainMost))
	}
	return end
}

// stop begins the polite end: no VIP is eligible any more, but those that the next
// run has.
func (e *Engine) stop(now time.Time, ev Stop) {
	if !e.stopping.IsZero() {
		e.hasten(now)
		return
	}
	e.stopping = now
	r := Record{Type: RecordStop, Text: "stops: releases what it holds", Severity: Notice}
	if e.keepsRoutes() {
		e.tellKept(&r)
	}
	e.tellLeft(&r, e.keep(ev.Keep))
	cause := e.report(now, r)
	e.evaluate(now, cause)
}

// do appends an action to the answer of the current Step.
func (e *Engine) do(a Action) { e.out = append(e.out, a) }

// report gives a record its number and time, and returns the number for later
// records to name as their cause.
func (e *Engine) report(now time.Time, r Record) uint64 {
	e.records++
	r.Seq, r.Time = e.records, now
	if r.Severity == "" {
		r.Severity = Info
	}
	e.do(Report{r})
	return r.Seq
}

// advertReceived hands an advert to the election it belongs to.
func (e *Engine) advertReceived(now time.Time, ev AdvertReceived) {
	v := e.byWire[wire{ev.Interface, ev.Advert.VRID, ev.Source.Is4()}]
	if v == nil {
		return // a VIP that a reload removed while the packet was on its way
	}
	if !e.believes(now, v, ev.Source, ev.Advert) {
		v.disbelieved++
		return
	}
	v.received++
	if e.drill.advertHeard(v, ev.Advert.Priority) {
		e.pair.stirred = true
	}
	if p := e.peerOf(v, ev.Source); p != nil && ev.Advert.Priority != vrrp.PriorityRelease {
		e.heardFence(now, p)
	}
	if p := e.peerOf(v, ev.Source); p != nil && e.fresh(now, p) && (p.name == v.offer.to || p.name == v.taking.from) {
		return // what becomes of the move is told on the channel
	}
	e.advertHeard(now, v, ev.Source, ev.Advert)
	e.schedule(v)
}

// advertHeard gives the election an advert, or what amounts to one.
func (e *Engine) advertHeard(now time.Time, v *vip, source netip.Addr, a vrrp.Advert) {
	if a.Priority == vrrp.PriorityRelease {
		v.releasesReceived++
		v.quiet = v.quiet && !v.closed // nobody holds it any more
		if !v.router.Follows(now, source) {
			e.releaseHeard(now, v)
		}
	}
	before := v.router.Heard()
	v.deferred = v.deferred && a.Priority == vrrp.PriorityRelease
	out := v.router.Receive(now, source, a)
	if v.router.State() == vrrp.Backup {
		e.peerHeard(now, v, before)
	}
	e.follow(now, v, out, 0)
}

// releaseHeard lets the release of one member of a sync group count for all of
// them: the peer gives the whole group up.
func (e *Engine) releaseHeard(now time.Time, v *vip) {
	v.releasedAt = now
	if v.ballot.holder != nil {
		e.stepVote(now, v, vote.Retry{})
	}
	if v.group == nil {
		return
	}
	for _, m := range v.group.members {
		m.releasedAt = now
		m.router.Shorten(now)
		e.schedule(m)
	}
}

// schedule puts the next deadline of a VIP into the heap, unless it has departed.
func (e *Engine) schedule(v *vip) {
	if e.byName[v.name] == v {
		e.timers.set(&v.timer, v.next())
		e.stir(v)
	}
}

// Has reports whether a VIP is known: configured, or removed and not yet
// released.
func (e *Engine) Has(name string) bool { return e.byName[name] != nil }

// HasService reports the same of an anycast service.
func (e *Engine) HasService(name string) bool { return e.service(name) != nil }
