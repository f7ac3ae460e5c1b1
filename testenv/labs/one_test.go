package labs

import (
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// watch sees who answers for the VIP.
type watch struct {
	tb     testing.TB
	probes *testenv.Prober
	asks   *testenv.WhoHas
}

// watched begins to watch; lb1 answers.
func (p *pair) watched() *watch {
	p.t.Helper()
	w := &watch{tb: p.t, probes: p.probe()}
	var err error
	if w.asks, err = p.client.WhoHas("eth0", vip4, 0); err != nil {
		p.t.Fatal(err)
	}
	return w
}

// neverTwo ends the questions: none was answered by two hosts.
func (w *watch) neverTwo() {
	w.tb.Helper()
	if held := w.asks.Stop(); held.Asked == 0 || held.Dual > 0 {
		w.tb.Errorf("%d of %d questions were answered by two hosts, the first at %v", held.Dual, held.Asked, held.FirstDual)
	}
}

// oneAtMost ends the watch: no question was answered by two hosts, and within no
// 100 ms did probes get to both. That is for faults: in a planned move the next host
// follows within milliseconds.
func (w *watch) oneAtMost() *testenv.Report {
	w.tb.Helper()
	w.neverTwo()
	var last testenv.Probe
	seen := w.probes.Stop()
	w.tb.Logf("longest gap %v", seen.LongestGap.Round(time.Millisecond))
	for _, p := range seen.Probes() {
		if p.Host == "" {
			continue
		}
		if last.Host != "" && last.Host != p.Host && p.Sent.Sub(last.Answered) < 100*time.Millisecond {
			w.tb.Errorf("%s answered %v after %s", p.Host, p.Sent.Sub(last.Answered), last.Host)
		}
		last = p
	}
	return seen
}

// apart cuts the link between the hosts, one way or both, and leaves that to others.
func (p *pair) apart(oneWay bool) {
	p.t.Helper()
	err := p.lab.CutOneWay(p.hosts[0], p.hosts[1])
	if err == nil && !oneWay {
		err = p.lab.CutOneWay(p.hosts[1], p.hosts[0])
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
