package sim_test

import (
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// fencedBy is when a host that fell silent is proven to be off: it is waited for, and
// once for its turn, then cut off and read three times by the slowest agent.
func fencedBy(s shape) time.Duration {
	cut := time.Second + s.silent() + 2*time.Second
	return s.silent() + cut + 4*agentMost + 2*200*time.Millisecond
}

// agentMost is what an agent takes at most in a world.
const agentMost = 300 * time.Millisecond

// silent is how long a peer must be silent to be fenced.
func (s shape) silent() time.Duration {
	if s.silence > 0 {
		return s.silence
	}
	return 4 * s.interval
}

// fences lets a host take over from a silent peer only when that is cut off.
func fences(cfg engine.Config, s shape) engine.Config {
	for name, v := range cfg.VIPs {
		v.Takeover = engine.TakeoverFence
		cfg.VIPs[name] = v
	}
	cfg.Checks["gateway"] = check.Config{Spec: seen{}, InitOK: true}
	cfg.Fences = map[string]fence.Config{}
	for peer := range cfg.Pair.Peers {
		cfg.Fences[peer] = fence.Config{
			Levels:   [][]string{{peer + "-ipmi"}, {peer + "-pdu"}},
			Devices:  map[string]fence.Device{peer + "-ipmi": {Agent: "fence_ipmilan"}, peer + "-pdu": {Agent: "fence_apc"}},
			Attempts: 2, AttemptTimeout: time.Second,
			Verify: fence.Verify{Reads: 3, Every: 200 * time.Millisecond, Within: 5 * time.Second},
			Rate:   fence.Rate{Max: 2, Per: 15 * time.Minute}, Settle: 2 * time.Second, ConfirmTTL: 10 * time.Minute,
			Silence: s.silent(), Track: []string{"gateway"},
		}
	}
	return cfg
}
