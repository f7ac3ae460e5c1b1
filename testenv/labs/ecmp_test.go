package labs

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// rack is two hosts below a ToR that shares traffic between them, and a client
// above it.
//
//	client ── 203.0.113.0/24 ── tor ── 192.0.2.0/24 ─┬─ lb1
//	                                                 └─ lb2
type rack struct {
	*pair
	router *testenv.Host
	tor    peers.ToR
	lb     []*agent // lb1, lb2
	probes *testenv.Prober
	acts   []racked
}

// racked is something that was done, and must not have cost a probe.
type racked struct {
	what   string
	begun  time.Time
	shares bool // lb1 has its share of the traffic all the time
}

// flows is how many flows the client has: ToRs share traffic out by flow.
const flows = 256

// newRack builds the network and starts the ToR.
func newRack(t *testing.T, start func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)) *rack {
	t.Helper()
	peers.RequireToRs(t)
	r := &rack{pair: bare(t)}
	r.router = r.host("tor", "192.0.2.1/24")
	outside, err := r.lab.Segment("outside")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.router.Attach(outside, "203.0.113.1/24"); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.fib_multipath_hash_policy": "1"} {
		if err := r.router.Sysctl(name, value); err != nil {
			t.Skipf("no router without it: %v", err)
		}
	}
	if r.client, err = r.lab.Outsider("client", outside, "203.0.113.10/24"); err != nil {
		t.Fatal(err)
	}
	route(t, r.client, "192.0.2.0/24", "203.0.113.1")
	route(t, r.client, "198.51.100.0/24", "203.0.113.1")
	c := peers.ToRConfig{AS: 65001, RouterID: "192.0.2.1", GracefulRestart: true, Relay: true}
	for i, prefix := range hosts4 {
		h := r.host(fmt.Sprintf("lb%d", i+1), prefix)
		if _, err := h.Respond(servicePort); err != nil {
			t.Fatal(err)
		}
		route(t, h, "203.0.113.0/24", "192.0.2.1")
		r.hosts = append(r.hosts, h)
		c.Neighbors = append(c.Neighbors, peers.ToRNeighbor{Address: netip.MustParsePrefix(prefix).Addr().String(), AS: uint32(65101 + i)})
	}
	if r.tor, err = start(r.router, c); err != nil {
		t.Fatal(err)
	}
	return r
}

// route has a host reach a network by a gateway.
func route(t *testing.T, h *testenv.Host, to, via string) {
	t.Helper()
	_, dst, err := net.ParseCIDR(to)
	if err == nil {
		err = h.NS.Netlink().RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(via)})
	}
	if err != nil {
		t.Fatalf("%s: route %s via %s: %v", h.Name, to, via, err)
	}
}

// config is that of a host of the rack; node is more of its [node] table.
func (r *rack) config(i int, node, bgp, more string) string {
	return fmt.Sprintf(`%s
[bgp]
local_as = %d
router_id = "192.0.2.%d"
%s
[bgp.neighbor.tor]
address = "192.0.2.1"
remote_as = 65001
hold_time = "9s"
[anycast.dns]
prefixes = ["%s"]
%s`, node, 65101+i, i+2, bgp, anycast, more)
}

// open starts both hosts and, when the ToR uses both, the client.
func (r *rack) open(node, bgp string) {
	r.t.Helper()
	for i, h := range r.hosts {
		r.lb = append(r.lb, r.vipd(h, r.config(i, node, bgp, "")))
	}
	r.reached(2, "started")
	var err error
	if r.probes, err = r.client.ProbeFlows(netip.AddrPortFrom(anycast.Addr(), servicePort), 0, flows); err != nil {
		r.t.Fatal(err)
	}
	r.answered("lb1", "lb2")
}

// reached waits until the kernel of the ToR has so many next hops.
func (r *rack) reached(want int, when string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	var hops []string
	err := testenv.Until(ctx, func() bool {
		hops = r.nextHops()
		return len(hops) == want
	})
	if err != nil {
		r.t.Fatalf("%s: the ToR has next hops %v, want %d: %v", when, hops, want, err)
	}
}

// nextHops are those of the service in the kernel of the ToR.
func (r *rack) nextHops() []string { return r.hops(anycast.String()) }

