package testenv

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stallTick  = 5 * time.Millisecond
	stallLeast = 2 * time.Millisecond // what an idle machine is never late by
)

// Stalls watches how long the machine did not run what was due: on each processor
// a thread of its own wants to run every 5 ms, and notes when it did so more than
// 2 ms late. Whoever measures how long a program took can tell by it what was the
// machine's part: a neighbour took the processor, or another test had it.
type Stalls struct {
	quit chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	list []stall     // that are over, of all processors
	due  []time.Time // by processor: when it wants to run next, zero = it does not
}

// stall is a time in which a processor ran something else.
type stall struct{ from, to time.Time }

// Stalls begins to watch the machine, until the lab ends.
func (l *Lab) Stalls() *Stalls {
	s := &Stalls{quit: make(chan struct{})}
	var all unix.CPUSet
	if unix.SchedGetaffinity(0, &all) == nil {
		for cpu := range len(all) * 64 {
			if all.IsSet(cpu) {
				s.due = append(s.due, time.Time{})
				i := len(s.due) - 1
				s.wg.Go(func() { s.watch(i, cpu) })
			}
		}
	}
	l.onClose(func() error { close(s.quit); s.wg.Wait(); return nil })
	return s
}

func (s *Stalls) watch(i, cpu int) {
	runtime.LockOSThread() // never unlocked: the thread ends, with its processor
	var one unix.CPUSet
	one.Set(cpu)
	if unix.SchedSetaffinity(0, &one) != nil {
		return // the processor went away
	}
	for {
		due := time.Now().Add(stallTick)
		s.mu.Lock()
		s.due[i] = due
		s.mu.Unlock()
		ts := unix.NsecToTimespec(stallTick.Nanoseconds())
		_ = unix.Nanosleep(&ts, nil) // a signal that ends it early does no harm
		now := time.Now()
		s.mu.Lock()
		if now.Sub(due) >= stallLeast {
			s.list = append(s.list, stall{due, now})
		}
		s.mu.Unlock()
		select {
		case <-s.quit:
			return
		default:
		}
	}
}

// Between is for how long, between two times, a processor did not run what was due
// on it. Where several did not at once, that counts once.
func (s *Stalls) Between(from, to time.Time) time.Duration {
	s.mu.Lock()
	list := slices.Clone(s.list)
	for _, due := range s.due { // it may be late just now
		if now := time.Now(); !due.IsZero() && now.Sub(due) >= stallLeast {
			list = append(list, stall{due, now})
		}
	}
	s.mu.Unlock()
	return covered(list, from, to)
}

// covered is how much of the time between two times is in any of the stalls.
func covered(list []stall, from, to time.Time) (sum time.Duration) {
	slices.SortFunc(list, func(a, b stall) int { return a.from.Compare(b.from) })
	for _, st := range list {
		if st.from.Before(from) {
			st.from = from
		}
		if st.to.After(to) {
			st.to = to
		}
		if st.to.After(st.from) {
			sum += st.to.Sub(st.from)
			from = st.to
		}
	}
	return sum
}
