package sim_test

import (
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vote"
)

// witnessName names the witness of a world that has one.
const witnessName = "rack3"

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
