package hook

import (
	"maps"
	"time"
)

// Counters are what a [Runner] has done so far.
type Counters struct {
	Runs    map[Run]uint64
	Took    map[Kind]Took
	Waiting int // changes that wait for their turn
}

// Run is a kind of hook and how it ended.
type Run struct {
	Kind   Kind
	Result Result
}

// Took is how long programs took.
type Took struct {
	Count uint64
	Sum   time.Duration
}

// count adds one end; took is 0 when no program ran.
func (c *Counters) count(k Kind, r Result, took time.Duration) {
	c.Runs[Run{k, r}]++
	if took > 0 {
		t := c.Took[k]
		c.Took[k] = Took{t.Count + 1, t.Sum + took}
	}
}

// Counters returns a copy of the counters.
func (r *Runner) Counters() Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Counters{Runs: maps.Clone(r.counters.Runs), Took: maps.Clone(r.counters.Took)}
	for _, q := range r.queues {
		c.Waiting += len(q.waiting)
	}
	return c
}
