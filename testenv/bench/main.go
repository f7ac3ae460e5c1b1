package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vipd/vipd/testenv"
)

// plan says what is measured and how often.
type plan struct {
	runs   int           // of each failover, handover and reload
	rounds int           // of each cost
	loss   time.Duration // how long adverts are lost
	cost   time.Duration // how long CPU time is counted
	only   []string      // names of measurements; none = all
	lanes  int           // labs at a time where faults are looked at
	fault  string        // what the names of the faults have in them that are looked at
	out    string
}

func (p plan) wants(name string) bool {
	return len(p.only) == 0 || slices.ContainsFunc(p.only, func(o string) bool { return isNamed(name, o) })
}

// isNamed reports whether a word of -only names a measurement, or the group that it
// belongs to.
func isNamed(name, word string) bool { return word == name || strings.HasPrefix(name, word+"-") }

func main() {
	if code, is := testenv.FenceAgent(); is {
		os.Exit(code)
	}
	var p plan
	var only string
	flag.IntVar(&p.runs, "n", 10, "runs of each failover, handover, reload and repair")
	flag.IntVar(&p.rounds, "rounds", 3, "rounds of each cost")
	flag.DurationVar(&p.loss, "loss", time.Minute, "how long adverts are lost")
	flag.DurationVar(&p.cost, "cost", 8*time.Second, "how long CPU time is counted")
	flag.IntVar(&p.lanes, "lanes", 8, "labs at a time in chaos")
	flag.StringVar(&p.fault, "fault", "", "chaos with the faults alone that have this in their names")
	flag.StringVar(&only, "only", "", "measurements, or groups of them, separated by commas: anycast, guard, "+strings.Join(names(), ", "))
	flag.StringVar(&p.out, "out", "", "file to write; standard output when empty")
	flag.Parse()
	if only != "" {
		p.only = strings.Split(only, ",")
	}
	for _, o := range p.only {
		if !slices.ContainsFunc(names(), func(name string) bool { return isNamed(name, o) }) {
			fmt.Fprintf(os.Stderr, "bench: no measurement %q; there are %s\n", o, strings.Join(names(), ", "))
			os.Exit(2)
		}
	}
	code, err := run(p)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(code)
}

// binaryVar names the vipd to measure.
const binaryVar = "VIPD_BIN"

// run measures in namespaces of its own and returns the exit code.
func run(p plan) (code int, err error) {
	if !testenv.Isolated() && os.Getenv(binaryVar) == "" {
		dir, err := build()
		if err != nil {
			return 1, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	done, code, err := testenv.Isolate()
	if done || err != nil {
		return code, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{plan: p, binary: os.Getenv(binaryVar), daemons: contestants(os.Getenv(binaryVar)), started: time.Now()}
	for _, m := range measurements {
		if !p.wants(m.name) {
			continue
		}
		b.say("%s", m.name)
		if err := m.measure(ctx, b); err != nil {
			return 1, fmt.Errorf("measure %s: %w", m.name, err)
		}
	}
	return 0, b.write()
}

// build makes the vipd to measure and names it to the isolated process.
func build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "vipd-bench-"); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "vipd")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/vipd/vipd/cmd/vipd")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return dir, errors.Join(fmt.Errorf("build vipd: %w", err), os.RemoveAll(dir))
	}
	return dir, os.Setenv(binaryVar, binary)
}

// measurement is one part of the document.
type measurement struct {
	name    string
	measure func(context.Context, *bench) error
}

var measurements = []measurement{
	{"crash1s", measureCrash(time.Second)},
	{"crash100ms", measureCrash(100 * time.Millisecond)},
	{"crash10ms", measureCrash(10 * time.Millisecond)},
	{"sigterm", sigterm.measure},
	{"priority", priorityChange.measure},
	{"drain", drain.measure},
	{"failover", failover.measure},
	{"loss10", measureLoss(10)},
	{"loss20", measureLoss(20)},
	{"loss30", measureLoss(30)},
	{"reload", measureReload},
	{"cost", measureCost},
	{"checks", measureChecks},
	{"repair", measureRepair},
	{"detect", measureDetect},
	{"anycast-service", measureService},
	{"anycast-silence", measureSilence},
	{"anycast-link", measureLink},
	{"anycast-checker", measureChecker},
	{"anycast-speaker", measureSpeaker},
	{"anycast-session", measureSession},
	{"anycast-many", measureMany},
	{"guard-hang", measureHang},
	{"guard-moves", measureMoves},
	{"guard-check", measureGuardCheck},
	{"guard-start", measureGuardStart},
	{"guard-loss", measureGuardLoss},
	{"guard-spoof", measureSpoof},
	{"guard-cost", measureGuardCost},
	{"chaos", measureChaos},
}

func names() []string {
	var list []string
	for _, m := range measurements {
		list = append(list, m.name)
	}
	return list
}

// bench is one run of the program.
type bench struct {
	plan
	binary  string // the vipd to measure
	daemons []daemon
	tables  []*table
	racks   int // that were built
	started time.Time
}

// table adds a table to the document. The rows named by keys are in the summary.
func (b *bench) table(title, text string, keys ...string) *table {
	t := newTable(title, text, keys...)
	b.tables = append(b.tables, t)
	return t
}

// say tells who waits how far the run is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%7.1fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}

// finished tells what a table came to.
func (b *bench) finished(t *table) {
	b.say("%s", t.title)
	fmt.Fprint(os.Stderr, t.summary())
}
