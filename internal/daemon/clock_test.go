package daemon

import (
	"context"
	"testing"
	"time"
)

// running returns a clock that runs until the test ends, and where it says when
// it fired.
func running(t *testing.T) (*clock, <-chan time.Time) {
	t.Helper()
	c, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fired := make(chan time.Time, 10)
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, func() { fired <- time.Now() }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, fired
}

func await(t *testing.T, fired <-chan time.Time) time.Time {
	t.Helper()
	select {
	case at := <-fired:
		return at
	case <-time.After(10 * time.Second):
		t.Fatal("the clock did not fire")
		return time.Time{}
	}
}

// TestClock: it never fires early, an earlier time replaces a later one, a later
// one does not put off an earlier one, and a time in the past is now.
func TestClock(t *testing.T) {
	t.Parallel()
	c, fired := running(t)
	now := time.Now()
	for _, after := range []time.Duration{time.Hour, 30 * time.Millisecond, time.Minute} {
		if err := c.arm(now, now.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	if took := await(t, fired).Sub(now); took < 30*time.Millisecond {
		t.Errorf("fired after %v", took)
	}
	c.fired()
	now = time.Now()
	if err := c.arm(now, now.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	await(t, fired)
}
