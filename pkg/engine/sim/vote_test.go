package sim_test

import (
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vote"
)

// witnessName names the witness of a world that has one.
const witnessName = "rack3"

// bootTakes is longer than a reading of a fence device is good for: a vote that such a
// reading stands for is not to be given by the host as well.
const bootTakes = 6 * time.Second

// votes lets a host hold, and take over, only with a majority of the votes.
func votes(cfg engine.Config, s shape) engine.Config {
	for name, v := range cfg.VIPs {
		v.Takeover = engine.TakeoverVotes
		cfg.VIPs[name] = v
	}
	if s.witness != "" {
		cfg.Witnesses = []vote.Witness{{Name: witnessName, Etcd: s.witness == "etcd", TTL: s.ttl()}}
	}
	return cfg
}
