package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/vrrp"
)

// LeaseMode is what ends the hold of a host that hangs.
type LeaseMode uint8

// The modes.
const (
	LeaseNone    LeaseMode = iota // nothing does
	LeaseAuto                     // LeaseNFT where the kernel has it and adverts are at least LeaseLeastInterval apart
	LeaseNFT                      // a packet filter lets the addresses answer only while it is refreshed
	LeaseAddress                  // the addresses have a lifetime
)

func (m LeaseMode) String() string {
	switch m {
	case LeaseAuto:
		return "auto"
	case LeaseNFT:
		return "nft"
	case LeaseAddress:
		return "address"
	case LeaseNone:
	}
	return "none"
}

// LeaseLeastInterval is the least Advertisement_Interval for a lease by
// LeaseAuto: below it a lease would end too often by itself.
const LeaseLeastInterval = 30 * time.Millisecond

// A lease in the packet filter is over up to one jiffy early, and a refresh takes
// its time: within leaseSlack of its end it counts as lost. Lifetimes of
// addresses are coarse.
const (
	leaseSlack   = 10 * time.Millisecond
	addressSlack = 50 * time.Millisecond
)

// lease is the right of this host to answer for a VIP, as the kernel enforces it.
type lease struct {
	seq   uint64    // of the newest SetLease
	on    bool      // what it asked for
	asked time.Time // when it was sent, zero when it has been answered
	armed bool
	until time.Time // the kernel ends it no earlier than leaseSlack before
	fails int       // SetLease in a row that failed
	err   string

	renewals, late uint64 // refreshes, and surrenders since one came too late
}

// guard is the packet filter as a whole.
type guard struct {
	told []Guarded
	seq  uint64
	set  uint64    // newest that is in force
	err  string    // why there is none, "" = there is
	due  time.Time // no lease is over before

	leaseSeq uint64 // of the newest SetLease
}

// Guarded is a VIP whose addresses answer only while its lease is refreshed.
type Guarded struct {
	VIP       string
	Interface string
	VMAC      bool
	VRID      uint8
	Addresses []netip.Addr
	Timeout   time.Duration // how long a refresh lasts
}

func (g Guarded) equal(o Guarded) bool {
	return g.VIP == o.VIP && g.Interface == o.Interface && g.VMAC == o.VMAC && g.VRID == o.VRID && g.Timeout == o.Timeout &&
		slices.Equal(g.Addresses, o.Addresses)
}

// leaseKind is what ends the hold of v when this host hangs: LeaseNFT, LeaseAddress
// or LeaseNone.
func (e *Engine) leaseKind(v *vip) LeaseMode {
	switch mode := v.cfg.Lease; {
	case v.owner() || mode == LeaseNone || mode == LeaseAuto && v.cfg.Interval < LeaseLeastInterval:
		return LeaseNone
	case mode == LeaseAddress || e.guard.err != "":
		return LeaseAddress
	}
	return LeaseNFT
}

// leaseTime is how long a refresh lasts. Others take over 3 intervals and more
// after they heard the advert that follows it, so it is over by then, whatever a
// clock is wrong by.
func (e *Engine) leaseTime(v *vip) time.Duration {
	switch e.leaseKind(v) {
	case LeaseNFT:
		return v.cfg.Interval * 5 / 2
	case LeaseAddress:
		// The kernel ends a lifetime up to 1.25 s late. No refresh is safe in less
		// than two seconds, so with short intervals it only bounds a split.
		return max((3*v.cfg.Interval - 1250*time.Millisecond).Truncate(time.Second), 2*time.Second)
	case LeaseNone, LeaseAuto:
	}
	return 0
}

// lifetime is that of the addresses of v, 0 = for ever.
func (e *Engine) lifetime(v *vip) time.Duration {
	if e.leaseKind(v) == LeaseAddress {
		return e.leaseTime(v)
	}
	return 0
}

// setGuard tells the packet filter which addresses are to be guarded, when that
// has changed.
func (e *Engine) setGuard() {
	var list []Guarded
	for _, v := range e.vips {
		if e.leaseKind(v) != LeaseNFT {
			continue
		}
		g := Guarded{VIP: v.name, Interface: v.cfg.Interface, VMAC: v.cfg.VMAC, VRID: v.cfg.VRID, Timeout: e.leaseTime(v)}
		for _, p := range v.cfg.Addresses {
			g.Addresses = append(g.Addresses, p.Addr())
		}
		list = append(list, g)
	}
	if slices.EqualFunc(list, e.guard.told, Guarded.equal) {
		return
	}
	e.guard.told = list
	e.guard.seq++
	e.do(SetGuard{VIPs: list, Seq: e.guard.seq})
}

