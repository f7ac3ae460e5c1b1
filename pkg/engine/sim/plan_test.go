package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// plan is a world as data: what it is made of, and what happens to it when. It is
// drawn from a seed, can be shrunk, and is kept as text:
//
//	world voted seed=17 interval=100ms priorities=100,150 preempt witness=rack
//	530ms cut lb1 rack3
//	1.2s pause lb2 400ms
type plan struct {
	kind   *kind
	seed   uint64 // of the world's delays and losses
	shape  shape
	faults []fault // in the order of time
	file   string  // that it was read from, "" = it was drawn
}

// shape is what a world is made of.
type shape struct {
	interval   time.Duration
	pair       time.Duration // between two states on the pair channel, 0 = auto
	priorities []uint8       // of the hosts lb1, lb2 …
	preempt    bool
	sync       bool          // two more VIPs, which move together
	hooks      bool          // before_hold, and hooks that are told
	witness    string        // "" = none, rack, etcd
	fences     bool          // a verified fence stands for a vote
	silence    time.Duration // before a fence, 0 = four intervals
}

// fault is one thing that happens to a world, in the words of [do].
type fault struct {
	at   time.Duration // since the world began
	do   string
	line int // of the file
}

// drawing is a plan in the making.
type drawing struct {
	*rand.Rand

	at   time.Duration
	plan plan
}

// add has something happen now.
func (d *drawing) add(format string, args ...any) {
	d.plan.faults = append(d.plan.faults, fault{at: d.at.Round(time.Microsecond), do: fmt.Sprintf(format, args...)})
}

// upTo returns a time below most.
func (d *drawing) upTo(most time.Duration) time.Duration {
	return time.Duration(d.Int64N(int64(most))).Round(time.Microsecond)
}

// one returns one of the words.
func (d *drawing) one(words ...string) string { return words[d.IntN(len(words))] }

// host returns one of the hosts, and another one.
func (d *drawing) host() (h, other string) {
	n := len(d.plan.shape.priorities)
	i := d.IntN(n)
	return hostName(i), hostName((i + 1 + d.IntN(n-1)) % n)
}

// clocks are the names of all who have one.
func (s shape) clocks() (names []string) {
	for i := range s.priorities {
		names = append(names, hostName(i))
	}
	if s.witness != "" {
		names = append(names, witnessName)
	}
	return names
}

func hostName(i int) string { return fmt.Sprintf("lb%d", i+1) }

// plan draws a world from a seed.
func (k *kind) plan(seed uint64) plan {
	d := &drawing{Rand: rand.New(rand.NewPCG(seed, k.salt)), plan: plan{kind: k, seed: seed}}
	d.plan.shape = k.shape(d)
	d.drawClocks(d.plan.shape.clocks()...)
	d.at = k.start(d.plan.shape)
	for range k.faults {
		d.at += d.upTo(k.gap(d.plan.shape))
		k.draw(d)
	}
	return d.plan
}

// outcome is what became of a world.
type outcome struct {
	w     *sim.World
	wrong []string // what did not hold
	shown bool     // what worlds of the kind are to show happened
}

// play runs a world: the faults, then peace, in which everything must come to
// rest.
func (p plan) play() (o outcome) {
	w := sim.New(p.seed)
	o.w = w
	if *trace {
		w.Trace = printed
	}
	w.Exclusive = p.kind.exclusive
	w.Record = func(_ string, _ time.Time, _ engine.Event, did []engine.Action) {
		o.shown = o.shown || slices.ContainsFunc(did, p.kind.shows)
	}
	var began []engine.Config
	for i := range p.shape.priorities {
		began = append(began, p.kind.config(p.shape, i))
	}
	if p.shape.witness != "" {
		w.AddWitness(witnessName, p.shape.ttl())
	}
	for i, cfg := range began {
		w.AddHost(hostName(i), cfg, "eth0", "eth1", "lo")
	}
	if p.shape.fences {
		w.BootTakes = bootTakes
	}
	for _, f := range p.faults {
		w.Run(max(0, f.at-w.Now()))
		if err := do(w, f.do); err != nil {
			o.wrong = []string{fmt.Sprintf("%s:%d: %s: %v", p.file, f.line, f.do, err)}
			return o
		}
	}
	w.Run(p.kind.rest)
	heal(w, began)
	if o.wrong = append(p.rests(w), w.Broken()...); len(o.wrong) == 0 && p.kind.after != nil {
		o.wrong = p.followed(w)
		o.wrong = append(o.wrong, w.Broken()...)
	}
	return o
}

// rests lets peace last until all has settled and nothing has happened for longer than
// anything waits, or it is over: what has not settled then is wrong.
func (p plan) rests(w *sim.World) (wrong []string) {
	const each = 250 * time.Millisecond
	quiet := 2500*time.Millisecond + 4*p.shape.interval + p.shape.ttl() // a check rises, an Active is missed, votes are over
	end, last, was := w.Now()+p.kind.peace(p.shape), w.Now(), w.Hash()
	for w.Now() < end {
		w.Run(min(each, end-w.Now()))
		if w.Hash() != was {
			last, was = w.Now(), w.Hash()
			continue
		}
		down := func(h *sim.Host) bool { return !h.Running() || h.Paused() }
		if w.Now()-last >= quiet && !slices.ContainsFunc(w.Hosts(), down) && len(p.kind.settled(w, p.shape)) == 0 {
			return nil
		}
	}
	return p.kind.settled(w, p.shape)
}

