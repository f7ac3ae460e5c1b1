package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// voting is the part of this host in the votes on VIPs.
type voting struct {
	own     *vote.Grantor // its own vote, nil while it takes part in none
	number  uint64        // of the newest Ask for a VIP that is not voted on any more
	stirred []*vip        // whose votes are to be looked at before the Step ends
}

// ballot is what this host has been promised for one VIP.
type ballot struct {
	holder  *vote.Holder // nil = nobody votes on it
	cfg     vote.Config  // of the holder
	stirred bool
	mayTake bool       // as it was looked at last
	stage   vote.Stage // the same
	refused bool       // it has been told that this takeover waits
	spared  time.Time  // until then it is held without votes: a reload asks for them only now
}

// votesMost is on how many VIPs this host votes.
const votesMost = 4096

// ownBoot is the boot number of this process as its own voter knows it: there is
// only one.
const ownBoot = 1

// troubleFor is how long a host that does not vote is left alone.
const troubleFor = time.Second

// electorate says who votes on v.
func (e *Engine) electorate(v *vip) vote.Config {
	var peers []string
	if e.cfg.Pair != nil {
		peers = slices.Collect(maps.Keys(e.cfg.Pair.Peers))
	}
	cfg := vote.Electorate(e.cfg.Node, peers, e.cfg.Witnesses, e.leaseTime(v), v.cfg.Interval)
	cfg.Hold = v.cfg.HoldOn
	return cfg
}

// configureVotes lets all VIPs be voted on that shall be. What has been promised
// stays so.
func (e *Engine) configureVotes(now time.Time) {
	longest := time.Duration(0)
	for _, v := range e.vips {
		e.configureVote(now, v)
		if v.ballot.holder == nil {
			continue
		}
		for _, voter := range v.ballot.cfg.Voters {
			longest = max(longest, voter.TTL)
		}
	}
	switch {
	case longest == 0:
	case e.votes.own == nil:
		e.votes.own = vote.NewGrantor(e.started, longest, votesMost)
	default:
		e.votes.own.SetMax(longest)
	}
}

func (e *Engine) configureVote(now time.Time, v *vip) {
	b := &v.ballot
	if v.cfg.Takeover != TakeoverVotes {
		e.forgetVotes(v)
		return
	}
	cfg := e.electorate(v)
	switch {
	case b.holder == nil:
		b.holder = vote.NewHolder(cfg, e.votes.number)
		if v.router.State() == vrrp.Active {
			b.spared = now.Add(cfg.Voters[0].TTL)
		}
		e.stepVote(now, v, vote.Wake{})
	case !sameElectorate(b.cfg, cfg):
		b.holder.Step(now, vote.Configure{Config: cfg})
	}
	b.cfg = cfg
	e.stir(v)
}

// forgetVotes ends the part of this host in the votes on v. Voters take what comes
// for it later, from this process, as newer.
func (e *Engine) forgetVotes(v *vip) {
	if h := v.ballot.holder; h != nil {
		e.votes.number = max(e.votes.number, h.Number())
	}
	v.ballot = ballot{}
}

func sameElectorate(a, b vote.Config) bool {
	return a.Self == b.Self && a.Lease == b.Lease && a.Rank == b.Rank && a.Hold == b.Hold && slices.Equal(a.Voters, b.Voters)
}

// stir has the votes on v looked at before the Step ends.
func (e *Engine) stir(v *vip) {
	if v.ballot.holder != nil && !v.ballot.stirred {
		v.ballot.stirred = true
		e.votes.stirred = append(e.votes.stirred, v)
	}
}

// stepVote gives the holder of v an event, and sends what it asks. This host's own
// vote is asked for, and answered, at once.
func (e *Engine) stepVote(now time.Time, v *vip, ev vote.Event) {
	sends := v.ballot.holder.Step(now, ev)
	for len(sends) > 0 {
		s := sends[0]
		sends, s.Ask.VIP = sends[1:], v.name
		if s.To != e.cfg.Node {
			e.do(AskVote{Voter: s.To, Ask: s.Ask})
			continue
		}
		if a, ok := e.votes.own.Answer(now, "", e.cfg.Node, ownBoot, s.Ask); ok {
			sends = append(sends, v.ballot.holder.Step(now, vote.Answered{Voter: s.To, Answer: a})...)
		}
	}
	e.stir(v)
}

// voteTold takes what another host asks, or a voter answers.
func (e *Engine) voteTold(now time.Time, ev Event) {
	if asked, ok := ev.(VoteAsked); ok {
		e.voteAsked(now, asked)
	}
	if answered, ok := ev.(VoteAnswered); ok {
		e.voteAnswered(now, answered)
	}
}

