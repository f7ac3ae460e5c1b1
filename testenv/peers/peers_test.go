package peers_test

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const port = 7000

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

type starter func(*testenv.Host, peers.Config) (peers.Peer, error)

func keepalived(h *testenv.Host, c peers.Config) (peers.Peer, error) {
	return peers.StartKeepalived(h, c)
}

func frr(h *testenv.Host, c peers.Config) (peers.Peer, error) { return peers.StartFRR(h, c) }

// Two daemons of a kind elect the one with the higher priority, the other takes
// over when its host's port goes down, and gives back when it is up again. Both
// say so themselves, and a client and a tap see it.
func TestPairs(t *testing.T) {
	for _, c := range []struct {
		name    string
		start   starter
		router  peers.Router
		vip     string
		unicast bool
	}{
		{name: "keepalived v3", start: keepalived, router: peers.Router{Interval: 100 * time.Millisecond}, vip: "192.0.2.100"},
		{name: "keepalived v3 unicast", start: keepalived, router: peers.Router{Interval: 100 * time.Millisecond}, vip: "192.0.2.100", unicast: true},
		{name: "keepalived v3 ipv6", start: keepalived, router: peers.Router{Interval: 100 * time.Millisecond}, vip: "2001:db8::100"},
		{name: "keepalived v2", start: keepalived, router: peers.Router{Version: 2}, vip: "192.0.2.100"},
		{name: "keepalived vmac", start: keepalived, router: peers.Router{Interval: 100 * time.Millisecond, VMAC: true}, vip: "192.0.2.100"},
		{name: "frr v3", start: frr, router: peers.Router{Interval: 100 * time.Millisecond}, vip: "192.0.2.100"},
		{name: "frr v3 ipv6", start: frr, router: peers.Router{Interval: 100 * time.Millisecond}, vip: "2001:db8::100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(c.name, "frr") {
				peers.RequireFRR(t)
			} else {
				peers.RequireKeepalived(t)
			}
			l := testenv.TestLab(t)
			client, err := l.Host("client", "192.0.2.10/24", "2001:db8::10/64")
			ok(t, err)
			lb1, err := l.Host("lb1", "192.0.2.1/24", "2001:db8::1/64")
			ok(t, err)
			lb2, err := l.Host("lb2", "192.0.2.2/24", "2001:db8::2/64")
			ok(t, err)
			tap, err := client.Observe("eth0")
			ok(t, err)
			var pair [2]peers.Peer
			for i, h := range []*testenv.Host{lb1, lb2} {
				_, err := h.Respond(port)
				ok(t, err)
				r := c.router
				r.Name, r.VRID, r.Priority, r.Addresses = "web", 51, uint8(150-50*i), []string{c.vip}
				if c.unicast {
					r.UnicastSource = []string{"192.0.2.1", "192.0.2.2"}[i]
					r.UnicastPeers = []string{[]string{"192.0.2.2", "192.0.2.1"}[i]}
				}
				pair[i], err = c.start(h, peers.Config{Routers: []peers.Router{r}})
				ok(t, err)
			}
			ok(t, peers.WaitState(within(t, 15*time.Second), pair[0], "web", peers.Active))
			ok(t, peers.WaitState(within(t, 15*time.Second), pair[1], "web", peers.Backup))
			vip := netip.AddrPortFrom(netip.MustParseAddr(c.vip), port)
			p, err := client.Probe(vip, 200)
			ok(t, err)
			_, err = p.WaitAnswer(within(t, 10*time.Second), "lb1")
			ok(t, err)
			if !c.unicast {
				checkAdvert(t, tap, c.router)
			}

			ok(t, l.PortDown(lb1))
			ok(t, peers.WaitState(within(t, 15*time.Second), pair[1], "web", peers.Active))
			_, err = p.WaitAnswer(within(t, 10*time.Second), "lb2")
			ok(t, err)
			ok(t, l.PortUp(lb1))
			ok(t, peers.WaitState(within(t, 15*time.Second), pair[0], "web", peers.Active))
			ok(t, peers.WaitState(within(t, 15*time.Second), pair[1], "web", peers.Backup))
			_, err = p.WaitAnswer(within(t, 10*time.Second), "lb1")
			ok(t, err)

			ok(t, pair[0].Stop(within(t, 10*time.Second)))
			ok(t, peers.WaitState(within(t, 15*time.Second), pair[1], "web", peers.Active))
			testenv.Eventually(t, 5*time.Second, "the figures of lb2", func() bool {
				all, err := pair[1].Status(t.Context())
				s := all["web"]
				return err == nil && s.Priority == 100 && s.Sent > 0 && s.Received > 0
			})
			pair[1].Kill()
			if _, err := pair[1].Status(within(t, time.Second)); err == nil {
				t.Error("a killed daemon answers")
			}
			t.Log(p.Stop())
		})
	}
}

// checkAdvert looks at an advert of lb1 with the lab's own decoder.
func checkAdvert(t *testing.T, tap *testenv.Observer, r peers.Router) {
	t.Helper()
	f, err := tap.WaitFor(within(t, 10*time.Second), func(f testenv.Frame) bool { return f.VRRP != nil && f.VRRP.Priority == 150 })
	ok(t, err)
	version, interval := uint8(3), r.Interval
	if r.Version == 2 {
		version, interval = 2, time.Second
	}
	if v := f.VRRP; v.Version != version || v.VRID != 51 || v.Interval != interval || v.HopLimit != 255 ||
		v.Checksum == testenv.ChecksumBad || len(v.Addresses) == 0 {
		t.Errorf("advert: %+v", v)
	}
}

func TestKeepalivedReload(t *testing.T) {
	t.Parallel()
	peers.RequireKeepalived(t)
	l := testenv.TestLab(t)
	h, err := l.Host("lb1", "192.0.2.1/24")
	ok(t, err)
	r := peers.Router{Name: "web", VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addresses: []string{"192.0.2.100"}}
	k, err := peers.StartKeepalived(h, peers.Config{Routers: []peers.Router{r}})
	ok(t, err)
	ok(t, peers.WaitState(within(t, 10*time.Second), k, "web", peers.Active))
	if !h.Holds(netip.MustParseAddr("192.0.2.100")) {
		t.Error("the Active does not hold the address")
	}
	r.Priority = 170
	ok(t, k.Reload(peers.Config{Routers: []peers.Router{r}}))
	testenv.Eventually(t, 10*time.Second, "the new priority", func() bool {
		all, err := k.Status(t.Context())
		return err == nil && all["web"].Priority == 170
	})
	k.Kill()
	if !h.Holds(netip.MustParseAddr("192.0.2.100")) {
		t.Error("a crash takes the address away")
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	testenv.Require(t)
	l := testenv.TestLab(t)
	h, err := l.Host("lb1")
	ok(t, err)
	for name, r := range map[string]peers.Router{
		"VRID 0":       {Addresses: []string{"192.0.2.1"}},
		"no address":   {VRID: 1},
		"192.0.2.1/99": {VRID: 1, Addresses: []string{"192.0.2.1/99"}},
	} {
		for _, start := range []starter{keepalived, frr} {
			if _, err := start(h, peers.Config{Routers: []peers.Router{r}}); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
