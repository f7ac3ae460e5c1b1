package metrics

import (
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

var (
	descFencePhase  = desc("fence_phase", "How far cutting the peer off is, 1 for the current phase.", "peer", "phase")
	descFenceWait   = desc("fence_waiting", "VIPs that wait until the peer is cut off.", "peer")
	descFenceShots  = desc("fence_shots_total", "Times that a device said it cut the peer off.", "peer")
	descFenceMisses = desc("fence_failures_total", "Attempts to cut the peer off that failed.", "peer")
	descFenceProof  = desc("fence_proof_age_seconds", "Time since the peer was last seen off; absent when it is not proven to be.", "peer")
	descUnprotected = desc("fence_unprotected", "Whether every way to cut the peer off has a device that does not work.", "peer")
	descDeviceOK    = desc("fence_device_ok", "Whether the device works; absent until it was read.", "peer", "device")
)

// fencePhases are all that there are.
var fencePhases = []fence.Phase{fence.Idle, fence.Forbidden, fence.Cutting, fence.Verifying, fence.Proven, fence.Resting}

// fence sends everything about the fence of one peer.
func (s sink) fence(f engine.FenceStatus, now time.Time) {
	for _, phase := range fencePhases {
		s.gauge(descFencePhase, truth(f.Phase == string(phase)), f.Peer, string(phase))
	}
	s.gauge(descFenceWait, float64(len(f.Waiting)), f.Peer)
	s.counter(descFenceShots, f.Fired, f.Peer)
	s.counter(descFenceMisses, f.Misses, f.Peer)
	if f.Proof != "" {
		s.gauge(descFenceProof, now.Sub(f.ProofRead).Seconds(), f.Peer)
	}
	s.gauge(descUnprotected, truth(f.Unprotected), f.Peer)
	for _, d := range f.Devices {
		if d.Known {
			s.gauge(descDeviceOK, truth(d.OK), f.Peer, d.Name)
		}
	}
}
