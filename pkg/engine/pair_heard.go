package engine

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// peerStateHeard takes what another host tells of itself.
func (e *Engine) peerStateHeard(now time.Time, ev PeerHeard) {
	p := e.peer(ev.Peer)
	if p == nil {
		return // a reload took it away while the message was on its way
	}
	if ev.Version != 0 {
		e.foreignHeard(now, p, ev.Version)
		return
	}
	p.came(now, ev)
	for _, h := range ev.State.Hears {
		if h.Node == e.cfg.Node && h.Boot == e.pair.boot && ev.Boot == p.boot {
			p.gotOurs(now, h.Paths)
		}
	}
	known := ev.Age != pair.AgeUnknown
	if known && ev.Age > e.pairMay() {
		return // it waited while this host did not run: much may have changed
	}
	if ev.Boot != p.boot {
		p.begin(ev.Boot)
		e.pair.stirred = true
	}
	at := now
	if known {
		at = now.Add(-ev.Age)
	}
	way := p.path(ev.Path)
	way.at, p.foreign = at, 0
	if !at.Before(p.heardAt) {
		p.heardAt, p.doubtful = at, !known
	}
	if !p.heard || !way.heard {
		e.watchPeer(now, p)
	}
	e.heardFence(now, p)
	s := ev.State
	if s.Seq < p.newest {
		return // an older one, overtaken on its way
	}
	p.newest = s.Seq
	for _, h := range s.Hears {
		if h.Node == e.cfg.Node && h.Boot == e.pair.boot {
			p.hearsUs, p.hearsOn = max(p.hearsUs, h.Seq), h.Paths
			e.learned(p)
		}
	}
	if s.Config != nil {
		p.config = s.Config
		e.compareConfig(now, p)
	}
	for _, r := range s.VIPs {
		was := p.vips[r.Name]
		p.vips[r.Name], p.told[r.Name] = r, s.Seq
		if r.Source.IsValid() {
			p.sources[r.Name] = r.Source
		}
		if v := e.byName[r.Name]; v != nil {
			e.epochSeen(now, v, r.Epoch)
			e.peerVIPHeard(now, v, p, was)
			e.schedule(v)
		}
	}
	if ev.Whole && p.whole != s.Seq {
		p.whole, e.pair.stirred = s.Seq, true
		maps.DeleteFunc(p.vips, func(name string, _ pair.VIP) bool { return p.told[name] != s.Seq }) // it has them no more
		p.keepStanding(now)
	}
	e.fillVacancies(now)
}

// epochSeen notes the epoch of a holder, which an attempt to be the next one is to top.
func (e *Engine) epochSeen(now time.Time, v *vip, epoch uint64) {
	if epoch <= v.epoch {
		return
	}
	v.epoch = epoch
	if h := v.ballot.holder; h != nil && h.Stage() != vote.Idle {
		e.stepVote(now, v, vote.Seen{Epoch: epoch})
	}
}

// came notes that a word of the peer came, however old that is.
func (p *peer) came(now time.Time, ev PeerHeard) {
	p.cameAt = now
	p.path(ev.Path).came = now
	if sent := now.Add(-ev.Age); ev.Age != pair.AgeUnknown && sent.After(p.gotSent) {
		p.gotSent = sent // what it had got by then
	}
}

// gotOurs notes when the peer got a word of ours last: it may hear us no more while we
// hear it.
func (p *peer) gotOurs(now time.Time, on []pair.Path) {
	if len(on) == 0 {
		return
	}
	newest := slices.MinFunc(on, func(a, b pair.Path) int { return cmp.Compare(a.Age, b.Age) })
	if newest.Age < 65*time.Second || p.gotAt.IsZero() { // what is older is told as 65 s, see [pair.Path]
		p.gotAt = now.Add(-newest.Age)
	}
}

// foreignHeard notes that p speaks another version of the channel. While p is heard that
// may be an old message, which somebody sends again.
func (e *Engine) foreignHeard(now time.Time, p *peer, version uint8) {
	if p.foreign == version {
		return
	}
	p.foreign = version
	if !e.fresh(now, p) {
		e.tellForeign(now, p)
	}
}

