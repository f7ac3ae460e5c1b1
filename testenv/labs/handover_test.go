package labs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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
				for again := true; again; {
					late, mark := p.late, time.Now()
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
					again = p.late > late && !t.Failed()
				}
			}
			t.Log(probes.Stop())
		})
	}
}
