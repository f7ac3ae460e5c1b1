package fence

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata")

// Each story is played, and what the Fencer did and said is compared with
// testdata/NAME.txt. Read those files: they are the behaviour.
var stories = map[string]func(w *world){
	// The host is dead, its BMC answers.
	"dead": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(10 * time.Second)
	},
	// Level 1 has no power either; level 2 is two sockets of two supplies.
	"second-level": func(w *world) {
		w.outlets["ipmi"].exit = map[Verb]int{VerbOff: 1, VerbStatus: 1}
		w.pass(time.Second)
		w.silent()
		w.pass(10 * time.Second)
	},
	// The device says that it did, and did not.
	"liar": func(w *world) {
		for _, o := range w.outlets {
			o.idle = true
		}
		w.pass(time.Second)
		w.silent()
		w.pass(20 * time.Minute)
	},
	// No device answers. The operator looks, and says so.
	"confirm": func(w *world) {
		for _, o := range w.outlets {
			o.hangs = true
		}
		w.pass(time.Second)
		w.silent()
		w.pass(3 * time.Minute)
		actions, err := w.f.Confirm(w.now, "anna (uid 1004)")
		w.log("error: %v", err)
		w.do(actions)
		w.log("proof: %v %v", w.f.proof, w.proven())
		w.silent(func(s *Situation) { s.Waiting = nil })
		w.log("after it was used: %v", w.proven())
	},
	// Adverts come back while the shot waits for its turn.
	"heard-in-time": func(w *world) {
		w.pass(time.Second)
		w.silent(func(s *Situation) { s.PeerContent, s.Holds, s.PeerHolds = false, true, true })
		w.pass(5 * time.Second)
		w.step(Heard{Boot: 1})
		w.pass(100 * time.Millisecond)
	},
	// The device reads off, and the peer talks on: it is another host's plug.
	"wrong-plug": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(5 * time.Second)
		w.step(Heard{Boot: 1})
		w.pass(5 * time.Second)
	},
	// The same, and it was silent because its vipd was restarted.
	"wrong-plug-restart": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(5 * time.Second)
		for range 10 {
			w.step(Heard{Boot: 2})
			w.pass(500 * time.Millisecond)
		}
		w.pass(5 * time.Second)
	},
	// The peer is powered on by hand, boots, and is heard.
	"back": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(5 * time.Second)
		w.silent(func(s *Situation) { s.Waiting = nil })
		w.pass(5 * time.Minute)
		w.outlets["ipmi"].set(true)
		for range 10 {
			w.step(Heard{Boot: 2})
			w.pass(500 * time.Millisecond)
		}
	},
	// A second VIP waits later: no second shot.
	"later": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(5 * time.Second)
		w.silent(func(s *Situation) { s.Waiting = nil })
		w.pass(time.Hour)
		w.silent(func(s *Situation) { s.Waiting = []string{"mail"} })
		w.pass(5 * time.Second)
	},
	// Somebody gives power back while the proof is needed still.
	"power-returns": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(7 * time.Second)
		w.log("power returns")
		w.outlets["ipmi"].set(true)
		w.pass(6 * time.Second)
	},
	"gateway": func(w *world) {
		w.pass(time.Second)
		w.silent(func(s *Situation) { s.Isolated = "check gateway is down" })
		w.pass(time.Hour)
		w.silent()
		w.pass(2 * time.Second)
	},
	// The gateway answers again a moment before the peer is heard.
	"gateway-back": func(w *world) {
		w.pass(time.Second)
		w.silent(func(s *Situation) { s.Isolated = "check gateway is down" })
		w.pass(10 * time.Second)
		w.silent()
		w.pass(100 * time.Millisecond)
		w.step(Heard{Boot: 1})
		w.pass(500 * time.Millisecond)
	},
	// A release, or a peer that says that it holds nothing: the VIP waits no more.
	"released": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(100 * time.Millisecond)
		w.silent(func(s *Situation) { s.Waiting = nil })
		w.pass(time.Minute)
	},
	// One of two sockets is off when the peer is heard.
	"half-cut": func(w *world) {
		w.outlets["ipmi"].exit = map[Verb]int{VerbOff: 1}
		w.outlets["pdu-b"].hangs = true
		w.pass(time.Second)
		w.silent()
		w.pass(5 * time.Second)
		w.step(Heard{Boot: 1})
		w.pass(100 * time.Millisecond)
	},
	// The brake forbids another shot, and the last one landed after it was called off.
	"called-off": func(w *world) {
		w.calledOff(true)
		w.pass(5 * time.Second)
	},
	// The same, and it did not land.
	"called-off-in-time": func(w *world) {
		w.calledOff(false)
		w.pass(5 * time.Second)
	},
	// The same, and the device reads off while the peer is heard: it is not believed.
	"called-off-liar": func(w *world) {
		w.f.cfg.Monitor = 300 * time.Millisecond
		w.calledOff(true)
		w.pass(500 * time.Millisecond)
		w.step(Heard{Boot: 2})
		w.pass(5 * time.Second)
	},
	// Another policy in the middle of a fence.
	"reload": func(w *world) {
		w.outlets["ipmi"].hangs = true
		w.pass(time.Second)
		w.silent()
		w.pass(3 * time.Second)
		c := ordinary()
		c.Levels = [][]string{{"pdu-a", "pdu-b"}}
		w.log("reload")
		w.step(Configure{c})
		w.pass(5 * time.Second)
	},
	// This host hangs for a while: what was read before counts for nothing.
	"stopped": func(w *world) {
		w.pass(time.Second)
		w.silent()
		w.pass(5 * time.Second)
		w.now = w.now.Add(20 * time.Second)
		w.log("after a pause: %v", w.proven())
		w.silent(func(s *Situation) { s.Upset = w.now })
		w.pass(5 * time.Second)
	},
}

