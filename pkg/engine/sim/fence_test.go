package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
	"github.com/vipd/vipd/pkg/fence"
)

// fenced lets a host take over from a silent peer only when that is cut off.
func fenced(cfg engine.Config, interval time.Duration) engine.Config {
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
			Rate:   fence.Rate{Max: 3, Per: 15 * time.Minute}, Settle: 2 * time.Second, ConfirmTTL: 10 * time.Minute,
			Silence: 4 * interval, Track: []string{"gateway"},
		}
	}
	return cfg
}

// TestFenced is worlds in which the network is cut in every way and hosts die:
// where a silent peer is fenced first, no VIP is ever held by two, and never does
// every host cut off the other.
func TestFenced(t *testing.T) {
	t.Parallel()
	shots := 0
	for seed := *first; seed < *first+*seeds && !t.Failed(); seed++ {
		shots += fencedWorld(t, seed)
	}
	if shots == 0 {
		t.Error("nothing was ever fenced")
	}
}

func fencedWorld(t *testing.T, seed uint64) (shots int) {
	t.Helper()
	w := sim.New(seed)
	w.Exclusive = true
	w.Record = func(_ string, _ time.Time, _ engine.Event, did []engine.Action) {
		for _, a := range did {
			if f, ok := a.(engine.RunFence); ok && f.Verb == fence.VerbOff {
				shots++
			}
		}
	}
	if *trace {
		w.Trace = printed
	}
	r := rand.New(rand.NewPCG(seed, 2))
	interval := []time.Duration{30, 100, 1000}[r.IntN(3)] * time.Millisecond
	var began []engine.Config
	for i, name := range []string{"lb1", "lb2"} {
		cfg := fenced(paired(config(name, uint8(100+50*i), interval, r.IntN(2) == 0, r.IntN(2) == 0), 2), interval)
		began = append(began, cfg)
		w.AddHost(name, cfg, "eth0", "eth1", "lo")
	}
	w.Run(2*time.Second + 8*interval)
	for range 6 {
		w.Run(time.Duration(r.Int64N(int64(10 * time.Second))))
		cutFault(w, r, interval)
	}
	w.Run(30 * time.Second)
	for _, h := range w.Hosts() {
		h.SetCheck("gateway", true)
		h.SetDevice(sim.DeviceWorks)
	}
	heal(w, began)
	w.Run(10*time.Second + 12*interval)
	for _, vip := range []string{"web", "mail"} {
		if !w.Settled(vip) {
			t.Errorf("seed %d: %s has not settled: held by %v", seed, vip, w.Holders(vip))
		}
	}
	for _, b := range w.Broken() {
		t.Errorf("seed %d: %s", seed, b)
	}
	if t.Failed() {
		t.Logf("run again: go test ./pkg/engine/sim -run Fenced -first %d -seeds 1 -args -trace", seed)
	}
	return shots
}

// cutFault does one random thing to the network, a host or a device.
func cutFault(w *sim.World, r *rand.Rand, interval time.Duration) {
	h := w.Hosts()[r.IntN(2)]
	other := w.Hosts()[0]
	if h == other {
		other = w.Hosts()[1]
	}
	switch r.IntN(12) {
	case 0:
		h.Crash()
	case 1:
		h.Kill()
	case 2, 3:
		w.Cut(h.Name(), other.Name())
		w.Cut(other.Name(), h.Name())
	case 4:
		w.Cut(h.Name(), other.Name())
	case 5:
		w.Loss = r.Float64() * 0.9
	case 6:
		h.Pause(time.Duration(r.Int64N(int64(20 * interval))))
	case 7:
		w.Heal()
	case 8:
		if !h.Running() {
			h.Boot()
		}
	case 9:
		h.SetDevice([]sim.Device{sim.DeviceDead, sim.DeviceHangs, sim.DeviceLies}[r.IntN(3)])
	case 10:
		h.SetCheck("gateway", r.IntN(2) == 0)
	case 11:
		h.Stall(time.Duration(r.Int64N(int64(10 * interval))))
	}
}
