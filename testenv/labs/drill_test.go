package labs

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// drilled is what the labs look at of vipd.drill/v1.
type drilled struct {
	Schema string        `json:"schema"`
	Passed bool          `json:"passed"`
	Why    string        `json:"why"`
	Peer   string        `json:"peer"`
	Took   time.Duration `json:"takeover_ns"`
	Stays  bool          `json:"stays"`
	Client *struct {
		Sent   int           `json:"sent"`
		Lost   int           `json:"lost"`
		Outage time.Duration `json:"outage_ns"`
		OK     bool          `json:"answers"`
	} `json:"client"`
}

// drill makes one and demands its exit code.
func (a *agent) drill(want int, args ...string) (d drilled) {
	a.t.Helper()
	code, out, errs := a.run(append([]string{"drill", "--json"}, args...)...)
	if code != want {
		a.t.Errorf("vipd drill %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
	}
	if code > 1 {
		return d
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.Schema != "vipd.drill/v1" {
		a.t.Fatalf("%v in %s", err, out)
	}
	a.t.Logf("drill %s: %s", strings.Join(args, " "), out)
	return d
}

// threeVIPs are the VIPs of drill labs, so that one need not wait for the next.
func threeVIPs(priority int) string {
	text := ""
	for i, name := range []string{"web", "mail", "news"} {
		text += fmt.Sprintf("[vip.%s]\ninterface = \"eth0\"\nvrid = %d\npriority = %d\nadvert_interval = \"100ms\"\naddresses = [\"192.0.2.%d/24\"]\n",
			name, 51+i, priority, 100+i)
	}
	return text
}

// drillable is a pair that can be drilled: each knows the other's configuration.
func drillable(t *testing.T, config func(priority int) string) (p *pair, lb1, lb2 *agent) {
	t.Helper()
	p = newPair(t)
	lb1 = p.vipd(p.hosts[0], p.talking(0)+config(150))
	lb1.waitState("web", "ACTIVE")
	lb2 = p.vipd(p.hosts[1], p.talking(1)+config(100))
	lb2.follows("web")
	lb2.hears("lb1")
	lb1.hears("lb2")
	lb1.compares()
	return p, lb1, lb2
}

// compares waits until the agent knows the configuration of its peer.
func (a *agent) compares() {
	a.t.Helper()
	a.eventually(15*time.Second, "the configuration of the peer", func() bool {
		_, out, _ := a.run("status", "--json")
		return strings.Contains(out, `"config_compared":true`)
	})
}

// TestDrill: every kind passes on a good pair, clients see no more than it costs,
// and nothing of it stays behind.
func TestDrill(t *testing.T) {
	p, lb1, lb2 := drillable(t, threeVIPs)
	probes := p.probe()
	mark := time.Now()
	d := lb1.drill(0, "web")
	if !d.Passed || d.Peer != "lb2" || d.Client == nil || !d.Client.OK || d.Client.Sent < 10 {
		t.Errorf("%+v", d)
	}
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	p.answeredBy(probes, "lb1")
	p.lossless(probes, "drill", mark, time.Now(), lb1, lb2)
	lb1.expect(6, "the last drill of web was", "drill", "web")

	mark = time.Now()
	d = lb1.drill(0, "mail", "--kind", "stop")
	if !d.Passed {
		t.Errorf("%+v", d)
	}
	p.within(500*time.Millisecond, "lb2 holds it", mark, d.Took)
	lb1.waitState("mail", "ACTIVE")

	// Nobody tells lb2: it notices after its Active_Down_Interval of 361 ms, of
	// which an interval, and what that was late by, may be over when the link is cut.
	// The rest of the pair stays where it is.
	d = lb1.drill(0, "news", "--kind", "link", "--hold", "300ms")
	if least := 200 * time.Millisecond; !d.Passed || d.Took < least || d.Client.Outage < least-50*time.Millisecond {
		t.Errorf("%+v", d)
	}
	for _, name := range []string{"web", "mail", "news"} {
		lb1.waitState(name, "ACTIVE")
		lb2.waitState(name, "BACKUP")
	}
	var kinds []string
	for _, e := range lb1.events("drill") {
		kinds = append(kinds, e.Reason+" "+e.To)
	}
	if got, want := strings.Join(kinds, ", "), "check begun, check passed, stop begun, stop passed, link begun, link passed"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
	t.Log(probes.Stop())

	// It is remembered over a restart.
	lb1.stop()
	lb2.waitState("web", "ACTIVE")
	if age := lb2.metric(`vipd_seconds_since_proven_failover{vip="web"}`); age > 60 {
		t.Errorf("lb2 took over, %v s ago", age)
	}
	lb1.start()
	lb1.waitState("web", "ACTIVE")
	if age := lb1.metric(`vipd_seconds_since_proven_failover{vip="news"}`); age > 120 {
		t.Errorf("news was drilled %v s ago", age)
	}
	lb1.expect(0, "a failover, ", "status", "news")
}

// TestDrillKilled: who asked for a drill dies, and then the daemon does. The VIP
// comes back both times.
func TestDrillKilled(t *testing.T) {
	p, lb1, lb2 := drillable(t, threeVIPs)
	begin := func(vip string) *testenv.Process {
		cmd := exec.Command(binary, "--socket", lb1.socket, "drill", vip, "--hold", "2s")
		proc, err := p.hosts[0].Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		lb2.waitState(vip, "ACTIVE")
		return proc
	}
	proc := begin("web")
	proc.Kill()
	lb1.waitState("web", "ACTIVE")
	if last := lb1.events("drill"); last[len(last)-1].To != "passed" {
		t.Errorf("%+v", last)
	}
	begin("mail")
	lb1.kill()
	lb1.start()
	lb1.waitState("mail", "ACTIVE")
	lb2.waitState("mail", "BACKUP")

	lb1.compares()
	begin("news")
	lb1.expect(0, "in service", "undrain", "news")
	lb1.waitState("news", "ACTIVE")
}

// TestDrillBroken: a standby that could not hold the VIP is not drilled; one whose
// service does not answer, or that dies, fails. The VIP comes back.
func TestDrillBroken(t *testing.T) {
	p, lb1, lb2 := drillable(t, threeVIPs)
	serve := func(h *testenv.Host) net.Listener {
		var l net.Listener
		if err := h.NS.Do(func() (err error) { l, err = net.Listen("tcp", ":8080"); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	serve(p.hosts[0])
	l := serve(p.hosts[1])
	if d := lb1.drill(0, "web", "--probe", "192.0.2.100:8080"); !d.Passed {
		t.Errorf("%+v", d)
	}
	_ = l.Close()
	if d := lb1.drill(1, "mail", "--probe", "192.0.2.101:8080"); d.Passed || !strings.Contains(d.Why, "does not answer a client") {
		t.Errorf("%+v", d)
	}
	lb1.waitState("mail", "ACTIVE")

	lb2.must("drain", "news")
	lb1.eventually(5*time.Second, "lb2 to be out", func() bool {
		_, out, _ := lb1.run("status", "news")
		return strings.Contains(out, "lb2 is not ready")
	})
	lb1.expect(6, "no peer is ready to take news: lb2 is not ready: drained by root", "drill", "news")
	lb2.must("undrain", "news")
	lb1.eventually(5*time.Second, "lb2 to be in", func() bool {
		_, out, _ := lb1.run("status", "news")
		return strings.Contains(out, "lb2 is ready")
	})
	lb2.signal(syscall.SIGSTOP) // it does not notice, nor does lb1 that soon
	d := lb1.drill(1, "news", "--kind", "link")
	lb2.signal(syscall.SIGCONT)
	if d.Passed || !strings.Contains(d.Why, "no peer held it") {
		t.Errorf("%+v", d)
	}
	for _, name := range []string{"web", "mail", "news"} {
		lb1.waitState(name, "ACTIVE")
	}
	if !p.hosts[0].Holds(netip.MustParseAddr("192.0.2.102")) {
		t.Error("news is not back")
	}
}

// TestDrillVotes: a VIP that is taken by votes is drilled as any other: the witness and
// the peer promise theirs to the host that is to have it, and back.
func TestDrillVotes(t *testing.T) {
	v := newVoted(t, brisk, "")
	v.lb1.hears("lb2")
	v.lb1.compares()
	v.lb1.expect(6, "use another kind", "drill", "web", "--kind", "link")
	mark := time.Now()
	d := v.lb1.drill(0, "web")
	if !d.Passed || d.Peer != "lb2" || d.Client == nil || !d.Client.OK {
		t.Errorf("%+v", d)
	}
	v.lb1.waitState("web", "ACTIVE")
	v.lb2.waitState("web", "BACKUP")
	v.answeredBy(v.probes, "lb1")
	v.gap(v.probes, "drill", mark, 100*time.Millisecond, v.lb1, v.lb2)
	v.neverTwo()
}

// TestDrillVotesBroken: a standby that does not answer fails the drill, and the witness
// gives its vote back to the holder. Without the witness nothing is drilled: the peer's
// vote alone would decide whether anybody may have the VIP again.
func TestDrillVotesBroken(t *testing.T) {
	v := newVoted(t, calm, "")
	v.lb1.hears("lb2")
	v.lb1.compares()
	v.lb2.signal(syscall.SIGSTOP)
	d := v.lb1.drill(1, "web", "--within", "1s")
	if d.Passed || !strings.Contains(d.Why, "no peer held it") {
		t.Errorf("%+v", d)
	}
	v.lb1.waitState("web", "ACTIVE")
	v.answeredBy(v.probes, "lb1")
	v.lb2.signal(syscall.SIGCONT)
	v.lb2.waitState("web", "BACKUP")
	v.lb1.hears("lb2")
	v.killWitness()
	v.lb1.eventually(20*time.Second, "to miss the witness", func() bool { return strings.Contains(v.lb1.must("why", "web"), "2 of 3 votes") })
	v.lb1.eventually(40*time.Second, "to refuse for it", func() bool {
		code, _, errs := v.lb1.run("drill", "web")
		return code == 6 && strings.Contains(errs, "web has not the vote of rack3")
	})
	v.oneAtMost()
}

// TestDrillFence: the devices that could cut a peer off are read, by real agents, and
// nothing moves. One that cannot be reached, or says nothing, fails the drill.
func TestDrillFence(t *testing.T) {
	f := newFenced(t, calm, false, testenv.FenceWorks, testenv.FenceWorks)
	f.lb2.expect(0, "first reads on for lb1", "drill", "web", "--kind", "fence-test")
	f.lb2.expect(0, "second reads on for lb1", "drill", "web", "--kind", "fence-test")
	for _, broken := range []testenv.FenceBehaviour{testenv.FenceDead, testenv.FenceHangs} {
		f.devices[0][1].Become(broken)
		d := f.lb2.drill(1, "web", "--kind", "fence-test")
		if d.Passed || !strings.Contains(d.Why, "second ") {
			t.Errorf("%s: %+v", broken, d)
		}
	}
	f.devices[0][1].Become(testenv.FenceWorks)
	if d := f.lb2.drill(0, "web", "--kind", "fence-test"); !d.Passed {
		t.Errorf("%+v", d)
	}
	var ended []string
	for _, e := range f.lb2.events("drill") {
		ended = append(ended, e.Reason+" "+e.To)
	}
	const passed, failed = "fence-test passed", "fence-test failed"
	if want := []string{passed, passed, failed, failed, passed}; !slices.Equal(ended, want) {
		t.Errorf("events %v, want %v", ended, want)
	}
	f.answeredBy(f.probes, "lb1")
	f.oneAtMost()
	f.shots(0, 0)
}
