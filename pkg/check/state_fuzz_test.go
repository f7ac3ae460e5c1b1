package check_test

import (
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// FuzzState drives a check with any settings through any order of starts,
// results and reloads, next to a model that only counts results, and checks
// what must hold after every step.
func FuzzState(f *testing.F) {
	f.Add(uint16(100), uint16(20), uint8(2), uint8(3), false, []byte("sgsgsbsbsb"))
	f.Add(uint16(10), uint16(0), uint8(1), uint8(1), true, []byte("sbwwsgcsg"))
	f.Add(uint16(0), uint16(500), uint8(0), uint8(9), true, []byte("gbsswwwwgrsb"))
	f.Fuzz(func(t *testing.T, interval, fast uint16, rise, fall uint8, initOK bool, script []byte) {
		cfg := check.Config{
			Spec: check.File{Path: "/a"}, Interval: time.Duration(interval) * ms, FastInterval: time.Duration(fast) * ms,
			Rise: int(rise), Fall: int(fall), InitOK: initOK,
		}
		s := check.New(cfg, epoch, epoch)
		m := model{up: initOK, rise: max(int(rise), 1), fall: max(int(fall), 1)}
		now := epoch
		for _, b := range script {
			now = now.Add(time.Duration(b%7) * 3 * ms)
			before := [2]bool{s.Healthy(), s.Known()}
			changed := false
			switch b {
			case 's':
				s.Started(now)
				m.running = true
			case 'g', 'b':
				changed = s.Observe(now, b == 'g')
				m.observe(b == 'g')
			case 'c': // another pace
				cfg.Interval += ms
				s.Reconfigure(cfg, now)
			case 'r': // another probe
				cfg.Spec = check.File{Path: cfg.Spec.(check.File).Path + "a"}
				s.Reconfigure(cfg, now)
				m.known, m.row, m.stale, before[1] = false, 0, m.running, false
			}
			if s.Healthy() != m.up || s.Known() != m.known || s.Running() != m.running {
				t.Fatalf("after %q: up %v known %v running %v, want %+v", b, s.Healthy(), s.Known(), s.Running(), m)
			}
			if after := [2]bool{s.Healthy(), s.Known()}; changed != (after != before) {
				t.Fatalf("after %q: changed %v, but %v became %v", b, changed, before, after)
			}
			due := s.Due()
			if s.Running() != due.IsZero() {
				t.Fatalf("after %q: running %v, due %v", b, s.Running(), due)
			}
			if limit := now.Add(max(cfg.Interval, check.MinInterval)); due.After(limit) {
				t.Fatalf("after %q: due %v after now, more than an interval", b, due.Sub(now))
			}
		}
	})
}

// model knows rise and fall, and nothing about time.
type model struct {
	up, known, running, stale, last bool
	row, rise, fall                 int
}

func (m *model) observe(ok bool) {
	switch {
	case !m.running:
		return
	case m.stale:
		m.running, m.stale = false, false
		return
	}
	m.running = false
	if ok != m.last {
		m.row = 0
	}
	m.last = ok
	m.row++
	if ok && m.row >= m.rise || !ok && m.row >= m.fall {
		m.up, m.known = ok, true
	}
}
