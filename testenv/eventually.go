package testenv

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// pollEvery is how often Until looks.
const pollEvery = 2 * time.Millisecond

// Until returns when cond holds, which it looks at every 2 ms, or with the
// context's error.
func Until(ctx context.Context, cond func() bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if cond() {
				return nil
			}
			return fmt.Errorf("wait for a condition: %w", ctx.Err())
		}
	}
	return nil
}

// Eventually fails the test when cond, described by what, does not hold within
// that time. It is what a test does instead of sleeping.
func Eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := Until(ctx, cond); err != nil {
		t.Fatalf("%s: not within %v", what, within)
	}
}
