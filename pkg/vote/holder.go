package vote

import (
	"slices"
	"time"
)

// Voter is somebody who has one vote.
type Voter struct {
	Name string
	// Host says that it is one of the hosts that may hold the VIP, and not a witness.
	Host bool
	// TTL is for how long it is asked to promise, in whole milliseconds, and Every
	// the time between two renewals, for which its answers are waited for as well.
	// See [AutoTTL] for what fits.
	TTL, Every time.Duration
}

// Config is how one VIP is voted on. It is validated already.
type Config struct {
	Self   string  // name of this host, which may be one of the voters
	Voters []Voter // 1 or more; all hosts have the same ones
	// Lease is how long a refresh of the kernel's lease lasts.
	Lease time.Duration
	// Rank says how long to wait after a draw: 0 is the shortest. Hosts have
	// different ones.
	Rank int
	// Hold lets who has held go on without a majority, until another host is known
	// to have a vote: two may hold then.
	Hold bool
}

// need is how many votes are a majority.
func (c Config) need() int { return len(c.Voters)/2 + 1 }

// Stage is how far a Holder has come.
type Stage uint8

// The stages.
const (
	Idle     Stage = iota // it wants nothing
	Waiting               // it wants the VIP, and asks again later
	Asking                // it has asked, and has too few answers
	Held                  // it has a majority
	Clinging              // it has had one, and goes on without: [Config.Hold]
)

// String is the stage in lower case.
func (s Stage) String() string {
	return [...]string{Idle: "idle", Waiting: "waiting", Asking: "asking", Held: "held", Clinging: "clinging"}[s]
}

// Holder collects votes for one VIP on one host.
//
//	        Want                 asks                    majority
//	IDLE ─────────▶ WAITING ───────────────▶ ASKING ─────────────────▶ HELD
//	  ▲               ▲    refused, or no answers │                       │
//	  │               └───── votes handed back ───┘◀── majority is over ──┘
//	  └─────────────────────────── Drop: votes handed back
//
// The own vote is asked for first: who has promised it to another host does not
// ask others. Who gets no majority hands back what it got, so that another one may
// have it, and waits: until the promises that are in its way are over, or, after a
// draw, for a time that depends on its [Config.Rank].
type Holder struct {
	cfg    Config
	stage  Stage
	voters []voter
	number uint64 // of the newest Ask
	seen   uint64 // highest epoch known of
	base   uint64 // epoch of this attempt: votes for less do not count
	epoch  uint64 // that is asked for now: base, or higher
	due    time.Time
	look   time.Time     // idle: when to find out again who answers
	hurry  int           // how often it asks again soon, after a Retry
	over   bool          // a hold has ended: the votes are kept, and no new ones asked for, until Drop
	others bool          // not only the own vote has been asked for
	margin time.Duration // ppm, that a vote counts less
	out    []Send
}

// NewHolder makes one that wants nothing. Its Asks have higher numbers than from:
// what [Holder.Number] was of an earlier Holder of that VIP in this process, else 0.
func NewHolder(cfg Config, from uint64) *Holder {
	h := &Holder{number: from, margin: margin}
	h.configure(cfg)
	return h
}

// Number is that of the newest Ask.
func (h *Holder) Number() uint64 { return h.number }

// Stage returns how far it has come.
func (h *Holder) Stage() Stage { return h.stage }

// Over reports whether a hold has ended, and waits for [Drop].
func (h *Holder) Over() bool { return h.over }

// Hurries reports whether it asks again at once when it is refused, since another host
// has released the VIP just now.
func (h *Holder) Hurries() bool { return h.hurry > 0 }

// Clone returns a Holder that knows the same and goes its own way from here.
func (h *Holder) Clone() *Holder {
	c := *h
	c.out = nil
	c.voters = slices.Clone(h.voters)
	for i := range c.voters {
		c.voters[i].asked = slices.Clone(c.voters[i].asked)
	}
	return &c
}

// Step takes an event, and returns what is to be sent. now is not before that of
// any call before.
func (h *Holder) Step(now time.Time, ev Event) []Send {
	h.out = nil
	switch ev := ev.(type) {
	case Wake:
	case Want:
		if h.stage == Idle {
			h.stage, h.due = Waiting, now
		}
	case Retry:
		h.hurry = retries
		if h.stage == Waiting {
			h.due = now
		}
	case Drop:
		h.letGo(now)
		h.stage, h.over = Idle, false
	case Answered:
		h.answered(now, ev.Voter, ev.Answer)
	case Fenced:
		if v := h.peer(ev.Peer); v != nil {
			v.fenced = ev.Until
			if h.stage == Waiting && now.Before(ev.Until) {
				h.due = now
			}
		}
	case Seen:
		h.seen = max(h.seen, ev.Epoch)
		switch {
		case h.stage == Asking && ev.Epoch >= h.base:
			h.begin(now)
		case h.stage >= Held && ev.Epoch >= h.Epoch():
			h.epoch = max(h.epoch, h.seen+1)
		}
	case Configure:
		h.configure(ev.Config)
	}
	h.advance(now)
	return h.out
}

// configure takes other voters. What those who stay have promised still counts.
func (h *Holder) configure(cfg Config) {
	old := h.voters
	h.cfg, h.voters = cfg, nil
	for _, c := range cfg.Voters {
		v := voter{}
		if i := slices.IndexFunc(old, func(v voter) bool { return v.Name == c.Name }); i >= 0 {
			v = old[i]
		}
		v.Voter, v.own = c, c.Name == cfg.Self
		h.voters = append(h.voters, v)
	}
}

