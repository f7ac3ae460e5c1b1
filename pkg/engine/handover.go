package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vrrp"
)

// linger is how long the old holder serves on when the new one holds: until what
// tells the network so has passed every switch.
const linger = 10 * time.Millisecond

// overlapMost bounds how long two hosts hold a VIP that one hands to the other.
const overlapMost = 50 * time.Millisecond

// offer is a planned move as the holder sees it: it serves on until the taker says
// that it does.
type offer struct {
	to    string // peer, "" = there is none
	since time.Time
	until time.Time // it is not waited for longer
	taken bool      // the peer holds it: both do, until that time
	again bool      // the peer wanted to hear it once more
}

// taking is the same as the taker sees it.
type taking struct {
	from  string // peer, "" = there is none
	epoch uint64
	since time.Time // the offer was made, or made again, no earlier
	asked time.Time // to hear it again, zero = was not
	taken bool      // once: who gave the VIP up since is not who it is offered to
}

// acceptMost is how long an offer is good for the taker: the holder, who waits
// longer, has then heard of it before it serves on alone.
const acceptMost = overlapMost / 2

// going is what becomes of a VIP whose role here ends with an offer.
type going struct {
	to           State
	reason, text string
	cause        uint64
}

// leave ends the role of an Active. Where a peer is ready to take it, that one
// opens first; otherwise the addresses go and a release is sent.
func (e *Engine) leave(now time.Time, v *vip, g going) {
	switch {
	case v.offer.to != "":
		v.going = &g
	case v.router.State() == vrrp.Active && e.overlaps(v) && e.offerTo(now, v, e.taker(now, v)):
		v.going = &g
	default:
		e.withdraw(now, v, g.to, g.reason, g.text, g.cause)
	}
}

// overlaps reports whether v may be held by two hosts while it moves: it is served
// from here, and nothing keeps this host from serving on for a moment.
func (e *Engine) overlaps(v *vip) bool {
	cannot := slices.ContainsFunc(v.own, func(b Blocker) bool {
		return b.Kind == BlockedInterface && b.Name == v.cfg.Interface || b.Kind == BlockedKernel
	})
	return e.cfg.Pair != nil && !v.cfg.Break && v.ballot.holder == nil && v.there && v.applied && !v.quiet && v.taking.from == "" && !cannot && !e.drill.abrupt(v)
}

// taker returns the peer that is to have v and its sync group, nil when none can.
func (e *Engine) taker(now time.Time, v *vip) *peer {
	var best *peer
	for _, p := range e.pair.peers {
		ready := func(m *vip) bool {
			r := p.vips[m.name]
			return r.Eligible && (r.Role == pair.Standby || r.Role == pair.Active)
		}
		if r := p.vips[v.name]; !e.fresh(now, p) || r.Role != pair.Standby || !allOf(v.peers(), ready) ||
			best != nil && !outranks(r, best.vips[v.name]) {
			continue
		}
		best = p
	}
	return best
}

// offerTo asks p to take v.
func (e *Engine) offerTo(now time.Time, v *vip, p *peer) bool {
	if p == nil {
		return false
	}
	most := overlapMost
	for _, m := range v.peers() {
		most += m.cfg.BeforeHold
	}
	v.offer = offer{to: p.name, since: now, until: now.Add(most)}
	e.do(Hush{VIP: v.name}) // the last word is to be that of the new holder
	e.pair.stirred = true
	e.schedule(v)
	return true
}

// announcementSent tells the old holder that it may let go.
func (e *Engine) announcementSent(ev AnnouncementSent) {
	if v := e.byName[ev.VIP]; v != nil && v.state == Active {
		v.announced, e.pair.stirred = true, true
	}
}

// asks reports whether this host shall have v from a living holder that tells of
// itself, which is asked for it.
func (e *Engine) asks(now time.Time, v *vip) bool {
	return (v.router.Outranks(now) || e.wantsBack(now, v)) && len(v.blockers) == 0 && e.holder(now, v) != nil
}

// holder returns the peer that tells that it is Active, nil when none does.
func (e *Engine) holder(now time.Time, v *vip) *peer {
	i := slices.IndexFunc(e.pair.peers, func(p *peer) bool { return e.fresh(now, p) && p.vips[v.name].Role == pair.Active })
	if i < 0 {
		return nil
	}
	return e.pair.peers[i]
}

