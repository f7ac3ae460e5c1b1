package labs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// talking is a configuration that joins a host to the pair channel.
func (p *pair) talking(i int) string {
	p.t.Helper()
	key := filepath.Join(p.hosts[i].Dir(), "pair-key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	other := 1 - i
	return fmt.Sprintf("[pair]\nkey_file = %q\n[peer.lb%d]\naddresses = [%q]\n", key, other+1, strings.TrimSuffix(hosts4[other], "/24"))
}

// TestPlannedMovesLoseNothing drains, fails over, changes priorities and stops.
func TestPlannedMovesLoseNothing(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], p.talking(0)+web(150, 100*time.Millisecond, ""))
	lb2 := p.vipd(p.hosts[1], p.talking(1)+web(100, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	probes := p.probe()
	mark := time.Now()
	for range 5 {
		lb1.must("drain", "web")
		lb2.waitState("web", "ACTIVE")
		p.answeredBy(probes, "lb2")
		lb1.must("undrain", "web")
		lb1.waitState("web", "ACTIVE")
		lb2.waitState("web", "BACKUP")
		p.answeredBy(probes, "lb1")
	}
	lb1.stop()
	lb2.waitState("web", "ACTIVE")
	p.answeredBy(probes, "lb2")
	lb1.start()
	lb1.waitState("web", "ACTIVE")
	p.answeredBy(probes, "lb1")
	r := probes.Stop().Since(mark)
	t.Log(r)
	t.Log(lb1.must("events"))
	t.Log(lb2.must("events"))
	t.Log(lb2.must("status", "--json"))
	if r.Lost > 0 {
		t.Errorf("%d probes lost", r.Lost)
	}
}
