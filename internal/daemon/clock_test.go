package daemon

import (
	"context"
	"testing"
	"time"
)

// running returns a clock that runs until the test ends.
func running(t *testing.T) *clock {
	t.Helper()
	c, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *clock) await(t *testing.T) time.Time {
	t.Helper()
	select {
	case <-c.C:
		return time.Now()
	case <-time.After(10 * time.Second):
		t.Fatal("the clock did not fire")
		return time.Time{}
	}
}

// TestClock: it never fires early, an earlier time replaces a later one, and a
// later one does not put off an earlier one.
func TestClock(t *testing.T) {
	t.Parallel()
	c := running(t)
	now := time.Now()
	for _, after := range []time.Duration{time.Hour, 30 * time.Millisecond, time.Minute} {
		if err := c.arm(now, now.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	if fired := c.await(t).Sub(now); fired < 30*time.Millisecond || fired > 10*time.Second {
		t.Errorf("fired after %v", fired)
	}
	c.fired()
	now = time.Now()
	if err := c.arm(now, now.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	c.await(t)
}