// asked gives v to a peer that shall have it, unless another one that asks shall
// rather.
func (e *Engine) asked(now time.Time, v *vip, p *peer) {
	r := p.vips[v.name]
	better := func(o *peer) bool { q := o.vips[v.name]; return e.fresh(now, o) && q.Asks && outranks(q, r) }
	if v.router.State() != vrrp.Active || v.quiet || v.kept != nil || v.offer.to != "" || v.taking.from != "" || !r.Eligible || r.Role != pair.Standby ||
		!outranks(r, e.told(now, v)) || slices.ContainsFunc(e.pair.peers, better) {
		return
	}
	if e.overlaps(v) {
		e.offerTo(now, v, p)
		return
	}
	e.withdraw(now, v, Initialize, string(vrrp.ReasonPriority), outrankedText(v, r), v.record)
}

func outrankedText(v *vip, r pair.VIP) string {
	return fmt.Sprintf("%s has %d, own %d", r.Source, r.Priority, v.router.Settings().Priority)
}

// offered takes what its holder wants this host to have. An offer may be as old as
// what the holder had heard of this host when it made it. One that may be too old is
// asked for again: what proves to answer that is new.
func (e *Engine) offered(now time.Time, v *vip, p *peer) {
	t := taking{from: p.name, epoch: p.vips[v.name].Epoch + 1, since: p.heardAt}
	if v.seen.from == t.from && (v.seen.taken || v.seen.epoch == t.epoch) {
		t = v.seen // the same one
	}
	switch old := now.Sub(t.since) > acceptMost; {
	case old && t.asked.IsZero():
		t.asked, e.pair.stirred = now, true
	case old && t.since.Before(t.asked) && !p.heardAt.Before(t.asked):
		t.since = t.asked
	}
	v.seen = t
	if t.taken || v.router.State() != vrrp.Backup || len(v.blockers) > 0 || now.Sub(t.since) > acceptMost {
		return
	}
	v.seen.taken = true
	v.taking = v.seen
	v.router.Vacate(now, vrrp.ReasonHandover)
	e.follow(now, v, v.router.Wake(now), 0)
}

// offerAgain gives the peer that asks for it the whole time once more, since it
// cannot know when an offer was made that it did not expect.
func (e *Engine) offerAgain(now time.Time, v *vip) {
	if v.offer.taken || v.offer.again {
		return
	}
	v.offer.again, v.offer.until = true, v.offer.until.Add(now.Sub(v.offer.since))
	e.pair.stirred = true
}

// offerTaken notes that the peer holds v, as it has said on the channel.
func (e *Engine) offerTaken(now time.Time, v *vip, p *peer) {
	if v.offer.taken {
		return
	}
	took := now.Sub(v.offer.since)
	e.report(now, Record{Type: RecordHandover, Name: v.name, From: e.cfg.Node, To: p.name, Reason: "taken", Cause: v.record, Took: took,
		Text: fmt.Sprintf("%s: %s holds it %s after it was offered", v.name, p.name, round(took))})
	v.offer.taken, v.offer.until = true, earliest(v.offer.until, now.Add(linger))
	if v.going == nil {
		v.going = &going{to: Initialize, reason: string(vrrp.ReasonPriority), text: outrankedText(v, p.vips[v.name])}
	}
}

// offerEnds lets go of a VIP that the peer holds. Otherwise it goes on without the
// peer: who leaves does so; who was asked, or has no reason to leave any more, serves
// on. An offer is not taken back before: the peer may be about to open.
func (e *Engine) offerEnds(now time.Time, v *vip) {
	o, g, cause := v.offer, v.going, v.record
	v.offer, v.going, e.pair.stirred = offer{}, nil, true
	if v.handed = o.taken; !o.taken {
		waited := now.Sub(o.since)
		cause = e.report(now, Record{Type: RecordHandover, Name: v.name, From: e.cfg.Node, To: o.to, Reason: "late", Severity: Warning, Cause: cause, Took: waited,
			Text: fmt.Sprintf("%s: %s did not take it within %s", v.name, o.to, round(waited))})
	}
	if !o.taken && len(v.blockers) == 0 && v.moving == nil {
		g = nil
	}
	if g == nil && v.cfg.Takeover != TakeoverVRRP {
		// The peer may have taken it, and its word been lost: two must not hold it.
		g = &going{to: Initialize, reason: string(vrrp.ReasonHandover), text: o.to + " may have taken it"}
	}
	if g != nil {
		e.withdraw(now, v, g.to, g.reason, g.text, max(g.cause, cause))
	}
}
