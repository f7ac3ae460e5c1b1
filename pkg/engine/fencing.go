package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vrrp"
)

// fencing is what keeps this host from taking over from one peer that may hold
// something still.
type fencing struct {
	peer  string
	f     *fence.Fencer
	told  fence.Situation // last
	timer timer
	// counted is until when its proof stands for the peer's vote, zero = not.
	counted time.Time
	// before is what the process before this one knew, zero = nothing. It counts
	// until the peer tells this one.
	before FenceMemory
}

// FenceMemory is what a process must know of a peer to go on where the process
// before it was: when it heard it last, and how both hosts stood then. The two
// hosts must take turns by the same facts.
type FenceMemory struct {
	Heard       time.Time `json:"heard,omitzero"`
	PeerContent bool      `json:"peer_content"`
	Holds       bool      `json:"holds"`
	PeerHolds   bool      `json:"peer_holds"`
	Preferred   bool      `json:"preferred"`
}

// FenceMemory returns what is to be kept of each peer for the next process on this
// host, and since when this one has run without a gap in what it knows.
func (e *Engine) FenceMemory(now time.Time) (peers map[string]FenceMemory, upset time.Time) {
	peers = make(map[string]FenceMemory, len(e.fences))
	for _, x := range e.fences {
		s := x.told
		peers[x.peer] = FenceMemory{x.f.Status(now).Heard, s.PeerContent, s.Holds, s.PeerHolds, s.Preferred}
	}
	return peers, e.upsetAt()
}

// configureFences keeps the fencers of peers that stay.
func (e *Engine) configureFences(now time.Time) {
	old := e.fences
	e.fences = nil
	for _, name := range slices.Sorted(maps.Keys(e.cfg.Fences)) {
		i := slices.IndexFunc(old, func(x *fencing) bool { return x.peer == name })
		if i < 0 {
			x := &fencing{peer: name, f: fence.New(name, e.cfg.Fences[name], now)}
			e.fenceTimer(x)
			e.fences = append(e.fences, x)
			continue
		}
		e.fences = append(e.fences, old[i])
		e.stepFence(now, old[i], fence.Configure{Config: e.cfg.Fences[name]})
	}
	for _, x := range old {
		if e.cfg.Fences[x.peer].Levels == nil {
			e.timers.set(&x.timer, time.Time{})
			e.stepFence(now, x, fence.Situation{Upset: e.upsetAt()}) // nothing waits any more: it ends what runs
		}
	}
	e.pair.stirred = true
}

func (e *Engine) fenceTimer(x *fencing) {
	x.timer = timer{pos: -1, fire: func(now time.Time) { e.stepFence(now, x, fence.Wake{}) }}
}

// fencer returns what fences a peer, nil when nothing can.
func (e *Engine) fencer(peer string) *fencing {
	i, ok := slices.BinarySearchFunc(e.fences, peer, func(x *fencing, name string) int { return strings.Compare(x.peer, name) })
	if !ok {
		return nil
	}
	return e.fences[i]
}

// stepFence gives a fencer an event and passes on what it wants done.
func (e *Engine) stepFence(now time.Time, x *fencing, ev fence.Event) {
	e.passOn(now, x, x.f.Step(now, ev))
}

func (e *Engine) passOn(now time.Time, x *fencing, actions []fence.Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case fence.RunAgent:
			e.do(RunFence{a})
		case fence.StopAgent:
			e.do(StopFence{Peer: x.peer, ID: a.ID})
		case fence.Remember:
			e.do(RememberFence{a.Entry})
		case fence.Report:
			e.report(now, Record{Type: RecordFence, Name: x.peer, Reason: string(a.Kind), Severity: Severity(a.Severity), Text: a.Text})
		}
	}
	if e.fencer(x.peer) == x {
		e.timers.set(&x.timer, x.f.Next())
	}
	e.proven = e.proven || len(actions) > 0
}

// fenceEnded brings how an agent ended.
func (e *Engine) fenceEnded(now time.Time, ev FenceEnded) {
	if x := e.fencer(ev.Peer); x != nil {
		e.stepFence(now, x, ev.Ended)
	}
}

// confirmFence takes an operator's word that a peer is off.
func (e *Engine) confirmFence(now time.Time, ev ConfirmFence) {
	x := e.fencer(ev.Peer)
	if x == nil {
		e.do(Answer{ID: ev.ID, Refused: true, Text: fmt.Sprintf("no peer %q is fenced: %s", ev.Peer, orNone(slices.Sorted(maps.Keys(e.cfg.Fences))))})
		return
	}
	actions, err := x.f.Confirm(now, ev.Actor.Name)
	if err != nil {
		e.do(Answer{ID: ev.ID, Refused: true, Text: err.Error()})
		return
	}
	e.passOn(now, x, actions)
	e.proven = true
	e.do(Answer{ID: ev.ID, Text: fmt.Sprintf("%s counts as off, by the word of %s", ev.Peer, ev.Actor.Name)})
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "there is none"
	}
	return "there is " + strings.Join(names, ", ")
}

