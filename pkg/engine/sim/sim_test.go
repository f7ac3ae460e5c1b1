package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

var (
	seeds = flag.Uint64("seeds", 300, "how many worlds of random faults to run")
	first = flag.Uint64("first", 1, "the seed of the first one")
	trace = flag.Bool("trace", false, "print the transcript of each world")
)

// config returns what one host of a world is configured with: two VIPs on one
// network, and with sync a third and fourth that move together on two.
func config(node string, priority uint8, interval time.Duration, preempt, sync bool) engine.Config {
	vip := func(vrid uint8, link string) engine.VIP {
		return engine.VIP{
			Interface: link, VRID: vrid, Version: 3, Priority: priority, Interval: interval, Preempt: preempt,
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, vrid}), 32)},
			GARP:      engine.GARP{Repeat: 1, Bursts: []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, time.Second}, Refresh: time.Minute},
		}
	}
	cfg := engine.Config{Node: node, VIPs: map[string]engine.VIP{"web": vip(51, "eth0"), "mail": vip(52, "eth0")}, Groups: map[string][]string{}}
	cfg.Checks = checks()
	mail := cfg.VIPs["mail"]
	mail.Track = map[string]check.Weight{"svc": {Fault: true}, "front": {Fault: true}, "bound": {Fault: true}, "proc": {Delta: -20}, "deep": {Delta: 10}}
	cfg.VIPs["mail"] = mail
	cfg.Services, cfg.BGP, cfg.DrainWait = services(), speaks(), 300*time.Millisecond
	if sync {
		cfg.VIPs["edge0"], cfg.VIPs["edge1"] = vip(61, "eth0"), vip(61, "eth1")
		e1 := cfg.VIPs["edge1"]
		e1.Addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.161/32")}
		cfg.VIPs["edge1"] = e1
		cfg.Groups["edge"] = []string{"edge0", "edge1"}
	}
	return cfg
}

// seen is a Spec that is watched.
type seen struct{}

func (seen) Type() string { return "seen" }
func (seen) Watched()     {}

// checks returns one check of each kind: polled, watched, masked, with a hold-down,
// bound to a VIP, and groups of groups.
func checks() map[string]check.Config {
	polled := check.Config{Spec: check.TCP{Address: "127.0.0.1:80"}, Interval: time.Second, Timeout: time.Second, FastInterval: 100 * time.Millisecond, Rise: 2, Fall: 2}
	hold := check.HoldDown{Time: 200 * time.Millisecond, Most: time.Second, Flaps: 2, Within: 10 * time.Second}
	api, bound, deep := polled, polled, polled
	api.After, api.HoldDown, api.Jitter = []string{"net"}, hold, 300*time.Millisecond
	deep.After = []string{"proc"}
	bound.WhileHeld, bound.HoldDown = "mail", hold
	return map[string]check.Config{
		"svc": polled, "api": api, "bound": bound, "deep": deep,
		"net":   {Spec: seen{}, InitOK: true},
		"proc":  {Spec: seen{}, After: []string{"net"}, HoldDown: hold},
		"two":   {Spec: check.Group{Members: []string{"net", "proc", "svc"}, Need: 2}},
		"front": {Spec: check.Group{Members: []string{"api", "two"}, Need: 1}, After: []string{"net"}},
	}
}

// checkNames are the checks that can pass and fail.
var checkNames = []string{"svc", "api", "bound", "deep", "net", "proc"}

// otherChecks changes what checks depend on.
func otherChecks(r *rand.Rand, cfg engine.Config) map[string]check.Config {
	list := maps.Clone(cfg.Checks)
	name := []string{"api", "proc", "front", "two"}[r.IntN(4)]
	c := list[name]
	switch g, isGroup := c.Spec.(check.Group); {
	case isGroup && r.IntN(2) == 0:
		c.Spec = check.Group{Members: g.Members, Need: 1 + r.IntN(len(g.Members))}
	case len(c.After) > 0:
		c.After = nil
	default:
		c.After = []string{"net"}
	}
	c.HoldDown.Time = time.Duration(r.IntN(2)) * 200 * time.Millisecond
	list[name] = c
	return list
}

// hookWithin is how long a before_hold may take in worlds that have some.
const hookWithin = 400 * time.Millisecond

// withHooks gives all VIPs of a configuration but mail a before_hold, and tells
// hooks of all.
func withHooks(cfg engine.Config) engine.Config {
	for name, v := range cfg.VIPs {
		v.Notify = true
		if name != "mail" && name != "edge1" {
			v.BeforeHold = hookWithin
		}
		cfg.VIPs[name] = v
	}
	cfg.GroupNotify = map[string]bool{"edge": true}
	return cfg
}

