package testenv

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// Stalls of two processors at once count once, and only what is in between.
func TestCovered(t *testing.T) {
	t.Parallel()
	zero := time.Now()
	at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
	list := []stall{{at(50), at(70)}, {at(10), at(30)}, {at(20), at(40)}, {at(22), at(24)}, {at(90), at(120)}}
	for _, tt := range []struct{ from, to, want int }{
		{0, 200, 80}, {0, 10, 0}, {0, 15, 5}, {25, 60, 25}, {100, 110, 10}, {40, 50, 0}, {130, 200, 0},
	} {
		if got := covered(append([]stall(nil), list...), at(tt.from), at(tt.to)); got != time.Duration(tt.want)*time.Millisecond {
			t.Errorf("%d to %d: %v, want %dms", tt.from, tt.to, got, tt.want)
		}
	}
}

// What keeps every processor busy is noticed.
func TestStalls(t *testing.T) {
	lab := TestLab(t)
	stalls, mark := lab.Stalls(), time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 16 * runtime.NumCPU() {
		go func() {
			runtime.LockOSThread()
			for ctx.Err() == nil { // each is a thread that wants the whole processor
			}
		}()
	}
	Eventually(t, 20*time.Second, "a stall to be noticed", func() bool { return stalls.Between(mark, time.Now()) > 0 })
}
