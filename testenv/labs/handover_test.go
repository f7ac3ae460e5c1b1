package labs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// talking is a configuration that joins a host to the pair channel, with paths by
// the given addresses of both hosts beside the first one.
func (p *pair) talking(i int, more ...[2]string) string {
	p.t.Helper()
	key := filepath.Join(p.hosts[i].Dir(), "pair-key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	other := 1 - i
	paths := fmt.Sprintf("%q", strings.TrimSuffix(hosts4[other], "/24"))
	for _, path := range more {
		paths += fmt.Sprintf(", %q", path[other])
	}
	return fmt.Sprintf("[pair]\nkey_file = %q\n[peer.lb%d]\naddresses = [%s]\n", key, other+1, paths)
}

// talkers is a pair that talks, of which lb1 (150) holds the VIP.
func talkers(t *testing.T, more string) (p *pair, lb1, lb2 *agent) {
	t.Helper()
	p = newPair(t)
	lb1 = p.vipd(p.hosts[0], p.talking(0)+web(150, 100*time.Millisecond, more))
	lb1.waitState("web", "ACTIVE")
	lb2 = p.vipd(p.hosts[1], p.talking(1)+web(100, 100*time.Millisecond, more))
	lb2.follows("web")
	lb2.hears("lb1")
	lb1.hears("lb2")
	return p, lb1, lb2
}

// hears waits until the agent hears a peer, and the peer hears it.
func (a *agent) hears(peer string) {
	a.t.Helper()
	a.eventually(5*time.Second, peer+" to be heard and to hear", func() bool {
		s, err := a.status()
		if err != nil || s.Pair == nil {
			return false
		}
		for _, p := range s.Pair.Peers {
			if p.Name == peer {
				return p.Heard && p.HearsUs
			}
		}
		return false
	})
}

// TestPlannedMoves: drain, failover, another priority, a stop, and each time back
// again: no probe is lost.
func TestPlannedMoves(t *testing.T) {
	for name, more := range map[string]string{"plain": "", "vmac": "vmac = true"} {
		t.Run(name, func(t *testing.T) {
			p, lb1, lb2 := talkers(t, more)
			p.listen()
			probes := p.probe()
			reprioritise := func(priority int) {
				lb1.write(p.talking(0) + web(priority, 100*time.Millisecond, more))
				lb1.signal(syscall.SIGHUP)
			}
			for _, move := range []struct {
				name       string
				away, back func()
			}{
				{"drain", func() { lb1.must("drain", "web") }, func() { lb1.must("undrain", "web") }},
				{"failover", func() { lb1.must("failover", "web") }, func() { lb1.must("undrain", "web") }},
				{"priority", func() { reprioritise(50) }, func() { reprioritise(150) }},
				{"SIGTERM", lb1.stop, lb1.start},
				{"drain --wait", func() { lb1.must("drain", "web", "--wait") }, func() { lb1.must("undrain", "web") }},
			} {
				mark := time.Now()
				move.away()
				p.answeredBy(probes, "lb2")
				lb2.waitState("web", "ACTIVE")
				away := time.Now()
				p.lossless(probes, move.name, mark, away, lb1, lb2)
				move.back()
				p.answeredBy(probes, "lb1")
				lb1.waitState("web", "ACTIVE")
				lb2.waitState("web", "BACKUP")
				p.lossless(probes, move.name+", back", away, time.Now(), lb1, lb2)
			}
			t.Log(probes.Stop())
		})
	}
}

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
	if r.Gaps = slices.DeleteFunc(r.Gaps, p.stalled); len(r.Gaps) == 0 {
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
