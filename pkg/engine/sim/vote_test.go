package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
	"github.com/vipd/vipd/pkg/vote"
)

// voted lets a host hold, and take over, only with a majority of the votes.
func voted(cfg engine.Config, witnesses ...vote.Witness) engine.Config {
	for name, v := range cfg.VIPs {
		v.Takeover = engine.TakeoverVotes
		cfg.VIPs[name] = v
	}
	cfg.Witnesses = witnesses
	return cfg
}

// TestVoted is worlds in which the network is cut in every way and hosts and the
// witness die, hang and forget: where a majority decides, no VIP is ever held by
// two.
func TestVoted(t *testing.T) {
	t.Parallel()
	held := 0
	for seed := *first; seed < *first+*seeds && !t.Failed(); seed++ {
		held += votedWorld(t, seed)
	}
	if held == 0 {
		t.Error("nothing was ever held")
	}
}

func votedWorld(t *testing.T, seed uint64) (held int) {
	t.Helper()
	w := sim.New(seed)
	w.Exclusive = true
	if *trace {
		w.Trace = printed
	}
	r := rand.New(rand.NewPCG(seed, 3))
	interval := []time.Duration{30, 100, 1000}[r.IntN(3)] * time.Millisecond
	ttl := vote.AutoTTL(interval*5/2, interval)
	hosts, etcd := 2, r.IntN(5) == 0
	if r.IntN(4) == 0 {
		hosts = 3
	}
	var voters []vote.Witness
	var witness *sim.Witness
	if hosts == 2 || etcd {
		voters = append(voters, vote.Witness{Name: "rack3", Etcd: etcd && hosts != 2, TTL: ttl})
		witness = w.AddWitness("rack3", ttl)
	}
	var began []engine.Config
	sync := r.IntN(3) == 0
	for i := range hosts {
		name := fmt.Sprintf("lb%d", i+1)
		cfg := voted(paired(config(name, uint8(100+50*i), interval, r.IntN(2) == 0, sync), hosts), voters...)
		began = append(began, cfg)
		w.AddHost(name, cfg, "eth0", "eth1", "lo")
	}
	w.Run(2*time.Second + 8*interval + ttl)
	for range 12 {
		w.Run(time.Duration(r.Int64N(int64(10*time.Second/4 + 4*interval))))
		held += len(w.Holders("web"))
		voteFault(w, r, witness, interval)
	}
	w.Run(6 * time.Second)
	if witness != nil {
		witness.Restart()
	}
	heal(w, began)
	w.Run(10*time.Second + 12*interval + 3*ttl)
	for _, vip := range []string{"web", "mail"} {
		if !w.Settled(vip) {
			t.Errorf("seed %d: %s has not settled: held by %v", seed, vip, w.Holders(vip))
		}
	}
	for _, b := range w.Broken() {
		t.Errorf("seed %d: %s", seed, b)
	}
	if t.Failed() {
		t.Logf("run again: go test ./pkg/engine/sim -run Voted -first %d -seeds 1 -args -trace", seed)
	}
	return held
}

// voteFault does one random thing to the network, a host or the witness.
func voteFault(w *sim.World, r *rand.Rand, witness *sim.Witness, interval time.Duration) {
	hosts := w.Hosts()
	i := r.IntN(len(hosts))
	h, other := hosts[i], hosts[(i+1)%len(hosts)]
	switch r.IntN(12) {
	case 0:
		if witness != nil {
			witness.Kill()
		}
	case 1:
		if witness != nil {
			witness.Restart()
		}
	case 2:
		if witness != nil {
			w.Cut(h.Name(), witness.Name())
		}
	case 3:
		if witness != nil {
			w.Cut(witness.Name(), h.Name())
		}
	case 4:
		w.Cut(h.Name(), other.Name())
		w.Cut(other.Name(), h.Name())
	case 5:
		w.Cut(h.Name(), other.Name())
	case 6:
		w.Loss = r.Float64() * 0.9
	case 7:
		w.Heal()
	default:
		hostFault(w, interval)
	}
}
