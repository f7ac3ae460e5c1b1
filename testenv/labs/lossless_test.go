package labs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/testenv"
)

// lossless demands that no probe between two times is lost.
func (p *pair) lossless(probes *testenv.Prober, what string, from, to time.Time, agents ...*agent) {
	p.t.Helper()
	testenv.Eventually(p.t, 5*time.Second, "the last probes to be answered", func() bool {
		return probes.Report().Between(from, to).Pending == 0
	})
	r := probes.Report().Between(from, to)
	p.t.Logf("%s: %v", what, r)
	if r.Lost == 0 {
		return
	}
	r.Gaps = slices.DeleteFunc(r.Gaps, p.stalled)
	if r.Gaps = slices.DeleteFunc(r.Gaps, func(g testenv.Gap) bool { return p.lateMove(g, agents) }); len(r.Gaps) == 0 {
		return
	}
	p.t.Errorf("%s: %d probes lost: %v; turns %v", what, r.Lost, r.Gaps, r.Turns())
	for _, a := range agents {
		if !a.over() {
			p.t.Logf("%s:\n%s", a.host.Name, a.must("events", "--since", "10s"))
		}
	}
	for _, g := range r.Gaps {
		p.t.Logf("around %v:\n%s", g, p.around(g))
	}
}

// stalled reports whether probes were lost since the machine did not run a service,
// which found the address gone when it wanted to answer.
func (p *pair) stalled(g testenv.Gap) bool {
	late := 0
	for _, service := range p.services {
		for _, at := range service.Late() {
			if at.After(g.From.Add(-time.Millisecond)) && at.Before(g.To.Add(time.Millisecond)) {
				late++
			}
		}
	}
	p.t.Logf("%d probes lost, while %d waited for a service that was not run: %v", g.Lost, late, g)
	return late >= g.Lost
}

// lateMost is how many planned moves of a test the machine may be too slow for.
const lateMost = 3

// What an agent logs of a move that the peer did not take in time, and of an address
// that came.
var (
	logLate    = regexp.MustCompile(`(?m)^time=(\S+) .* msg=handover .* reason=late`)
	logPresent = regexp.MustCompile(`(?m)^time=(\S+) .* msg=address .* to=present`)
)

// lateMove reports whether probes were lost since the machine was too slow for a
// planned move: two hosts hold a VIP for 50 ms at most, and who has not taken it
// within them gets it with a release instead. The gap ends when it has opened.
func (p *pair) lateMove(g testenv.Gap, agents []*agent) bool {
	const (
		within = 200 * time.Millisecond // of the end of the 50 ms
		slack  = 20 * time.Millisecond  // from an address that came to the answer
	)
	for _, from := range agents {
		for _, late := range from.logged(logLate) {
			if d := g.From.Sub(late); d < -slack || d > within {
				continue
			}
			for _, to := range agents {
				for _, at := range to.logged(logPresent) {
					if to == from || at.Before(late) || g.To.After(at.Add(slack)) {
						continue
					}
					p.late++
					p.t.Logf("%d probes lost, since %s did not take it from %s in time: %v", g.Lost, to.host.Name, from.host.Name, g)
					return p.late <= lateMost
				}
			}
		}
	}
	return false
}

// listen keeps what each host sees, to tell where a probe was lost.
func (p *pair) listen() {
	p.t.Helper()
	for _, h := range append([]*testenv.Host{p.client}, p.hosts...) {
		tap, err := h.ObserveAll("eth0")
		if err != nil {
			p.t.Fatal(err)
		}
		p.taps = append(p.taps, tap)
	}
}

// around is what was seen while probes were lost, a line for each frame.
func (p *pair) around(g testenv.Gap) string {
	var lines []string
	for i, tap := range p.taps {
		for _, f := range tap.Since(g.From.Add(-3 * time.Millisecond)) {
			if f.Time.After(g.To.Add(3 * time.Millisecond)) {
				break
			}
			what := fmt.Sprintf("%d bytes of type %x", len(f.Data), f.Data[12:14])
			switch {
			case f.ARP != nil:
				what = fmt.Sprintf("ARP, reply %t, %s is at %s, to %s", f.ARP.Reply, f.ARP.Sender, f.ARP.SenderMAC, f.ARP.Target)
			case f.VRRP != nil:
				what = fmt.Sprintf("advert %d of %s", f.VRRP.Priority, f.VRRP.Source)
			case len(f.Data) > 34 && f.Data[12] == 8 && f.Data[13] == 0:
				what = fmt.Sprintf("IPv4 protocol %d from %v to %v, %d bytes", f.Data[23], f.Data[26:30], f.Data[30:34], len(f.Data))
			}
			host := []string{"client", "lb1", "lb2"}[i]
			lines = append(lines, fmt.Sprintf("%s %-6s sent %-5t %s > %s %s", f.Time.Format("05.000000"), host, f.Out, f.Source, f.Destination, what))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
