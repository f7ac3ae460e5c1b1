package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds   = flag.Uint64("seeds", 40, "how many worlds of each kind to run")
	first   = flag.Uint64("first", 1, "the seed of the first one")
	trace   = flag.Bool("transcript", false, "print the transcript of each world")
	failing = flag.String("failing", filepath.Join("testdata", "failing"), "where a world that fails is kept, shrunk; empty = it is neither")
)

// TestMain gives the worlds memory: each is small, and short-lived.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// sweep runs the worlds of all seeds on all processors. Of those that fail, the
// first one is shrunk, told and kept.
func (k *kind) sweep(t *testing.T) {
	t.Helper()
	began := time.Now()
	var next, worst, shown atomic.Uint64 // worst is the first seed that fails, plus 1
	next.Store(*first)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), int(*seeds)) {
		workers.Go(func() {
			for {
				seed := next.Add(1) - 1
				if found := worst.Load(); seed >= *first+*seeds || found > 0 && seed >= found {
					return
				}
				o := k.plan(seed).play()
				if o.shown {
					shown.Add(1)
				}
				for found := worst.Load(); len(o.wrong) > 0 && (found == 0 || seed < found-1); found = worst.Load() {
					if worst.CompareAndSwap(found, seed+1) {
						break
					}
				}
			}
		})
	}
	workers.Wait()
	if found := worst.Load(); found > 0 {
		k.fails(t, found-1)
		return
	}
	if shown.Load() == 0 {
		t.Errorf("%d worlds, and none shows what they are for", *seeds)
	}
	t.Logf("%d worlds in %v, %d of them to the point", *seeds, time.Since(began).Round(time.Millisecond), shown.Load())
}

// fails tells of a world that fails, with as few faults as will do, and keeps it.
func (k *kind) fails(t *testing.T, seed uint64) {
	t.Helper()
	p := k.plan(seed)
	if !*trace && *failing != "" {
		p = p.shrunk()
	}
	o := p.play()
	if len(o.wrong) == 0 {
		t.Errorf("seed %d: it fails, and not when it is played again: the world is not the same each time", seed)
	}
	for _, text := range o.wrong {
		t.Errorf("seed %d: %s", seed, text)
	}
	if *failing == "" {
		return
	}
	text := fmt.Sprintf("# %s\n%s", strings.Join(o.wrong, "\n# "), p)
	file := filepath.Join(*failing, fmt.Sprintf("%s-%d.txt", k.name, seed))
	if err := os.MkdirAll(*failing, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of its %d faults are enough. It is kept as %s:\n%s", len(p.faults), len(k.plan(seed).faults), file, text)
	t.Logf("again: go test ./pkg/engine/sim -run 'TestFailing/%s-%d$' -transcript", k.name, seed)
}

// TestFailing plays what once failed, one file after the other.
func TestFailing(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(*failing, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := parsePlan(string(text))
			if err != nil {
				t.Fatalf("%s:%v", file, err)
			}
			p.file = file
			for _, wrong := range p.play().wrong {
				t.Error(wrong)
			}
		})
	}
}
