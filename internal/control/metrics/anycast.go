package metrics

import (
	"fmt"
	"strings"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

var (
	descServiceState = desc("anycast_state", "State of the anycast service, 1 for the current one.", "service", "state")
	descAnnounced    = desc("anycast_announced", "Whether the neighbor has been told the prefix.", "service", "prefix", "neighbor")
	descMED          = desc("anycast_med", "Effective metric of the routes.", "service")
	descMEDWanted    = desc("anycast_med_configured", "Configured metric of the routes.", "service")
	descOthers       = desc("anycast_others_seen", "Other hosts that are seen to announce the service; with min_announcers only.", "service")
	descServiceDrain = desc("anycast_drained", "Whether an operator took the service out of service.", "service")
	descServiceMoves = desc("anycast_changes_total", "Changes of state, by what they led to and why.", "service", "to", "reason")
	descServiceLast  = desc("anycast_last_change_timestamp_seconds", "When the current state was entered.", "service")
	descServiceBack  = desc("anycast_addresses_restored_total", "Addresses that somebody else removed and vipd put back.", "service")

	descSpeaker      = desc("bgp_speaker_up", "Whether the process that speaks BGP runs.")
	descSpeakerEnds  = desc("bgp_speaker_losses_total", "How often the process that speaks BGP ended.")
	descSession      = desc("bgp_session_up", "Whether the session is established.", "neighbor", "remote_as")
	descSessionState = desc("bgp_session_state", "State of the session, 1 for the current one.", "neighbor", "state")
	descSessionFlaps = desc("bgp_session_flaps_total", "Sessions that ended.", "neighbor")
	descSessionLast  = desc("bgp_session_last_change_timestamp_seconds", "When the session came up or went down.", "neighbor")
	descPrefixes     = desc("bgp_prefixes_announced", "Prefixes that the neighbor has been told.", "neighbor")
	descBFD          = desc("bfd_session_up", "Whether BFD sees the neighbor; absent without BFD.", "neighbor")
)

// sessionStates and serviceStates are all that there are.
var (
	sessionStates = []bgp.SessionState{bgp.Idle, bgp.Connect, bgp.ActiveOpen, bgp.OpenSent, bgp.OpenConfirm, bgp.Established}
	serviceStates = []engine.ServiceState{
		engine.ServiceAnnounced, engine.ServiceWaiting, engine.ServiceWithdrawn, engine.ServiceLast, engine.ServiceDraining, engine.ServiceDrained,
	}
)

// service sends everything about one anycast service.
func (s sink) service(v engine.ServiceStatus) {
	for _, state := range serviceStates {
		s.gauge(descServiceState, truth(v.State == state), v.Name, strings.ToLower(string(state)))
	}
	for _, p := range v.Prefixes {
		for neighbor, has := range p.Neighbors {
			s.gauge(descAnnounced, truth(has), v.Name, p.Prefix.String(), neighbor)
		}
	}
	s.gauge(descMED, float64(v.MED.Effective), v.Name)
	s.gauge(descMEDWanted, float64(v.MED.Configured), v.Name)
	if v.MinAnnouncers > 0 {
		s.gauge(descOthers, float64(len(v.Others)), v.Name)
	}
	s.gauge(descServiceDrain, truth(v.Drained != nil), v.Name)
	s.gauge(descServiceLast, unixSeconds(v.Since), v.Name)
	s.counter(descServiceBack, v.LostRestored, v.Name)
	for change, n := range v.Changes {
		if to, reason, ok := strings.Cut(change, " "); ok {
			s.counter(descServiceMoves, n, v.Name, to, reason)
		}
	}
}

// bgp sends everything about the speaker and its sessions.
func (s sink) bgp(b *engine.BGPStatus) {
	if b == nil {
		return
	}
	s.gauge(descSpeaker, truth(b.Speaker.Up))
	s.counter(descSpeakerEnds, b.Speaker.Losses)
	for _, n := range b.Neighbors {
		s.gauge(descSession, truth(n.State == bgp.Established), n.Name, fmt.Sprint(n.RemoteAS))
		for _, state := range sessionStates {
			s.gauge(descSessionState, truth(n.State == state), n.Name, strings.ToLower(string(state)))
		}
		s.counter(descSessionFlaps, n.Flaps, n.Name)
		s.gauge(descSessionLast, unixSeconds(n.Since), n.Name)
		s.gauge(descPrefixes, float64(n.Announced), n.Name)
		if n.BFD != "" {
			s.gauge(descBFD, truth(n.BFD == "up"), n.Name)
		}
	}
}
