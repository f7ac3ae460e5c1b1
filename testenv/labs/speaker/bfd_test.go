package speaker_test

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

var every50 = &bgp.BFD{Transmit: 50 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 3}

// withBFD is a rack with a session that BFD watches.
func withBFD(t *testing.T, s starter) (lab *testenv.Lab, h *testenv.Host, tor peers.ToR, sp *host) {
	t.Helper()
	lab, torHost, h := labRack(t)
	tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS, HoldTime: 90 * time.Second, BFD: 50 * time.Millisecond}))
	ok(t, err)
	n := neighbor("10.0.0.1")
	n.BFD, n.HoldTime, n.Keepalive = every50, 90*time.Second, 30*time.Second
	sp = speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
	sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
	knows(t, tor, service)
	bfdUp(t, tor, sp)
	return lab, h, tor, sp
}

func bfdUp(t testing.TB, tor peers.ToR, sp *host) {
	t.Helper()
	testenv.Eventually(t, soon, "BFD is up on both sides", func() bool {
		up, err := tor.BFDUp(t.Context(), "10.0.0.2")
		ok(t, err)
		return up && sp.session("tor").BFD == "up"
	})
}

// A link that carries nothing any more ends the session on both sides, long before
// its hold time, and both come back.
func TestBFD(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		lab, h, tor, sp := withBFD(t, s)
		if got := sp.session("tor"); got.Flaps != 0 {
			t.Errorf("the start of BFD ended a session: %+v", got)
		}
		began := time.Now()
		ok(t, lab.Cut(h))
		testenv.Eventually(t, soon, "BFD ends the session", func() bool { return sp.session("tor").Flaps == 1 })
		t.Logf("noticed after %v", time.Since(began))
		knows(t, tor)
		if got := sp.session("tor"); got.BFD != "down" || got.LastError != "BFD is down" {
			t.Errorf("session %+v", got)
		}
		ok(t, lab.Heal())
		knows(t, tor, service)
		bfdUp(t, tor, sp)
	})
}

// A speaker that hangs is noticed by the ToR; BFD shares its fate.
func TestBFDChildStopped(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		_, _, tor, sp := withBFD(t, s)
		began := time.Now()
		ok(t, syscall.Kill(sp.pid, syscall.SIGSTOP))
		knows(t, tor)
		t.Logf("gone after %v", time.Since(began))
		knows(t, tor, service) // the core kills it and starts another one
	})
}

// The BFD session outlives that of BGP: a reset of BGP is nothing to it.
func TestBFDOutlives(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		_, _, tor, sp := withBFD(t, s)
		flaps := sp.session("tor").Flaps
		ok(t, tor.Reset(t.Context(), "10.0.0.2"))
		testenv.Eventually(t, soon, "the session ends", func() bool { return sp.session("tor").Flaps > flaps })
		knows(t, tor, service)
		bfdUp(t, tor, sp)
	})
}

// A reconfiguration in the ToR that ends its BFD session ends nothing else, and a
// neighbor without BFD has a session nevertheless.
func TestBFDOneSided(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		n := neighbor("10.0.0.1")
		n.BFD = every50
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		knows(t, tor, service)
		testenv.Eventually(t, soon, "BFD finds nobody, and the session stays", func() bool {
			got := sp.session("tor")
			return got.BFD == "down" && got.State == bgp.Established
		})
	})
}

// A stop that keeps the routes takes BFD down on purpose, which is no failure to
// the ToR: the routes stay.
func TestBFDKeep(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tc := torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS, BFD: 50 * time.Millisecond})
		tc.GracefulRestart = true
		tor, err := s.start(torHost, tc)
		ok(t, err)
		n := neighbor("10.0.0.1")
		n.BFD = every50
		c := config(map[string]bgp.Neighbor{"tor": n})
		c.GracefulRestart = time.Minute
		sp := speak(t, h, c)
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		knows(t, tor, service)
		bfdUp(t, tor, sp)
		sp.p.Keep()
		sp.stop()
		testenv.Eventually(t, soon, "the ToR sees the session end", func() bool {
			up, err := tor.Established(t.Context(), "10.0.0.2")
			ok(t, err)
			return !up
		})
		knows(t, tor, service)
		again := speak(t, h, c)
		again.p.Announce(bgp.Table{"tor": {{Prefix: service}, {Prefix: netip.MustParsePrefix("198.51.100.54/32")}}}, 1)
		knows(t, tor, service, netip.MustParsePrefix("198.51.100.54/32"))
		bfdUp(t, tor, again)
	})
}
