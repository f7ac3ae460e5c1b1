package vrrp

import (
	"net/netip"
	"time"
)

// State is a state of the election (RFC 9568, Section 6.4).
type State uint8

// The states of the election.
const (
	Initialize State = iota // takes no part
	Backup                  // listens
	Active                  // advertises; keepalived calls it MASTER
)

// Reason is why a router became Active or Backup, in one word.
type Reason string

// The reasons. The first three are the words of the VRRP YANG model (RFC 8347).
const (
	ReasonNoResponse Reason = "no-response" // the Active fell silent, or nobody ever spoke
	ReasonPreempted  Reason = "preempted"   // a lower-priority Active is taken over from
	ReasonPriority   Reason = "priority"    // a higher-priority Active is heard
	ReasonAddress    Reason = "address"     // an Active of equal priority and higher address is heard
	ReasonRelease    Reason = "release"     // the Active gave up (priority 0)
	ReasonOwner      Reason = "owner"       // priority 255 starts as Active
	ReasonListen     Reason = "listen"      // a start: listens first
	ReasonHandover   Reason = "handover"    // the Active asked this host to take over
	ReasonVacant     Reason = "vacant"      // every other host said that it is not Active
)

// Settings are what an election is run by. They may change at any time.
type Settings struct {
	Version      uint8         // 2 or 3
	Priority     uint8         // effective: 1–254, or 255 for the address owner
	Interval     time.Duration // Advertisement_Interval
	Preempt      bool          // Preempt_Mode; the owner always preempts
	PreemptDelay time.Duration // how long a lower-priority Active is left alone at fail-back
	Address      netip.Addr    // primary address of the interface: source of adverts, breaks ties
}

// Heard is the last advert of the Active that this router listens to.
type Heard struct {
	Source   netip.Addr
	Priority uint8
	Interval time.Duration
	At       time.Time
}

// Outcome is what a call wants done. The zero value: nothing.
type Outcome struct {
	Advertise bool   // send an advert now
	Became    State  // the new state, when Changed
	Changed   bool   // the state changed
	Reason    Reason // why, when Changed or Due
	Contest   bool   // another host was Active beside us, and loses: announce the addresses again
	Due       bool   // Active_Down_Timer ran out: call TakeOver when nothing else is in the way
}

// Router runs the election of one virtual router: the state machine of RFC 9568,
// Section 6.4, and of RFC 3768, Section 6.4, for version 2.
//
//	           Start, priority 255                  Start
//	+------------------ Initialize ------------------+
//	|                     ^    ^                     |
//	|                Stop |    | Stop                v
//	+---------> Active ---+    +------------- Backup <-+
//	               ^ |  a better advert              |
//	               | +------------------------------>+
//	               +---------------------------------+
//	                 Active_Down_Timer, then TakeOver
//
// The timers are public through [Router.Next]; the caller calls [Router.Wake]
// then. Adverts of routers with one interval share their ticks: they leave at
// whole multiples of the interval, never later than RFC 9568 asks, so that one
// wake-up serves them all.
type Router struct {
	set   Settings
	state State

	activeInterval time.Duration // Active_Adver_Interval: learned from the Active
	downDue        time.Time     // Backup: Active_Down_Timer
	due            bool          // Backup: the timer ran out and the caller was told
	released       bool          // Backup: the Active gave up since it was last heard
	vacated        Reason        // Backup: why nothing is waited for, "" = it is
	advertDue      time.Time     // Active: Adver_Timer
	advertSent     time.Time     // Active: last advert

	heard     Heard
	outranked bool      // Backup: the Active has a lower priority than ours
	ignored   bool      // Backup: and its last advert was discarded, to preempt it
	demoted   bool      // Backup: that Active outranked us before
	preemptAt time.Time // Backup: end of the preempt delay
	yielded   bool      // an operator gave the role away: do not preempt until Active again
}

// NewRouter returns a router in Initialize.
func NewRouter(set Settings) *Router {
	return &Router{set: set, activeInterval: set.Interval}
}

// State returns the state of the election.
func (r *Router) State() State { return r.state }

// Heard returns the last advert of another Active; its Source is invalid when
// none was heard since Start or Stop, or when it gave up before Start.
func (r *Router) Heard() Heard { return r.heard }

// Settings returns the settings in force.
func (r *Router) Settings() Settings { return r.set }

