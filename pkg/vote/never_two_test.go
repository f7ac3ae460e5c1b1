package vote

import (
	"testing"
)

// TestNeverTwo plays many worlds in which everything goes wrong: in none of them
// do two hosts have a majority, or two kernels answer, at one instant. When all is
// well again one host takes the VIP.
func TestNeverTwo(t *testing.T) {
	t.Parallel()
	seeds, taken := 400, 0
	if testing.Short() {
		seeds = 50
	}
	for seed := range uint64(seeds) {
		w := newWorld(seed, mutation{})
		if wrong := w.run(30*w.ttl, true); wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		taken += w.taken
		clear(w.cut)
		w.loss, w.slow, w.well = 0, 0, true
		if wrong := w.run(8*w.ttl, false); wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		now := 0
		for i := range w.held {
			if w.now < w.held[i] {
				now++
			}
		}
		if now != 1 {
			for _, n := range w.nodes {
				if n.host {
					t.Logf("%s: %+v armed %t next %s", n.name, n.holder.Status(w.local(n)), n.armed, n.holder.Next().Sub(w.local(n)))
				}
			}
			t.Fatalf("seed %d: %d holders when all is well, %d voters, every %s, TTL %s", seed, now, len(w.nodes), w.every, w.ttl)
		}
	}
	if taken < 5*seeds {
		t.Errorf("%d takeovers in %d worlds: too few to show anything", taken, seeds)
	}
	t.Logf("%d takeovers in %d worlds", taken, seeds)
}

// TestNeverTwoSees breaks one rule after the other: the test above would see it.
func TestNeverTwoSees(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]mutation{
		"no sit-out":          {noSitOut: true},
		"no margin":           {noMargin: true},
		"one lease, not two":  {noTwoLease: true},
		"a lease revives":     {revive: true},
		"hand back too early": {earlyDrop: true},
		"amnesia":             {amnesia: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(1500) {
				w := newWorld(seed, bad)
				if wrong := w.run(30*w.ttl, true); wrong != "" {
					t.Logf("seed %d: %s", seed, wrong)
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}
