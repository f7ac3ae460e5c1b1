package fence

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// outlet is a device of the test's world, and what is plugged into it.
type outlet struct {
	on      bool
	takes   time.Duration // each answer
	acts    time.Duration // after the answer to off, until the power is gone
	exit    map[Verb]int  // an answer that is not by the rules
	idle    bool          // says that it did, and does nothing
	hangs   bool          // never answers
	changed func(on bool) // the power did
	log     []Verb
}

// world is one Fencer, its devices, and a clock.
type world struct {
	t       *testing.T
	f       *Fencer
	now     time.Time
	outlets map[string]*outlet
	due     []happening // in no order
	lines   []string
	history History
}

type happening struct {
	at time.Time
	do func()
	id uint64 // of an agent
}

// ordinary is a configuration with two levels and the defaults of the manual.
func ordinary() Config {
	return Config{
		Levels:   [][]string{{"ipmi"}, {"pdu-a", "pdu-b"}},
		Devices:  map[string]Device{"ipmi": {Agent: "fence_ipmilan"}, "pdu-a": {Agent: "fence_apc"}, "pdu-b": {Agent: "fence_apc"}},
		Attempts: 2, AttemptTimeout: 10 * time.Second,
		Verify: Verify{Reads: 3, Every: 500 * time.Millisecond, Within: 20 * time.Second},
		Rate:   Rate{Max: 2, Per: 15 * time.Minute},
		Settle: 30 * time.Second, ConfirmTTL: 10 * time.Minute, Silence: time.Second,
	}
}

// newWorld starts with a peer that was heard a minute after the start, held
// everything, and has been silent since.
func newWorld(t *testing.T, cfg Config) *world {
	w := &world{t: t, now: epoch, outlets: map[string]*outlet{}}
	for name := range cfg.Devices {
		w.outlets[name] = &outlet{on: true, takes: 300 * time.Millisecond, exit: map[Verb]int{}}
	}
	w.f = New("lb2", cfg, epoch)
	w.at(time.Minute)
	w.step(Heard{Boot: 1})
	return w
}

// silent makes VIPs wait, as they do when the peer falls silent.
func (w *world) silent(change ...func(*Situation)) {
	s := Situation{Waiting: []string{"web"}, Upset: epoch, PeerContent: true}
	for _, c := range change {
		c(&s)
	}
	w.step(s)
}

// calledOff fences the peer once; when it is back, and silent again, a second shot is
// called off, and landed, or not.
func (w *world) calledOff(landed bool) {
	w.t.Helper()
	w.pass(time.Second)
	w.silent()
	w.pass(5 * time.Second)
	w.log("it is back")
	w.outlets["ipmi"].set(true)
	w.step(Heard{Boot: 2})
	w.pass(1100 * time.Millisecond)
	w.step(Heard{Boot: 2})
	w.log("it landed: %v", landed)
	w.outlets["ipmi"].set(!landed)
}

func (w *world) step(ev Event) {
	w.t.Helper()
	w.do(w.f.Step(w.now, ev))
}

func (w *world) do(actions []Action) {
	w.t.Helper()
	for _, a := range actions {
		switch a := a.(type) {
		case RunAgent:
			w.log("%s %s", a.Verb, a.Device)
			w.agent(a)
		case StopAgent:
			w.log("stop")
			for i := range w.due {
				if w.due[i].id == a.ID {
					w.due[i].do = func() {}
				}
			}
		case Report:
			w.log("%s: %s", a.Kind, a.Text)
		case Remember:
			w.history = w.history.Add(a.Entry)
		}
	}
}

// agent has a device answer in its time.
func (w *world) agent(a RunAgent) {
	o := w.outlets[a.Device]
	o.log = append(o.log, a.Verb)
	if o.hangs || o.takes > a.Timeout {
		w.after(a.Timeout, a.ID, func() {
			w.step(Ended{ID: a.ID, Exit: -1, Late: true, Detail: "killed, not done within " + a.Timeout.String()})
		})
		return
	}
	w.after(o.takes, a.ID, func() {
		exit, odd := o.exit[a.Verb]
		if !odd && a.Verb == VerbStatus && !o.on {
			exit = exitOff
		}
		detail := "exit " + fmt.Sprint(exit)
		if !odd && a.Verb != VerbStatus && !o.idle {
			w.after(o.acts, 0, func() { o.set(a.Verb == VerbOn) })
		}
		w.step(Ended{ID: a.ID, Exit: exit, Detail: detail})
	})
}

func (o *outlet) set(on bool) {
	o.on = on
	if o.changed != nil {
		o.changed(on)
	}
}

func (w *world) after(d time.Duration, id uint64, do func()) {
	w.due = append(w.due, happening{w.now.Add(d), do, id})
}

func (w *world) log(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf("%8s  ", short(w.now.Sub(epoch)-time.Minute))+fmt.Sprintf(format, args...))
}

// at lets time pass until d after the start.
func (w *world) at(d time.Duration) { w.run(epoch.Add(d)) }

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.run(w.now.Add(d)) }

func (w *world) run(until time.Time) {
	w.t.Helper()
	for range 100_000 {
		next, what := w.f.Next(), -1
		for i, h := range w.due {
			if next.IsZero() || !h.at.After(next) {
				next, what = h.at, i
			}
		}
		if next.IsZero() || next.After(until) {
			w.now = until
			return
		}
		if next.After(w.now) {
			w.now = next
		}
		if what < 0 {
			w.step(Wake{})
			continue
		}
		do := w.due[what].do
		w.due = append(w.due[:what], w.due[what+1:]...)
		do()
	}
	w.t.Fatalf("time does not pass: Next is %v at %v\n%s", w.f.Next(), w.now, w.text())
}

func (w *world) text() string { return strings.Join(w.lines, "\n") + "\n" }

// proven says whether there is a proof now.
func (w *world) proven() bool {
	_, ok := w.f.Proof(w.now)
	return ok
}
