package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vrrp"
)

// How often hosts of a pair tell each other their state unless the configuration
// says it, and how many times in a row that may be missed.
const (
	pairLeast  = 30 * time.Millisecond
	pairMost   = 100 * time.Millisecond
	pairMissed = 3
	configEach = 10 * time.Second // how often the configuration is told again
	saidMost   = 32               // states that a peer may not have got yet
)

// Pair is the channel to the other hosts of a pair or group.
type Pair struct {
	Interval time.Duration           // between two states; 0 = the least Advertisement_Interval, 30 to 100 ms
	Peers    map[string][]netip.Addr // addresses of the other hosts, by name
}

// pairing is what this host tells the others, and what they tell.
type pairing struct {
	boot     uint64 // of our process on the channel, 0 = it is not open
	err      string
	peers    []*peer // sorted by name
	seq      uint64
	said     []*pair.State // the newest ones, each with another Seq
	beatAt   time.Time
	configAt time.Time // when the configuration is told again

	configTold bool // in the newest state
	stirred    bool // something may be new, or was asked
	timer      timer
}

// peer is another host as it tells of itself.
type peer struct {
	name      string
	addresses []netip.Addr // configured
	boot      uint64
	newest    uint64 // Seq of its newest state
	whole     uint64 // Seq of the newest one that came whole
	answered  uint64 // the same, as it was told that it did
	heardAt   time.Time
	cameAt    time.Time // a word of it, however old that was
	doubtful  bool      // nothing says how long that was on its way
	since     time.Time // of heard or not
	heard     bool      // as was reported last
	paths     []path    // sorted by address
	vips      map[string]pair.VIP
	told      map[string]uint64     // Seq of the newest state that told of a VIP
	sources   map[string]netip.Addr // of its adverts by VIP, also of an earlier boot
	foreign   uint8                 // version of the channel that it speaks, when it is another one
	hearsUs   uint64                // Seq of ours that it has heard whole
	hearsOn   []pair.Path           // on which of our addresses
	knows     *pair.State           // of this host, as far as it has said; nil = nothing
	gotAt     time.Time             // when it got a word of ours last, as it says
	gotSent   time.Time             // when we sent that one
	was       []standing            // how its VIPs stood when we sent that one, and since
	config    map[string]string
	drift     []Drift
}

// standing is what a peer told of its VIPs, from when all of that had come.
type standing struct {
	at   time.Time
	vips map[string]pair.VIP
}

// path is a way on which a peer is heard.
type path struct {
	address netip.Addr
	at      time.Time // last message
	came    time.Time // last message, however old that was
	heard   bool      // as was reported last
}

// path returns the way to p by an address, which is a new one if need be. It is
// good until the next new one.
func (p *peer) path(address netip.Addr) *path {
	i, ok := slices.BinarySearchFunc(p.paths, address, func(at path, a netip.Addr) int { return at.address.Compare(a) })
	if !ok {
		p.paths = slices.Insert(p.paths, i, path{address: address})
	}
	return &p.paths[i]
}

// pairInterval is the time between two states.
func (e *Engine) pairInterval() time.Duration {
	if d := e.cfg.Pair.Interval; d > 0 {
		return d
	}
	d := pairMost
	for _, v := range e.vips {
		d = min(d, v.cfg.Interval)
	}
	return max(d, pairLeast)
}

// configurePair keeps the peers that did not change.
func (e *Engine) configurePair(now time.Time) {
	old := e.pair.peers
	e.pair.peers, e.pair.stirred, e.pair.configAt = nil, true, now
	if e.cfg.Pair == nil {
		e.pair.boot, e.pair.beatAt = 0, time.Time{}
		e.timers.set(&e.pair.timer, time.Time{})
		return
	}
	for _, name := range slices.Sorted(maps.Keys(e.cfg.Pair.Peers)) {
		i := slices.IndexFunc(old, func(p *peer) bool { return p.name == name })
		p := &peer{name: name, since: now, vips: map[string]pair.VIP{}, told: map[string]uint64{}, sources: map[string]netip.Addr{}}
		if i >= 0 {
			p = old[i]
		}
		if addresses := e.cfg.Pair.Peers[name]; !slices.Equal(p.addresses, addresses) {
			p.addresses = slices.Clone(addresses)
			p.paths = slices.DeleteFunc(p.paths, func(at path) bool { return !slices.Contains(addresses, at.address) })
			for _, a := range addresses {
				p.path(a)
			}
		}
		e.pair.peers = append(e.pair.peers, p)
	}
	for _, p := range e.pair.peers {
		e.compareConfig(now, p)
	}
}

