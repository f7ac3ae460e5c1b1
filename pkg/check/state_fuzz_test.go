package check_test

import (
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// FuzzState drives a check with any settings through any order of starts,
// results, masks and reloads, next to a model that only counts results, and
// checks what must hold after every step. With a hold-down the check may be down
// for longer than in the model, and never up for longer.
func FuzzState(f *testing.F) {
	f.Add(uint16(100), uint16(20), uint16(0), uint8(2), uint8(3), false, []byte("sgsgsbsbsb"))
	f.Add(uint16(10), uint16(0), uint16(0), uint8(1), uint8(1), true, []byte("sbwwsgcsg"))
	f.Add(uint16(0), uint16(500), uint16(7), uint8(0), uint8(9), true, []byte("gbsswwwwgrsb"))
	f.Add(uint16(100), uint16(20), uint16(0), uint8(2), uint8(3), false, []byte("sgsmgusgsmbusbsb"))
	f.Add(uint16(10), uint16(0), uint16(30), uint8(1), uint8(1), true, []byte("sbsgwwwsbsgmwwusgwwwwwwwwwsg"))
	f.Fuzz(func(t *testing.T, interval, fast, hold uint16, rise, fall uint8, initOK bool, script []byte) {
		cfg := check.Config{
			Spec: check.TCP{Address: "a:80"}, Interval: time.Duration(interval) * ms, FastInterval: time.Duration(fast) * ms,
			Rise: int(rise), Fall: int(fall), InitOK: initOK,
			HoldDown: check.HoldDown{Time: time.Duration(hold) * ms, Most: time.Second, Flaps: 2, Within: time.Second},
		}
		s := check.New(cfg, check.NewPace(epoch, "lb1", "a"), epoch)
		m := model{up: initOK, rise: max(int(rise), 1), fall: max(int(fall), 1)}
		now := epoch
		for _, b := range script {
			now = now.Add(time.Duration(b%7) * 3 * ms)
			before := [2]bool{s.Healthy(), s.Known()}
			until := s.HeldDownUntil()
			over := !until.IsZero() && !now.Before(until)
			changed := s.Wake(now)
			if changed != over || over && !s.Healthy() {
				t.Fatalf("before %q: waits until %v, now %v: changed %v, healthy %v", b, until, now, changed, s.Healthy())
			}
			switch b {
			case 's':
				s.Started(now)
				m.running = m.running || !m.masked
			case 'g', 'b':
				changed = s.Observe(now, b == 'g') || changed
				m.observe(b == 'g')
			case 'c': // another pace
				cfg.Interval += ms
				s.Reconfigure(cfg, now)
			case 'r': // another probe
				cfg.Spec = check.TCP{Address: "a" + cfg.Spec.(check.TCP).Address}
				s.Reconfigure(cfg, now)
				m.known, m.row, m.stale, before[1] = false, 0, m.running, s.Known()
			case 'm':
				s.SetMask(now, check.MaskedAfter)
				m.mask(true)
			case 'u':
				s.SetMask(now, check.Unmasked)
				m.mask(false)
			}
			exact := hold == 0 && (s.Healthy() != m.up || s.Known() != m.known)
			if exact || s.Healthy() && !m.up || s.Running() != m.running {
				t.Fatalf("after %q: up %v known %v running %v, want %+v", b, s.Healthy(), s.Known(), s.Running(), m)
			}
			if after := [2]bool{s.Healthy(), s.Known()}; changed != (after != before) && b != 'r' {
				t.Fatalf("after %q: changed %v, but %v became %v", b, changed, before, after)
			}
			due := s.Due()
			if (s.Running() || m.masked) != due.IsZero() {
				t.Fatalf("after %q: running %v, masked %v, due %v", b, s.Running(), m.masked, due)
			}
			if limit := now.Add(max(cfg.Interval, check.MinInterval)); due.After(limit) {
				t.Fatalf("after %q: due %v after now, more than an interval", b, due.Sub(now))
			}
		}
	})
}

// model knows rise and fall, and nothing about time.
type model struct {
	up, known, running, stale, last, masked bool
	row, rise, fall                         int
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

func (m *model) mask(on bool) {
	if on != m.masked {
		m.masked, m.row, m.stale = on, 0, m.running
	}
}
