package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The guards that faults meet, as columns of the chapter.
const (
	byVotes  = "votes"
	byFence  = "fence"
	byLease  = "lease alone"
	byNobody = "keepalived"
)

var chaosGuards = []string{byVotes, byFence, byLease, byNobody}

// chaos is a run of faults against guards.
type chaos struct {
	*bench
	interval time.Duration // of adverts
	guards   []string
	faults   []calamity
	cycles   int // of each fault with each guard
	lanes    int // labs at a time

	twice, gaps, sums *table

	mu    sync.Mutex
	total map[string]map[string]float64 // what went wrong, by guard
}

// The sums of a guard over all of its faults.
const (
	allCycles    = "faults"
	allAsked     = "who-has questions"
	allTwice     = "of them, answered by two hosts in a fault"
	allOverlap   = "of them, answered by two hosts in a planned move"
	allProbes    = "probes"
	allSwitched  = "of them, answered by two hosts within 50 ms"
	allFenced    = "healthy hosts that were fenced"
	allOff       = "both hosts fenced"
	allBeyond    = "gaps longer than their bound by 100 ms"
	allUntold    = "faults that did not end as they should"
	allStalled   = "faults left out of the last four, as the machine stalled"
	overlapGrace = 50 * time.Millisecond
	gapGrace     = 100 * time.Millisecond
)

var allSums = []string{allCycles, allAsked, allTwice, allOverlap, allProbes, allSwitched, allFenced, allOff, allBeyond, allUntold, allStalled}

func measureChaos(ctx context.Context, b *bench) error {
	c := &chaos{bench: b, interval: 100 * time.Millisecond, guards: chaosGuards, cycles: b.runs, lanes: b.lanes}
	for _, f := range calamities {
		if strings.Contains(f.name, b.fault) {
			c.faults = append(c.faults, f)
		}
	}
	c.begin()
	return c.run(ctx)
}

// begin makes the tables.
func (c *chaos) begin() {
	c.total = map[string]map[string]float64{}
	for _, g := range c.guards {
		c.total[g] = map[string]float64{}
	}
	table := func(title, text string) *table {
		t := c.table(title, text)
		t.part, t.columns, t.rivals = &disasters, c.guards, []string{byNobody}
		return t
	}
	c.sums = table("All faults together", "Each figure is a sum. *Two hosts*: a who-has question that got two answers; in a planned move vipd "+
		"has them overlap for up to 50 ms, unless by votes or with `handover = \"break\"`; a probe that one host answered "+
		"less than 50 ms after the other one did, when nobody had let go. *Healthy* is a host that the fault leaves in reach of its clients and of the other host. Where the machine of the labs "+
		"did not run a daemon for longer than its lease, that is a second fault, and only the answers of two hosts count.")
	c.twice = table("Who-has questions answered by two hosts, in a fault", "From the fault until all is well again: 50 questions a second.")
	c.gaps = table("Longest time without an answer", "Of a fault, until all is well again. The bounds in ms: with votes, what the promises last (850) and an exchange; "+
		"with a fence, the second for which a peer must be silent, and a shot with its readings (250), or these alone where the holder serves until then; "+
		"0 where nothing may happen.")
	for _, f := range c.faults { // in this order, whatever ends first
		c.twice.row(f.name, "")
		c.gaps.row(f.title(c.interval), "ms")
	}
}

// job is one fault with one guard.
type job struct {
	guard string
	fault calamity
}

// run works through all faults, in as many labs at a time as there are lanes, those
// of one fault beside each other.
func (c *chaos) run(ctx context.Context) error {
	jobs := make(chan job)
	var lanes sync.WaitGroup
	for range c.lanes {
		lanes.Go(func() {
			for j := range jobs {
				c.work(ctx, j)
			}
		})
	}
	for _, f := range c.faults {
		for _, g := range c.guards {
			if f.meets(g) {
				jobs <- job{g, f}
			}
		}
	}
	close(jobs)
	lanes.Wait()
	for _, g := range c.guards {
		for _, what := range allSums {
			c.sums.add(what, "", g, c.total[g][what])
		}
	}
	c.say("%s", c.sums.markdown())
	return ctx.Err()
}

