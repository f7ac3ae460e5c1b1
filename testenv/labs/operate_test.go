package labs

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// expect runs a command and demands its exit code and a text that it prints, on
// either output.
func (a *agent) expect(want int, text string, args ...string) {
	a.t.Helper()
	code, out, errs := a.run(args...)
	if code != want || !strings.Contains(out+errs, text) {
		a.t.Errorf("%s: vipd %s: exit %d, want %d and %q:\n%s%s", a.host.Name, strings.Join(args, " "), code, want, text, out, errs)
	}
}

// TestDrain: a drained host gives the VIP up and says who drained it and why,
// until it is undrained.
func TestDrain(t *testing.T) {
	p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
	lb1.expect(0, "ACTIVE", "is-active", "web")
	lb2.expect(1, "BACKUP", "is-active", "web")
	lb1.expect(0, "no Active was heard (no-response)", "why", "web")
	lb2.expect(0, "192.0.2.2", "why", "web")

	mark := time.Now()
	lb1.expect(0, "drained: web", "drain", "web", "--wait", "--reason", "new kernel")
	if lb1.host.Holds(vip4) {
		t.Error("drain --wait came back while the address is held")
	}
	p.answeredBy(probes, "lb2")
	p.shortSilence(200*time.Millisecond, probes, mark)
	lb1.expect(1, "DRAINED", "is-active", "web")
	lb1.expect(0, "new kernel", "why", "web")
	lb1.expect(0, "drained by root", "status", "web")

	lb1.expect(0, "in service: web", "undrain", "web")
	p.answeredBy(probes, "lb1")
	lb2.waitState("web", "BACKUP")

	mark = time.Now()
	lb1.expect(0, "drained: web", "drain", "--for", "1s")
	p.answeredBy(probes, "lb2")
	p.answeredBy(probes, "lb1")
	if took := time.Since(mark); took < time.Second || took > 3*time.Second {
		t.Errorf("drained for 1s, back after %v", took)
	}
	lb1.waitState("web", "ACTIVE")
}

// TestFailover: a VIP is given away once, stays away, and is not given to nobody.
func TestFailover(t *testing.T) {
	p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
	mark := time.Now()
	lb1.expect(0, "192.0.2.3 has web after", "failover", "web")
	p.answeredBy(probes, "lb2")
	lb2.waitState("web", "ACTIVE")
	lb1.waitState("web", "BACKUP")
	p.shortSilence(200*time.Millisecond, probes, mark)
	lb1.expect(6, "web is BACKUP here", "failover", "web")

	lb1.expect(0, "in service", "undrain", "web") // takes it back
	p.answeredBy(probes, "lb1")
	lb2.waitState("web", "BACKUP")
	lb2.must("drain", "web")
	lb1.expect(6, "nobody took web", "failover", "web")
	lb1.waitState("web", "ACTIVE")
	p.answeredBy(probes, "lb1")
}

