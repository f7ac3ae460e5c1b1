package labs

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
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
		{"fence", 100 * time.Millisecond, "takeover = \"fence\"\n[fence]\ntrack = []\n[fence.device.manual]\nagent = \"manual\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t)
			config := func(i int) string {
				talks := p.talking(i)
				if tt.name == "fence" {
					talks += "fence = [[\"manual\"]]\n"
				}
				return keeping + talks + web(150-50*i, tt.interval, tt.more)
			}
			lb1, lb2 := p.vipd(p.hosts[0], config(0)), p.vipd(p.hosts[1], config(1))
			lb1.waitState("web", "ACTIVE")
			lb2.waitState("web", "BACKUP")
			lb1.hears("lb2")
			p.listen()
			probes := p.probe()
			gone := watchRemovals(t, lb1.host, vip4)
			for done := 0; done < times; {
				mark, before := time.Now(), gone.Load()
				lb1.upgrade()
				lb1.waitState("web", "ACTIVE")
				lb2.waitState("web", "BACKUP")
				lb1.hears("lb2")
				passes(t, 2*tt.interval)
				if lb1.tooSlow(mark) {
					continue
				}
				done++
				p.lossless(probes, "upgrade", mark, time.Now(), lb1, lb2)
				if moves := append(lb1.moves(mark), lb2.moves(mark)...); len(moves) > 0 {
					t.Errorf("roles changed: %v", moves)
				}
				if n := gone.Load() - before; n > 0 {
					t.Errorf("the address left the kernel %d times", n)
				}
			}
		})
	}
}

