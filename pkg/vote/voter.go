package vote

import (
	"slices"
	"time"
)

// margin is by how much less a holder counts than a voter, whose clock may be too
// fast by Drift while the own one is too slow by as much.
const margin = 2 * Drift

// askedMost is how many Asks of a voter may wait for an answer.
const askedMost = 32

// releases is how often a vote is handed back when nobody answers.
const releases = 3

// retries is how often it asks again soon after a Retry: the other host's release may
// reach a voter later than the word of it reached this host. hurryFirst is before the
// first time, and each time four times as much.
const (
	retries    = 3
	hurryFirst = 5 * time.Millisecond
)

// voter is what a Holder knows of one.
type voter struct {
	Voter
	own bool

	until  time.Time // its promise, as the holder counts
	epoch  uint64    // of it
	fenced time.Time // until then it is known to be cut off

	asked   []asked // that may be answered, oldest first
	refusal refusal // newest; none after a grant
	heard   time.Time

	release asked // that nobody has answered; number 0 = none
	tries   int
}

type asked struct {
	number, epoch uint64
	at            time.Time
	ttl           time.Duration
}

type refusal struct {
	why   Reason // 0 = none
	owner string
	until time.Time // then it may be another one
}

// last is when the voter was last asked.
func (v *voter) last() time.Time {
	if len(v.asked) == 0 {
		return time.Time{}
	}
	return v.asked[len(v.asked)-1].at
}

// end is until when its vote counts, for an epoch and higher ones.
func (v *voter) end(base uint64) time.Time {
	if v.epoch < base {
		return v.fenced
	}
	return later(v.until, v.fenced)
}

func (v *voter) counts(now time.Time, base uint64) bool { return now.Before(v.end(base)) }

// own returns this host as a voter, nil when it is none.
func (h *Holder) own() *voter {
	return h.voter(h.cfg.Self)
}

func (h *Holder) voter(name string) *voter {
	i := slices.IndexFunc(h.voters, func(v voter) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &h.voters[i]
}

// peer returns another host, if it is the only other one: with more of them, two
// could know of the same fence.
func (h *Holder) peer(name string) *voter {
	hosts := 0
	for i := range h.voters {
		if h.voters[i].Host {
			hosts++
		}
	}
	v := h.voter(name)
	if hosts != 2 || v == nil || !v.Host || v.own {
		return nil
	}
	return v
}

// renew asks a voter for its vote, or to go on.
func (h *Holder) renew(now time.Time, v *voter) {
	h.number++
	if len(v.asked) == askedMost {
		v.asked = slices.Delete(v.asked, 0, 1)
	}
	v.asked = append(v.asked, asked{h.number, h.epoch, now, v.TTL})
	v.release = asked{}
	if h.stage == Asking {
		v.refusal = refusal{} // it may answer yet
	}
	h.out = append(h.out, Send{v.Name, Ask{Kind: Renew, Number: h.number, Epoch: h.epoch, TTL: v.TTL}})
}

// letGo hands back every vote that this host has, or may have. None counts from
// here on, whatever answers are still on their way.
func (h *Holder) letGo(now time.Time) {
	for i := range h.voters {
		v := &h.voters[i]
		free := v.refusal.why != 0 && !now.Before(v.until)
		if len(v.asked) > 0 && !free {
			h.number++
			v.release, v.tries = asked{number: h.number, at: now}, 1
			h.out = append(h.out, Send{v.Name, Ask{Kind: Release, Number: h.number, Epoch: h.epoch, TTL: v.TTL}})
		}
		v.asked, v.until = nil, time.Time{}
	}
}

// releaseAgain repeats what nobody has answered.
func (h *Holder) releaseAgain(now time.Time, v *voter) {
	if v.release.number == 0 || now.Before(v.release.at.Add(v.Every)) {
		return
	}
	if v.tries >= releases {
		v.release = asked{}
		return
	}
	v.tries++
	v.release.at = now
	h.out = append(h.out, Send{v.Name, Ask{Kind: Release, Number: v.release.number, Epoch: h.epoch, TTL: v.TTL}})
}

// lookEach is how often who wants nothing finds out whether the witnesses answer, and
// lookSoon the same while one never has.
const (
	lookEach = 10 * time.Second
	lookSoon = time.Second
)

// lookAround hands back to each witness what it has not promised: an answer says
// that it would promise it.
func (h *Holder) lookAround(now time.Time) {
	h.look = now.Add(lookEach)
	for i := range h.voters {
		v := &h.voters[i]
		if v.Host {
			continue
		}
		if v.heard.IsZero() {
			h.look = now.Add(lookSoon)
		}
		if v.release.number != 0 {
			continue
		}
		h.number++
		v.release, v.tries = asked{number: h.number, at: now}, 1
		h.out = append(h.out, Send{v.Name, Ask{Kind: Release, Number: h.number, Epoch: h.epoch, TTL: v.TTL}})
	}
}

// answered takes what a voter answers.
func (h *Holder) answered(now time.Time, name string, a Answer) {
	v := h.voter(name)
	if v == nil {
		return
	}
	if a.Kind == Released && a.Number == v.release.number {
		v.release, v.heard = asked{}, now
		return
	}
	if a.Kind == Freed && v.refusal.why == Promised && h.stage == Waiting {
		v.refusal.until, h.due = now, now
	}
	i := slices.IndexFunc(v.asked, func(w asked) bool { return w.number == a.Number })
	if i < 0 {
		return
	}
	was := v.asked[i]
	v.heard = now
	h.seen = max(h.seen, a.Epoch)
	if h.stage == Asking && a.Kind != Granted && i < len(v.asked)-1 {
		return // a newer Ask is on its way
	}
	switch a.Kind {
	case Granted:
		v.until = later(v.until, was.at.Add(was.ttl-was.ttl*h.margin/1e6))
		v.epoch = max(v.epoch, was.epoch)
		v.refusal = refusal{}
	case Refused:
		v.refusal = refusal{a.Why, a.Owner, now.Add(a.Remaining)}
		if h.stage == Asking && a.Why == Promised && !v.own {
			v.refusal.until = h.hurried(now, v.refusal.until) // the others are waited for meanwhile
		}
		if a.Why == OldEpoch && h.stage >= Held {
			h.epoch = max(h.epoch, h.seen+1)
		}
	case Lost:
		v.until, v.refusal = time.Time{}, refusal{why: Trouble, until: now}
	case Released, Freed:
	}
}

// rival reports whether another host is known to have a vote.
func (h *Holder) rival(now time.Time) bool {
	return slices.ContainsFunc(h.voters, func(v voter) bool {
		return v.refusal.why == Promised && v.refusal.owner != h.cfg.Self && now.Before(v.refusal.until)
	})
}