// work does all cycles of a fault with a guard, in one lab as long as all goes well.
func (c *chaos) work(ctx context.Context, j job) {
	var a *arena
	for cycle := 0; cycle < c.cycles && ctx.Err() == nil; cycle++ {
		var err error
		if a == nil {
			a, err = c.newArena(ctx, j)
		}
		if err == nil {
			err = c.cycle(ctx, a, j)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		c.say("%s, %s, cycle %d: %v", j.fault.name, j.guard, cycle+1, err)
		if !errors.Is(err, errStalled) {
			c.note(j.guard, allUntold, 1)
		}
		c.gaps.failed(j.guard, fmt.Errorf("%s: %w", j.fault.name, err))
		if a != nil {
			_ = a.close()
			a = nil
		}
	}
	if a != nil {
		_ = a.close()
	}
}

func (c *chaos) note(guard, what string, n float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total[guard][what] += n
}

// errStalled says that the machine of the labs did to a daemon what a fault does.
var errStalled = errors.New("the machine stalled")

// cycle is one fault and what comes of it.
func (c *chaos) cycle(ctx context.Context, a *arena, j job) error {
	r, err := a.begin(ctx)
	if err != nil {
		return err
	}
	defer r.end()
	struck := j.fault.strike(ctx, r)
	off := a.off(0) && a.off(1)
	mended := r.mend(ctx)
	r.end()
	stalled := r.stalled()
	c.judge(j, r, off, stalled)
	switch {
	case stalled && errors.Join(struck, mended) != nil:
		return fmt.Errorf("%w: %w", errStalled, errors.Join(struck, mended))
	case struck != nil:
		return fmt.Errorf("%w%s", struck, r.words())
	case mended != nil:
		return fmt.Errorf("it does not heal: %w%s", mended, r.words())
	}
	return nil
}

// judge adds what was seen in one cycle.
func (c *chaos) judge(j job, r *ordeal, off, stalled bool) {
	seen := r.seen.Since(r.mark)
	c.note(j.guard, allCycles, 1)
	c.note(j.guard, allAsked, float64(r.held.Asked))
	c.note(j.guard, allProbes, float64(seen.Sent))
	switched, twice, overlap := switches(seen), r.held.Dual, 0
	switch {
	case j.fault.planned: // moves of vipd overlap on purpose, unless by votes
		switched, twice, overlap = 0, 0, r.held.Dual
	case j.fault.starts:
		switched = 0
	}
	c.note(j.guard, allTwice, float64(twice))
	c.note(j.guard, allOverlap, float64(overlap))
	c.note(j.guard, allSwitched, float64(switched))
	c.twice.add(j.fault.name, "", j.guard, float64(r.held.Dual))
	fenced := r.shots(1 - r.was)
	if !j.fault.fences {
		fenced += r.shots(r.was)
	}
	if stalled {
		c.note(j.guard, allStalled, 1)
		fenced, off = 0, false
	} else {
		c.time(j, r, seen.LongestGap)
	}
	c.note(j.guard, allFenced, float64(fenced))
	if off {
		c.note(j.guard, allOff, 1)
	}
	if guarded := j.guard == byVotes || j.guard == byFence; guarded && (twice > 0 || switched > 0 || fenced > 0 || off) {
		c.say("%s, %s: VIOLATION: two answers %d, switches %d, healthy fenced %d, both off %v%s", j.fault.name, j.guard,
			twice, switched, fenced, off, r.words())
	}
}

// time adds for how long nobody answered.
func (c *chaos) time(j job, r *ordeal, gap time.Duration) {
	c.gaps.add(j.fault.title(c.interval), "ms", j.guard, ms(gap))
	if bound, bounded := j.fault.bound(j.guard, c.interval); bounded && gap > bound+gapGrace {
		c.note(j.guard, allBeyond, 1)
		c.say("%s, %s: %v without an answer, bound %v%s", j.fault.name, j.guard, gap, bound, r.words())
	}
}

// wrong lists what no guard may let happen.
func (c *chaos) wrong(guard string) string {
	var words []string
	for _, what := range []string{allTwice, allSwitched, allFenced, allOff, allUntold} {
		if n := c.total[guard][what]; n > 0 {
			words = append(words, fmt.Sprintf("%s: %v", what, n))
		}
	}
	return strings.Join(words, "; ")
}

func (b *bench) introduceChaos(s *strings.Builder) {
	fmt.Fprintf(s, `What clients see of faults, with each guard of vipd and with keepalived beside it, measured by `+"`make chaos CYCLES=%d`"+` on %s, in %s, on the machine and
in the labs of the chapters above, %d labs at a time. Adverts every 100 ms, nobody preempts, so hosts hold in turn. *votes*: with a witness on a third machine.
*fence*: two levels of devices that cut ports, `+"`verify`"+` by two readings 100 ms apart, the client as gateway to `+"`track`"+`. *lease alone*: vipd as it comes, with a pair
channel. Real daemons and the real kernel; a fault comes at any moment between two adverts. A cell is minimum / **median** / maximum (n samples).

`, b.runs, b.started.UTC().Format(time.DateOnly), time.Since(b.started).Round(time.Minute), b.lanes)
}

const chaosNotMeasured = `## What is not measured of faults

IPv6, clocks that run apart and loss that is no cut (the simulator has both), power that is cut: here a device cuts a port, and the host lives on behind it.
`

// guardsOf is a set of guards, all if there is none.
func guardsOf(list ...string) map[string]bool {
	set := map[string]bool{}
	for _, g := range list {
		set[g] = true
	}
	if len(list) == 0 {
		return guardsOf(chaosGuards...)
	}
	return set
}