// pairUp begins to tell.
func (e *Engine) pairUp(now time.Time, ev PairUp) {
	e.pair.boot, e.pair.err, e.pair.stirred = ev.Boot, "", true
	e.report(now, Record{Type: RecordPeer, To: "open", Text: "the pair channel is open"})
}

// pairDown notes that nothing can be told or heard.
func (e *Engine) pairDown(now time.Time, ev PairDown) {
	if ev.Err != e.pair.err {
		e.report(now, Record{Type: RecordPeer, To: "closed", Severity: Warning, Text: "the pair channel is not open: " + ev.Err})
	}
	e.pair.boot, e.pair.err = 0, ev.Err
}

// peer returns a peer by name, nil when there is none.
func (e *Engine) peer(name string) *peer {
	i, ok := slices.BinarySearchFunc(e.pair.peers, name, func(p *peer, name string) int { return strings.Compare(p.name, name) })
	if !ok {
		return nil
	}
	return e.pair.peers[i]
}

// fresh reports whether what p told last still counts.
func (e *Engine) fresh(now time.Time, p *peer) bool {
	return !p.heardAt.IsZero() && now.Sub(p.heardAt) <= e.pairMay()
}

// pairMay is how long a peer may be silent.
func (e *Engine) pairMay() time.Duration { return pairMissed*e.pairInterval() + e.pairInterval()/2 }

// beat is the timer of the channel: it is time to tell again, and to see who has
// fallen silent.
func (e *Engine) beat(now time.Time) {
	e.pair.stirred = true
	for _, p := range e.pair.peers {
		e.watchPeer(now, p)
	}
}

// watchPeer reports when p, or a path to it, is heard or not heard any more.
func (e *Engine) watchPeer(now time.Time, p *peer) {
	began := e.fresh(now, p) && !p.heard
	p.heard = began || p.heard
	if began {
		p.since = now
	}
	if p.heard && !e.fresh(now, p) {
		p.heard, p.since = false, now
		e.report(now, Record{Type: RecordPeer, Name: p.name, From: "heard", To: "silent", Severity: Warning,
			Text: fmt.Sprintf("peer %s is silent: nothing for %s on any path", p.name, round(now.Sub(p.heardAt)))})
		if p.foreign != 0 {
			e.tellForeign(now, p)
		}
	}
	for i := range p.paths {
		at := &p.paths[i]
		heard := e.pathHeard(now, at)
		if heard == at.heard {
			continue
		}
		at.heard = heard
		switch {
		case began:
			began = false
			e.report(now, Record{Type: RecordPeer, Name: p.name, From: "silent", To: "heard", Text: fmt.Sprintf("peer %s is heard on %s", p.name, at.address)})
		case heard:
			e.report(now, Record{Type: RecordPeer, Name: p.name, To: "path", Text: fmt.Sprintf("peer %s is heard on %s as well", p.name, at.address)})
		case p.heard:
			e.report(now, Record{Type: RecordPeer, Name: p.name, From: "path", Severity: Warning,
				Text: fmt.Sprintf("peer %s is not heard on %s any more, only on %s", p.name, at.address, e.pathsHeard(now, p))})
		}
	}
}

// pathHeard reports whether a message came on a path lately.
func (e *Engine) pathHeard(now time.Time, p *path) bool {
	return !p.at.IsZero() && now.Sub(p.at) <= e.pairMay()
}

// pathsHeard lists the paths on which p is heard.
func (e *Engine) pathsHeard(now time.Time, p *peer) string {
	var words []string
	for i := range p.paths {
		if at := &p.paths[i]; e.pathHeard(now, at) {
			words = append(words, at.address.String())
		}
	}
	return strings.Join(words, ", ")
}

// tellPeers is the last thing of a Step: when it is time, or something is new,
// the others are told.
func (e *Engine) tellPeers(now time.Time) {
	if e.cfg.Pair == nil || !e.pair.stirred || e.pair.boot == 0 || e.takingUp() {
		return
	}
	if e.drill.silent() {
		e.timers.set(&e.pair.timer, nextBeat(now, e.pairInterval()))
		return
	}
	e.pair.stirred = false
	var config map[string]string
	if !now.Before(e.pair.configAt) {
		e.pair.configAt = now.Add(configEach)
		config = e.sharedConfig()
		if e.cfg.Zone != "" {
			config[zoneKey] = e.cfg.Zone
		}
	}
	due := config != nil || !now.Before(e.pair.beatAt)
	changed := false
	for _, v := range e.vips {
		if said := e.told(now, v); said != v.said {
			v.said, v.saidSeq, changed = said, e.pair.seq+1, true
		}
	}
	if changed || config != nil || e.pair.configTold {
		e.pair.seq++
	}
	e.pair.configTold = config != nil
	for _, p := range e.pair.peers {
		if p.whole != p.answered {
			p.answered, due = p.whole, true
		}
	}
	if !due && !changed {
		return
	}
	s := &pair.State{Node: e.cfg.Node, Seq: e.pair.seq, Config: config, VIPs: make([]pair.VIP, 0, len(e.vips)), Hears: make([]pair.Hears, 0, len(e.pair.peers))}
	for _, v := range e.vips {
		s.VIPs = append(s.VIPs, v.said)
	}
	for _, p := range e.pair.peers {
		s.Hears = append(s.Hears, p.hears(now))
	}
	e.pair.beatAt = nextBeat(now, e.pairInterval())
	e.timers.set(&e.pair.timer, e.pair.beatAt)
	e.remember(s)
	e.do(Tell{State: s})
}