// TestChecks: a check that fails takes the VIP to the other host, and back when
// it passes again.
func TestChecks(t *testing.T) {
	p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
	file := filepath.Join(lb1.host.Dir(), "ok")
	var service net.Listener
	serve := func() {
		t.Helper()
		err := lb1.host.NS.Do(func() (err error) { service, err = net.Listen("tcp", "127.0.0.1:4430"); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	touch := func() {
		t.Helper()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func() { _ = os.Remove(file) }
	for _, tc := range []struct {
		name, config  string
		pass, fail    func()
		told, whyText string
	}{
		{"file", `path = "` + file + `"`, touch, remove, file + " does not exist", "check service fails"},
		{"exec", `command = ["/usr/bin/test", "-e", "` + file + `"]
user = "root"`, touch, remove, "exit 1", "check service fails"},
		{"tcp", `port = 4430`, serve, func() { _ = service.Close() }, "refused", "check service fails"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.pass()
			lb1.write(web(150, 100*time.Millisecond, `track = ["service"]`) + `
[check.service]
type = "` + tc.name + `"
interval = "50ms"
init = "ok"
` + tc.config + "\n")
			lb1.must("reload")
			lb1.waitState("web", "ACTIVE")
			p.answeredBy(probes, "lb1")
			tc.fail()
			lb1.waitState("web", "FAULT")
			p.answeredBy(probes, "lb2")
			lb2.waitState("web", "ACTIVE")
			lb1.expect(0, tc.told, "why", "web")
			if v := lb1.vip("web"); !strings.Contains(v.Why, tc.whyText) {
				t.Errorf("%+v", v)
			}
			tc.pass()
			p.answeredBy(probes, "lb1")
			lb1.waitState("web", "ACTIVE")
			lb2.waitState("web", "BACKUP")
		})
	}
	lb1.expect(0, "service", "check", "list")
	lb1.expect(0, "connected", "check", "run", "service")
}

// TestSync: two VIPs on two segments move together when one of the links goes.
func TestSync(t *testing.T) {
	p := newPair(t)
	inside, err := p.lab.Segment("inside")
	if err != nil {
		t.Fatal(err)
	}
	config := func(priority int) string {
		return web(priority, 100*time.Millisecond, "") +
			strings.NewReplacer("web", "inside", "eth0", "eth1", "= 51", "= 61", "192.0.2.100", "198.51.100.100").
				Replace(web(priority, 100*time.Millisecond, "")) + `
[sync.edge]
vips = ["web", "inside"]
`
	}
	var agents []*agent
	for i, h := range p.hosts {
		if _, err := h.Attach(inside, []string{"198.51.100.2/24", "198.51.100.3/24"}[i]); err != nil {
			t.Fatal(err)
		}
		agents = append(agents, p.vipd(h, config(150-50*i)))
	}
	lb1, lb2 := agents[0], agents[1]
	is := func(a *agent, state string) {
		t.Helper()
		a.waitState("web", state)
		a.waitState("inside", state)
	}
	is(lb1, "ACTIVE")
	is(lb2, "BACKUP")
	probes := p.probe()
	mark := time.Now()
	if err := p.lab.PortDown(lb1.host, "eth1"); err != nil {
		t.Fatal(err)
	}
	p.answeredBy(probes, "lb2")
	is(lb1, "FAULT")
	is(lb2, "ACTIVE")
	p.shortSilence(300*time.Millisecond, probes, mark)
	lb1.expect(0, "inside of sync group edge: interface eth1 is down", "why", "web")
	if lb1.host.Holds(vip4) || lb1.host.Holds(netip.MustParseAddr("198.51.100.100")) {
		t.Errorf("lb1 still has %v", lb1.host.Addresses(""))
	}
	if err := p.lab.PortUp(lb1.host, "eth1"); err != nil {
		t.Fatal(err)
	}
	is(lb1, "ACTIVE")
	is(lb2, "BACKUP")
	p.answeredBy(probes, "lb1")
}

// TestTrackInterfaces: the weight of a tracked interface that is down moves the
// VIP, and the status tells the sum.
func TestTrackInterfaces(t *testing.T) {
	p := newPair(t)
	uplink, err := p.lab.Segment("uplink")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.hosts[0].Attach(uplink, "203.0.113.2/24"); err != nil {
		t.Fatal(err)
	}
	lb1 := p.vipd(p.hosts[0], web(150, 100*time.Millisecond, "track_interfaces = { eth1 = -60 }"))
	lb2 := p.vipd(p.hosts[1], web(100, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	probes := p.probe()
	mark := time.Now()
	if err := p.lab.PortDown(p.hosts[0], "eth1"); err != nil {
		t.Fatal(err)
	}
	p.answeredBy(probes, "lb2")
	lb1.waitState("web", "BACKUP")
	if n := lb1.vip("web").Priority.Effective; n != 90 {
		t.Errorf("effective priority %d, want 90", n)
	}
	lb1.expect(0, "eth1", "why", "web")
	if err := p.lab.PortUp(p.hosts[0], "eth1"); err != nil {
		t.Fatal(err)
	}
	p.answeredBy(probes, "lb1")
	p.shortGaps(40*time.Millisecond, probes.Stop().Since(mark))
}

// TestStartupDelay: a host that has just started takes part only after a while.
func TestStartupDelay(t *testing.T) {
	p := newPair(t)
	mark := time.Now()
	lb1 := p.vipd(p.hosts[0], `startup_delay = "3s"`+web(150, 100*time.Millisecond, ""))
	lb1.waitState("web", "INIT")
	lb1.expect(0, "startup delay of 3s", "why", "web")
	lb1.waitState("web", "ACTIVE")
	took := time.Since(mark)
	p.within(5*time.Second, "ACTIVE", mark, took)
	if took < 3341*time.Millisecond {
		t.Errorf("ACTIVE after %v", took)
	}
}

// TestUnreachable: every command says when there is no daemon.
func TestUnreachable(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(150, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb1.expect(1, "mail", "is-active", "mail")
	lb1.stop()
	for _, args := range [][]string{{"status"}, {"is-active", "web"}, {"why", "web"}, {"reload"}, {"drain"}, {"events"}} {
		lb1.expect(3, "is it running?", args...)
	}
}

// TestTogether: two hosts boot at the same moment, and end at the same moment.
func TestTogether(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(150, 100*time.Millisecond, ""))
	lb2 := p.vipd(p.hosts[1], web(100, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	p.oneHolder(lb1, lb2)
	lb1.signal(syscall.SIGTERM)
	lb2.signal(syscall.SIGTERM)
	for _, a := range []*agent{lb1, lb2} {
		a.wait(5*time.Second, "the daemon to end", func(ctx context.Context) error { return a.proc.Wait(ctx) })
		if a.host.Holds(vip4) {
			t.Errorf("%s still has the address", a.host.Name)
		}
		if _, err := os.Stat(a.socket); err == nil {
			t.Errorf("%s left its socket", a.host.Name)
		}
	}
}

// TestStopWhileStarting: SIGTERM ends the daemon with success in every state,
// and it leaves nothing.
func TestStopWhileStarting(t *testing.T) {
	p := newPair(t)
	for name, tc := range map[string]struct{ config, text string }{
		"first line":       {web(150, 100*time.Millisecond, ""), "started with node name"},
		"listening":        {web(150, time.Second, ""), "listens for an Active"},
		"startup delay":    {`startup_delay = "1h"` + web(150, 100*time.Millisecond, ""), "interface eth0 is up"},
		"taking over":      {web(150, 10*time.Millisecond, ""), "BACKUP -> ACTIVE"},
		"without its link": {strings.ReplaceAll(web(150, 100*time.Millisecond, ""), "eth0", "eth7"), "eth7 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.vipd(p.hosts[0], tc.config)
			a.wait(5*time.Second, tc.text, func(ctx context.Context) error { return a.proc.WaitOutput(ctx, tc.text) })
			mark := time.Now()
			a.stop()
			p.within(time.Second, "ended", mark, time.Since(mark))
			if a.host.Holds(vip4) {
				t.Error("the address was left")
			}
		})
	}
}

// ends waits for a daemon that is to give up, and returns its exit code.
func (a *agent) ends() (code int) {
	a.t.Helper()
	a.wait(5*time.Second, "the daemon to give up", func(ctx context.Context) error {
		err := a.proc.Wait(ctx)
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code, err = exit.ExitCode(), nil
		}
		return err
	})
	return code
}

// TestSecondDaemon: a second vipd on the same socket is refused, and the first
// one does not notice.
func TestSecondDaemon(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(150, steady, ""))
	lb1.waitState("web", "ACTIVE")
	probes := p.probe()
	mark := time.Now()
	second := &agent{t: t, host: lb1.host, config: lb1.config, socket: lb1.socket}
	second.start()
	if code := second.ends(); code != 1 || !strings.Contains(second.proc.Output(), "another vipd answers there") {
		t.Errorf("exit %d: %s", code, second.proc.Output())
	}
	p.answeredBy(probes, "lb1")
	if r := probes.Stop().Since(mark); r.Lost > 0 || !lb1.vip("web").Held {
		t.Errorf("%v; %+v", r, lb1.vip("web"))
	}
}

// TestInvalidAtStart: a configuration with mistakes is refused with exit code 4
// and every mistake in its place.
func TestInvalidAtStart(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(300, 100*time.Millisecond, "colour = 1"))
	code, out := lb1.ends(), lb1.proc.Output()
	for _, want := range []string{"vipd.toml:7:19: error: vip.web.priority: 300", "colour", "2 problems in"} {
		if code != 4 || !strings.Contains(out, want) {
			t.Errorf("exit %d without %q:\n%s", code, want, out)
		}
	}
}
