package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) {
	if code, is := testenv.FenceAgent(); is {
		os.Exit(code)
	}
	dir := ""
	if !testenv.Isolated() && os.Getenv(binaryVar) == "" {
		var err error
		if dir, err = build(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := testenv.Main(m)
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// TestChaos: the faults that no other lab has, twice each, with votes and with fences.
// Never do two hosts answer, no healthy host is fenced, and all is well in the end.
// Adverts are slower than in the program: a lease must outlast a machine that stalls.
func TestChaos(t *testing.T) {
	testenv.Require(t)
	b := &bench{binary: os.Getenv(binaryVar), started: time.Now(), daemons: contestants(os.Getenv(binaryVar))}
	c := &chaos{bench: b, interval: 200 * time.Millisecond, guards: []string{byVotes, byFence}, cycles: 2, lanes: 4}
	for _, f := range calamities {
		if f.short {
			c.faults = append(c.faults, f)
		}
	}
	c.begin()
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, g := range c.guards {
		if wrong := c.wrong(g); wrong != "" {
			t.Errorf("%s: %s", g, wrong)
		}
		if c.total[g][allCycles] == 0 || c.total[g][allAsked] == 0 {
			t.Errorf("%s: nothing was looked at: %v", g, c.total[g])
		}
	}
	t.Log(c.gaps.markdown())
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for _, c := range calamities {
		for _, g := range []string{byVotes, byFence} {
			bound, bounded := c.bound(g, 100*time.Millisecond)
			if bounded && (bound < 0 || bound > 3*time.Second) {
				t.Errorf("%s, %s: bound %v", c.name, g, bound)
			}
		}
		if _, bounded := c.bound(byNobody, time.Second); bounded {
			t.Errorf("%s: keepalived has a bound", c.name)
		}
	}
	if got := calamities[0].title(100 * time.Millisecond); got != "host dead (bounds: votes 870, fence 1250)" {
		t.Errorf("title %q", got)
	}
}
