package vrrp

import (
	"net/netip"
	"time"
)

// Receive handles an advert that passed [Filter] and [Parse].
func (r *Router) Receive(now time.Time, src netip.Addr, a Advert) Outcome {
	switch r.state {
	case Backup:
		r.receiveBackup(now, src, a)
	case Active:
		return r.receiveActive(now, src, a)
	case Initialize: // takes no part, but can tell who does
		r.heard = Heard{Source: src, Priority: a.Priority, Interval: a.Interval, At: now}
		if a.Priority == PriorityRelease {
			r.heard = Heard{}
		}
	}
	return Outcome{}
}

// receiveBackup is RFC 9568, Section 6.4.2.
func (r *Router) receiveBackup(now time.Time, src netip.Addr, a Advert) {
	if a.Priority == PriorityRelease {
		if !r.Follows(now, src) {
			r.Shorten(now) // never later than before: copies of one release do not add up
		}
		return
	}
	wasHeard := r.heard
	r.heard = Heard{Source: src, Priority: a.Priority, Interval: a.Interval, At: now}
	if a.Priority < r.set.Priority && r.mayPreempt(now, wasHeard) {
		r.ignored, r.released = true, false
		return // discarded: the timer runs out
	}
	r.listen(now, a)
}

// mayPreempt decides about a live Active of lower priority. The preempt delay
// holds only at fail-back: when our own priority rose or we just came. An
// Active that outranked us until now has been demoted and is not waited for.
func (r *Router) mayPreempt(now time.Time, was Heard) bool {
	if !r.outranked {
		r.outranked = true
		r.demoted = was.Source.IsValid() && was.Source == r.heard.Source && was.Priority >= r.set.Priority
		r.preemptAt = now.Add(r.set.PreemptDelay)
	}
	switch {
	case r.set.Priority == PriorityOwner:
		return true
	case !r.set.Preempt || r.yielded:
		return false
	}
	return r.demoted || !now.Before(r.preemptAt)
}

// listen accepts the sender as Active: learns its interval and starts
// Active_Down_Timer again.
func (r *Router) listen(now time.Time, a Advert) {
	r.activeInterval = r.set.Interval
	if a.Version == Version3 {
		r.activeInterval = a.Interval
	}
	r.due, r.released, r.ignored, r.vacated = false, false, false, ""
	if a.Priority >= r.set.Priority {
		r.outranked, r.demoted, r.preemptAt = false, false, time.Time{}
	}
	r.downDue = now.Add(r.ActiveDownInterval())
}

// receiveActive is RFC 9568, Section 6.4.3.
func (r *Router) receiveActive(now time.Time, src netip.Addr, a Advert) Outcome {
	switch {
	case a.Priority == PriorityRelease:
		// Who gives up was Active beside us: its clients have to be told.
		return r.advertise(now, Outcome{Contest: true})
	case a.Priority > r.set.Priority:
		return r.lose(now, src, a, ReasonPriority)
	case a.Priority == r.set.Priority && r.set.Address.Less(src):
		return r.lose(now, src, a, ReasonAddress)
	}
	out := Outcome{Contest: true}
	if again := r.advertSent.Add(r.set.Interval / 10); now.Before(again) {
		// A storm of lesser adverts does not make one of ours.
		if again.Before(r.advertDue) {
			r.advertDue = again
		}
		return out
	}
	return r.advertise(now, out)
}

func (r *Router) lose(now time.Time, src netip.Addr, a Advert, reason Reason) Outcome {
	out := r.becomeBackup(now, reason)
	r.heard = Heard{Source: src, Priority: a.Priority, Interval: a.Interval, At: now}
	r.listen(now, a)
	return out
}
