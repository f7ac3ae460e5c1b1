package vote

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Until is until when a majority of the votes lasts; zero or past = there is none.
func (h *Holder) Until() time.Time {
	if h.stage == Idle || h.stage == Waiting {
		return time.Time{}
	}
	ends := make([]time.Time, 0, 8)
	for i := range h.voters {
		ends = append(ends, h.voters[i].end(h.base))
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends[len(ends)-h.cfg.need()]
}

// MayTake reports whether this host may take the VIP over now: a majority of the
// votes lasts for two leases of the kernel.
func (h *Holder) MayTake(now time.Time) bool {
	return h.stage == Held && !h.Until().Before(now.Add(2*h.cfg.Lease))
}

// MayRenewLease reports whether the kernel's lease may be refreshed now. What was
// decided now is done later, but while the lease lasts, as one that has ended
// cannot be refreshed: so at most one lease later, and it then lasts for one more.
func (h *Holder) MayRenewLease(now time.Time) bool {
	return h.MayTake(now) || h.stage == Clinging || h.stage == Held && h.cfg.Hold && !h.rival(now)
}

// Epoch is the number of this holder: a majority has agreed to it. 0 = it has no
// majority.
func (h *Holder) Epoch() uint64 {
	if h.stage < Held {
		return 0
	}
	list := make([]uint64, len(h.voters))
	for i := range h.voters {
		if v := &h.voters[i]; v.epoch >= h.base {
			list[i] = v.epoch
		}
	}
	slices.Sort(list)
	return max(h.base, list[len(list)-h.cfg.need()])
}

// Next is when Step is to be called with [Wake]; zero = not at all. It may be in
// the past.
func (h *Holder) Next() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	switch h.stage {
	case Idle:
		sooner(h.look)
	case Waiting, Asking:
		if !h.over {
			sooner(h.due)
		}
	case Held, Clinging:
	}
	if h.stage == Held {
		sooner(h.Until())
	}
	for i := range h.voters {
		v := &h.voters[i]
		switch {
		case h.stage > Asking:
			sooner(v.last().Add(v.Every))
		case h.stage == Asking && v.refusal.why != 0:
			sooner(v.refusal.until)
		}
		if v.release.number != 0 {
			sooner(v.release.at.Add(v.Every))
		}
	}
	return next
}

// Status is a copy of what a Holder knows.
type Status struct {
	Stage Stage
	Need  int // votes
	Epoch uint64
	Until time.Time
	Votes []Vote // in the order of the voters
	Why   string // which votes are missing, for a majority that lasts; "" = none
}

// Vote is what is known of one vote.
type Vote struct {
	Voter  string
	Host   bool
	Counts bool      // for the majority that is there, or asked for
	Until  time.Time // of its promise to this host; zero = it has made none
	Fenced bool      // that host is cut off, which stands for its vote
	Owner  string    // to whom else it is promised; "" = to nobody, as far as is known
	Why    Reason    // of its newest refusal; 0 = none
	Free   time.Time // of a refusal: then it may be another one
	Heard  time.Time // its newest answer that counted; zero = none yet
}

// Status tells how things stand.
func (h *Holder) Status(now time.Time) Status {
	s := Status{Stage: h.stage, Need: h.cfg.need(), Epoch: h.Epoch(), Until: h.Until()}
	lasts := now
	if h.stage == Held {
		lasts = now.Add(2 * h.cfg.Lease)
	}
	var have, lack []string
	for i := range h.voters {
		v := &h.voters[i]
		s.Votes = append(s.Votes, Vote{
			Voter: v.Name, Host: v.Host, Counts: h.stage != Idle && v.counts(now, h.base), Until: v.until, Fenced: now.Before(v.fenced),
			Why: v.refusal.why, Owner: v.refusal.owner, Free: v.refusal.until, Heard: v.heard,
		})
		if v.counts(lasts, h.base) {
			have = append(have, v.Name)
		} else {
			lack = append(lack, v.Name+" "+h.words(now, v))
		}
	}
	if h.stage == Idle || len(have) >= s.Need {
		return s
	}
	s.Why = fmt.Sprintf("%d of %d votes", len(have), s.Need)
	if len(have) > 0 {
		s.Why += " (" + strings.Join(have, ", ") + ")"
	}
	s.Why += ": " + strings.Join(lack, ", ")
	return s
}

// words is why there is no vote of v.
func (h *Holder) words(now time.Time, v *voter) string {
	left := max(0, v.refusal.until.Sub(now)).Round(time.Millisecond)
	switch v.refusal.why {
	case Promised:
		return fmt.Sprintf("has promised it to %s for %s", v.refusal.owner, left)
	case SitsOut:
		return fmt.Sprintf("has just started, and waits for %s", left)
	case TooLong:
		return "does not promise for so long"
	case NoRoom:
		return "has no room"
	case Trouble:
		return "is in trouble"
	case OldEpoch:
		return "knows a newer holder"
	}
	if h.stage == Waiting && !h.others && !v.own {
		return "was not asked"
	}
	if h.stage == Waiting && now.Sub(v.heard) <= v.TTL {
		return "would give it"
	}
	return "does not answer"
}