func TestStories(t *testing.T) {
	t.Parallel()
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ordinary())
			w.lines = nil
			story(w)
			for _, line := range w.f.Status(w.now).Lines(w.now) {
				w.lines = append(w.lines, "why:  "+line)
			}
			golden(t, name, w.text())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", file, diff)
	}
}

// A host that gets its power back is fenced again when the proof is over and
// something waits still, but only so often.
func TestReboot(t *testing.T) {
	t.Parallel()
	c := ordinary()
	c.Reboot = true
	w := newWorld(t, c)
	w.lines = nil
	w.pass(time.Second)
	w.silent()
	w.pass(2 * time.Minute)
	golden(t, "reboot", w.text())
}

// A host that has just started, and never heard the peer, does not fence it; it
// does after boot_wait, if there is one.
func TestStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		wait time.Duration
		want int // times that the device was told to cut
	}{{"waits for ever", 0, 0}, {"boot_wait", time.Minute, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := ordinary()
			c.BootWait = tt.wait
			w := &world{t: t, now: epoch, outlets: map[string]*outlet{"ipmi": {on: true, exit: map[Verb]int{}}}}
			w.f = New("lb2", c, epoch)
			w.silent(func(s *Situation) { s.Preferred = true })
			w.pass(59 * time.Second)
			if n := len(w.outlets["ipmi"].log); n != 0 {
				t.Fatalf("told %d times before boot_wait\n%s", n, w.text())
			}
			w.pass(time.Minute)
			cuts := 0
			for _, v := range w.outlets["ipmi"].log {
				if v == VerbOff {
					cuts++
				}
			}
			if cuts != tt.want {
				t.Errorf("told to cut %d times, want %d\n%s", cuts, tt.want, w.text())
			}
		})
	}
}

func TestConfirmRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ordinary())
	if _, err := w.f.Confirm(w.now, "anna"); err == nil || err.Error() != "lb2 is not off: it was heard 0s ago" {
		t.Errorf("of a living peer: %v", err)
	}
	w.pass(time.Minute)
	if _, err := w.f.Confirm(w.now, "anna"); err == nil || err.Error() != "nothing waits for the end of lb2" {
		t.Errorf("when nothing waits: %v", err)
	}
	if w.proven() {
		t.Error("a refused confirmation is a proof")
	}
}

// A confirmation is good for ConfirmTTL, and not for a peer that is heard.
func TestConfirmEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"ttl":   func(w *world) { w.pass(10 * time.Minute) },
		"heard": func(w *world) { w.step(Heard{Boot: 2}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ordinary()
			c.Levels = [][]string{{"manual"}}
			c.Devices = map[string]Device{"manual": {Agent: AgentManual}}
			w := newWorld(t, c)
			w.pass(time.Minute)
			w.silent()
			if _, err := w.f.Confirm(w.now, "anna"); err != nil {
				t.Fatal(err)
			}
			w.pass(9 * time.Minute)
			if !w.proven() {
				t.Fatal("no proof after 9 minutes")
			}
			end(w)
			if w.proven() {
				t.Error("it is a proof still")
			}
		})
	}
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	c := ordinary()
	c.Monitor = 5 * time.Minute
	w := newWorld(t, c)
	hear := func(d time.Duration) {
		for end := w.now.Add(d); w.now.Before(end); w.pass(500 * time.Millisecond) {
			w.step(Heard{Boot: 1})
		}
	}
	w.lines = nil
	w.outlets["ipmi"].exit = map[Verb]int{VerbStatus: 1}
	hear(6 * time.Minute)
	w.log("a socket is off")
	w.outlets["pdu-a"].set(false)
	hear(6 * time.Minute)
	if !w.f.Status(w.now).Unprotected {
		t.Error("it counts as protected")
	}
	w.log("it is on again")
	w.outlets["pdu-a"].set(true)
	hear(6 * time.Minute)
	golden(t, "monitor", w.text())
}

// Outcomes: code 2 is off after status only, and whoever is killed has failed.
func TestOutcome(t *testing.T) {
	t.Parallel()
	for exit := -1; exit <= 12; exit++ {
		want := map[Verb]outcome{VerbOff: failed, VerbOn: failed, VerbStatus: failed}
		switch exit {
		case 0:
			want = map[Verb]outcome{VerbOff: done, VerbOn: done, VerbStatus: reads}
		case 2:
			want[VerbStatus] = readsOff
		}
		for verb, w := range want {
			if got := (Ended{Exit: exit}).outcome(verb); got != w {
				t.Errorf("exit %d after %s: %v, want %v", exit, verb, got, w)
			}
			if got := (Ended{Exit: exit, Late: true}).outcome(verb); got != failed {
				t.Errorf("exit %d after %s, late: %v", exit, verb, got)
			}
		}
	}
}

// A copy goes its own way.
func TestClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ordinary())
	w.pass(time.Second)
	w.silent()
	before := w.f.Status(w.now)
	c := w.f.Clone()
	c.Step(w.now.Add(time.Second), Ended{ID: c.run.id})
	c.Step(w.now.Add(time.Second), Heard{})
	if diff := cmp.Diff(before, w.f.Status(w.now)); diff != "" {
		t.Errorf("the original changed: %s", diff)
	}
}