// SkewTime is Skew_Time (RFC 9568, Section 6.1): the lower the priority, the
// later a Backup takes over. In version 2 it does not scale with the interval
// (RFC 3768, Section 6.1).
func (r *Router) SkewTime() time.Duration {
	unit := r.activeInterval
	if r.set.Version == Version2 {
		unit = time.Second
	}
	return unit * time.Duration(256-int(r.set.Priority)) / 256
}

// ActiveDownInterval is Active_Down_Interval (RFC 9568, Section 6.1): how long
// the Active may be silent.
func (r *Router) ActiveDownInterval() time.Duration {
	return 3*r.activeInterval + r.SkewTime()
}

// ActiveDownDue is when Active_Down_Timer runs out; zero outside Backup.
func (r *Router) ActiveDownDue() time.Time {
	if r.state != Backup {
		return time.Time{}
	}
	return r.downDue
}

// Preempting returns why a live Active of lower priority is left alone, "" when
// it is not.
func (r *Router) Preempting(now time.Time) string {
	switch {
	case r.state != Backup || !r.outranked || r.set.Priority == PriorityOwner:
		return ""
	case r.yielded:
		return "given away by an operator"
	case !r.set.Preempt:
		return "preempt is off"
	case r.preemptAt.After(now):
		return "preempt delay"
	}
	return ""
}

// Start leaves Initialize (RFC 9568, Section 6.4.1): the address owner is Active
// at once, everybody else listens for one Active_Down_Interval first.
func (r *Router) Start(now time.Time) Outcome {
	if r.state != Initialize {
		return Outcome{}
	}
	r.activeInterval = r.set.Interval
	r.heard = Heard{}
	if r.set.Priority == PriorityOwner {
		return r.becomeActive(now, ReasonOwner)
	}
	return r.becomeBackup(now, ReasonListen)
}

// Resume leaves Initialize as the Active that a former process on this host was.
// Nothing is sent by that: the next advert is due at the next tick.
func (r *Router) Resume(now time.Time) {
	if r.state == Initialize {
		r.becomeActive(now, ReasonOwner)
	}
}

// Stop returns to Initialize from any state. The caller sends the release when
// it has removed the addresses.
func (r *Router) Stop() {
	*r = Router{set: r.set, activeInterval: r.set.Interval, yielded: r.yielded}
}

// Yield makes the router leave any live Active alone, as if Preempt_Mode were
// off, until it is Active again or yielded is false.
func (r *Router) Yield(yielded bool) { r.yielded = yielded }

// Yields reports whether it does.
func (r *Router) Yields() bool { return r.yielded }

// Change puts new settings in force without leaving the state. An Active sends
// a changed priority or interval at once.
func (r *Router) Change(now time.Time, set Settings) Outcome {
	old, down := r.set, r.ActiveDownInterval()
	r.set = set
	if r.state != Backup || !r.heard.Source.IsValid() {
		r.activeInterval = set.Interval
	}
	switch {
	case r.state == Active && (old.Priority != set.Priority || old.Interval != set.Interval):
		return r.advertise(now, Outcome{})
	case r.state == Backup && !r.due && !r.released:
		// The limit moves with the priority and the interval; what has already
		// passed still counts.
		r.downDue = r.downDue.Add(r.ActiveDownInterval() - down)
		r.outranked = r.heard.Source.IsValid() && r.heard.Priority < set.Priority
		r.demoted = r.demoted && r.outranked
	}
	return Outcome{}
}

// Next returns when [Router.Wake] is to be called; zero means never.
func (r *Router) Next() time.Time {
	switch {
	case r.state == Active:
		return r.advertDue
	case r.state == Backup && !r.due:
		return r.downDue
	}
	return time.Time{}
}

// Wake acts on the timers that ran out by now.
func (r *Router) Wake(now time.Time) Outcome {
	switch {
	case r.state == Active && !now.Before(r.advertDue):
		return r.advertise(now, Outcome{})
	case r.state == Backup && !r.due && !now.Before(r.downDue):
		if now.Sub(r.downDue) > r.activeInterval {
			// We were not running: the silence may be ours. Listen once more.
			r.downDue = now.Add(r.ActiveDownInterval())
			return Outcome{}
		}
		r.due = true
		return Outcome{Due: true, Reason: r.dueReason(now)}
	}
	return Outcome{}
}

// Relisten starts Active_Down_Timer anew, for one that had run out or would.
func (r *Router) Relisten(now time.Time) {
	if r.state == Backup {
		r.due, r.released, r.ignored, r.vacated = false, false, false, ""
		r.downDue = now.Add(r.ActiveDownInterval())
	}
}

