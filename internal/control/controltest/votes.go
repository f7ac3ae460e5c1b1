package controltest

import (
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// Voting has lb1, lb2 and rack3 vote: web is held without a majority since rack3 does
// not answer and lb2 is silent, and mail waits for one.
func Voting(d *Daemon) {
	now := d.Doc.Now
	own := engine.VoteStatus{Voter: "lb1", Host: true, Counts: true, Until: now.Add(700 * time.Millisecond), Heard: now.Add(-time.Millisecond)}
	lb2 := engine.VoteStatus{Voter: "lb2", Host: true, Heard: now.Add(-18400 * time.Millisecond)}
	rack3 := engine.VoteStatus{Voter: "rack3", Heard: now.Add(-2 * time.Minute), Why: "sits_out"}
	d.Doc.VIPs[2].Votes = &engine.VotesStatus{
		Stage: "clinging", Need: 2, Have: 1, Epoch: 7, Votes: []engine.VoteStatus{own, lb2, rack3},
		Lacks: "1 of 2 votes (lb1): lb2 does not answer, rack3 does not answer",
	}
	m := &d.Doc.VIPs[1]
	m.Stage, m.Since, m.Active, m.ActiveDownDue = engine.Cleared, now.Add(-18*time.Second), nil, time.Time{}
	m.Why = "waits for votes: 0 of 2 votes: lb1 has promised it to lb2 for 300ms, lb2 was not asked, rack3 was not asked"
	own.Counts, own.Owner, own.Why, own.Until = false, "lb2", "promised", time.Time{}
	m.Votes = &engine.VotesStatus{
		Stage: "waiting", Need: 2, Votes: []engine.VoteStatus{own, lb2, rack3},
		Lacks: "0 of 2 votes: lb1 has promised it to lb2 for 300ms, lb2 was not asked, rack3 was not asked",
	}
	d.Doc.Node.Edge.Witnesses = []control.WitnessCount{{
		Name: "rack3", Heard: rack3.Heard, Sent: 5210, Unsent: 3, Received: 4100, Refused: map[string]uint64{"mac": 2}, Err: "send to 10.0.9.7:5798: network is unreachable",
	}}
}
