package labs

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// reloads are the two ways to have the configuration read again. Each returns
// when the agent has done so.
var reloads = map[string]func(*agent){
	"command": func(a *agent) { a.must("reload") },
	"SIGHUP": func(a *agent) {
		a.t.Helper()
		n := strings.Count(a.proc.Output(), "configuration reloaded")
		a.signal(syscall.SIGHUP)
		a.eventually(5*time.Second, "the reload", func() bool {
			return strings.Count(a.proc.Output(), "configuration reloaded") > n
		})
	},
}

// more is what an unrelated change adds: a VIP, and a check for it.
const more = `
[vip.other]
interface = "eth0"
vrid = 77
addresses = ["192.0.2.177/24"]
track = ["file"]
[check.file]
type = "file"
path = "/"
`

// TestReloadUnrelated: what a reload does not change is not touched.
func TestReloadUnrelated(t *testing.T) {
	const interval = steady
	for name, reload := range reloads {
		t.Run(name, func(t *testing.T) {
			p, lb1, lb2, probes := started(t, interval, "")
			tap, err := p.client.Observe("eth0")
			if err != nil {
				t.Fatal(err)
			}
			p.adverts(tap, 2)
			mark, before1, before2 := time.Now(), lb1.transitions("web"), lb2.transitions("web")
			for _, add := range []string{more, ""} {
				lb1.write(web(150, interval, "") + add)
				reload(lb1)
				p.adverts(tap, 2)
			}
			p.answeredBy(probes, "lb1")
			r := probes.Stop().Since(mark)
			t.Log(r)
			if r.Lost > 0 || len(r.Turns()) != 1 {
				t.Errorf("%v; %v", r, r.Turns())
			}
			if lb1.transitions("web") != before1 || lb2.transitions("web") != before2 {
				t.Errorf("transitions: lb1 %v, lb2 %v", lb1.vip("web").Transitions, lb2.vip("web").Transitions)
			}
			gap, at := widest(tap)
			t.Logf("widest gap between adverts %v, to %v", gap, at.Format("15:04:05.000"))
			if gap > interval*12/10+r.LongestSilence { // how long the machine itself stood still
				t.Errorf("gap between adverts of %v", gap)
			}
			if list := lb1.events("address"); len(list) != 1 {
				t.Errorf("addresses were touched: %+v", list)
			}
		})
	}
}

// adverts waits for some adverts of web from now on.
func (p *pair) adverts(tap *testenv.Observer, n int) {
	p.t.Helper()
	mark, seen := time.Now(), 0
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	_, err := tap.WaitFor(ctx, func(f testenv.Frame) bool {
		if f.VRRP != nil && f.VRRP.VRID == 51 && f.Time.After(mark) {
			seen++
		}
		return seen == n
	})
	if err != nil {
		p.t.Fatalf("%d adverts: %v", seen, err)
	}
}

// widest is the longest time between two adverts of web that a tap saw, and when
// it ended.
func widest(tap *testenv.Observer) (gap time.Duration, at time.Time) {
	var last time.Time
	for _, f := range tap.Frames() {
		if f.VRRP == nil || f.VRRP.VRID != 51 {
			continue
		}
		if wait := f.Time.Sub(last); !last.IsZero() && wait > gap {
			gap, at = wait, f.Time
		}
		last = f.Time
	}
	return gap, at
}

// TestReloadPriority: a priority that is changed by a reload moves the VIP, and
// hardly anybody notices.
func TestReloadPriority(t *testing.T) {
	const interval = 100 * time.Millisecond
	p, lb1, lb2, probes := started(t, interval, "")
	for _, move := range []struct {
		priority  int
		to, other *agent
	}{{50, lb2, lb1}, {150, lb1, lb2}} {
		mark := time.Now()
		lb1.write(web(move.priority, interval, ""))
		lb1.must("reload")
		p.answeredBy(probes, move.to.host.Name)
		t.Logf("%s answers after %v", move.to.host.Name, time.Since(mark))
		move.to.waitState("web", "ACTIVE")
		move.other.waitState("web", "BACKUP")
		p.oneHolder(move.to, move.other)
		p.shortSilence(100*time.Millisecond, probes, mark)
	}
	p.shortGaps(20*time.Millisecond, probes.Stop())
}

// TestReloadBad: a file with a mistake leaves what runs untouched, and everyone
// who asks hears about it.
func TestReloadBad(t *testing.T) {
	const interval = steady
	bad := strings.Replace(web(150, interval, ""), "vrid            = 51", "vrid            = 300", 1)
	p, lb1, _, probes := started(t, interval, "")
	mark, before, transitions := time.Now(), lb1.configured(), lb1.transitions("web")

	lb1.write(bad)
	code, _, errs := lb1.run("reload")
	if code != 4 || !strings.Contains(errs, "vipd.toml:6:") || !strings.Contains(errs, "vip.web.vrid: 300 is outside 1–255") {
		t.Errorf("exit %d: %s", code, errs)
	}
	lb1.failed(before.Hash)

	lb1.write(web(150, interval, ""))
	reloads["SIGHUP"](lb1)
	lb1.eventually(5*time.Second, "the good reload to be told", func() bool { return lb1.configured().LastReloadOK })

	lb1.write(bad)
	lb1.signal(syscall.SIGHUP)
	lb1.eventually(5*time.Second, "the bad reload to be told", func() bool { return !lb1.configured().LastReloadOK })
	lb1.failed(before.Hash)

	if out := lb1.must("status"); !strings.Contains(out, "300 is outside") {
		t.Errorf("status does not tell: %s", out)
	}
	p.answeredBy(probes, "lb1")
	r := probes.Stop().Since(mark)
	if r.Lost > 0 || lb1.transitions("web") != transitions {
		t.Errorf("%v; %v", r, lb1.vip("web").Transitions)
	}
}

// failed demands that the last reload failed and left the configuration alone.
func (a *agent) failed(hash string) {
	a.t.Helper()
	c := a.configured()
	if c.LastReloadOK || c.Hash != hash || !strings.Contains(c.LastReloadError, "vrid: 300 is outside") {
		a.t.Errorf("%+v, want the failed reload, and %s in force", c, hash)
	}
}
