package sim

import (
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vote"
)

// Witness is a voter that is no host. Cuts name it as they name hosts.
type Witness struct {
	w     *World
	clock clock
	name  string
	max   time.Duration
	voter *vote.Grantor
	down  bool
}

// voters is how many votes a witness keeps in mind.
const voters = 100

// AddWitness starts one that promises its vote for maxTTL at most.
func (w *World) AddWitness(name string, maxTTL time.Duration) *Witness {
	x := &Witness{w: w, clock: clock{w: w}, name: name, max: maxTTL}
	w.witnesses[name] = x
	x.Restart()
	return x
}

// Witness returns a witness by name, nil when there is none.
func (w *World) Witness(name string) *Witness { return w.witnesses[name] }

// Name returns the name of the witness.
func (x *Witness) Name() string { return x.name }

// Kill ends the witness.
func (x *Witness) Kill() { x.down = true }

// Restart starts it anew: it knows nothing of what it has promised.
func (x *Witness) Restart() {
	x.w.started = x.w.now
	x.down, x.voter = false, vote.NewGrantor(x.clock.now(), x.max, voters)
}

// passes reports whether a message from one to another gets through: over some
// network, when both are hosts.
func (w *World) passes(from *Host, to string) bool {
	if w.cuts[[2]string{from.name, to}] || w.loses() {
		return false
	}
	other := w.byName[to]
	return slices.ContainsFunc(from.networks, func(ifname string) bool {
		return from.reaches(ifname) && (other == nil || other.reaches(ifname) && !w.cutOn[[3]string{ifname, from.name, to}])
	})
}

// ask brings an Ask to a voter, and what a witness answers back.
func (h *Host) ask(a engine.AskVote) {
	if !h.w.passes(h, a.Voter) {
		return
	}
	life := h.life
	if to := h.w.byName[a.Voter]; to != nil {
		h.w.send(func() { to.step(engine.VoteAsked{Peer: h.name, Boot: life, Ask: a.Ask}) })
		return
	}
	x := h.w.witnesses[a.Voter]
	h.w.send(func() {
		if x.down || h.w.cuts[[2]string{x.name, h.name}] || h.w.loses() {
			return
		}
		answer, ok := x.voter.Answer(x.clock.now(), "", h.name, life, a.Ask)
		if !ok {
			return
		}
		h.w.send(func() {
			if h.life == life {
				h.step(engine.VoteAnswered{Voter: x.name, Answer: answer})
			}
		})
	})
}

// answerVote brings an answer to another host. What that was before it was started
// anew asked for is not heard: the channel sees to that.
func (h *Host) answerVote(a engine.AnswerVote) {
	to := h.w.byName[a.Peer]
	if !h.w.passes(h, a.Peer) {
		return
	}
	life := to.life
	h.w.send(func() {
		if to.life == life {
			to.step(engine.VoteAnswered{Voter: h.name, Answer: a.Answer})
		}
	})
}