func (e *Engine) tellForeign(now time.Time, p *peer) {
	e.report(now, Record{Type: RecordPeer, Name: p.name, To: "version", Severity: Warning,
		Text: fmt.Sprintf("peer %s speaks version %d of the pair channel, and this host %d: only its adverts count", p.name, p.foreign, pair.Version)})
}

// never is no Seq of a state: the peer is told at once.
const never = math.MaxUint64

// begin forgets what an earlier process of the peer told.
func (p *peer) begin(boot uint64) {
	p.boot, p.newest, p.whole, p.hearsUs, p.hearsOn = boot, 0, 0, 0, nil
	p.answered = never
	clear(p.vips)
	clear(p.told)
}

// peerVIPHeard acts on what p tells of v now; was is what it told before.
func (e *Engine) peerVIPHeard(now time.Time, v *vip, p *peer, was pair.VIP) {
	r := p.vips[v.name]
	if v.seen.from == p.name && r.Offer != e.cfg.Node {
		v.seen = taking{}
	}
	if r.Held && !was.Held {
		e.noteHolder(now, v, p.name)
	}
	switch {
	case v.offer.to == p.name && r.Role == pair.Active:
		if r.Held {
			e.offerTaken(now, v, p)
		}
	case v.offer.to == p.name && r.Asks && !was.Asks:
		e.offerAgain(now, v)
	case r.Role == pair.Active && r.Offer == e.cfg.Node:
		e.offered(now, v, p)
	case r.Role == pair.Active && v.taking.from != "" && v.taking.from != p.name:
		// it has handed it to the one that we take it from, and will say so
	case r.Role == pair.Active:
		v.taking = taking{}
		e.activeTold(now, v, p)
	case v.taking.from == p.name && !r.Held:
		v.taking = taking{} // it has let go
	}
	claimed := func(r pair.VIP) bool { return r.Role == pair.Active || r.Held }
	if claimed(was) && !claimed(r) && v.router.State() == vrrp.Backup && v.router.Heard().Source == r.Source {
		e.letGo(now, v, p)
	}
	if r.Asks {
		e.asked(now, v, p)
	}
}

// letGo lets the election know that p is not Active any more: as a release would,
// unless it is so because another host has it now.
func (e *Engine) letGo(now time.Time, v *vip, p *peer) {
	if h := e.holder(now, v); h != nil {
		e.activeTold(now, v, h)
		return
	}
	r := p.vips[v.name]
	e.advertHeard(now, v, r.Source, e.advertOf(v, r, vrrp.PriorityRelease))
}

// activeTold lets the election know that p is Active, as an advert would: it does
// not matter which of the two gets through.
func (e *Engine) activeTold(now time.Time, v *vip, p *peer) {
	if r := p.vips[v.name]; r.Source.IsValid() && r.Priority > 0 {
		e.advertHeard(now, v, r.Source, e.advertOf(v, r, r.Priority))
	}
}

func (e *Engine) advertOf(v *vip, r pair.VIP, priority uint8) vrrp.Advert {
	return vrrp.Advert{Version: v.cfg.Version, VRID: v.cfg.VRID, Priority: priority, Interval: r.Interval, Addresses: v.list}
}

// peerOf returns the peer whose adverts of v come from source, nil when that is
// nobody's.
func (e *Engine) peerOf(v *vip, source netip.Addr) *peer {
	i := slices.IndexFunc(e.pair.peers, func(p *peer) bool { return p.sources[v.name] == source })
	if i < 0 {
		i = slices.IndexFunc(e.pair.peers, func(p *peer) bool { return slices.Contains(p.addresses, source) })
	}
	if i < 0 {
		return nil
	}
	return e.pair.peers[i]
}

// believes reports whether an advert counts. Where hosts tell each other how they
// stand, on an authenticated channel, an advert that says something else is no
// host's of the pair: the word on the channel is waited for. When all have told
// where their adverts come from, adverts from elsewhere are strangers'. A peer
// that is silent on the channel is believed, as without one.
func (e *Engine) believes(now time.Time, v *vip, source netip.Addr, a vrrp.Advert) bool {
	if e.cfg.Pair == nil || slices.Contains(v.cfg.UnicastPeers, source) && e.peerOf(v, source) == nil {
		return true
	}
	p := e.peerOf(v, source)
	if p == nil {
		return slices.ContainsFunc(e.pair.peers, func(p *peer) bool { return !p.sources[v.name].IsValid() })
	}
	r, told := p.vips[v.name]
	if !told || !e.fresh(now, p) {
		return true
	}
	return r.Role == pair.Active && r.Priority == a.Priority
}