// fault does one random thing to a world.
func fault(w *sim.World) {
	r := w.Random()
	hosts := w.Hosts()
	h := hosts[r.IntN(len(hosts))]
	other := hosts[r.IntN(len(hosts))]
	switch r.IntN(29) {
	case 0:
		h.Crash()
	case 1:
		h.Kill()
	case 2, 3:
		if !h.Running() {
			h.Boot()
		}
	case 4:
		h.SetLink([]string{"eth0", "eth1"}[r.IntN(2)], r.IntN(2) == 0)
	case 5:
		w.Cut(h.Name(), other.Name())
	case 6:
		w.Loss = r.Float64() * 0.8
	case 7, 15, 16, 17, 18:
		h.SetCheck(checkNames[r.IntN(len(checkNames))], r.IntN(2) == 0)
	case 19:
		if h.Running() {
			cfg := h.Config()
			cfg.Checks = otherChecks(r, cfg)
			h.Configure(cfg)
		}
	case 8:
		h.Do(engine.Drain{Actor: engine.Actor{Name: "swarm"}})
	case 9:
		h.Do(engine.Undrain{Actor: engine.Actor{Name: "swarm"}})
	case 10:
		h.Do(engine.Failover{Name: "web", Actor: engine.Actor{Name: "swarm"}})
	case 11:
		h.RemoveAddresses("web")
	case 12, 13, 14:
		reload(w)
	case 22:
		h.KillSpeaker()
	case 23, 24:
		h.SetNeighbor([]string{"tor-a", "tor-b"}[r.IntN(2)], r.IntN(2) == 0)
	case 25:
		if h.Running() {
			h.Configure(otherServices(r, h.Config()))
		}
	case 27, 28:
		h.Do(engine.AnnouncersSeen{Prefix: services()["dns"].Prefixes[r.IntN(3)], Others: []string{"AS 65102", "AS 65103"}[:r.IntN(3)]})
	case 26:
		h.RemoveAddresses("anycast/dns")
	case 20, 21:
		h.SetHook([]sim.Hook{sim.HookFast, sim.HookSlow, sim.HookFails, sim.HookHangs}[r.IntN(4)])
	}
}

// reload gives all hosts a configuration that differs in something from the one
// in force; the hosts agree on what they must agree on.
func reload(w *sim.World) {
	r := w.Random()
	what, value := r.IntN(5), uint8(1+r.IntN(254))
	for i, h := range w.Hosts() {
		cfg := h.Config()
		cfg.VIPs = maps.Clone(cfg.VIPs)
		for _, name := range slices.Sorted(maps.Keys(cfg.VIPs)) {
			v := cfg.VIPs[name]
			switch what {
			case 0:
				v.Priority = uint8(1 + (int(value)+100*i)%254)
			case 1:
				v.VRID = v.VRID%2 + 101 + uint8(2*(int(v.VRID)/2%20))
			case 2:
				v.Addresses = append(slices.Clip(v.Addresses), netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, value, v.VRID}), 32))
			case 3:
				v.GARP.Refresh = time.Duration(value) * time.Second / 10
			}
			cfg.VIPs[name] = v
		}
		if what == 4 {
			delete(cfg.VIPs, "web")
			if r.IntN(2) == 0 {
				web := config(h.Name(), value, cfg.VIPs["mail"].Interval, true, false).VIPs["web"]
				web.Lease, web.Takeover = cfg.VIPs["mail"].Lease, cfg.VIPs["mail"].Takeover
				cfg.VIPs["web"] = web
			}
		}
		h.Configure(cfg) // its file, when it does not run
	}
}

// heal ends all faults: every host runs, hears everybody and is eligible, with
// the configuration that it began with.
func heal(w *sim.World, began []engine.Config) {
	w.Heal()
	for _, h := range w.Hosts() {
		h.SetLink("eth0", true)
		h.SetLink("eth1", true)
		h.SetNeighbor("tor-a", true)
		h.SetNeighbor("tor-b", true)
		for _, name := range checkNames {
			h.SetCheck(name, true)
		}
		h.SetHook(sim.HookFast)
		if !h.Running() {
			h.Boot()
		}
		h.Do(engine.Undrain{Actor: engine.Actor{Name: "swarm"}})
	}
	for i, cfg := range began {
		w.Hosts()[i].Configure(cfg)
	}
}

