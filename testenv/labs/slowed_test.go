package labs

import (
	"time"

	"github.com/vipd/vipd/testenv"
)

// slowed is a limit for what took place between two times, longer by how long the
// machine itself stood still meanwhile.
func (p *pair) slowed(limit time.Duration, from, to time.Time) time.Duration {
	p.t.Helper()
	stood := p.stalls.Between(from, to)
	if stood > 0 {
		p.t.Logf("of %v the machine stood still for %v", to.Sub(from).Round(time.Millisecond), stood.Round(time.Millisecond))
	}
	return limit + stood
}

// within demands that what began at a time and took so long took no longer than a
// limit, less what the machine stood still.
func (p *pair) within(limit time.Duration, what string, from time.Time, took time.Duration) {
	p.t.Helper()
	p.t.Logf("%s after %v", what, took)
	if took > limit && took > p.slowed(limit, from, from.Add(took)) {
		p.t.Errorf("%s after %v, want %v at most", what, took, limit)
	}
}

// shortGaps demands that no gap is longer than a limit, less what the machine stood
// still in it, and as long before it: what is late makes a gap later.
func (p *pair) shortGaps(limit time.Duration, r *testenv.Report) {
	p.t.Helper()
	p.t.Log(r)
	for _, g := range r.Gaps {
		if g.Duration() > limit && g.Duration() > p.slowed(limit, g.From.Add(-limit), g.To) {
			p.t.Errorf("gap of %v, want %v at most: %v", g.Duration(), limit, g)
		}
	}
}

// shortSilence demands that since a time the answers that a client got were no
// longer apart than a limit, less what the machine stood still.
func (p *pair) shortSilence(limit time.Duration, probes *testenv.Prober, mark time.Time) {
	p.t.Helper()
	r := probes.Report().Since(mark)
	p.t.Log(r)
	if silence := r.LongestSilence; silence > limit && silence > p.slowed(limit, mark, time.Now()) {
		p.t.Errorf("no answer for %v, want %v at most", silence, limit)
	}
}
