package engine

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// ServiceStatus tells about one anycast service.
type ServiceStatus struct {
	Name   string       `json:"name"`
	State  ServiceState `json:"state"`
	Stage  Stage        `json:"stage"` // the first stage not reached yet, or announced
	Since  time.Time    `json:"since"`
	Reason string       `json:"reason"` // for the state, in one word
	Why    string       `json:"why"`    // the same in a sentence

	Prefixes []PrefixStatus `json:"prefixes"`
	Told     bool           `json:"told"` // the speaker announces it, to whoever has a session
	MED      MEDStatus      `json:"med"`

	Communities []string `json:"communities,omitempty"` // large ones as well; graceful-shutdown while it drains
	Prepend     int      `json:"as_path_prepend,omitempty"`

	// Others are who else is seen to announce it, when MinAnnouncers asks for some.
	Others        []string `json:"others,omitempty"`
	MinAnnouncers int      `json:"min_announcers,omitempty"`

	Device string `json:"device,omitempty"` // gets the addresses
	Held   bool   `json:"held"`             // the kernel has them
	Follow string `json:"follow_vip,omitempty"`

	Drained    *DrainStatus `json:"drained,omitempty"`
	DrainUntil time.Time    `json:"draining_until,omitzero"` // withdrawn then
	RiseDue    time.Time    `json:"rise_due,omitzero"`       // announced then
	Blockers   []Blocker    `json:"blockers,omitempty"`
	Tracks     []Tracked    `json:"tracks,omitempty"` // Weight is what is added to the MED

	LostRestored uint64            `json:"addresses_restored"`
	Changes      map[string]uint64 `json:"changes,omitempty"` // "announced healthy", "withdrawn check": count
}

// PrefixStatus tells which neighbors have a prefix.
type PrefixStatus struct {
	Prefix    netip.Prefix    `json:"prefix"`
	Neighbors map[string]bool `json:"neighbors"` // those that it is for, by name: has it now
	// NotTold says why one with a session does not have it, by name.
	NotTold map[string]string `json:"not_told,omitempty"`
}

// MEDStatus explains the metric of a service.
type MEDStatus struct {
	Configured uint32         `json:"configured"`
	Effective  uint32         `json:"effective"`
	Terms      []PriorityTerm `json:"terms,omitempty"` // what is added
}

// BGPStatus tells who speaks BGP, and with whom.
type BGPStatus struct {
	LocalAS   uint32           `json:"local_as"`
	RouterID  netip.Addr       `json:"router_id"`
	Speaker   SpeakerStatus    `json:"speaker"`
	Neighbors []NeighborStatus `json:"neighbors"` // sorted by name

	// KeptUntil is when neighbors forget what an earlier run told them, while
	// nothing has been told since.
	KeptUntil time.Time `json:"kept_until,omitzero"`
}

// SpeakerStatus tells about the process that speaks BGP.
type SpeakerStatus struct {
	Up     bool      `json:"up"`
	PID    int       `json:"pid,omitempty"`
	Since  time.Time `json:"since,omitzero"` // of up or not
	Error  string    `json:"error,omitempty"`
	Losses uint64    `json:"losses"` // how often it ended
}

// NeighborStatus tells about one BGP session.
type NeighborStatus struct {
	Name      string           `json:"name"`
	Address   netip.Addr       `json:"address,omitzero"`
	Interface string           `json:"interface,omitempty"` // unnumbered
	RemoteAS  uint32           `json:"remote_as,omitempty"` // as it says, or as configured; 0 = not known yet
	Internal  bool             `json:"internal"`
	State     bgp.SessionState `json:"state"`
	Since     time.Time        `json:"since"` // of ESTABLISHED or not
	BFD       string           `json:"bfd,omitempty"`
	Families  []bgp.Family     `json:"families"`
	Graceful  bool             `json:"graceful_restart"` // it keeps routes over a restart
	Announced int              `json:"announced"`        // prefixes
	Received  uint64           `json:"received"`         // prefixes that it sends; none is used
	LastError string           `json:"last_error,omitempty"`
	Flaps     uint64           `json:"flaps"`
}