// advance goes on as far as it can.
func (h *Holder) advance(now time.Time) {
	if h.stage == Idle && !now.Before(h.look) {
		h.lookAround(now)
	}
	if h.stage == Waiting && !h.over && !now.Before(h.due) {
		h.begin(now)
	}
	if h.stage == Asking {
		h.ask(now)
	}
	if h.stage == Held && !now.Before(h.Until()) {
		h.becomeWithout(now)
	}
	if h.stage == Clinging && (h.rival(now) || !h.cfg.Hold) {
		h.fail(now)
	}
	if h.stage > Asking {
		for i := range h.voters {
			if v := &h.voters[i]; !now.Before(v.last().Add(v.Every)) {
				h.renew(now, v)
			}
		}
	}
	if h.stage == Clinging && now.Before(h.Until()) {
		h.stage = Held
	}
	for i := range h.voters {
		h.releaseAgain(now, &h.voters[i])
	}
}

// begin starts an attempt: with the own vote, if there is one.
func (h *Holder) begin(now time.Time) {
	h.stage, h.base, h.others = Asking, h.seen+1, true
	h.epoch = h.base
	h.due = now
	for i := range h.voters {
		h.voters[i].refusal = refusal{}
		if h.voters[i].own {
			h.others = false
		}
	}
	h.askAll(now)
}

// askAll asks those whose turn it is.
func (h *Holder) askAll(now time.Time) {
	for i := range h.voters {
		if v := &h.voters[i]; v.own != h.others {
			h.renew(now, v)
			h.due = later(h.due, now.Add(v.Every))
		}
	}
}

// ask goes on with an attempt until it has a majority, or can have none.
func (h *Holder) ask(now time.Time) {
	if h.seen >= h.base && h.outbid() { // another number, by all
		h.begin(now)
		return
	}
	if own := h.own(); own != nil && !h.others {
		switch {
		case own.refusal.why == Promised && now.Before(own.refusal.until):
			h.fail(now)
			return
		case own.counts(now, h.base) || own.refusal.why != 0:
			h.others = true
			h.askAll(now)
		}
	}
	if now.Before(h.Until()) {
		h.stage = Held
		return
	}
	open := 0
	for i := range h.voters {
		v := &h.voters[i]
		switch {
		case v.counts(now, h.base):
			v.refusal = refusal{} // of a copy of what was asked
			open++
		case v.refusal.why == 0:
			open++ // may answer yet
		case !now.Before(v.refusal.until):
			h.renew(now, v)
			h.due = later(h.due, now.Add(v.Every))
			open++
		case v.refusal.until.Before(h.due):
			open++
		}
	}
	if open < h.cfg.need() || !now.Before(h.due) {
		h.fail(now)
	}
}

// outbid reports whether a voter refused because of a higher epoch.
func (h *Holder) outbid() bool {
	return slices.ContainsFunc(h.voters, func(v voter) bool { return v.refusal.why == OldEpoch })
}

// becomeWithout is what follows when the majority is over.
func (h *Holder) becomeWithout(now time.Time) {
	if h.cfg.Hold && !h.rival(now) {
		h.stage = Clinging
		return
	}
	h.fail(now)
}

// fail ends an attempt, or a hold that has no majority any more, and says when to
// try again. What is left of a hold is kept until [Drop]: when a proof of a fence ends,
// the kernel may answer still.
func (h *Holder) fail(now time.Time) {
	h.over = h.stage > Asking
	h.stage = Waiting
	h.due = h.again(now)
	h.due = h.hurried(now, h.due)
	if !h.over {
		h.letGo(now)
	}
}

// hurried is when to ask again, instead of at t, when another host has just released
// the VIP: soon, a few times.
func (h *Holder) hurried(now, t time.Time) time.Time {
	if h.hurry == 0 {
		return t
	}
	h.hurry--
	return earlier(t, now.Add(hurryFirst<<(2*(retries-1-h.hurry))))
}

// again is when to try again: when the promises to the host that has a majority
// are over, or, if none has, at another time than the other hosts do.
func (h *Holder) again(now time.Time) time.Time {
	var free []time.Time
	longest := time.Duration(0)
	for i := range h.voters {
		v := &h.voters[i]
		longest = max(longest, v.Every)
		switch {
		case v.refusal.why != 0:
			free = append(free, later(now, v.refusal.until))
		case v.counts(now, h.base):
			free = append(free, now)
		}
	}
	slices.SortFunc(free, time.Time.Compare)
	again := now.Add(longest * time.Duration(1+h.cfg.Rank))
	if n := h.cfg.need(); !h.draw() && len(free) >= n && free[n-1].After(now) {
		again = free[n-1]
	}
	if own := h.own(); own != nil && own.refusal.why == Promised {
		again = later(again, own.refusal.until)
	}
	return again
}

// draw reports whether other hosts have votes, and none of them a majority as far
// as is known: they hand them back as well.
func (h *Holder) draw() bool {
	votes := map[string]int{}
	most := 0
	for i := range h.voters {
		v := &h.voters[i]
		who := v.refusal.owner
		if v.refusal.why != Promised {
			continue
		}
		if votes[who]++; votes[who] == 1 {
			if w := h.voter(who); w != nil && w.refusal.why == 0 {
				votes[who]++ // its own
			}
		}
		most = max(most, votes[who])
	}
	return most > 0 && most < h.cfg.need()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