// guardSet goes on without a packet filter where the kernel has none. Held VIPs
// get their lease, or a longer one.
func (e *Engine) guardSet(now time.Time, ev GuardSet) {
	if ev.Seq != e.guard.seq {
		return
	}
	if ev.Err != "" && e.guard.err == "" {
		e.guard.err, e.guard.told = ev.Err, nil
		e.report(now, Record{Type: RecordLease, To: "address", Severity: Warning,
			Text: fmt.Sprintf("no lease in the packet filter: %s; addresses get a lifetime instead", ev.Err)})
	}
	e.configureVotes(now) // a lease of another kind lasts for another time
	if ev.Err == "" {
		e.guard.set = ev.Seq
		e.goOn(now)
	}
	for _, v := range e.vips {
		if v.kept != nil && ev.Err != "" {
			e.surrender(now, v, reasonLease, "its lease cannot go on: "+ev.Err)
		}
		if v.router.State() != vrrp.Active || v.kept != nil {
			continue
		}
		switch kind := e.leaseKind(v); {
		case kind == LeaseNFT && !v.lease.armed:
			e.askLease(now, v, true)
		case kind == LeaseAddress && v.want && !v.lease.armed:
			e.setAddresses(now, v, true)
		case !v.quiet && e.mayRenew(now, v): // never longer than what an advert makes others wait
			e.renew(now, v)
			e.advertise(v, v.router.Settings().Priority)
		}
	}
}

// armed reports whether v may be taken over as far as its lease goes, and asks
// for the lease when it has none. The takeover is decided when the kernel has
// confirmed it: who hangs between the two wakes up with a lease that is over.
func (e *Engine) armed(now time.Time, v *vip) bool {
	switch {
	case e.leaseKind(v) != LeaseNFT || v.router.State() == vrrp.Active:
		return true
	case v.lease.armed && now.Before(v.lease.until.Add(-e.leaseTime(v)/2)):
		return true
	case v.lease.asked.IsZero():
		e.askLease(now, v, true)
	}
	return false
}

// askLease asks the kernel to begin a lease, or to end it.
func (e *Engine) askLease(now time.Time, v *vip, on bool) {
	e.guard.leaseSeq++
	v.lease.seq = e.guard.leaseSeq
	v.lease.on, v.lease.asked, v.lease.armed = on, now, false
	e.do(SetLease{VIP: v.name, On: on, Seq: v.lease.seq})
}

// dropLease ends the lease of v, so that it answers no more, whatever becomes of
// its addresses.
func (e *Engine) dropLease(now time.Time, v *vip) {
	if e.leaseKind(v) == LeaseNFT && (v.lease.armed || !v.lease.asked.IsZero()) {
		e.askLease(now, v, false)
	}
	v.lease.armed = false
}

// forgetLease ends what is known of a lease when v gets one of another kind, or
// none. What is held stays held; a takeover that waited for it listens again.
func (e *Engine) forgetLease(now time.Time, v *vip) {
	v.lease.armed, v.lease.asked, v.lease.fails, v.lease.err = false, time.Time{}, 0, ""
	if v.router.Due() {
		v.router.Relisten(now)
	}
}

// silenced reports whether this host does not answer for v whatever addresses it
// has.
func (e *Engine) silenced(v *vip) bool {
	return e.leaseKind(v) == LeaseNFT && !v.lease.armed && v.lease.asked.IsZero()
}

// leaseSet goes on with what waited for the kernel: a takeover, or a release.
func (e *Engine) leaseSet(now time.Time, ev LeaseSet) {
	v := e.byName[ev.VIP]
	if v == nil || ev.Seq != v.lease.seq || v.lease.asked.IsZero() {
		return
	}
	defer func() { e.schedule(v) }()
	asked := v.lease.asked
	v.lease.asked = time.Time{}
	switch {
	case ev.On && ev.Err != "":
		e.leaseFailed(now, v, ev.Err)
		return
	case ev.On:
		v.lease.armed, v.lease.until, v.lease.fails, v.lease.err = true, asked.Add(e.leaseTime(v)), 0, ""
		e.watchLease(v)
	case ev.Err != "":
		e.report(now, Record{Type: RecordLease, Name: v.name, To: "failed", Cause: v.record, Severity: Warning,
			Text: fmt.Sprintf("%s: end the lease: %s; it ends by itself", v.name, ev.Err)})
	}
	switch {
	case v.leaving && v.applied:
		e.left(now, v)
	case !v.router.Due():
	case !ev.On:
		v.router.Relisten(now) // it was due before the lease from before was over: it may be another host's by now
	case !now.Before(v.lease.until.Add(-e.leaseTime(v) / 2)):
		v.router.Relisten(now) // we were not running: the silence may be ours
	default:
		e.promote(now, v)
	}
}

