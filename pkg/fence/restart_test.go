package fence

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The brake holds for a host that restarts, by its history.
func TestBrakeOverRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ordinary())
	for _, o := range w.outlets {
		o.idle = true
	}
	w.pass(time.Second)
	w.silent()
	w.pass(5 * time.Minute)
	text, err := w.history.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	h, unusable := ParseHistory(append(text, "{\"time\":\"2026"...))
	if diff := cmp.Diff(w.history, h); diff != "" || unusable != 1 {
		t.Errorf("history, %d lines unusable: %s", unusable, diff)
	}
	f := New("lb2", ordinary(), w.now)
	f.Restore(w.now, h, time.Time{})
	if got := f.Status(w.now).Shots; got != 2 {
		t.Errorf("%d shots after the restart, want 2", got)
	}
	again := epoch.Add(-time.Hour) // a clock that jumped back: they count as of now
	f.Restore(again, h, time.Time{})
	if got := f.Status(again.Add(14 * time.Minute)).Shots; got != 2 {
		t.Errorf("%d shots after the clock went back, want 2", got)
	}
	if got := f.Status(again.Add(15 * time.Minute)).Shots; got != 0 {
		t.Errorf("%d shots when the brake is over, want 0", got)
	}
}

// After a restart of vipd, a peer that was cut off before it is proven to be off
// by its devices alone: without a shot, which would be blind. One that was back
// is not.
func TestOffOverRestart(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]bool{"off": false, "back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ordinary())
			w.pass(time.Second)
			w.silent()
			w.pass(5 * time.Second)
			w.silent(func(s *Situation) { s.Waiting = nil })
			if back {
				w.step(Heard{Boot: 2})
			}
			w.f = New("lb2", ordinary(), w.now)
			w.f.Restore(w.now, w.history, time.Time{})
			shots := len(w.outlets["ipmi"].log)
			w.silent(func(s *Situation) { s.Upset = w.now })
			w.pass(5 * time.Second)
			if w.proven() == back {
				t.Errorf("proven: %v\n%s", w.proven(), w.text())
			}
			for _, v := range w.outlets["ipmi"].log[shots:] {
				if v == VerbOff {
					t.Errorf("it was shot\n%s", w.text())
				}
			}
		})
	}
}

// The same for one whose last shot was called off, and landed: the brake forbids
// another one.
func TestCalledOffOverRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ordinary())
	w.calledOff(true)
	heard := w.f.Status(w.now).Heard
	w.f = New("lb2", ordinary(), w.now)
	w.f.Restore(w.now, w.history, heard)
	w.silent()
	w.pass(5 * time.Second)
	if n := w.f.Status(w.now).Fired; !w.proven() || n != 0 {
		t.Errorf("proven: %v, after %d shots\n%s", w.proven(), n, w.text())
	}
}

// What an earlier process on this host heard counts, so that a restart of vipd
// alone does not leave it waiting.
func TestHeardOverRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ordinary())
	w.pass(time.Minute)
	w.f = New("lb2", ordinary(), w.now)
	w.f.Restore(w.now, nil, w.now.Add(-time.Minute))
	w.silent()
	w.pass(5 * time.Second)
	if !w.proven() {
		t.Errorf("no proof\n%s", w.text())
	}
}