// Await waits longer for an Active that is known to live: whatever was due is not.
func (r *Router) Await(until time.Time) {
	if r.state == Backup {
		r.due, r.released, r.vacated = false, false, ""
		r.downDue = until
	}
}

// Vacate ends the wait of a Backup now: [Router.Wake] is to be called. Reason says
// how it is known that nobody else is Active, or will be.
func (r *Router) Vacate(now time.Time, reason Reason) {
	if r.state == Backup && !r.due {
		r.vacated, r.downDue = reason, now
	}
}

// Vacated reports whether the takeover that is due waited for nothing, since
// nobody else was Active: that must be so still when it is done.
func (r *Router) Vacated() bool {
	return r.Due() && r.vacated != "" && r.vacated != ReasonHandover
}

// Defer waits longer for an Active, although its time has run out.
func (r *Router) Defer(until time.Time) {
	if r.state == Backup {
		r.due, r.downDue = false, until
	}
}

// Outranks reports whether a live Active of lower priority is heard that may be
// taken over from now.
func (r *Router) Outranks(now time.Time) bool {
	return r.state == Backup && r.outranked && r.Preempting(now) == ""
}

// Discarded returns the last advert of the Active of lower priority that a takeover
// which is due preempts; its Source is invalid when it preempts nobody.
func (r *Router) Discarded() Heard {
	if !r.Due() || !r.ignored || r.released || r.vacated != "" {
		return Heard{}
	}
	return r.heard
}

// Due reports whether Active_Down_Timer ran out and the takeover is left to the
// caller.
func (r *Router) Due() bool { return r.state == Backup && r.due }

// TakeOver makes a Backup Active (RFC 9568, Section 6.4.2, step 130): after
// [Outcome.Due], or earlier when the caller knows that nobody is Active.
func (r *Router) TakeOver(now time.Time) Outcome {
	if r.state != Backup {
		return Outcome{}
	}
	return r.becomeActive(now, r.dueReason(now))
}

func (r *Router) dueReason(now time.Time) Reason {
	switch {
	case r.vacated != "":
		return r.vacated
	case r.released:
		return ReasonRelease
	case r.ignored && now.Sub(r.heard.At) < 2*r.heard.Interval:
		return ReasonPreempted
	}
	return ReasonNoResponse
}

// Follows reports whether a Backup has heard another Active than src within
// Active_Down_Interval: what src releases is not the role. A host that hung, and lost
// it meanwhile, releases when it goes on. RFC 9568, Section 6.4.2, has any
// release count.
func (r *Router) Follows(now time.Time, src netip.Addr) bool {
	return r.state == Backup && r.heard.Source.IsValid() && r.heard.Source != src && now.Sub(r.heard.At) < r.ActiveDownInterval()
}

// Shorten ends the wait of a Backup after Skew_Time, as a release would: for the
// other members of a sync group when one of them was released.
func (r *Router) Shorten(now time.Time) {
	if r.state != Backup {
		return
	}
	r.released = true
	if due := now.Add(r.SkewTime()); !r.due && due.Before(r.downDue) {
		r.downDue = due
	}
}

// advertise sends an advert now and the next one at the next tick.
func (r *Router) advertise(now time.Time, out Outcome) Outcome {
	out.Advertise = true
	r.advertSent = now
	r.advertDue = nextTick(now, r.set.Interval)
	return out
}

// nextTick returns the first whole multiple of the interval after now, counted
// from the zero time of the clock that now is read from. Monotonic readings
// survive in it: only the difference comes from the wall clock.
func nextTick(now time.Time, interval time.Duration) time.Time {
	return now.Add(interval - time.Duration(now.UnixNano())%interval)
}

func (r *Router) becomeActive(now time.Time, reason Reason) Outcome {
	r.state = Active
	r.activeInterval = r.set.Interval
	r.due, r.released, r.outranked, r.ignored, r.demoted, r.yielded, r.vacated = false, false, false, false, false, false, ""
	r.preemptAt = time.Time{}
	return r.advertise(now, Outcome{Became: Active, Changed: true, Reason: reason})
}

func (r *Router) becomeBackup(now time.Time, reason Reason) Outcome {
	r.state = Backup
	r.due, r.released, r.outranked, r.ignored, r.demoted, r.vacated = false, false, false, false, false, ""
	r.preemptAt = time.Time{}
	r.downDue = now.Add(r.ActiveDownInterval())
	return Outcome{Became: Backup, Changed: true, Reason: reason}
}
