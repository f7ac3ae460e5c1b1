package metrics

import (
	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

var (
	descLeaseArmed  = vipDesc("lease_armed", "Whether the kernel lets the addresses answer here as long as the lease is refreshed.")
	descLeaseKind   = vipDesc("lease_kind", "What ends the hold of this host when it hangs, 1 for the current one.", "kind")
	descLeaseTime   = vipDesc("lease_seconds", "How long a refresh of the lease lasts; absent when there is none.")
	descLeaseBad    = vipDesc("lease_degraded", "Whether the lease is not of the kind that was asked for, or cannot be had.")
	descRenewals    = vipDesc("lease_renewals_total", "Refreshes of the lease.")
	descLateWakes   = vipDesc("late_wakes_total", "How often the VIP was given up because this host had not run for longer than its lease.")
	descEpoch       = vipDesc("epoch", "Number of the newest holder that is known; each new one adds 1.")
	descStandby     = vipDesc("standby_ready", "Other hosts that are heard and could take the VIP at once; absent without a pair channel.")
	descFellBack    = vipDesc("resume_fell_back", "Whether this run gave up the VIP that the last run left to it.")
	descResumed     = vipDesc("resumed_after_seconds", "Time from the last advert of the last run to the first one of this; absent when the VIP does not go on from that.")
	descDisbelieved = vipDesc("adverts_disbelieved_total", "Adverts that say what no host of the pair says of itself.")

	descPairOpen     = desc("pair_open", "Whether the pair channel is open; absent when there is none.")
	descPairSent     = desc("pair_messages_sent_total", "Messages sent on the pair channel since it was opened.")
	descPairUnsent   = desc("pair_messages_unsent_total", "Messages that did not leave the host.")
	descPairReceived = desc("pair_messages_received_total", "Messages read from the pair channel since it was opened.")
	descPairRefused  = desc("pair_messages_refused_total", "Messages on the pair channel that were not believed.", "cause")
	descPeerHeard    = desc("peer_heard", "Whether the peer is heard on the pair channel.", "peer")
	descPeerHears    = desc("peer_hears_this_host", "Whether the peer knows how this host stands now.", "peer")
	descPathHeard    = desc("peer_path_heard", "Whether the peer is heard on this path.", "peer", "path")
	descDrift        = desc("config_drift", "Settings that should be equal on both hosts and are not.", "peer")
)

// lease sends what ends the hold of a host that hangs.
func (s sink) lease(v engine.VIPStatus, id []string, with func(...string) []string) {
	s.gauge(descLeaseArmed, truth(v.Lease.Armed), id...)
	for _, kind := range []engine.LeaseMode{engine.LeaseNFT, engine.LeaseAddress, engine.LeaseNone} {
		s.gauge(descLeaseKind, truth(v.Lease.Kind == kind.String()), with(kind.String())...)
	}
	if v.Lease.Time > 0 {
		s.gauge(descLeaseTime, v.Lease.Time.Seconds(), id...)
	}
	s.gauge(descLeaseBad, truth(control.LeaseNews(v) != ""), id...)
	s.counter(descRenewals, v.Lease.Renewals, id...)
	s.counter(descLateWakes, v.Lease.Late, id...)
	s.gauge(descEpoch, float64(v.Epoch), id...)
	s.counter(descDisbelieved, v.Disbelieved, id...)
	s.gauge(descFellBack, truth(v.FellBack != ""), id...)
	if v.ResumedAfter > 0 {
		s.gauge(descResumed, v.ResumedAfter.Seconds(), id...)
	}
}

// pair sends how the other hosts are heard.
func (s sink) pair(p *engine.PairStatus, n *control.PairCount) {
	if p == nil {
		return
	}
	s.gauge(descPairOpen, truth(p.Open))
	for _, peer := range p.Peers {
		s.gauge(descPeerHeard, truth(peer.Heard), peer.Name)
		s.gauge(descPeerHears, truth(peer.HearsUs), peer.Name)
		for _, a := range peer.Paths {
			s.gauge(descPathHeard, truth(a.Heard), peer.Name, a.Address.String())
		}
		s.gauge(descDrift, float64(len(peer.Drift)), peer.Name)
	}
	if n == nil {
		return
	}
	s.counter(descPairSent, n.Sent)
	s.counter(descPairUnsent, n.Unsent)
	s.counter(descPairReceived, n.Received)
	for cause, refused := range n.Refused {
		s.counter(descPairRefused, refused, cause)
	}
}
