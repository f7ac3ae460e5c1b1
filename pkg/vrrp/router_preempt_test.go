package vrrp

import (
	"testing"
	"time"
)

// Test 38: preempt on: a lower priority is ignored and taken over from; preempt
// off: it is accepted, until it dies.
func TestRouterPreempt(t *testing.T) {
	t.Parallel()
	r := started(t, settings(200, time.Second))
	due := r.Next()
	for s := range 3 {
		r.Receive(t0.Add(time.Duration(s+1)*time.Second), peer, advert(100, time.Second))
	}
	if !r.Next().Equal(due) {
		t.Error("a lower priority moved the down timer")
	}
	if out := r.Wake(due); !out.Due || out.Reason != ReasonPreempted {
		t.Errorf("wake: %+v", out)
	}

	set := settings(200, time.Second)
	set.Preempt = false
	r = started(t, set)
	now := t0.Add(time.Second)
	r.Receive(now, peer, advert(100, time.Second))
	if got, want := r.Next(), now.Add(r.ActiveDownInterval()); !got.Equal(want) {
		t.Errorf("preempt off: down timer at %v, want %v", got, want)
	}
	if r.Preempting(now) != "preempt is off" {
		t.Errorf("says %q", r.Preempting(now))
	}
	if out := r.Wake(r.Next()); !out.Due {
		t.Error("preempt off: no takeover from a dead Active")
	}
}

// Test 39: the preempt delay holds against a live lower-priority Active, never
// against a dead or demoted one.
func TestRouterPreemptDelay(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	set := settings(200, interval)
	set.PreemptDelay = 10 * time.Second

	t.Run("live", func(t *testing.T) {
		t.Parallel()
		r := started(t, set)
		for now := t0; now.Before(t0.Add(20 * time.Second)); now = now.Add(interval) {
			r.Receive(now, peer, advert(100, interval))
			if out := r.Wake(now.Add(interval / 2)); out.Due {
				after := now.Add(interval / 2).Sub(t0)
				if after < set.PreemptDelay || after > set.PreemptDelay+r.ActiveDownInterval()+interval {
					t.Errorf("preempted after %v", after)
				}
				return
			}
		}
		t.Error("never preempted")
	})
	t.Run("dead", func(t *testing.T) {
		t.Parallel()
		r := started(t, set)
		r.Receive(t0, peer, advert(100, interval))
		if out := r.Wake(t0.Add(r.ActiveDownInterval())); !out.Due {
			t.Error("waits for a dead Active")
		}
	})
	t.Run("demoted", func(t *testing.T) {
		t.Parallel()
		r := started(t, set)
		r.Receive(t0, peer, advert(250, interval))
		due := r.Next()
		for now := t0.Add(interval); now.Before(due); now = now.Add(interval) {
			r.Receive(now, peer, advert(100, interval))
		}
		if out := r.Wake(due); !out.Due {
			t.Error("waits for an Active whose priority fell")
		}
	})
}

// Test 40, the part of the election: with preempt off no path from Initialize
// leads past a live Active. TestEngineNoPreempt walks the paths of the engine.
func TestRouterNoPreemptAfterStop(t *testing.T) {
	t.Parallel()
	set := settings(200, 100*time.Millisecond)
	set.Preempt = false
	r := started(t, set)
	now := t0
	for range 5 {
		r.Stop()
		r.Start(now)
		for range 100 {
			now = now.Add(100 * time.Millisecond)
			r.Receive(now, peer, advert(1, 100*time.Millisecond))
			if out := r.Wake(now); out.Due {
				t.Fatal("took over from a live Active")
			}
		}
	}
}

// A router that takes no part can still tell who is Active.
func TestRouterHearsInInitialize(t *testing.T) {
	t.Parallel()
	r := NewRouter(settings(200, time.Second))
	if out := r.Receive(t0, peer, advert(100, time.Second)); out != (Outcome{}) {
		t.Errorf("does %+v", out)
	}
	if heard := r.Heard(); heard.Source != peer || heard.Priority != 100 || r.State() != Initialize {
		t.Errorf("heard %+v in state %d", heard, r.State())
	}
	r.Receive(t0, peer, advert(0, time.Second))
	if r.Heard().Source.IsValid() {
		t.Error("who gave up is still Active")
	}
}

// A router that an operator told to yield leaves a lesser Active alone until it
// dies, and preempts again afterwards.
func TestRouterYield(t *testing.T) {
	t.Parallel()
	r := active(t, settings(200, time.Second))
	r.Stop()
	r.Yield(true)
	r.Start(t0)
	now := t0.Add(time.Second)
	r.Receive(now, peer, advert(100, time.Second))
	if got, want := r.Next(), now.Add(r.ActiveDownInterval()); !got.Equal(want) {
		t.Errorf("down timer at %v, want %v", got, want)
	}
	r.TakeOver(r.Next())
	if r.Receive(t0, peer, advert(250, time.Second)); r.State() != Backup {
		t.Fatal("not backup")
	}
	due := r.Next()
	if r.Receive(now, peer, advert(100, time.Second)); !r.Next().Equal(due) {
		t.Error("still yields after it was Active again")
	}
}

// TestRouterDiscarded: whom a takeover that is due preempts: not who gave up, unless it
// advertises again.
func TestRouterDiscarded(t *testing.T) {
	t.Parallel()
	r := started(t, settings(200, time.Second))
	now := t0.Add(100 * time.Millisecond)
	discards := func(what string, want bool) {
		t.Helper()
		r.Wake(r.Next())
		if h := r.Discarded(); h.Source.IsValid() != want || want && !h.At.Equal(now) {
			t.Errorf("%s: preempts %+v", what, h)
		}
	}
	discards("nobody was heard", false)
	r.Receive(now, peer, advert(100, time.Second))
	discards("heard while due", true)
	r.Receive(now, peer, advert(0, time.Second))
	discards("gave up", false)
	if out := r.TakeOver(now); out.Reason != ReasonRelease {
		t.Errorf("became Active: %+v", out)
	}

	r = started(t, settings(200, time.Second))
	r.Receive(now, peer, advert(250, time.Second))
	r.Receive(now, peer, advert(0, time.Second))
	now = now.Add(50 * time.Millisecond)
	r.Receive(now, peer, advert(100, time.Second))
	discards("another one has it since the release", true)
}
