package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/pair"
)

// PairStatus tells about the channel to the other hosts.
type PairStatus struct {
	Open     bool          `json:"open"`
	Err      string        `json:"error,omitempty"` // why it is not
	Interval time.Duration `json:"interval_ns"`     // between two messages
	Peers    []PeerStatus  `json:"peers"`           // sorted by name
}

// PeerStatus tells about another host of the pair, as it is heard and as it tells of
// itself.
type PeerStatus struct {
	Name    string          `json:"name"`
	Heard   bool            `json:"heard"` // lately, on any path
	Since   time.Time       `json:"since"` // of Heard
	Last    time.Time       `json:"last,omitzero"`
	HearsUs bool            `json:"hears_us"` // it knows how this host stands now
	Paths   []PathStatus    `json:"paths"`
	VIPs    []PeerVIPStatus `json:"vips,omitempty"` // as it told last, sorted by name
	// Compared says that the peer has told its configuration, Drift what is not equal
	// of what should be.
	Compared bool    `json:"config_compared"`
	Drift    []Drift `json:"drift,omitempty"`
	Zone     string  `json:"zone,omitempty"` // its failure domain, as it says
	// Channel is the version of the channel that it speaks, when that is another one and
	// it is not heard.
	Channel uint8 `json:"channel_version,omitempty"`
}

// PathStatus is one way to a peer.
type PathStatus struct {
	Address netip.Addr `json:"address"`
	Heard   bool       `json:"heard"` // lately
	Last    time.Time  `json:"last,omitzero"`
}

// PeerVIPStatus is how a peer stands to a VIP.
type PeerVIPStatus struct {
	Name     string `json:"name"`
	Role     string `json:"role"` // active, standby, out
	Held     bool   `json:"held"`
	Priority uint8  `json:"priority"`
	Eligible bool   `json:"eligible"`
	Blocker  string `json:"blocker,omitempty"` // why it is not
	Epoch    uint64 `json:"epoch,omitempty"`
}

// pairStatus is nil when there is no channel to other hosts.
func (e *Engine) pairStatus(now time.Time) *PairStatus {
	if e.cfg.Pair == nil {
		return nil
	}
	s := &PairStatus{Open: e.pair.boot != 0, Err: e.pair.err, Interval: e.pairInterval()}
	for _, p := range e.pair.peers {
		ps := PeerStatus{
			Name: p.name, Heard: e.fresh(now, p), Since: p.since, Last: p.heardAt, HearsUs: e.fresh(now, p) && p.hearsUs >= e.pair.seq,
			Compared: p.config != nil, Drift: slices.Clone(p.drift), Zone: p.config[zoneKey],
			Channel: p.foreign,
		}
		for i := range p.paths {
			at := &p.paths[i]
			ps.Paths = append(ps.Paths, PathStatus{Address: at.address, Last: at.at, Heard: e.pathHeard(now, at)})
		}
		for _, name := range slices.Sorted(maps.Keys(p.vips)) {
			r := p.vips[name]
			ps.VIPs = append(ps.VIPs, PeerVIPStatus{
				Name: name, Role: r.Role.String(), Held: r.Held, Priority: r.Priority, Eligible: r.Eligible, Blocker: r.Blocker, Epoch: r.Epoch,
			})
		}
		s.Peers = append(s.Peers, ps)
	}
	return s
}

// unready says why no other host could take v and its sync group, "" when one could, or
// nobody knows: a peer that is silent may still be there.
func (e *Engine) unready(now time.Time, v *vip) string {
	silent := func(p *peer) bool { return !e.fresh(now, p) }
	if e.pair.boot == 0 || len(e.pair.peers) == 0 || slices.ContainsFunc(e.pair.peers, silent) || e.taker(now, v) != nil {
		return ""
	}
	for _, m := range v.peers() {
		able := func(p *peer) bool { r, told := p.vips[m.name]; return told && r.Eligible }
		if !slices.ContainsFunc(e.pair.peers, able) {
			return e.standby(now, m)
		}
	}
	return e.standby(now, v)
}

// standby says how ready other hosts are to take v, a sentence for each that is
// heard: "lb2 is ready (priority 100)".
func (e *Engine) standby(now time.Time, v *vip) string {
	var words []string
	for _, p := range e.pair.peers {
		switch r, told := p.vips[v.name]; {
		case !e.fresh(now, p) && p.foreign != 0:
			words = append(words, p.name+" speaks another version of the pair channel")
		case !e.fresh(now, p):
			words = append(words, p.name+" is silent")
		case !told:
			words = append(words, p.name+" has no such vip")
		case r.Role == pair.Active:
			words = append(words, p.name+" is Active")
		case !r.Eligible:
			words = append(words, fmt.Sprintf("%s is not ready: %s", p.name, r.Blocker))
		default:
			words = append(words, fmt.Sprintf("%s is ready (priority %d)", p.name, r.Priority))
		}
	}
	return strings.Join(words, "; ")
}