// fillVacancies takes over, without waiting, what every other host says it does
// not hold.
func (e *Engine) fillVacancies(now time.Time) {
	for _, v := range e.vips {
		if !e.vacant(now, v) {
			continue
		}
		reason := vrrp.ReasonVacant
		if v.router.Heard().Source.IsValid() {
			reason = vrrp.ReasonRelease
		}
		v.router.Vacate(now, reason)
		e.follow(now, v, v.router.Wake(now), 0)
		e.schedule(v)
	}
}

// vacant reports whether v is this host's to take now, without waiting.
func (e *Engine) vacant(now time.Time, v *vip) bool {
	return e.cfg.Pair != nil && len(e.pair.peers) > 0 && v.router.State() == vrrp.Backup && !v.router.Due() && len(v.blockers) == 0 && e.ours(now, v)
}

// ours reports whether every other host of the pair is heard, holds v not, and
// knows how we stand to it, and of all that could hold it we come first. Two hosts
// that take it in the Step in which they find this cannot both find it: who is
// second knows it from the very word that the first one acts on
// (docs/model/vacancy.pml).
func (e *Engine) ours(now time.Time, v *vip) bool {
	ours := e.told(now, v)
	if ours != v.said {
		return false // the others do not know it yet
	}
	heard := v.router.Heard()
	alien := heard.Source.IsValid() && now.Sub(heard.At) < v.router.ActiveDownInterval() && e.peerOf(v, heard.Source) == nil
	return !alien && !slices.ContainsFunc(e.pair.peers, func(p *peer) bool {
		r, told := p.vips[v.name]
		return !told || !e.fresh(now, p) || p.doubtful || p.hearsUs < v.saidSeq || r.Role == pair.Active || r.Held || r.Eligible && outranks(r, ours)
	})
}

// listensAgain makes the members of a sync group wait for an Active which were
// about to take what nobody held, when it is not theirs any more: while the kernel
// began the lease, or another member was waited for, another host may have come to
// be the first.
func (e *Engine) listensAgain(now time.Time, members []*vip) bool {
	again := false
	for _, m := range members {
		if m.router.Vacated() && !e.ours(now, m) {
			m.router.Relisten(now)
			e.schedule(m)
			again = true
		}
	}
	return again
}

// defers leaves the VIP of an Active that fell silent to a peer that comes first,
// and would be as fast: for one interval, once. A drill that has this host keep silent
// leaves it to all of them.
func (e *Engine) defers(now time.Time, v *vip) bool {
	if e.drill.silent() {
		v.router.Defer(now.Add(v.cfg.Interval)) // no peer would believe that it is held here
		return true
	}
	ours := e.told(now, v)
	first := func(p *peer) bool {
		r := p.vips[v.name]
		return e.fresh(now, p) && r.Role == pair.Standby && r.Eligible && outranks(r, ours)
	}
	if v.deferred || v.taking.from != "" || !slices.ContainsFunc(e.pair.peers, first) {
		return false
	}
	v.deferred = true
	v.router.Defer(now.Add(v.cfg.Interval))
	return true
}

// spares leaves a live Active of lower priority alone which does not hear us: a host
// of the pair that was heard lately, and is silent on the channel, hangs, and may hold
// the VIP until its lease is over. That is so before its Active_Down_Interval is. One
// whose adverts go on without the channel does not hang: RFC 9568 has its way.
func (e *Engine) spares(now time.Time, v *vip) bool {
	heard := v.router.Discarded()
	if !heard.Source.IsValid() {
		return false
	}
	p := e.peerOf(v, heard.Source)
	if p == nil || heard.At.Sub(p.cameAt) > 2*v.router.ActiveDownInterval() {
		return false
	}
	until := heard.At.Add(v.router.ActiveDownInterval())
	if !now.Before(until) {
		return false
	}
	v.router.Defer(until)
	e.schedule(v)
	return true
}

// outranks reports whether a shall hold a VIP rather than b.
func outranks(a, b pair.VIP) bool {
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return b.Source.Less(a.Source)
}
