package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/vote"
)

// kind is a kind of worlds: what they are made of, what happens in them, and what
// must be so in the end.
type kind struct {
	name      string
	salt      uint64
	exclusive bool // no two hosts hold a VIP, but while one hands it over
	shape     func(d *drawing) shape
	config    func(s shape, i int) engine.Config // of the i-th host
	start     func(s shape) time.Duration        // before the first fault
	faults    int
	gap       func(s shape) time.Duration // the longest between two faults
	draw      func(d *drawing)
	rest      time.Duration               // after the last fault
	peace     func(s shape) time.Duration // at most
	settled   func(w *sim.World, s shape) []string
	after     func(s shape) []after      // nil = nothing
	shows     func(a engine.Action) bool // such an action is what the worlds are for
}

var kinds = []*kind{swarm, exclusive, fenced, voted, drilled}

// swarm has faults of all kinds, in hosts that know each other by their adverts
// only. Two may hold a VIP for a time, but not in the end.
var swarm = &kind{
	name: "swarm",
	shape: func(d *drawing) shape {
		return d.someShape([]time.Duration{10, 30, 100, 300, 1000}, 2+d.IntN(2), d.IntN(2) == 0)
	},
	config: plain,
	start:  func(shape) time.Duration { return 0 },
	faults: 30,
	gap:    func(s shape) time.Duration { return min(20*s.interval, 2500*time.Millisecond+4*s.interval) },
	draw:   drawAny,
	// The longest way: a check rises (2 runs of 1 s) and waits for the end of its
	// hold-down (1 s), a full listen, a release that was lost and a whole down
	// interval after it, a hook that hung when the faults ended, the last burst.
	peace: func(s shape) time.Duration { return 7*time.Second + 12*s.interval },
	settled: func(w *sim.World, s shape) []string {
		return slices.Concat(holders(w, s), reached(w, s), announced(w))
	},
	after: afters(down, "crash", "drain"),
	shows: func(a engine.Action) bool { _, ok := a.(engine.Announce); return ok },
}

// exclusive has hosts that die, hang and are moved about while the network works:
// with a lease and the pair channel no VIP is ever held by two.
var exclusive = &kind{
	name: "exclusive", salt: 1, exclusive: true,
	shape: func(d *drawing) shape {
		return d.pairedShape(2+d.IntN(2), d.IntN(4) == 0)
	},
	config: func(s shape, i int) engine.Config { return paired(plain(s, i), len(s.priorities), s.pair) },
	start:  func(shape) time.Duration { return 0 },
	faults: 40,
	gap:    func(s shape) time.Duration { return min(20*s.interval, 2500*time.Millisecond+4*s.interval) },
	draw:   drawAtHost,
	rest:   5 * time.Second, // those that are paused go on
	peace:  func(s shape) time.Duration { return 7*time.Second + 12*s.interval },
	settled: func(w *sim.World, s shape) []string {
		return slices.Concat(holders(w, s), reached(w, s))
	},
	after: afters(down, "crash", "kill", "pause", "drain"),
	shows: func(a engine.Action) bool { l, ok := a.(engine.SetLease); return ok && l.On },
}

// fenced has networks that are cut in every way and hosts that die: where a silent
// peer is cut off first, no VIP is ever held by two, and never does every host cut
// off the other.
var fenced = &kind{
	name: "fenced", salt: 2, exclusive: true,
	shape: func(d *drawing) shape {
		return d.pairedShape(2, false).patient()
	},
	config: func(s shape, i int) engine.Config { return fences(paired(plain(s, i), 2, s.pair), s) },
	start:  func(s shape) time.Duration { return 2*time.Second + 8*s.interval },
	faults: 6,
	gap:    func(shape) time.Duration { return 10 * time.Second },
	draw:   drawCut,
	rest:   15 * time.Second,
	peace:  func(s shape) time.Duration { return 10*time.Second + 12*s.interval },
	settled: func(w *sim.World, s shape) []string {
		return holders(w, s)
	},
	after: afters(fencedBy, "crash", "kill", "pause", "drain", "dead device"),
	shows: func(a engine.Action) bool {
		f, ok := a.(engine.RunFence)
		return ok && f.Verb == fence.VerbOff
	},
}

