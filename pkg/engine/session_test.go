package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

// TestManyPrefixes: a neighbor that sends many prefixes is told of once, and again
// when it has stopped that in between.
func TestManyPrefixes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := engine.New(at)
	e.Step(at, engine.Configure{Config: engine.Config{BGP: &bgp.Config{LocalAS: 65101, Neighbors: map[string]bgp.Neighbor{"tor": {}}}}})
	var said []int
	for i, n := range []uint64{0, 1000, 1001, 5000, 10, 1001} {
		session := bgp.Session{Neighbor: "tor", State: bgp.Established, Received: n}
		for _, a := range e.Step(at, engine.SessionChanged{Session: session}) {
			if r, ok := a.(engine.Report); ok && strings.Contains(r.Record.Text, "prefixes; none is used") {
				said = append(said, i)
			}
		}
	}
	if len(said) != 2 || said[0] != 2 || said[1] != 5 {
		t.Errorf("said at %v, want [2 5]", said)
	}
}
