package engine

import (
	"container/heap"
	"time"
)

// timer is one deadline in the engine's heap. A zero due time means none.
type timer struct {
	due  time.Time
	pos  int // index in the heap, -1 when not in it
	fire func(now time.Time)
}

// timers orders deadlines, so that the engine has one next wake-up however many
// VIPs and checks there are.
type timers []*timer

// set moves t to due; the zero time takes it out.
func (h *timers) set(t *timer, due time.Time) {
	switch {
	case due.IsZero() && t.pos >= 0:
		heap.Remove(h, t.pos)
	case due.IsZero():
	case t.pos < 0:
		t.due = due
		heap.Push(h, t)
	case !due.Equal(t.due):
		t.due = due
		heap.Fix(h, t.pos)
	}
}

// next returns the earliest deadline, zero when there is none.
func (h *timers) next() time.Time {
	if len(*h) == 0 {
		return time.Time{}
	}
	return (*h)[0].due
}

// run fires every timer that is due. A timer that is due again by now after it
// fired waits for the next call, so that run always ends.
func (h *timers) run(now time.Time) {
	var due []*timer
	for len(*h) > 0 && !(*h)[0].due.After(now) {
		t := heap.Pop(h).(*timer)
		due = append(due, t)
	}
	for _, t := range due {
		t.fire(now)
	}
}

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

// Push implements heap.Interface.
func (h *timers) Push(x any) {
	t := x.(*timer)
	t.pos = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.pos = -1
	return t
}

// earliest returns the earliest of the times that are not zero.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
