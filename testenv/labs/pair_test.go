package labs

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// started is a pair with two agents, of which lb1 (150) holds the VIP, since nobody
// else was there, and a client that probes it a thousand times a second.
func started(t *testing.T, interval time.Duration, more string) (p *pair, lb1, lb2 *agent, probes *testenv.Prober) {
	t.Helper()
	p = newPair(t)
	lb1 = p.vipd(p.hosts[0], web(150, interval, more))
	lb1.waitState("web", "ACTIVE") // or lb2 takes it first where lb1 starts 20 ms later
	lb2 = p.vipd(p.hosts[1], web(100, interval, more))
	lb2.follows("web")
	return p, lb1, lb2, p.probe()
}

// follows waits until the agent is a Backup that hears an Active of 150. Every
// start is a Backup for a moment, which hears nobody yet.
func (a *agent) follows(name string) {
	a.t.Helper()
	a.waitState(name, "BACKUP")
	a.eventually(15*time.Second, "the Active of "+name+" to be heard", func() bool {
		return strings.Contains(a.vip(name).Why, "advertises 150")
	})
}

func (p *pair) probe() *testenv.Prober {
	p.t.Helper()
	probes, err := p.client.Probe(netip.AddrPortFrom(vip4, servicePort), testenv.ProbeRate)
	if err != nil {
		p.t.Fatal(err)
	}
	p.answeredBy(probes, "lb1")
	return probes
}

// answeredBy waits until a host answers a probe that is sent from now on.
func (p *pair) answeredBy(probes *testenv.Prober, host string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	if _, err := probes.WaitAnswer(ctx, host); err != nil {
		p.t.Fatalf("wait for an answer of %s: %v\n%v", host, err, probes.Stop())
	}
}

// TestKillHost: the Active's port dies; the Backup answers within
// Active_Down_Interval; the host comes back and takes the VIP again.
func TestKillHost(t *testing.T) {
	const interval = 100 * time.Millisecond
	p, lb1, lb2, probes := started(t, interval, "")
	mark := time.Now()
	if err := p.lab.PortDown(p.hosts[0]); err != nil {
		t.Fatal(err)
	}
	p.answeredBy(probes, "lb2")
	lb1.waitState("web", "FAULT")
	lb2.waitState("web", "ACTIVE")
	first, ok := probes.Report().FirstAnswerFrom("lb2", mark)
	if !ok {
		t.Fatal("lb2 never answered")
	}
	t.Logf("outage %v, Active_Down_Interval 360.9ms", first.Answered.Sub(mark))
	if err := p.lab.PortUp(p.hosts[0]); err != nil {
		t.Fatal(err)
	}
	p.answeredBy(probes, "lb1")
	lb2.waitState("web", "BACKUP")
	t.Log(probes.Stop())
}

// TestStop: a polite end costs the client the skew time at most.
func TestStop(t *testing.T) {
	p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
	mark := time.Now()
	lb1.stop()
	p.answeredBy(probes, "lb2")
	lb2.waitState("web", "ACTIVE")
	if p.hosts[0].Holds(vip4) {
		t.Error("lb1 still has the address")
	}
	p.shortGaps(300*time.Millisecond, probes.Stop().Since(mark))
}

// TestKillDaemon: a killed daemon leaves its address, which answers nothing; the
// restarted one removes it and joins again.
func TestKillDaemon(t *testing.T) {
	p, lb1, lb2, _ := started(t, 100*time.Millisecond, "preempt = false")
	lb1.kill()
	lb2.waitState("web", "ACTIVE")
	lb1.start()
	lb1.waitState("web", "BACKUP")
	testenv.Eventually(t, 5*time.Second, "lb1 to remove what it left", func() bool { return !p.hosts[0].Holds(vip4) })
	lb2.waitState("web", "ACTIVE")
}

// TestDrainSurvivesRestart: a host that an operator took out of service stays
// out over a restart, until it is put back.
func TestDrainSurvivesRestart(t *testing.T) {
	_, lb1, lb2, _ := started(t, 100*time.Millisecond, "")
	lb1.must("drain", "--wait", "--reason", "new kernel")
	lb2.waitState("web", "ACTIVE")
	testenv.Eventually(t, 5*time.Second, "the drain to be kept", func() bool {
		_, err := os.Stat(filepath.Join(lb1.host.Dir(), "drains.json"))
		return err == nil
	})
	lb1.kill()
	lb1.start()
	lb1.waitState("web", "INIT")
	if out := lb1.must("why", "web"); !strings.Contains(out, "new kernel") {
		t.Errorf("why does not know the reason of the drain:\n%s", out)
	}
	lb1.must("undrain")
	lb1.waitState("web", "ACTIVE")
}