// hops are the next hops of a prefix in the kernel of the ToR.
func (r *rack) hops(prefix string) (hops []string) {
	_, dst, err := net.ParseCIDR(prefix)
	if err != nil {
		r.t.Fatal(err)
	}
	list, err := r.router.NS.Netlink().RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: dst}, netlink.RT_FILTER_DST)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, k := range list {
		if k.Gw != nil {
			hops = append(hops, k.Gw.String())
		}
		for _, h := range k.MultiPath {
			hops = append(hops, h.Gw.String())
		}
	}
	return hops
}

// watchRoutes counts how often the ToR removes a route from its kernel, until the
// test ends.
func (r *rack) watchRoutes(prefix string) *atomic.Int32 {
	r.t.Helper()
	var gone atomic.Int32
	updates, done := make(chan netlink.RouteUpdate, 1000), make(chan struct{})
	if err := r.router.NS.Do(func() error { return netlink.RouteSubscribe(updates, done) }); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { close(done) })
	go func() {
		for u := range updates {
			if u.Type == unix.RTM_DELROUTE && u.Dst != nil && u.Dst.String() == prefix {
				gone.Add(1)
			}
		}
	}()
	return &gone
}

// answered waits until each of the hosts answers a probe that is sent from now
// on, and then for as long again as a lost probe needs to be known as one.
func (r *rack) answered(names ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	for _, name := range names {
		if _, err := r.probes.WaitAnswer(ctx, name); err != nil {
			r.t.Fatal(err)
		}
	}
}

// act does something to the rack, and waits for the ToR to have so many next
// hops afterwards.
func (r *rack) act(what string, hops int, do func()) {
	r.t.Helper()
	r.acts = append(r.acts, racked{what: what, begun: time.Now()})
	do()
	r.reached(hops, what)
	r.watch(300 * time.Millisecond)
}

// slowly does something while the ToR hears nothing and forwards as before.
func (r *rack) slowly(length time.Duration, do func()) {
	r.t.Helper()
	if err := r.tor.Freeze(true); err != nil {
		r.t.Fatal(err)
	}
	do()
	r.watch(length)
	if err := r.tor.Freeze(false); err != nil {
		r.t.Fatal(err)
	}
}

// watch lets the client go on for some time.
func (r *rack) watch(length time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	for end := time.Now().Add(length); time.Now().Before(end); {
		if _, err := r.probes.WaitAnswer(ctx, ""); err != nil {
			r.t.Fatal(err)
		}
	}
}

// finish asks the client what it has lost. It reports whether that shows anything.
func (r *rack) finish() bool {
	r.t.Helper()
	report := r.probes.Stop()
	r.t.Log(report)
	for _, a := range r.lb {
		if strings.Contains(a.proc.Output(), "no heartbeat") && report.Lost > 0 {
			r.t.Logf("%s: the machine stopped it for 300 ms, and its routes were withdrawn as they have to be: this run shows nothing", a.host.Name)
			return false
		}
	}
	for i, a := range r.acts {
		var end time.Time
		if i+1 < len(r.acts) {
			end = r.acts[i+1].begun
		}
		part := report.Between(a.begun, end)
		r.t.Logf("%-28s %v", a.what, part)
		if a.shares && part.ByHost["lb1"] < part.Sent/4 {
			t := "%s: lb1 answered %d of %d probes: its routes were not kept"
			r.t.Errorf(t, a.what, part.ByHost["lb1"], part.Sent)
		}
		if part.Lost > 0 {
			r.t.Errorf("%s: %d of %d probes lost, at %v", a.what, part.Lost, part.Sent, part.Gaps[0].From.Sub(a.begun))
		}
	}
	return true
}

// TestNothingLost: a client at 1000 probes a second over 256 flows loses none
// while hosts are drained, put back, reloaded and stopped politely.
func TestNothingLost(t *testing.T) {
	withToRs(t, func(t *testing.T, start func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)) bool {
		r := newRack(t, start)
		r.open("", `drain = { wait = "500ms" }`)
		lb1 := r.lb[0]
		r.act("nothing", 2, func() {})
		r.act("drain", 1, func() { lb1.must("drain", "--wait", "dns") })
		r.act("undrain", 2, func() { lb1.must("undrain", "dns") })
		r.act("prefix added", 2, func() {
			lb1.write(r.config(0, "", `drain = { wait = "500ms" }`, "[anycast.more]\nprefixes = [\"198.51.100.54/32\"]\n"))
			lb1.must("reload")
		})
		r.act("prefix removed", 2, func() {
			lb1.write(r.config(0, "", `drain = { wait = "500ms" }`, ""))
			lb1.must("reload")
		})
		r.act("MED raised", 1, func() {
			lb1.write(r.config(0, "", `drain = { wait = "500ms" }`, "med = 200\nas_path_prepend = 1\n"))
			lb1.must("reload")
		})
		r.act("MED back", 2, func() {
			lb1.write(r.config(0, "", `drain = { wait = "500ms" }`, ""))
			lb1.must("reload")
		})
		lb1.write(r.config(0, "", `drain = { wait = "0s" }`, ""))
		lb1.must("reload")
		r.act("drain, slow ToR", 1, func() { r.slowly(500*time.Millisecond, func() { lb1.must("drain", "dns") }) })
		r.act("undrain again", 2, func() { lb1.must("undrain", "dns") })
		r.act("stop", 1, lb1.stop)
		r.act("start", 2, lb1.start)
		return r.finish()
	})
}