// voteAsked is another host that asks for this one's vote.
func (e *Engine) voteAsked(now time.Time, ev VoteAsked) {
	if e.votes.own == nil {
		e.do(AnswerVote{Peer: ev.Peer, Answer: vote.Answer{
			Kind: vote.Refused, VIP: ev.Ask.VIP, Number: ev.Ask.Number, Why: vote.Trouble, Remaining: troubleFor,
		}})
		return
	}
	if a, ok := e.votes.own.Answer(now, "", ev.Peer, ev.Boot, ev.Ask); ok {
		e.do(AnswerVote{Peer: ev.Peer, Answer: a})
	}
	if v := e.byName[ev.Ask.VIP]; v != nil && v.ballot.holder != nil && ev.Ask.Kind == vote.Release {
		e.stepVote(now, v, vote.Retry{})
		e.schedule(v)
	}
}

// voteAnswered is what a voter answered.
func (e *Engine) voteAnswered(now time.Time, ev VoteAnswered) {
	if v := e.byName[ev.Answer.VIP]; v != nil && v.ballot.holder != nil {
		e.stepVote(now, v, vote.Answered{Voter: ev.Voter, Answer: ev.Answer})
		e.schedule(v)
	}
}

// followVotes does what follows from the votes, as they are now.
func (e *Engine) followVotes(now time.Time) {
	for len(e.votes.stirred) > 0 {
		v := e.votes.stirred[0]
		e.votes.stirred = e.votes.stirred[1:]
		v.ballot.stirred = false
		if e.byName[v.name] == v && v.ballot.holder != nil {
			e.followVote(now, v)
		}
	}
}

// followVote asks for votes while v is to be held here, hands them back when the
// kernel answers for it no more, goes on with a takeover that waited for them, and
// gives up what has none.
func (e *Engine) followVote(now time.Time, v *vip) {
	b := &v.ballot
	idle := b.holder.Stage() == vote.Idle
	switch wanted := v.router.State() == vrrp.Active || e.wantsVotes(now, v); {
	case wanted && idle:
		e.stepVote(now, v, vote.Seen{Epoch: v.epoch})
		e.stepVote(now, v, vote.Want{})
	case (!wanted || b.holder.Over()) && !idle && v.applied && !v.there:
		e.stepVote(now, v, vote.Drop{})
		b.refused = false
	default:
		e.outvoted(now, v)
	}
	e.tellVotes(now, v)
	was := b.mayTake
	b.mayTake = b.holder.MayTake(now)
	if b.mayTake != was {
		for _, m := range v.peers() {
			e.stir(m)
		}
	}
	if b.mayTake && v.router.Due() && v.lease.asked.IsZero() {
		e.promote(now, v)
	}
	if e.byName[v.name] == v {
		e.timers.set(&v.timer, v.next())
	}
}

// wantsVotes reports whether v, and its sync group, would be taken over here if
// there were votes. Those for a member are asked for when the ones before it have
// theirs: two hosts that ask for all at once could get a part each, and keep it.
func (e *Engine) wantsVotes(now time.Time, v *vip) bool {
	for _, m := range v.peers() {
		if m == v {
			break
		}
		if m.ballot.holder != nil && m.router.State() != vrrp.Active && !m.ballot.mayTake {
			return false
		}
	}
	ready := func(m *vip) bool { return m.router.Due() || m.router.State() == vrrp.Active }
	return v.router.Due() && v.applied && !v.there && len(v.blockers) == 0 && e.holder(now, v) == nil && allOf(v.peers(), ready)
}

// mayRenew reports whether the votes, if v needs any, let its lease be refreshed.
func (e *Engine) mayRenew(now time.Time, v *vip) bool {
	return v.ballot.holder == nil || now.Before(v.ballot.spared) || v.ballot.holder.MayRenewLease(now)
}

// outvoted reports whether v is held without a majority that lasts for long enough, and
// gives it up then, and its sync group: the kernel's lease is over before the votes are.
func (e *Engine) outvoted(now time.Time, v *vip) bool {
	if v.router.State() != vrrp.Active || e.mayRenew(now, v) {
		return false
	}
	text := "it has no majority of the votes"
	if lacks := v.ballot.lacks(now); lacks != "" {
		text += ": " + lacks
	}
	cause := e.report(now, Record{Type: RecordVotes, Name: v.name, From: "held", To: "lost", Reason: "votes", Severity: Critical, Cause: v.record,
		Text: fmt.Sprintf("%s: %s; gives it up", v.name, text)})
	for _, m := range v.peers() {
		if m.router.State() == vrrp.Active {
			e.withdraw(now, m, Initialize, "votes", text, cause)
		}
	}
	return true
}

