package sim_test

import (
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// drilled has drills of every kind, in hosts that die and hang, are drained and moved
// about meanwhile: no VIP is ever held by two, and nothing of a drill stays behind.
var drilled = &kind{
	name: "drilled", salt: 4, exclusive: true,
	shape: func(d *drawing) shape {
		return d.someShape([]time.Duration{30, 100, 1000}, 2+d.IntN(2), false)
	},
	config: func(s shape, i int) engine.Config { return paired(plain(s, i), len(s.priorities), s.pair) },
	start:  func(shape) time.Duration { return 11 * time.Second }, // each has told its configuration
	faults: 10,
	gap:    func(s shape) time.Duration { return 20*time.Second + 20*s.interval },
	draw:   drawDrill,
	peace:  func(s shape) time.Duration { return 20*time.Second + 12*s.interval }, // a drill that began last is over
	settled: func(w *sim.World, s shape) []string {
		return holders(w, s)
	},
	shows: func(a engine.Action) bool {
		r, ok := a.(engine.Report)
		return ok && r.Record.Type == engine.RecordDrill
	},
}

// TestDrilled is worlds with drills.
func TestDrilled(t *testing.T) { drilled.sweep(t) }

// drawDrill draws drills on all hosts, of which one can begin, and something that
// happens meanwhile.
func drawDrill(d *drawing) {
	for i := range d.plan.shape.priorities {
		d.add("drill %s %s %s", hostName(i), d.one("check", "stop", "link"), d.upTo(3*time.Second))
	}
	d.at += d.upTo(20 * d.plan.shape.interval)
	h, _ := d.host()
	switch d.IntN(9) {
	case 0:
		d.add("crash %s", h)
	case 1:
		d.add("kill %s", h)
	case 2:
		d.add("pause %s %s", h, d.upTo(5*time.Second))
	case 3:
		d.add("drain %s", h)
	case 4:
		d.add("undrain %s", h)
	case 5:
		d.add("failover %s web", h)
	case 6, 7:
		d.add("boot %s", h)
	}
}
