package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// WitnessCount tells how a witness is reached.
type WitnessCount struct {
	Name     string            `json:"name"`
	Heard    time.Time         `json:"heard,omitzero"` // its newest answer
	Sent     uint64            `json:"sent"`
	Unsent   uint64            `json:"unsent"` // that did not leave the host
	Received uint64            `json:"received"`
	Refused  map[string]uint64 `json:"refused,omitempty"` // by cause, text of a pair.Cause
	Err      string            `json:"error,omitempty"`
}

// voterSilent is how long a voter may not answer: who waits asks every ten seconds.
const voterSilent = 25 * time.Second

// Voter tells how somebody who votes is reached.
type Voter struct {
	Name  string
	Host  bool
	Heard time.Time // its newest answer, zero = none yet
}

// Up reports whether the voter has answered lately.
func (v Voter) Up(now time.Time) bool { return !v.Heard.IsZero() && now.Sub(v.Heard) <= voterSilent }

// Voters lists who votes on VIPs of this host, sorted, without the host itself. A peer
// counts as heard when the pair channel hears it.
func Voters(s engine.Status) []Voter {
	byName := map[string]Voter{}
	for _, v := range s.VIPs {
		if v.Votes == nil {
			continue
		}
		for _, o := range v.Votes.Votes {
			if o.Voter == s.Node {
				continue
			}
			one := byName[o.Voter]
			one.Name, one.Host = o.Voter, o.Host
			if o.Heard.After(one.Heard) {
				one.Heard = o.Heard
			}
			byName[o.Voter] = one
		}
	}
	var list []Voter
	for _, v := range byName {
		if s.Pair != nil {
			for _, p := range s.Pair.Peers {
				if p.Name == v.Name && p.Last.After(v.Heard) {
					v.Heard = p.Last
				}
			}
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b Voter) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// VotesNews says what is wrong with the votes on a VIP, "" when nothing is; urgent
// when it is down, or may be held twice, because of them.
func VotesNews(v engine.VIPStatus, now time.Time) (text string, urgent bool) {
	switch o := v.Votes; {
	case o == nil:
		return "", false
	case o.Stage == "clinging":
		return fmt.Sprintf("%s is held without a majority, and may be held elsewhere: %s", v.Name, o.Lacks), true
	case v.Stage == engine.Cleared && o.Lacks != "" && !otherHolds(v, now):
		return fmt.Sprintf("%s waits for votes: %s", v.Name, o.Lacks), true
	}
	return "", false
}

// otherHolds reports whether a voter has promised v to a host that goes on asking for
// it: then it is held, and all is as it should be.
func otherHolds(v engine.VIPStatus, now time.Time) bool {
	return slices.ContainsFunc(v.Votes.Votes, func(o engine.VoteStatus) bool { return o.Owner != "" && now.Sub(o.Heard) <= voterSilent })
}

// whyVotes explains the votes on a VIP that is held, or waits for them.
func whyVotes(e *Explanation, s engine.Status, v engine.VIPStatus) {
	o := v.Votes
	if o == nil || o.Stage == "idle" {
		return
	}
	switch o.Stage {
	case "held":
		e.because("It has %d of %d votes, and needs %d:", o.Have, len(o.Votes), o.Need)
	case "clinging":
		e.because("It has %d of %d votes, needs %d, and goes on without (no_majority = \"hold\"):", o.Have, len(o.Votes), o.Need)
	default:
		e.because("It needs %d of %d votes:", o.Need, len(o.Votes))
	}
	for _, one := range o.Votes {
		e.because("  %s", voteWords(s, one))
	}
	switch {
	case o.Stage == "clinging":
		e.remedy("a voter answers that it has promised it to another host: then it is given up here")
	case v.State == engine.Active:
		e.remedy("fewer than %d of its voters answer: it is given up before another host can have a majority", o.Need)
	case o.Lacks != "":
		e.remedy("%d of its voters promise it to this host: it asks again by itself", o.Need)
	}
}

// voteWords is one vote in a line.
func voteWords(s engine.Status, o engine.VoteStatus) string {
	name := o.Voter
	if name == s.Node {
		name += " (this host)"
	}
	switch {
	case o.Fenced:
		return name + ": is cut off, verified, which counts as its vote"
	case o.Counts && o.Why != "":
		return fmt.Sprintf("%s: ours for %s, not renewed: %s", name, Age(o.Until.Sub(s.Now)), strings.ReplaceAll(o.Why, "_", " "))
	case o.Counts:
		return fmt.Sprintf("%s: ours for %s", name, Age(o.Until.Sub(s.Now)))
	case o.Owner != "":
		return fmt.Sprintf("%s: promised to %s", name, o.Owner)
	case o.Why != "":
		return fmt.Sprintf("%s: %s", name, strings.ReplaceAll(o.Why, "_", " "))
	case o.Heard.IsZero():
		return name + ": has never answered"
	}
	return fmt.Sprintf("%s: answered %s ago", name, Age(s.Now.Sub(o.Heard)))
}