// tooSlow reports whether an upgrade could not be in place, since the machine did not
// run the daemon for longer than a lease lasts. That shows nothing, and may be tried
// again, but not for ever.
func (a *agent) tooSlow(since time.Time) bool {
	a.t.Helper()
	recent := func(e event) bool { return !e.Time.Before(since) }
	went := slices.ContainsFunc(a.resumed("resumed"), recent)
	late := slices.ContainsFunc(a.events("lease"), func(e event) bool { return recent(e) && e.To == "lost" })
	if went && !late {
		return false
	}
	a.t.Logf("the machine was too slow: gone on %t, lost a lease %t", went, late)
	for _, e := range append(a.events("stop"), a.resumed("released")...) {
		if recent(e) {
			a.t.Log(e.Text)
		}
	}
	if a.slow++; a.slow > 10 {
		a.t.Fatal("the machine is too slow for an upgrade in place")
	}
	return true
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

// TestUpgradeBesideKeepalived: a keepalived that is Backup does not notice either.
func TestUpgradeBesideKeepalived(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			p := newPair(t, "keepalived")
			lb1 := p.vipd(p.hosts[0], keeping+web(150, interval, ""))
			lb1.waitState("web", "ACTIVE")
			k, err := peers.StartKeepalived(p.hosts[1], peers.Config{Routers: []peers.Router{{
				Name: "web", VRID: 51, Priority: 100, Interval: interval, Addresses: []string{vip4.String() + "/24"},
			}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := peers.WaitState(t.Context(), k, "web", peers.Backup); err != nil {
				t.Fatal(err)
			}
			probes := p.probe()
			gone := watchRemovals(t, lb1.host, vip4)
			became := func() int { return strings.Count(k.Process.Output(), "MASTER STATE") }
			for done := 0; done < 5; {
				mark, before, masters := time.Now(), gone.Load(), became()
				lb1.upgrade()
				lb1.waitState("web", "ACTIVE")
				passes(t, 4*interval)
				if lb1.tooSlow(mark) {
					continue
				}
				done++
				p.lossless(probes, "upgrade", mark, time.Now(), lb1)
				if moves := lb1.moves(mark); len(moves) > 0 || gone.Load() > before {
					t.Errorf("roles changed: %v; the address left the kernel %d times", moves, gone.Load()-before)
				}
				if became() > masters {
					t.Errorf("keepalived became Active:\n%s", k.Process.Output())
				}
			}
		})
	}
}

// TestUpgradeTooSlow: a run that starts later than the lease lasts, or hangs while
// it starts, does not go on: who fell silent stays so, and never do two answer.
func TestUpgradeTooSlow(t *testing.T) {
	p := newPair(t)
	var agents []*agent
	for i, h := range p.hosts {
		agents = append(agents, p.vipd(h, keeping+p.talking(i)+both2([]string{"150", "100"}[i])))
		agents[0].waitState("web", "ACTIVE")
		agents[0].waitState("mac", "ACTIVE")
	}
	agents[1].waitState("mac", "BACKUP")
	agents[0].hears("lb2")
	j := p.judged(vip4, vip6, mac4, mac6)
	j.taken(0)
	was := 0
	for _, hangs := range []time.Duration{0, 5 * time.Millisecond, 15 * time.Millisecond, 25 * time.Millisecond, 40 * time.Millisecond} {
		holder, other := agents[was], agents[1-was]
		mark := time.Now()
		holder.stop()
		if !holder.host.Holds(vip4) || !holder.host.Holds(mac4) {
			t.Fatal("nothing was left: this test proves nothing")
		}
		if hangs > 0 {
			holder.start()
			passes(t, hangs)
			if err := holder.proc.SignalGroup(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		j.taken(1 - was)
		passes(t, 300*time.Millisecond)
		if hangs > 0 {
			if err := holder.proc.SignalGroup(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		} else {
			holder.start()
		}
		for _, vip := range []string{"web", "mac"} {
			holder.waitState(vip, "BACKUP")
			other.waitState(vip, "ACTIVE")
			if out := holder.must("why", vip); hangs == 0 && !strings.Contains(out, "The run before left it to this one, which gave it up: ") {
				t.Errorf("why %s:\n%s", vip, out)
			}
		}
		testenv.Eventually(t, 5*time.Second, "the old holder to remove what it left", func() bool {
			return !slices.ContainsFunc(j.vips, holder.host.Holds)
		})
		t.Logf("hung %v after its start", hangs)
		j.onlyNew(mark, was, 1-was)
		was = 1 - was
	}
}

// TestUpgradeChanged: a VIP whose configuration has changed in the file is handed
// over at the stop, and the rest is kept. Nothing is lost by that either.
func TestUpgradeChanged(t *testing.T) {
	p := newPair(t)
	more := "[vip.mac]\ninterface = \"eth0\"\nvrid = 60\nvmac = true\nadvert_interval = \"100ms\"\naddresses = [\"192.0.2.160/24\"]\npriority = "
	lb1 := p.vipd(p.hosts[0], keeping+p.talking(0)+web(150, 100*time.Millisecond, more+"150"))
	lb2 := p.vipd(p.hosts[1], keeping+p.talking(1)+web(100, 100*time.Millisecond, more+"100"))
	lb1.waitState("web", "ACTIVE")
	lb1.waitState("mac", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	lb1.hears("lb2")
	probes := p.probe()
	mark := time.Now()
	lb1.write(keeping + p.talking(0) + strings.Replace(web(150, 100*time.Millisecond, more+"150"), "addresses       = [", "addresses       = [\"192.0.2.101/24\", ", 1))
	lb1.upgrade()
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	p.lossless(probes, "upgrade", mark, time.Now(), lb1, lb2)
	moves := lb2.moves(mark)
	took := slices.ContainsFunc(moves, func(m string) bool { return strings.Contains(m, "web: BACKUP -> ACTIVE (lb1 handed it over)") })
	stayed := !slices.ContainsFunc(moves, func(m string) bool { return strings.Contains(m, "mac: ") })
	if !took || !stayed {
		t.Errorf("lb2 took web over: %t, mac stayed: %t: %v", took, stayed, moves)
	}
}

// TestUpgradeWithRoutes: a host with a VIP, a service and a service that follows the
// VIP restarts: the VIP stays, and so does every next hop of the ToR.
func TestUpgradeWithRoutes(t *testing.T) {
	const graceful, follows = "graceful_restart = { time = \"60s\" }", "198.51.100.80/32"
	withToRs(t, func(t *testing.T, start func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)) bool {
		r := newRack(t, start)
		for i, h := range r.hosts {
			r.lb = append(r.lb, r.vipd(h, r.config(i, keeping, graceful, "[anycast.edge]\nprefixes = [\""+follows+"\"]\ndevice = \"\"\nfollow_vip = \"web\"\n"+
				r.talking(i)+web(150-50*i, 500*time.Millisecond, ""))))
			r.lb[0].waitState("web", "ACTIVE")
		}
		r.reached(2, "started")
		lb1, lb2 := r.lb[0], r.lb[1]
		lb1.hears("lb2")
		announced := func() bool { return strings.Count(lb1.must("bgp"), follows) > 0 && len(r.hops(follows)) == 1 }
		lb1.eventually(10*time.Second, "the service that follows to be announced", announced)
		var err error
		if r.probes, err = r.client.ProbeFlows(netip.AddrPortFrom(anycast.Addr(), servicePort), 0, flows); err != nil {
			t.Fatal(err)
		}
		r.answered("lb1", "lb2")
		gone := r.watchRoutes(follows)
		for done := 0; done < 3; {
			mark, before := time.Now(), gone.Load()
			r.act("upgrade", 2, func() {
				lb1.upgrade()
				r.acts[len(r.acts)-1].shares = true
				lb1.eventually(20*time.Second, "the session to be back", func() bool { return strings.Contains(lb1.must("bgp"), "ESTABLISHED") })
			})
			if lb1.tooSlow(mark) {
				lb1.eventually(10*time.Second, "the service that follows to be announced", announced)
				continue
			}
			done++
			if moves := append(lb1.moves(mark), lb2.moves(mark)...); len(moves) > 0 {
				t.Errorf("roles changed: %v", moves)
			}
			if hops := r.hops(follows); gone.Load() > before || len(hops) != 1 {
				t.Errorf("the route that follows was removed %d times, next hops %v", gone.Load()-before, hops)
			}
		}
		return r.finish()
	})
}
