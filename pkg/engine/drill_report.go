package engine

import "time"

// DrillKind is how a VIP is given up in a drill.
type DrillKind string

// The kinds. A fence test moves nothing: devices are read, which the engine has no
// part in.
const (
	DrillCheck DrillKind = "check" // as when a check fails: a peer that is ready takes it first
	DrillStop  DrillKind = "stop"  // closed, then released by an advert with priority 0
	DrillLink  DrillKind = "link"  // closed without a word to anybody, as when the link is cut
	DrillFence DrillKind = "fence-test"
)

// DrillPhase is how far a drill has come.
type DrillPhase string

// The phases, in order.
const (
	DrillAway   DrillPhase = "away"   // closed here; no peer holds it yet
	DrillServed DrillPhase = "served" // a peer holds it
	DrillSeen   DrillPhase = "seen"   // what a client saw is being added up
	DrillReturn DrillPhase = "return" // on its way back
)

// DrillReport is what came of a drill.
type DrillReport struct {
	VIP    string        `json:"vip"`
	VIPs   []string      `json:"vips"` // that moved: it and its sync group, sorted
	Kind   DrillKind     `json:"kind"`
	By     string        `json:"by"`
	Began  time.Time     `json:"began"`
	Limit  time.Duration `json:"limit_ns"` // for the peer, and for a client
	Peer   string        `json:"peer,omitempty"`
	Took   time.Duration `json:"takeover_ns,omitempty"` // from the beginning until this host knew that the peer held all of it
	Client *ClientReport `json:"client,omitempty"`      // absent when nobody looked
	Steps  []DrillStep   `json:"steps"`
	Stays  bool          `json:"stays"` // the peer has it still
	Passed bool          `json:"passed"`
	Why    string        `json:"why,omitempty"` // it did not pass
}

// DrillStep is something that happened in a drill.
type DrillStep struct {
	After time.Duration `json:"after_ns"` // since the beginning
	Text  string        `json:"text"`
}

// ClientReport is what a client saw of a VIP, from when it had left this host.
type ClientReport struct {
	Target string        `json:"target"`
	Sent   int           `json:"sent"`
	Lost   int           `json:"lost"`
	Outage time.Duration `json:"outage_ns"`        // the longest time without an answer
	OK     bool          `json:"answers"`          // one of the last probes was answered
	Detail string        `json:"detail,omitempty"` // of the last one that was not
}

// ProbeTarget is what a client looks at: Target when it is not "", or echo.
func (a ProbeVIP) ProbeTarget() string {
	if a.Target == "" {
		return "echo of " + a.Address.String()
	}
	return a.Target
}