// serviceStatuses fills in what is known about services and sessions.
func (e *Engine) serviceStatuses(st *Status) {
	for _, s := range e.services {
		st.Services = append(st.Services, e.serviceStatus(s))
		st.Drained = st.Drained && s.drained != nil
	}
	sp := e.speaker
	if sp.cfg == nil {
		return
	}
	b := &BGPStatus{LocalAS: sp.cfg.LocalAS, RouterID: sp.cfg.RouterID, Neighbors: []NeighborStatus{},
		Speaker: SpeakerStatus{Up: sp.up, PID: sp.pid, Since: sp.since, Error: sp.err, Losses: sp.losses}}
	if !sp.holdUntil.IsZero() {
		b.KeptUntil = sp.keptUntil
	}
	for _, name := range slices.Sorted(maps.Keys(sp.cfg.Neighbors)) {
		b.Neighbors = append(b.Neighbors, neighborStatus(name, sp.cfg, sp.sessions[name]))
	}
	st.BGP = b
}

func neighborStatus(name string, cfg *bgp.Config, s *session) NeighborStatus {
	c := cfg.Neighbors[name]
	n := NeighborStatus{
		Name: name, Address: c.Address, Interface: c.Interface, RemoteAS: c.RemoteAS, Families: slices.Clone(c.Families),
		State: s.State, Since: s.since, BFD: s.BFD, Graceful: s.Graceful, Announced: s.Announced, Received: s.Received, LastError: s.LastError, Flaps: s.Flaps,
	}
	if s.Address.IsValid() {
		n.Address = s.Address
	}
	if s.RemoteAS != 0 {
		n.RemoteAS = s.RemoteAS
	}
	n.Internal = n.RemoteAS == cfg.LocalAS
	return n
}

func (e *Engine) serviceStatus(s *service) ServiceStatus {
	st := ServiceStatus{
		Name: s.name, State: s.state, Stage: s.stage(), Since: s.since, Reason: s.reason, Why: s.text, Told: s.told,
		MED:     MEDStatus{Configured: s.cfg.MED, Effective: s.cfg.Effective(s.standing()), Terms: metricTerms(s.terms)},
		Prepend: s.cfg.Prepend, Device: s.cfg.Device, Held: s.there, Follow: s.cfg.FollowVIP,
		DrainUntil: s.drainBy, RiseDue: s.riseAt, Blockers: slices.Clone(s.blockers), LostRestored: s.restored, Changes: maps.Clone(s.changes),
		Drained: copied(s.drained), MinAnnouncers: s.cfg.MinAnnouncers,
	}
	if s.cfg.MinAnnouncers > 0 {
		st.Others = slices.Clone(e.others(s))
	}
	for _, c := range s.cfg.To(bgp.Neighbor{}, 0, s.standing()).Communities {
		st.Communities = append(st.Communities, c.String())
	}
	for _, c := range s.cfg.Large {
		st.Communities = append(st.Communities, c.String())
	}
	for _, p := range s.cfg.Prefixes {
		st.Prefixes = append(st.Prefixes, e.prefixStatus(s, p))
	}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Track)) {
		st.Tracks = append(st.Tracks, Tracked{"check", name, s.cfg.Track[name].Fault, -s.cfg.Track[name].Delta})
	}
	return st
}

// prefixStatus tells which neighbors have a prefix: those that it is for, whose
// session is up, once they have been told.
func (e *Engine) prefixStatus(s *service, p netip.Prefix) PrefixStatus {
	st := PrefixStatus{Prefix: p, Neighbors: map[string]bool{}}
	if e.speaker.cfg == nil {
		return st
	}
	known := s.told && e.withdrawn(s) && e.speaker.up && !slices.Contains(s.fresh, p)
	for name, n := range e.speaker.cfg.Neighbors {
		if s.cfg.Tells(name) && n.Speaks(bgp.FamilyOf(p)) {
			session := e.speaker.sessions[name]
			st.Neighbors[name] = known && session.established()
			if !st.Neighbors[name] {
				continue
			}
			if why := session.Untold(bgp.FamilyOf(p)); why != "" {
				st.Neighbors[name] = false
				if st.NotTold == nil {
					st.NotTold = map[string]string{}
				}
				st.NotTold[name] = why
			}
		}
	}
	return st
}