// shrunk leaves out faults as long as the world still fails.
func (p plan) shrunk() plan {
	for size := len(p.faults); size > 0; {
		left := false
		for from := 0; from < len(p.faults); {
			less := p
			less.faults = slices.Delete(slices.Clone(p.faults), from, min(from+size, len(p.faults)))
			if len(less.play().wrong) > 0 {
				p, left = less, true
				continue
			}
			from += size
		}
		if !left || size > 1 {
			size /= 2
		}
	}
	return p
}

func (p plan) String() string {
	s := p.shape
	words := []string{"world", p.kind.name, fmt.Sprintf("seed=%d", p.seed), "interval=" + s.interval.String()}
	var list []string
	for _, n := range s.priorities {
		list = append(list, strconv.Itoa(int(n)))
	}
	if s.pair > 0 {
		words = append(words, "pair="+s.pair.String())
	}
	if s.silence > 0 {
		words = append(words, "silence="+s.silence.String())
	}
	words = append(words, "priorities="+strings.Join(list, ","))
	for _, on := range []struct {
		is   bool
		word string
	}{{s.preempt, "preempt"}, {s.sync, "sync"}, {s.hooks, "hooks"}, {s.witness != "", "witness=" + s.witness}, {s.fences, "fences"}} {
		if on.is {
			words = append(words, on.word)
		}
	}
	lines := []string{strings.Join(words, " ")}
	for _, f := range p.faults {
		lines = append(lines, f.at.String()+" "+f.do)
	}
	return strings.Join(lines, "\n") + "\n"
}

// parsePlan reads what String wrote. Lines that begin with # say why it is kept.
func parsePlan(text string) (p plan, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(line, "#"):
		case f[0] == "world" && len(f) > 1:
			if p, err = parseWorld(f[1], f[2:]); err != nil {
				return p, fmt.Errorf("%d: %w", n, err)
			}
		default:
			at, err := time.ParseDuration(f[0])
			if err != nil {
				return p, fmt.Errorf("%d: %w", n, err)
			}
			p.faults = append(p.faults, fault{at, strings.Join(f[1:], " "), n})
		}
	}
	if p.kind == nil {
		return p, fmt.Errorf("no line begins with world")
	}
	return p, nil
}

func parseWorld(name string, words []string) (p plan, err error) {
	i := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == name })
	if i < 0 {
		return p, fmt.Errorf("no kind of worlds is %q", name)
	}
	p.kind = kinds[i]
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "seed":
			p.seed, err = strconv.ParseUint(value, 10, 64)
		case "interval":
			p.shape.interval, err = time.ParseDuration(value)
		case "pair":
			p.shape.pair, err = time.ParseDuration(value)
		case "silence":
			p.shape.silence, err = time.ParseDuration(value)
		case "priorities":
			for n := range strings.SplitSeq(value, ",") {
				var priority uint64
				priority, err = strconv.ParseUint(n, 10, 8)
				p.shape.priorities = append(p.shape.priorities, uint8(priority))
			}
		case "preempt":
			p.shape.preempt = true
		case "sync":
			p.shape.sync = true
		case "hooks":
			p.shape.hooks = true
		case "witness":
			p.shape.witness = value
		case "fences":
			p.shape.fences = true
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// TestPlansAsText writes worlds of all kinds down and reads them again.
func TestPlansAsText(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		for seed := range uint64(50) {
			text := k.plan(seed).String()
			p, err := parsePlan("# why\n" + text)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if again := p.String(); again != text {
				t.Fatalf("read and written again:\n%s\nbut it was\n%s", again, text)
			}
		}
	}
}

// TestWrongPlans says what is wrong with a world in a file, and in which line.
func TestWrongPlans(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"1s crush lb1":          `w.txt:3: crush lb1: no fault is "crush lb1"`,
		"1s crash lb7":          `w.txt:3: crash lb7: no host is "lb7"`,
		"1s pause lb1 long":     `w.txt:3: pause lb1 long: time: invalid duration "long"`,
		"1s loss much":          `w.txt:3: loss much: strconv.ParseFloat: parsing "much": invalid syntax`,
		"1s witness dies":       "w.txt:3: witness dies: there is no witness",
		"soon crash lb1":        `3: time: invalid duration "soon"`,
		"world swarm hosts=two": `3: unknown key "hosts"`,
	} {
		p, err := parsePlan("# why\nworld swarm seed=1 interval=100ms priorities=100,150\n" + line)
		got := fmt.Sprint(err)
		if p.file = "w.txt"; err == nil {
			got = strings.Join(p.play().wrong, "\n")
		}
		if got != want {
			t.Errorf("%s: says\n%s, want\n%s", line, got, want)
		}
	}
}