// leaseFailed tries again when the next Active_Down_Interval is over; who cannot
// have a lease again and again lets a peer have the VIP.
func (e *Engine) leaseFailed(now time.Time, v *vip, err string) {
	v.lease.fails++
	if err != v.lease.err {
		v.lease.err = err
		e.report(now, Record{Type: RecordLease, Name: v.name, To: "failed", Cause: v.record, Severity: Warning,
			Text: fmt.Sprintf("%s: begin a lease: %s; trying again", v.name, err)})
	}
	switch {
	case v.router.State() == vrrp.Active:
		e.surrender(now, v, "lease", "its lease cannot be had: "+err)
	case v.lease.fails >= giveUpAfter:
		v.blockedUntil = now.Add(giveUpFor)
		e.evaluate(now, v.record)
	default:
		v.router.Relisten(now)
	}
}

// renew refreshes the lease of an Active. It comes before the advert that makes
// others wait for us.
func (e *Engine) renew(now time.Time, v *vip) {
	kind := e.leaseKind(v)
	switch {
	case kind == LeaseNone || !v.lease.armed:
		return
	case kind == LeaseAddress && now.Before(v.lease.until.Add(-e.leaseTime(v)*3/4)):
		return // once in a quarter of its time
	}
	v.lease.until = now.Add(e.leaseTime(v))
	v.lease.renewals++
	e.watchLease(v)
	e.do(RenewLease{VIP: v.name, Lifetime: e.lifetime(v)})
}

// watchLease sees to it that [Engine.lateWake] is called in time.
func (e *Engine) watchLease(v *vip) {
	e.guard.due = earliest(e.guard.due, e.lostAt(v))
}

// lostAt is when the lease of v counts as lost.
func (e *Engine) lostAt(v *vip) time.Time {
	if e.leaseKind(v) == LeaseAddress {
		return v.lease.until.Add(-addressSlack)
	}
	return v.lease.until.Add(-leaseSlack)
}

// lateWake is the first thing of a Step: whoever slept longer than the lease of
// what it holds surrenders before it does anything else, since another host may
// hold it by now.
func (e *Engine) lateWake(now time.Time) {
	if e.guard.due.IsZero() || now.Before(e.guard.due) {
		return
	}
	e.guard.due = time.Time{}
	for _, v := range e.vips {
		switch {
		case v.router.State() != vrrp.Active || !v.lease.armed:
		case now.Before(e.lostAt(v)):
			e.watchLease(v)
		default:
			v.lease.late++
			slept := now.Sub(v.lease.until.Add(-e.leaseTime(v)))
			e.surrender(now, v, reasonLateWake, fmt.Sprintf("its lease of %s was not refreshed for %s, since this host did not run", e.leaseTime(v), round(slept)))
		}
	}
}

// leaseLost surrenders what the kernel does not let answer any more.
func (e *Engine) leaseLost(now time.Time, ev LeaseLost) {
	v := e.byName[ev.VIP]
	if v == nil || v.router.State() != vrrp.Active || !v.lease.armed {
		return
	}
	e.surrender(now, v, "lease", "its lease is over in the kernel: "+ev.Why)
}

// Why a lease was lost, in one word.
const (
	reasonLease    = "lease"
	reasonLateWake = "late-wake"
)

// surrender gives up what may be held elsewhere by now: v and its sync group.
func (e *Engine) surrender(now time.Time, v *vip, reason, text string) {
	e.upset = now
	cause := e.report(now, Record{Type: RecordLease, Name: v.name, From: "armed", To: "lost", Reason: reason, Severity: Critical, Cause: v.record,
		Text: fmt.Sprintf("%s: %s; gives it up", v.name, text)})
	for _, m := range v.peers() {
		if m.router.State() == vrrp.Active {
			e.withdraw(now, m, Initialize, reason, text, cause)
		}
	}
}

// LeaseStatus tells what ends the hold of a host that hangs.
type LeaseStatus struct {
	Kind     string        `json:"kind"` // nft, address, none
	Time     time.Duration `json:"time_ns,omitempty"`
	Why      string        `json:"why,omitempty"` // it is not what was asked for, or cannot be had
	Armed    bool          `json:"armed"`
	Until    time.Time     `json:"until,omitzero"` // unless it is refreshed
	Renewals uint64        `json:"renewals"`
	Late     uint64        `json:"late_wakes"`
}

func (e *Engine) leaseStatus(v *vip) LeaseStatus {
	s := LeaseStatus{
		Kind: e.leaseKind(v).String(), Time: e.leaseTime(v), Armed: v.lease.armed && v.router.State() == vrrp.Active,
		Renewals: v.lease.renewals, Late: v.lease.late,
	}
	if s.Armed {
		s.Until = v.lease.until
	}
	switch kind := e.leaseKind(v); {
	case v.owner():
		s.Why = "the addresses are this host's own (priority 255)"
	case v.cfg.Lease == LeaseAuto && kind == LeaseNone:
		s.Why = fmt.Sprintf("adverts are less than %s apart", LeaseLeastInterval)
	case v.cfg.Lease != LeaseAddress && kind == LeaseAddress:
		s.Why = e.guard.err
	case v.lease.err != "":
		s.Why = v.lease.err
	}
	return s
}
