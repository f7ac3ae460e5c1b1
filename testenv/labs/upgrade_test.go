package labs

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/vipd/vipd/testenv"
)

// TestProgramReplaced: an upgrade puts another program in the place of the one
// that runs. That one goes on, its address stays, and it says that a restart is
// due.
func TestProgramReplaced(t *testing.T) {
	p := newPair(t)
	program := filepath.Join(p.hosts[0].Dir(), "vipd")
	install := func() {
		t.Helper()
		if out, err := exec.Command("install", binary, program+".new").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Rename(program+".new", program); err != nil { // as dpkg and rpm do
			t.Fatal(err)
		}
	}
	install()
	lb1 := &agent{t: t, host: p.hosts[0], config: filepath.Join(p.hosts[0].Dir(), "vipd.toml"), socket: filepath.Join(p.hosts[0].Dir(), "vipd.sock")}
	lb1.write(web(150, 100*time.Millisecond, ""))
	var err error
	lb1.proc, err = lb1.host.Start(exec.Command(program, "run", "--config", lb1.config, "--socket", lb1.socket, "--state-dir", lb1.host.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	lb1.waitState("web", "ACTIVE")
	if due := lb1.metric("vipd_restart_required"); due != 0 {
		t.Errorf("vipd_restart_required is %v before the upgrade", due)
	}
	install()
	lb1.expect(0, "its program has been replaced: a restart takes the new one into use", "status")
	if due := lb1.metric("vipd_restart_required"); due != 1 {
		t.Errorf("vipd_restart_required is %v after the upgrade", due)
	}
	if !lb1.host.Holds(vip4) || lb1.transitions("web") != 2 {
		t.Errorf("the address moved: %v", lb1.vip("web").Transitions)
	}
}

// keeping begins a configuration of a host that leaves what it holds to its next run.
const keeping = "on_stop = \"keep\"\n"

// watchRemovals counts how often an address leaves the kernel of a host, until the
// test ends.
func watchRemovals(t *testing.T, h *testenv.Host, ip netip.Addr) *atomic.Int32 {
	t.Helper()
	var gone atomic.Int32
	updates, done := make(chan netlink.AddrUpdate, 100), make(chan struct{})
	if err := h.NS.Do(func() error { return netlink.AddrSubscribe(updates, done) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done) })
	go func() {
		for u := range updates {
			if a, ok := netip.AddrFromSlice(u.LinkAddress.IP); ok && a.Unmap() == ip && !u.NewAddr {
				gone.Add(1)
			}
		}
	}()
	return &gone
}

// upgrade ends the daemon politely and starts the next one.
func (a *agent) upgrade() {
	a.t.Helper()
	a.stop()
	ended := time.Now()
	a.start()
	a.eventually(5*time.Second, "to have started", func() bool { code, _, _ := a.run("status"); return code == 0 })
	at := map[string]time.Time{}
	for _, e := range a.events("stop", "start", "resume") {
		at[e.Type] = e.Time
	}
	a.t.Logf("from the stop to the end %v, to the next start %v, to its first advert %v", ended.Sub(at["stop"]), at["start"].Sub(ended), at["resume"].Sub(at["start"]))
}

// moves lists the changes of state that an agent has recorded since a time.
func (a *agent) moves(since time.Time) []string {
	a.t.Helper()
	var list []string
	for _, e := range a.events("vrrp_transition") {
		if !e.Time.Before(since) {
			list = append(list, a.host.Name+": "+e.Text)
		}
	}
	return list
}

// TestUpgradeInPlace: a host restarts again and again, and nobody notices: no probe
// is lost, no role changes, the address never leaves the kernel.
func TestUpgradeInPlace(t *testing.T) {
	const times = 5
	for _, tt := range []struct {
		name     string
		interval time.Duration
		more     string
	}{
		{"100ms", 100 * time.Millisecond, ""},
		{"1s", time.Second, ""},
		{"vmac", 200 * time.Millisecond, "vmac = true\n" + both},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t)
			lb1 := p.vipd(p.hosts[0], keeping+p.talking(0)+web(150, tt.interval, tt.more))
			lb2 := p.vipd(p.hosts[1], keeping+p.talking(1)+web(100, tt.interval, tt.more))
			lb1.waitState("web", "ACTIVE")
			lb2.waitState("web", "BACKUP")
			lb1.hears("lb2")
			p.listen()
			probes := p.probe()
			gone := watchRemovals(t, lb1.host, vip4)
			began := time.Now()
			for i := range times {
				mark := time.Now()
				lb1.upgrade()
				lb1.eventually(5*time.Second, "to have gone on", func() bool { return len(lb1.resumed("resumed")) == i+1 })
				lb1.hears("lb2")
				passes(t, 2*tt.interval)
				p.lossless(probes, "upgrade", mark, time.Now(), lb1, lb2)
			}
			for _, e := range lb1.resumed("resumed") {
				t.Log(e.Text)
			}
			if moves := append(lb1.moves(began), lb2.moves(began)...); len(moves) > 0 {
				t.Errorf("roles changed: %v", moves)
			}
			if n := gone.Load(); n > 0 {
				t.Errorf("the address left the kernel %d times", n)
			}
		})
	}
}

// resumed lists what became of VIPs that the last runs of an agent had left.
func (a *agent) resumed(to string) (list []event) {
	a.t.Helper()
	if a.over() {
		return nil
	}
	code, out, _ := a.run("events", "--json", "--type", "resume")
	if code != 0 {
		return nil
	}
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var e event
		if err := dec.Decode(&e); err != nil {
			a.t.Fatalf("read events: %v\n%s", err, out)
		}
		if e.To == to {
			list = append(list, e)
		}
	}
	return list
}