// TestKept: an upgrade in place costs no probe: the daemon ends and starts again
// while the ToR keeps the routes, and what has failed meanwhile is withdrawn.
func TestKept(t *testing.T) {
	const keep, graceful = "on_stop = \"keep\"", "graceful_restart = { time = \"60s\" }"
	withToRs(t, func(t *testing.T, start func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)) bool {
		r := newRack(t, start)
		r.open(keep, graceful)
		lb1 := r.lb[0]
		established := func() bool { return strings.Contains(lb1.must("bgp"), "ESTABLISHED") }
		for i := range 3 {
			r.act(fmt.Sprintf("restart %d", i+1), 2, func() {
				lb1.stop()
				if !r.hosts[0].Holds(anycast.Addr()) {
					t.Error("the address has gone with the daemon")
				}
				r.acts[len(r.acts)-1].shares = true
				lb1.start()
				lb1.eventually(10*time.Second, "the session to be back", func() bool { _, err := lb1.status(); return err == nil && established() })
			})
		}
		// What is not well after the restart is not told again.
		good := filepath.Join(r.hosts[0].Dir(), "good")
		lb1.write(r.config(0, keep, graceful, "track = [\"good\"]\n[check.good]\ntype = \"file\"\npath = \""+good+"\"\n"))
		r.act("restart with a dead service", 1, func() {
			lb1.stop()
			lb1.start()
		})
		return r.finish()
	})
}

// TestGuard: a check that fails takes a host out while another one is there, and
// takes the last one out in no case: not one after the other, not all at once.
func TestGuard(t *testing.T) {
	withToRs(t, func(t *testing.T, start func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)) bool {
		r := newRack(t, start)
		r.open("", "")
		good := make([]string, 2)
		works := func(i int, on bool) {
			t.Helper()
			if !on {
				if err := os.Remove(good[i]); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(good[i], nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		state := func(i int, want string) {
			t.Helper()
			r.lb[i].eventually(15*time.Second, "dns to be "+want, func() bool {
				_, out, _ := r.lb[i].run("why", "dns")
				return strings.Contains(out, "dns is "+want)
			})
		}
		for i, lb := range r.lb {
			good[i] = filepath.Join(r.hosts[i].Dir(), "good")
			works(i, true)
			lb.write(r.config(i, "", "", "track = [\"good\"]\nmin_announcers = 1\n[check.good]\ntype = \"file\"\npath = \""+good[i]+"\"\n"))
			lb.must("reload")
		}
		r.act("lb1 fails", 1, func() { works(0, false) })
		state(0, "WITHDRAWN")
		r.act("lb2 fails as well", 1, func() { works(1, false); state(1, "LAST") })
		if why := r.lb[1].must("why", "dns"); !strings.Contains(why, "min_announcers is 1") {
			t.Errorf("vipd why dns:\n%s", why)
		}
		r.act("lb1 works again", 1, func() { works(0, true); state(0, "ANNOUNCED"); state(1, "WITHDRAWN") })
		r.act("both work", 2, func() { works(1, true) })
		r.act("both fail at once", 2, func() {
			works(0, false)
			works(1, false)
			state(0, "LAST")
			state(1, "LAST")
			r.watch(5 * time.Second) // longer than it takes to believe in another host
			state(0, "LAST")
			state(1, "LAST")
		})
		r.act("both work again", 2, func() {
			works(0, true)
			works(1, true)
			state(0, "ANNOUNCED")
			state(1, "ANNOUNCED")
		})
		return r.finish()
	})
}