// swarm runs one world: faults at random, then peace, in which each VIP must
// come to exactly one holder that its clients know.
func swarm(t *testing.T, seed uint64) *sim.World {
	t.Helper()
	w := sim.New(seed)
	if *trace {
		w.Trace = printed
	}
	r := w.Random()
	interval := []time.Duration{10, 30, 100, 1000}[r.IntN(4)] * time.Millisecond
	preempt, sync, n := r.IntN(3) > 0, r.IntN(2) == 0, 2+r.IntN(2)
	hooked := r.IntN(2) == 0
	for i := range n {
		priority := uint8(100 + 50*i)
		if r.IntN(4) == 0 {
			priority = 100 // equal priorities: the address decides
		}
		cfg := config(fmt.Sprintf("lb%d", i+1), priority, interval, preempt, sync)
		if hooked {
			cfg = withHooks(cfg)
		}
		w.AddHost(fmt.Sprintf("lb%d", i+1), cfg, "eth0", "eth1", "lo")
	}
	var began []engine.Config
	for _, h := range w.Hosts() {
		began = append(began, h.Config())
	}
	for range 30 {
		w.Run(time.Duration(r.Int64N(int64(20 * interval))))
		fault(w)
	}
	heal(w, began)
	// The longest way: a check rises (2 runs of 1 s) and waits for the end of its
	// hold-down (1 s), a full listen, a release that was lost and a whole down
	// interval after it, a hook that hung when the faults ended, the last burst.
	bound := 5*time.Second + 12*interval + 2*time.Second
	w.Run(bound)
	vips := []string{"web", "mail"}
	if sync {
		vips = append(vips, "edge0", "edge1")
	}
	for _, vip := range vips {
		if !w.Settled(vip) {
			t.Errorf("seed %d: %s has not settled %v after the last fault: held by %v", seed, vip, bound, w.Holders(vip))
		}
		// Who took over unheard and released unheard left the clients astray: the
		// refresh brings them back.
		if !w.RunUntil(time.Minute, func() bool { return w.Reached(vip) }) {
			t.Errorf("seed %d: %s is held by %v, clients still go to %q", seed, vip, w.Holders(vip), w.Client(vip))
		}
	}
	if sync && strings.Join(w.Holders("edge0"), " ") != strings.Join(w.Holders("edge1"), " ") {
		t.Errorf("seed %d: the sync group is torn apart: %v and %v", seed, w.Holders("edge0"), w.Holders("edge1"))
	}
	for _, text := range announced(w) {
		t.Errorf("seed %d: %s", seed, text)
	}
	for _, b := range w.Broken() {
		t.Errorf("seed %d: %s", seed, b)
	}
	if t.Failed() {
		t.Logf("run again: go test ./pkg/engine/sim -run Swarm -first %d -seeds 1 -trace", seed)
	}
	return w
}

// TestSwarm is many worlds with faults of all kinds, then peace.
func TestSwarm(t *testing.T) {
	t.Parallel()
	for seed := *first; seed < *first+*seeds && !t.Failed(); seed++ {
		swarm(t, seed)
	}
}

// TestSameSeedSameWorld runs worlds twice.
func TestSameSeedSameWorld(t *testing.T) {
	t.Parallel()
	different := map[uint64]bool{}
	for seed := range uint64(5) {
		a, b := swarm(t, seed+1000), swarm(t, seed+1000)
		if a.Hash() != b.Hash() || a.Steps() != b.Steps() {
			t.Errorf("seed %d: hashes %x and %x, steps %d and %d", seed, a.Hash(), b.Hash(), a.Steps(), b.Steps())
		}
		different[a.Hash()] = true
	}
	if len(different) != 5 {
		t.Errorf("5 seeds gave %d worlds", len(different))
	}
}

// TestDay is 24 hours of three hosts at 1 s adverts: 1 % of the adverts are
// lost, and every few minutes a host dies or a link goes. The VIP is without a
// holder only around those.
func TestDay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a day takes seconds")
	}
	run := func() *sim.World {
		w := sim.New(24)
		for i := range 3 {
			w.AddHost(fmt.Sprintf("lb%d", i+1), config(fmt.Sprintf("lb%d", i+1), uint8(100+50*i), time.Second, true, false), "eth0", "eth1", "lo")
		}
		for w.Now() < 24*time.Hour {
			w.Loss = 0.01
			w.Run(time.Duration(w.Random().Int64N(int64(10 * time.Minute))))
			h := w.Hosts()[w.Random().IntN(3)]
			if h.Crash(); w.Random().IntN(2) == 0 {
				w.Host("lb1").SetLink("eth0", false)
			}
			w.Run(time.Duration(w.Random().Int64N(int64(time.Minute))))
			heal(w, nil)
			w.Run(30 * time.Second)
			for _, vip := range []string{"web", "mail"} {
				if !w.Settled(vip) || !w.Reached(vip) {
					t.Fatalf("%v: %s held by %v, clients go to %q", w.Now(), vip, w.Holders(vip), w.Client(vip))
				}
			}
		}
		return w
	}
	w := run()
	for _, b := range w.Broken() {
		t.Error(b)
	}
	t.Logf("%d steps, trace hash %x", w.Steps(), w.Hash())
}

// FuzzSwarm lets the fuzzer look for worlds that do not settle.
func FuzzSwarm(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { swarm(t, seed) })
}

// printed writes a transcript to the terminal.
func printed(at time.Duration, host, line string) { fmt.Printf("%v %s: %s\n", at, host, line) }
