package engine_test

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
	"github.com/vipd/vipd/pkg/fence"
)

// runFence carries out a command about fences.
func (s *scenario) runFence(f []string, h *sim.Host) {
	s.t.Helper()
	switch f[0] {
	case "device": // device lb1 lies: those that could cut lb1 off, see sim.Device; works
		how := sim.Device(f[2])
		if how == "works" {
			how = sim.DeviceWorks
		}
		h.SetDevice(how)
	case "confirm": // confirm lb2 lb1: anna states on lb2 that lb1 is off
		h.Do(engine.ConfirmFence{Peer: f[2], Actor: anna})
	case "fence": // fence lb2
		for _, x := range h.Status().Fences {
			for _, line := range x.Lines {
				fmt.Fprintln(&s.out, line)
			}
		}
	default:
		s.runVotes(f, h)
	}
}

// fencing lets a host cut off each of the others, unless a check of its gateway
// fails.
func (s *scenario) fencing(cfg *engine.Config, takeover string) {
	if takeover != "fence" {
		return
	}
	cfg.Checks["gateway"] = check.Config{Spec: seenCheck{}, InitOK: true}
	cfg.Fences = map[string]fence.Config{}
	for peer := range cfg.Pair.Peers {
		cfg.Fences[peer] = fence.Config{
			Levels: [][]string{{peer + "-ipmi"}}, Devices: map[string]fence.Device{peer + "-ipmi": {Agent: "fence_ipmilan"}},
			Attempts: 1, AttemptTimeout: time.Second, Verify: fence.Verify{Reads: 2, Every: 200 * time.Millisecond, Within: 2 * time.Second},
			Rate: fence.Rate{Max: 2, Per: 15 * time.Minute}, ConfirmTTL: 10 * time.Minute, Silence: time.Second, Track: []string{"gateway"},
		}
	}
}