// restoreFences tells what an earlier process knew of the peers.
func (e *Engine) restoreFences(now time.Time, ev RestoreFences) {
	for _, x := range e.fences {
		x.before = ev.Peers[x.peer]
		x.f.Restore(now, ev.History, x.before.Heard)
		e.timers.set(&x.timer, x.f.Next())
	}
	if !ev.Upset.IsZero() {
		e.upset = ev.Upset
	}
	e.pair.stirred = true
}

// heardFence notes that a peer lives.
func (e *Engine) heardFence(now time.Time, p *peer) {
	if x := e.fencer(p.name); x != nil {
		if p.boot != 0 {
			x.before = FenceMemory{}
		}
		e.stepFence(now, x, fence.Heard{Boot: p.boot})
	}
}

// lookAround tells the fencers how this host stands, when that may have changed,
// and goes on with takeovers that waited for a proof.
func (e *Engine) lookAround(now time.Time) {
	if len(e.fences) == 0 || !e.pair.stirred && !e.proven {
		return
	}
	for _, x := range e.fences {
		if s := e.situation(now, x); !sameSituation(s, x.told) {
			x.told = s
			e.stepFence(now, x, s)
		}
	}
	e.proven = false
	e.proveToVotes(now)
	for _, v := range e.vips {
		if v.cfg.Takeover == TakeoverFence && v.router.Due() && v.lease.asked.IsZero() {
			e.promote(now, v)
			e.schedule(v)
		}
	}
	e.followVotes(now)
	e.followHeld(now) // what was taken over, or given up, by that
	e.followVIPs(now)
}

func sameSituation(a, b fence.Situation) bool {
	return slices.Equal(a.Waiting, b.Waiting) && a.Isolated == b.Isolated && a.Upset.Equal(b.Upset) && a.PeerContent == b.PeerContent &&
		a.Holds == b.Holds && a.PeerHolds == b.PeerHolds && a.Preferred == b.Preferred && a.Together.Equal(b.Together)
}

// situation is how this host stands to a peer that it may have to fence.
func (e *Engine) situation(now time.Time, x *fencing) fence.Situation {
	p := e.peer(x.peer)
	s := fence.Situation{Upset: e.upsetAt(), PeerContent: true, Preferred: e.cfg.Node < x.peer}
	if failing := e.healthOf(trackAll(e.cfg.Fences[x.peer].Track)).failing; len(failing) > 0 {
		s.Isolated = fmt.Sprintf("check %s %s", failing[0].name, failing[0].words())
	}
	var stood map[string]pair.VIP
	if p != nil {
		stood = p.vips
		if !p.gotAt.IsZero() && p.cameAt.Sub(p.gotAt) > e.pairMay() {
			s.Together = p.gotAt
			stood = p.stood() // it does not know what we have heard since
		}
	}
	ranked := false
	switch b := x.before; {
	case p == nil:
	case !b.Heard.IsZero():
		s.PeerContent, s.Holds, s.PeerHolds, s.Preferred, ranked = b.PeerContent, b.Holds, b.PeerHolds, b.Preferred, true
	default:
		s.PeerContent = len(p.vips) > 0
		for _, r := range p.vips { // also those that this host does not have
			s.PeerContent = s.PeerContent && holds(r)
		}
	}
	for _, v := range e.vips {
		if v.cfg.Takeover == TakeoverVRRP || p == nil {
			continue
		}
		// Both take turns by the same facts: what each is known to know of the other.
		r, told := stood[v.name]
		ours, known := p.known(v.name)
		s.PeerContent = s.PeerContent && v.ballot.holder == nil // else it needs our vote to go on
		s.Holds = s.Holds || holds(ours)
		s.PeerHolds = s.PeerHolds || holds(r)
		if told && known && !ranked {
			s.Preferred, ranked = outranks(ours, r), true
		}
		if e.votesNeedFence(now, v, x) {
			s.Waiting = append(s.Waiting, v.name)
		}
		if free, _ := e.vouched(now, v, p); v.cfg.Takeover == TakeoverFence && v.router.Due() && !free { // with a proof as well, until it is taken
			s.Waiting = append(s.Waiting, v.name)
		}
	}
	return s
}

// holds reports whether who tells this of a VIP may answer for it.
func holds(r pair.VIP) bool { return r.Role == pair.Active || r.Held }

// trackAll has all of the checks pass.
func trackAll(checks []string) map[string]check.Weight {
	track := make(map[string]check.Weight, len(checks))
	for _, name := range checks {
		track[name] = check.Weight{Fault: true}
	}
	return track
}

// upsetAt is since when this host knows what it knows.
func (e *Engine) upsetAt() time.Time {
	if e.upset.IsZero() {
		return e.started
	}
	return e.upset
}