// remember keeps a state that is told until the peers say that they have it.
func (e *Engine) remember(s *pair.State) {
	if n := len(e.pair.said); n > 0 && e.pair.said[n-1].Seq == s.Seq {
		return
	}
	if len(e.pair.said) == saidMost {
		e.pair.said = slices.Delete(e.pair.said, 0, 1)
	}
	e.pair.said = append(e.pair.said, s)
}

// learned notes what p knows of this host by now.
func (e *Engine) learned(p *peer) {
	for _, s := range e.pair.said {
		if s.Seq <= p.hearsUs {
			p.knows = s
		}
	}
}

// known is what p knows of a VIP here.
func (p *peer) known(vip string) (r pair.VIP, told bool) {
	if p == nil || p.knows == nil {
		return pair.VIP{}, false
	}
	i, told := slices.BinarySearchFunc(p.knows.VIPs, vip, func(r pair.VIP, name string) int { return strings.Compare(r.Name, name) })
	if !told {
		return pair.VIP{}, false
	}
	return p.knows.VIPs[i], true
}

// keepStanding notes how the peer's VIPs stand, and forgets what was so before the
// newest that it knows to be heard here.
func (p *peer) keepStanding(now time.Time) {
	for len(p.was) > 1 && !p.was[1].at.After(p.gotSent) {
		p.was = slices.Delete(p.was, 0, 1)
	}
	if len(p.was) == saidMost {
		p.was = slices.Delete(p.was, 1, 2)
	}
	p.was = append(p.was, standing{now, maps.Clone(p.vips)})
}

// stood is how the peer's VIPs stood by the newest that it knows to be heard here.
func (p *peer) stood() map[string]pair.VIP {
	vips := p.vips
	for _, s := range p.was {
		if !s.at.After(p.gotSent) {
			vips = s.vips
		}
	}
	return vips
}

// nextBeat returns the next whole multiple of the interval, as adverts have it, so
// that one wake-up serves both.
func nextBeat(now time.Time, interval time.Duration) time.Time {
	return now.Add(interval - time.Duration(now.UnixNano())%interval)
}

// hears is what is told of p to all.
func (p *peer) hears(now time.Time) pair.Hears {
	h := pair.Hears{Node: p.name, Boot: p.boot, Seq: p.whole, Paths: make([]pair.Path, 0, len(p.paths))}
	for _, at := range p.paths {
		if !at.came.IsZero() {
			h.Paths = append(h.Paths, pair.Path{Address: at.address, Age: now.Sub(at.came).Truncate(time.Millisecond)})
		}
	}
	return h
}

// told is what others are told of a VIP.
func (e *Engine) told(now time.Time, v *vip) pair.VIP {
	set := v.router.Settings()
	r := pair.VIP{
		Name: v.name, Epoch: v.epoch, Priority: set.Priority, Eligible: len(v.blockers) == 0, Source: set.Address,
		Interval: v.cfg.Interval, Held: v.there && !e.silenced(v) && (v.announced || v.taking.from == ""), Offer: v.offer.to,
	}
	if given := func(m *vip) bool { return m.moving != nil }; slices.ContainsFunc(v.peers(), given) && v.router.State() != vrrp.Active {
		r.Priority = 1 // any other host shall have it
	}
	if !r.Eligible {
		r.Blocker = v.blockers[0].Text
	}
	switch {
	case v.router.State() == vrrp.Backup:
		r.Role = pair.Standby
		r.Asks = e.asks(now, v) || !v.seen.asked.IsZero()
	case v.router.State() == vrrp.Active && v.quiet && e.holder(now, v) != nil:
		r.Role = pair.Standby // the old holder serves on until the addresses are here
	case v.router.State() == vrrp.Active:
		r.Role = pair.Active
	}
	return r
}

// pairTimer gives the channel a timer that is not running.
func (e *Engine) pairTimer() {
	e.pair.timer = timer{pos: -1, fire: e.beat}
}
