package sim_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// paired gives hosts a lease and the channel to each other.
func paired(cfg engine.Config, hosts int) engine.Config {
	for name, v := range cfg.VIPs {
		v.Lease = engine.LeaseNFT
		cfg.VIPs[name] = v
	}
	cfg.Keep = true
	cfg.Pair = &engine.Pair{Peers: map[string][]netip.Addr{}}
	for i := range hosts {
		if name := fmt.Sprintf("lb%d", i+1); name != cfg.Node {
			cfg.Pair.Peers[name] = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), netip.AddrFrom4([4]byte{192, 0, 3, byte(1 + i)})}
		}
	}
	return cfg
}

// hostFault does one random thing to a host, and nothing to the network.
func hostFault(w *sim.World, interval time.Duration) {
	r := w.Random()
	hosts := w.Hosts()
	h := hosts[r.IntN(len(hosts))]
	pause := time.Duration(r.Int64N(int64(10 * interval)))
	if r.IntN(3) == 0 {
		pause = time.Duration(r.Int64N(int64(5 * time.Second)))
	}
	switch r.IntN(17) {
	case 0:
		h.Crash()
	case 1:
		h.Kill()
	case 2:
		if !h.Running() {
			h.Boot()
		}
	case 3, 4: // killed, and back before anybody takes over
		h.Kill()
		w.Run(50*time.Millisecond + time.Duration(r.Int64N(int64(450*time.Millisecond))))
		h.Boot()
	case 5, 6, 7:
		h.Pause(pause)
	case 8, 9:
		h.Stall(pause)
	case 10:
		h.SetCheck(checkNames[r.IntN(len(checkNames))], r.IntN(2) == 0)
	case 11:
		h.Do(engine.Drain{Actor: engine.Actor{Name: "swarm"}})
	case 12:
		h.Do(engine.Undrain{Actor: engine.Actor{Name: "swarm"}})
	case 13:
		h.Do(engine.Failover{Name: "web", Actor: engine.Actor{Name: "swarm"}})
	case 14:
		h.RemoveAddresses("web")
	case 15:
		reload(w)
	case 16: // an upgrade in place, in time or not
		h.Restart(time.Duration(r.Int64N(int64(6 * interval))))
	}
}

// pairWorld adds the hosts of a world of a pair or three.
func pairWorld(t *testing.T, seed uint64) (w *sim.World, began []engine.Config, interval time.Duration, sync bool) {
	t.Helper()
	w = sim.New(seed)
	if *trace {
		w.Trace = printed
	}
	r := w.Random()
	interval = []time.Duration{30, 100, 1000}[r.IntN(3)] * time.Millisecond
	preempt, n, hooked := r.IntN(3) > 0, 2+r.IntN(2), r.IntN(4) == 0
	sync = r.IntN(2) == 0
	for i := range n {
		priority := uint8(100 + 50*i)
		if r.IntN(4) == 0 {
			priority = 100
		}
		name := fmt.Sprintf("lb%d", i+1)
		cfg := paired(config(name, priority, interval, preempt, sync), n)
		if hooked {
			cfg = withHooks(cfg)
		}
		began = append(began, cfg)
		w.AddHost(name, cfg, "eth0", "eth1", "lo")
	}
	return w, began, interval, sync
}

// TestExclusive is worlds in which hosts die, hang and are moved about while the
// network works: no VIP is ever held by two, but while it is handed over.
func TestExclusive(t *testing.T) {
	t.Parallel()
	for seed := *first; seed < *first+*seeds && !t.Failed(); seed++ {
		exclusive(t, seed)
	}
}

func exclusive(t *testing.T, seed uint64) {
	t.Helper()
	w, began, interval, sync := pairWorld(t, seed)
	w.Exclusive = true
	r := rand.New(rand.NewPCG(seed, 1))
	for range 40 {
		w.Run(time.Duration(r.Int64N(int64(20 * interval))))
		hostFault(w, interval)
	}
	w.Run(5 * time.Second) // those that are paused go on
	heal(w, began)
	w.Run(7*time.Second + 12*interval)
	vips := []string{"web", "mail"}
	if sync {
		vips = append(vips, "edge0", "edge1")
	}
	for _, vip := range vips {
		if !w.Settled(vip) {
			t.Errorf("seed %d: %s has not settled: held by %v", seed, vip, w.Holders(vip))
		}
		if !w.RunUntil(time.Minute, func() bool { return w.Reached(vip) }) {
			t.Errorf("seed %d: %s is held by %v, clients still go to %q", seed, vip, w.Holders(vip), w.Client(vip))
		}
	}
	for _, b := range w.Broken() {
		t.Errorf("seed %d: %s", seed, b)
	}
	if t.Failed() {
		t.Logf("run again: go test ./pkg/engine/sim -run Exclusive -first %d -seeds 1 -trace", seed)
	}
}
