package sim_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
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

// TestSameSeedSameWorld runs worlds twice.
func TestSameSeedSameWorld(t *testing.T) {
	t.Parallel()
	different := map[uint64]bool{}
	for seed := range uint64(8) {
		k := kinds[seed%uint64(len(kinds))]
		a, b := k.plan(seed+1000).play().w, k.plan(seed+1000).play().w
		if a.Hash() != b.Hash() || a.Steps() != b.Steps() {
			t.Errorf("seed %d: hashes %x and %x, steps %d and %d", seed, a.Hash(), b.Hash(), a.Steps(), b.Steps())
		}
		different[a.Hash()] = true
	}
	if len(different) != 8 {
		t.Errorf("8 seeds gave %d worlds", len(different))
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
