package check_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// ticks returns when the first n probes of a check start that always passes at
// once.
func ticks(cfg check.Config, p check.Pace, n int) []time.Duration {
	s := check.New(cfg, p, p.Epoch)
	var list []time.Duration
	for range n {
		now := s.Due()
		list = append(list, now.Sub(p.Epoch))
		s.Started(now)
		s.Observe(now, true)
	}
	return list
}

// TestTicksAreSpread: checks of one host share few times, hosts share none, and
// the first probes come within a moment.
func TestTicksAreSpread(t *testing.T) {
	t.Parallel()
	cfg := check.Config{Interval: time.Second, Rise: 1, Fall: 1}
	second := map[string]map[time.Duration]int{}
	for _, node := range []string{"lb1", "lb2"} {
		second[node] = map[time.Duration]int{}
		for i := range 100 {
			list := ticks(cfg, check.NewPace(epoch, node, fmt.Sprintf("c%d", i)), 4)
			if list[0] < 0 || list[0] > 75*ms {
				t.Errorf("the first probe is due after %v", list[0])
			}
			if list[3]-list[2] != time.Second {
				t.Errorf("%v between two probes", list[3]-list[2])
			}
			second[node][list[3]%time.Second]++
		}
	}
	for node, times := range second {
		if len(times) != 4 {
			t.Errorf("%s: 100 checks start at %d times of the second, want 4", node, len(times))
		}
		for at, n := range times {
			if n < 10 {
				t.Errorf("%s: %d of 100 checks start at %v", node, n, at)
			}
			other := map[string]string{"lb1": "lb2", "lb2": "lb1"}[node]
			if second[other][at] > 0 {
				t.Errorf("both hosts start checks at %v", at)
			}
		}
	}
}

// TestTicksOfShortIntervalsAreShared: below 200ms all checks of a host come at
// one time, and a divisor of an interval shares its ticks.
func TestTicksOfShortIntervalsAreShared(t *testing.T) {
	t.Parallel()
	times := map[time.Duration]bool{}
	for _, interval := range []time.Duration{50 * ms, 100 * ms} {
		for i := range 20 {
			list := ticks(check.Config{Interval: interval, Rise: 1, Fall: 1}, check.NewPace(epoch, "lb1", fmt.Sprintf("c%d", i)), 3)
			times[list[2]%(50*ms)] = true
		}
	}
	if len(times) != 1 {
		t.Errorf("short intervals come at %d times, want 1: %v", len(times), times)
	}
}

// TestJitter: a probe starts after its tick, by less than the jitter, differently
// each time, and the same again in another run.
func TestJitter(t *testing.T) {
	t.Parallel()
	for _, jitter := range []time.Duration{0, 200 * ms, time.Second, time.Minute} {
		cfg := check.Config{Interval: time.Second, Rise: 1, Fall: 1, Jitter: jitter}
		p := check.NewPace(epoch, "lb1", "haproxy")
		plain := ticks(check.Config{Interval: time.Second, Rise: 1, Fall: 1}, p, 50)
		list, again := ticks(cfg, p, 50), ticks(cfg, p, 50)
		late := map[time.Duration]bool{}
		for i := range list[1:] {
			d := list[i+1] - plain[i+1]
			if d < 0 || d > 0 && d >= min(jitter, time.Second) {
				t.Errorf("jitter %v: probe %d comes %v after its tick", jitter, i+1, d)
			}
			if list[i] != again[i] {
				t.Errorf("jitter %v: probe %d comes at %v, then at %v", jitter, i, list[i], again[i])
			}
			late[d] = true
		}
		if (len(late) > 40) != (jitter > 0) {
			t.Errorf("jitter %v: %d different delays in 49 probes", jitter, len(late))
		}
	}
}