// vouched reports whether p cannot hold v by its own word, and whether its word
// counts. It may take v since it said so: who comes first does that on our word. So
// it cannot hold v only while it knows that we come first.
func (e *Engine) vouched(now time.Time, v *vip, p *peer) (free, known bool) {
	r, told := p.vips[v.name]
	switch {
	case !told && p.whole > 0:
		return true, true // it has no such VIP
	case told && e.fresh(now, p) && !p.doubtful:
		ours := e.told(now, v)
		first := ours == v.said && p.hearsUs >= v.saidSeq && !(r.Eligible && outranks(r, ours))
		return r.Role != pair.Active && !r.Held && first, true
	}
	return false, false
}

// accounted reports whether p cannot hold v: it says so itself, or is proven to
// hold nothing.
func (e *Engine) accounted(now time.Time, v *vip, p *peer) bool {
	if free, known := e.vouched(now, v, p); known {
		return free
	}
	if x := e.fencer(p.name); x != nil {
		_, proven := x.f.Proof(now)
		return proven
	}
	return false
}

// guarded reports whether the guard of v lets this host take it over: every other
// host of the pair is accounted for, or is handing it to this one.
func (e *Engine) guarded(now time.Time, v *vip) bool {
	switch {
	case v.router.State() == vrrp.Active:
		return true
	case v.ballot.holder != nil:
		return v.ballot.holder.MayTake(now)
	case v.cfg.Takeover != TakeoverFence:
		return true
	}
	return !slices.ContainsFunc(e.pair.peers, func(p *peer) bool { return p.name != v.taking.from && !e.accounted(now, v, p) })
}

// proofText says why a takeover from silent peers is safe, "" when no proof was
// needed.
func (e *Engine) proofText(now time.Time, v *vip) string {
	var words []string
	for _, x := range e.fences {
		if proof, ok := x.f.Proof(now); ok && v.cfg.Takeover == TakeoverFence {
			words = append(words, fmt.Sprintf("; %s: %s", x.peer, proof))
		}
	}
	return strings.Join(words, "")
}

// waitText says what a takeover waits for.
func (e *Engine) waitText(now time.Time, v *vip) string {
	if v.ballot.holder != nil {
		return "waits for votes: " + v.ballot.lacks(now)
	}
	for _, p := range e.pair.peers {
		if p.name == v.taking.from || e.accounted(now, v, p) {
			continue
		}
		x := e.fencer(p.name)
		if x == nil {
			return fmt.Sprintf("waits for %s, which is silent and cannot be fenced", p.name)
		}
		s := x.f.Status(now)
		text := fmt.Sprintf("waits for the proof that %s holds nothing (fence %s)", p.name, s.Phase)
		if s.Why != "" {
			text += ": " + s.Why
		}
		return text
	}
	return "waits for its guard"
}

// FenceStatus tells how a peer can be fenced, and how far that is.
type FenceStatus struct {
	Peer        string              `json:"peer"`
	Phase       string              `json:"phase"` // idle, held, cutting, verifying, proven, failed
	Since       time.Time           `json:"since"`
	Waiting     []string            `json:"waiting,omitempty"` // vips
	Why         string              `json:"why,omitempty"`     // it must not begin now
	Again       time.Time           `json:"again,omitzero"`
	Heard       time.Time           `json:"heard,omitzero"` // last message of the peer
	Proof       string              `json:"proof,omitempty"`
	ProofRead   time.Time           `json:"proof_read,omitzero"` // when the peer was last seen off
	Lines       []string            `json:"lines,omitempty"`     // all of it in words
	Shots       int                 `json:"shots"`               // that the brake counts
	Fired       uint64              `json:"shots_total"`         // devices that said they cut it off, since vipd started
	Misses      uint64              `json:"shots_failed"`        // attempts at that which failed
	Unprotected bool                `json:"unprotected"`         // every level has a device that does not work
	Devices     []FenceDeviceStatus `json:"devices,omitempty"`
}

// FenceDeviceStatus tells what the readings of a fence device say.
type FenceDeviceStatus struct {
	Name  string    `json:"name"`
	Known bool      `json:"known"` // it was read
	OK    bool      `json:"ok"`
	Power string    `json:"power,omitempty"` // on, off
	Since time.Time `json:"since,omitzero"`
	Text  string    `json:"text,omitempty"`
}

func (e *Engine) fenceStatuses(now time.Time) []FenceStatus {
	var list []FenceStatus
	for _, x := range e.fences {
		s := x.f.Status(now)
		out := FenceStatus{
			Peer: x.peer, Phase: string(s.Phase), Since: s.Since, Waiting: slices.Clone(s.Waiting), Why: s.Why, Again: s.Again,
			Lines: s.Lines(now), Shots: s.Shots, Unprotected: s.Unprotected, Heard: s.Heard, Fired: s.Fired, Misses: s.Misses,
		}
		if s.Proof.Kind != "" {
			out.Proof, out.ProofRead = s.Proof.String(), s.Proof.Read
		}
		for _, d := range s.Devices {
			out.Devices = append(out.Devices, FenceDeviceStatus{d.Name, d.Known, d.OK, d.Power, d.Since, d.Text})
		}
		list = append(list, out)
	}
	return list
}
