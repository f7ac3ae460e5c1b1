package metrics

import (
	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

var (
	descVotes       = vipDesc("votes", "Votes that count for this host; absent when nobody votes on the VIP.")
	descVotesNeeded = vipDesc("votes_needed", "Votes that are a majority; absent when nobody votes on the VIP.")
	descClinging    = vipDesc("without_majority", "Whether this host holds the VIP without a majority (no_majority = \"hold\"); absent when nobody votes on it.")
	descVoterUp     = desc("voter_up", "Whether a voter that is not this host has answered lately.", "voter")
	descVoterSent   = desc("voter_messages_sent_total", "Messages sent to a witness.", "voter")
	descVoterUnsent = desc("voter_messages_unsent_total", "Messages to a witness that did not leave the host.", "voter")
	descVoterHeard  = desc("voter_messages_received_total", "Messages received from a witness.", "voter")
	descVoterRefuse = desc("voter_messages_refused_total", "Messages from a witness that were not believed.", "voter", "cause")
)

// votes sends how the votes on a VIP stand.
func (s sink) votes(v engine.VIPStatus, labels []string) {
	if v.Votes == nil {
		return
	}
	s.gauge(descVotes, float64(v.Votes.Have), labels...)
	s.gauge(descVotesNeeded, float64(v.Votes.Need), labels...)
	s.gauge(descClinging, truth(v.Votes.Stage == "clinging"), labels...)
}

// voters sends how those who vote are reached.
func (s sink) voters(doc control.StatusDocument) {
	for _, v := range control.Voters(doc.Status) {
		s.gauge(descVoterUp, truth(v.Up(doc.Now)), v.Name)
	}
	for _, w := range doc.Node.Edge.Witnesses {
		s.counter(descVoterSent, w.Sent, w.Name)
		s.counter(descVoterUnsent, w.Unsent, w.Name)
		s.counter(descVoterHeard, w.Received, w.Name)
		for cause, n := range w.Refused {
			s.counter(descVoterRefuse, n, w.Name, cause)
		}
	}
}