// tellVotes reports once for each takeover that it waits for votes, and when a holder
// goes on without them.
func (e *Engine) tellVotes(now time.Time, v *vip) {
	b := &v.ballot
	was, stage := b.stage, b.holder.Stage()
	b.stage = stage
	r := Record{Type: RecordVotes, Name: v.name, Reason: "votes", Severity: Warning, Cause: v.record}
	switch {
	case stage == vote.Waiting && v.router.Due() && !b.refused && !b.holder.Hurries() && !now.Before(e.votes.own.Ready()):
		b.refused, r.To = true, "refused"
		r.Text = fmt.Sprintf("%s: is not taken over without a majority: %s", v.name, b.lacks(now))
	case stage == vote.Clinging && was != vote.Clinging:
		r.From, r.To = "held", "without"
		r.Text = fmt.Sprintf("%s: goes on without a majority (no_majority = \"hold\"): %s", v.name, b.lacks(now))
	case stage == vote.Held && was == vote.Clinging:
		r.From, r.To, r.Severity = "without", "held", Notice
		r.Text = v.name + ": has a majority again"
	default:
		return
	}
	e.report(now, r)
}

// epoch is the number of the majority, 0 = there is none.
func (b *ballot) epoch() uint64 {
	if b.holder == nil {
		return 0
	}
	return b.holder.Epoch()
}

// lacks says which votes are missing, and why.
func (b *ballot) lacks(now time.Time) string { return b.holder.Status(now).Why }

// proveToVotes lets a verified fence stand for the vote of the peer, and frees this
// host's own vote that was promised to it.
func (e *Engine) proveToVotes(now time.Time) {
	if e.votes.own == nil {
		return
	}
	for _, x := range e.fences {
		proof, ok := x.f.Proof(now)
		until := time.Time{}
		if ok {
			until = proof.Until
		}
		if until.Equal(x.counted) {
			continue
		}
		x.counted = until
		if ok {
			e.votes.own.Void("", x.peer)
		}
		for _, v := range e.vips {
			if v.ballot.holder != nil {
				e.stepVote(now, v, vote.Fenced{Peer: x.peer, Until: until})
				e.schedule(v)
			}
		}
	}
}

// votesNeedFence reports whether only a fence of the peer brings v a majority, or
// keeps it: no voter but this host answers.
func (e *Engine) votesNeedFence(now time.Time, v *vip, x *fencing) bool {
	switch {
	case v.ballot.holder == nil:
		return false
	case v.router.State() == vrrp.Active && x.counted.IsZero(), v.router.Due() && !v.ballot.refused:
		return false
	case v.router.State() != vrrp.Active && !e.wantsVotes(now, v):
		return false
	}
	return !slices.ContainsFunc(v.ballot.holder.Status(now).Votes, func(o vote.Vote) bool {
		return o.Voter != e.cfg.Node && now.Sub(o.Heard) <= v.ballot.cfg.Voters[0].TTL
	})
}

// votesText names the votes of a takeover.
func (e *Engine) votesText(now time.Time, v *vip) string {
	if v.ballot.holder == nil || v.ballot.holder.Stage() != vote.Held {
		return ""
	}
	var names []string
	for _, o := range v.ballot.holder.Status(now).Votes {
		if o.Counts {
			names = append(names, o.Voter)
		}
	}
	return "; votes of " + strings.Join(names, ", ")
}

// VotesStatus tells how the votes on a VIP stand.
type VotesStatus struct {
	Stage string       `json:"stage"` // idle, waiting, asking, held, clinging
	Need  int          `json:"need"`  // votes
	Have  int          `json:"have"`
	Epoch uint64       `json:"epoch,omitempty"`
	Until time.Time    `json:"until,omitzero"` // unless they are renewed
	Lacks string       `json:"lacks,omitempty"`
	Votes []VoteStatus `json:"votes"`
}

// VoteStatus tells about one vote.
type VoteStatus struct {
	Voter  string    `json:"voter"`
	Host   bool      `json:"host"` // or a witness
	Counts bool      `json:"counts"`
	Until  time.Time `json:"until,omitzero"`
	Fenced bool      `json:"fenced,omitempty"` // a verified fence stands for it
	Owner  string    `json:"owner,omitempty"`  // to whom else it is promised
	Why    string    `json:"why,omitempty"`    // of its newest refusal; one that counts is not renewed then
	Heard  time.Time `json:"heard,omitzero"`   // its newest answer
}

func (e *Engine) votesStatus(now time.Time, v *vip) *VotesStatus {
	if v.ballot.holder == nil {
		return nil
	}
	s := v.ballot.holder.Status(now)
	out := &VotesStatus{Stage: s.Stage.String(), Need: s.Need, Epoch: s.Epoch, Until: s.Until, Lacks: s.Why}
	for _, o := range s.Votes {
		one := VoteStatus{Voter: o.Voter, Host: o.Host, Counts: o.Counts, Until: o.Until, Fenced: o.Fenced, Heard: o.Heard}
		if now.Before(o.Free) {
			one.Owner = o.Owner
		}
		if o.Why != 0 {
			one.Why = o.Why.String()
		}
		if one.Counts {
			out.Have++
		}
		out.Votes = append(out.Votes, one)
	}
	return out
}