// voted has networks that are cut in every way, and hosts and a witness that die,
// hang and forget: where a majority decides, no VIP is ever held by two.
var voted = &kind{
	name: "voted", salt: 3, exclusive: true,
	shape: func(d *drawing) shape {
		s := d.pairedShape(2, false)
		s.witness = "rack"
		if d.IntN(4) == 0 {
			s.priorities = append(s.priorities, 200)
			s.witness = d.one("", "etcd")
		}
		s.fences = len(s.priorities) == 2 && d.IntN(3) == 0
		return s
	},
	config: func(s shape, i int) engine.Config {
		cfg := paired(plain(s, i), len(s.priorities), s.pair)
		if s.fences {
			cfg = fences(cfg, s.patient())
		}
		return votes(cfg, s)
	},
	start:  func(s shape) time.Duration { return 2*time.Second + 8*s.interval + s.ttl() },
	faults: 12,
	gap:    func(s shape) time.Duration { return 2500*time.Millisecond + 4*s.interval },
	draw:   drawVote,
	rest:   6 * time.Second,
	peace:  func(s shape) time.Duration { return 10*time.Second + bootTakes + 12*s.interval + 3*s.ttl() },
	settled: func(w *sim.World, s shape) []string {
		return holders(w, s)
	},
	after: afters(func(s shape) time.Duration { return down(s) + s.ttl() }, "crash", "kill", "pause", "drain"),
	shows: func(a engine.Action) bool { l, ok := a.(engine.SetLease); return ok && l.On },
}

// TestSwarm is many worlds with faults of all kinds, then peace.
func TestSwarm(t *testing.T) { swarm.sweep(t) }

// TestExclusive is worlds in which hosts fail and the network works.
func TestExclusive(t *testing.T) { exclusive.sweep(t) }

// TestFenced is worlds in which a silent peer is cut off.
func TestFenced(t *testing.T) { fenced.sweep(t) }

// TestVoted is worlds in which a majority decides.
func TestVoted(t *testing.T) { voted.sweep(t) }

// someShape draws a shape of so many hosts.
func (d *drawing) someShape(intervals []time.Duration, hosts int, hooks bool) shape {
	s := shape{interval: intervals[d.IntN(len(intervals))] * time.Millisecond, preempt: d.IntN(3) > 0, sync: d.IntN(2) == 0, hooks: hooks}
	for i := range hosts {
		priority := uint8(100 + 50*i)
		if d.IntN(4) == 0 {
			priority = 100 // equal priorities: the address decides
		}
		s.priorities = append(s.priorities, priority)
	}
	return s
}

// pairedShape draws a shape of so many hosts with a pair channel, which tells rarer
// than adverts do in some. The shortest interval is rare: it costs most.
func (d *drawing) pairedShape(hosts int, hooks bool) shape {
	s := d.someShape([]time.Duration{30, 100, 100, 300, 300, 1000, 1000, 1000}, hosts, hooks)
	if s.interval > 100*time.Millisecond && d.IntN(2) == 0 {
		s.pair = 300 * time.Millisecond // not above the interval: a word that counts for longer makes a dead host be waited for
	}
	return s
}

// patient is the shape with the silence that configurations have: lag is none.
func (s shape) patient() shape {
	s.silence = max(time.Second, 4*s.interval)
	return s
}

// vips are the VIPs of a world.
func (s shape) vips() []string {
	if s.sync {
		return []string{"web", "mail", "edge0", "edge1"}
	}
	return []string{"web", "mail"}
}

// ttl is for how long votes are promised.
func (s shape) ttl() time.Duration { return vote.AutoTTL(s.interval*5/2, s.interval) }

// plain is the configuration of a host that nothing guards.
func plain(s shape, i int) engine.Config {
	cfg := config(hostName(i), s.priorities[i], s.interval, s.preempt, s.sync)
	if s.hooks {
		cfg = withHooks(cfg)
	}
	return cfg
}

// holders: each VIP is held by one host, and a sync group by the same.
func holders(w *sim.World, s shape) (wrong []string) {
	for _, vip := range s.vips() {
		if !w.Settled(vip) {
			wrong = append(wrong, fmt.Sprintf("%s has not settled: held by %v", vip, w.Holders(vip)))
		}
	}
	if a, b := w.Holders("edge0"), w.Holders("edge1"); s.sync && !slices.Equal(a, b) {
		wrong = append(wrong, fmt.Sprintf("the sync group is torn apart: %v and %v", a, b))
	}
	return wrong
}

// reached: clients send to who holds. Who took over unheard and released unheard
// left the clients astray: the refresh brings them back.
func reached(w *sim.World, s shape) (wrong []string) {
	for _, vip := range s.vips() {
		if !w.RunUntil(time.Minute, func() bool { return w.Reached(vip) }) {
			wrong = append(wrong, fmt.Sprintf("%s is held by %v, clients still go to %q", vip, w.Holders(vip), w.Client(vip)))
		}
	}
	return wrong
}

// FuzzSwarm lets the fuzzer look for worlds that do not settle.
func FuzzSwarm(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		if wrong := swarm.plan(seed).play().wrong; len(wrong) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(wrong, "\n"))
		}
	})
}
