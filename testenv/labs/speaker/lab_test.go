package speaker_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/bgp/speaker"
	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

var service6 = netip.MustParsePrefix("2001:db8:53::53/128")

// words are how each ToR writes well-known communities.
var words = map[string]map[string]string{
	"frr":  {"no-export": "noExport", "graceful-shutdown": "gracefulShutdown"},
	"bird": {"no-export": "65535:65281", "graceful-shutdown": "65535:0"},
}

// Every attribute arrives, and a change of it as well.
func TestAttributes(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
		for i, c := range []struct {
			attributes bgp.Attributes
			want       peers.Path
		}{
			{bgp.Attributes{}, peers.Path{ASPath: "65101"}},
			{bgp.Attributes{MED: 50}, peers.Path{ASPath: "65101", MED: 50}},
			{bgp.Attributes{Prepend: 2, LocalPref: 7}, peers.Path{ASPath: "65101 65101 65101"}},
			{bgp.Attributes{Communities: []bgp.Community{65101<<16 | 53, bgp.NoExport}}, peers.Path{ASPath: "65101", Communities: []string{"65101:53", words[s.name]["no-export"]}}},
			{bgp.Attributes{Communities: []bgp.Community{bgp.GracefulShutdown}}, peers.Path{ASPath: "65101", Communities: []string{words[s.name]["graceful-shutdown"]}}},
			{bgp.Attributes{Large: []bgp.LargeCommunity{{Global: 65101, Local1: 53, Local2: 1}, {Global: 65101, Local1: 53, Local2: 2}}}, peers.Path{ASPath: "65101", Large: []string{"65101:53:1", "65101:53:2"}}},
		} {
			sp.p.Announce(table("tor", bgp.Route{Prefix: service, Attributes: c.attributes}), uint64(i+1))
			c.want.NextHop = netip.MustParseAddr("10.0.0.2")
			if !slices.Contains(c.attributes.Communities, bgp.GracefulShutdown) {
				c.want.LocalPref = 100 // both follow RFC 8326
			}
			if s.name == "frr" {
				c.want.LocalPref = 0 // it shows none for an external path, unless it made it 0
			}
			path(t, tor, service, c.want)
		}
	})
}

// Two ToRs are told different things about the same prefix, from different
// addresses, and neither what the other is told.
func TestPerNeighbor(t *testing.T) {
	peers.RequireToRs(t)
	lab := testenv.TestLab(t)
	torHost, err := lab.Host("tor", "10.0.0.1/24")
	ok(t, err)
	h, err := lab.Host("host", "10.0.0.2/24")
	ok(t, err)
	second, err := lab.Segment("second")
	ok(t, err)
	birdHost, err := lab.Host("bird")
	ok(t, err)
	_, err = birdHost.Attach(second, "10.0.1.1/24")
	ok(t, err)
	_, err = h.Attach(second, "10.0.1.2/24", "10.0.1.22/24")
	ok(t, err)
	frr, err := peers.StartFRRToR(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
	ok(t, err)
	c := torConfig(peers.ToRNeighbor{Address: "10.0.1.22", AS: localAS})
	c.AS, c.RouterID = 65002, "10.0.1.1"
	bird, err := peers.StartBIRDToR(birdHost, c)
	ok(t, err)
	b := neighbor("10.0.1.1")
	b.RemoteAS, b.Source = 65002, netip.MustParseAddr("10.0.1.22")
	sp := speak(t, h, config(map[string]bgp.Neighbor{"frr": neighbor("10.0.0.1"), "bird": b}))
	other := netip.MustParsePrefix("198.51.100.0/24")
	sp.p.Announce(bgp.Table{
		"frr":  {{Prefix: service, Attributes: bgp.Attributes{MED: 10}}},
		"bird": {{Prefix: other}, {Prefix: service, NextHop: netip.MustParseAddr("10.0.1.2"), Attributes: bgp.Attributes{MED: 20, Prepend: 1}}},
	}, 1)
	path(t, frr, service, peers.Path{NextHop: netip.MustParseAddr("10.0.0.2"), ASPath: "65101", MED: 10})
	path(t, bird, service, peers.Path{NextHop: netip.MustParseAddr("10.0.1.2"), ASPath: "65101 65101", MED: 20, LocalPref: 100})
	knows(t, frr, service)
	knows(t, bird, service, other)
	sp.p.Announce(bgp.Table{"bird": {{Prefix: other}}}, 2)
	knows(t, frr)
	knows(t, bird, other)
	path(t, bird, other, peers.Path{NextHop: netip.MustParseAddr("10.0.1.22"), ASPath: "65101", LocalPref: 100})
}

// An internal neighbor gets the local preference, and our AS not at all.
func TestInternal(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		c := torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS})
		c.AS = localAS
		tor, err := s.start(torHost, c)
		ok(t, err)
		n := neighbor("10.0.0.1")
		n.RemoteAS = localAS
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
		sp.p.Announce(table("tor", bgp.Route{Prefix: service, Attributes: bgp.Attributes{LocalPref: 250, Prepend: 3, MED: 9}}), 1)
		empty := ""
		if s.name == "frr" {
			empty = "Local"
		}
		path(t, tor, service, peers.Path{NextHop: netip.MustParseAddr("10.0.0.2"), ASPath: empty, LocalPref: 250, MED: 9})
	})
}

// Both families go over either, each with a next hop of its own.
func TestFamilies(t *testing.T) {
	both := []string{"ipv4", "ipv6"}
	for _, c := range []struct {
		name, tor, host string
		hop4, hop6      string
	}{
		{"over ipv4", "10.0.0.1", "10.0.0.2", "10.0.0.2", "2001:db8:a::2"},
		{"over ipv6", "2001:db8:a::1", "2001:db8:a::2", "2001:db8:a::2", "2001:db8:a::2"}, // RFC 8950
	} {
		t.Run(c.name, func(t *testing.T) {
			torHost, h := rack(t)
			tor, err := peers.StartFRRToR(torHost, torConfig(peers.ToRNeighbor{Address: c.host, AS: localAS, Families: both}))
			ok(t, err)
			n := neighbor(c.tor)
			n.Families = []bgp.Family{bgp.IPv4, bgp.IPv6}
			sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
			sp.p.Announce(table("tor", bgp.Route{Prefix: service}, bgp.Route{Prefix: service6}), 1)
			path(t, tor, service, peers.Path{NextHop: netip.MustParseAddr(c.hop4), ASPath: "65101"})
			path(t, tor, service6, peers.Path{NextHop: netip.MustParseAddr(c.hop6), ASPath: "65101"})
			inKernel(t, torHost, service, service6)
		})
	}
}

// An unnumbered neighbor is found by its router advertisements, and finds us by
// ours.
func TestUnnumbered(t *testing.T) {
	peers.RequireToRs(t)
	lab := testenv.TestLab(t)
	torHost, err := lab.Host("tor")
	ok(t, err)
	h, err := lab.Host("host")
	ok(t, err)
	ok(t, torHost.Sysctl("net.ipv6.conf.all.forwarding", "1"))
	tor, err := peers.StartFRRToR(torHost, torConfig(peers.ToRNeighbor{Interface: "eth0", AS: localAS, Families: []string{"ipv4", "ipv6"}}))
	ok(t, err)
	n := neighbor("10.0.0.1")
	n.Address, n.Interface, n.Families = netip.Addr{}, "eth0", []bgp.Family{bgp.IPv4, bgp.IPv6}
	sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
	sp.p.Announce(table("tor", bgp.Route{Prefix: service}, bgp.Route{Prefix: service6}), 1)
	knows(t, tor, service, service6)
	inKernel(t, torHost, service, service6)
	if got := sp.session("tor").Address; !got.IsLinkLocalUnicast() || got.Zone() != "eth0" {
		t.Errorf("the neighbor's address is %v", got)
	}
	ok(t, tor.Reset(t.Context(), "eth0"))
	testenv.Eventually(t, soon, "the session ends", func() bool { return sp.session("tor").Flaps == 1 })
	knows(t, tor, service, service6)
}

// inKernel waits until the host's kernel forwards to these.
func inKernel(t testing.TB, h *testenv.Host, want ...netip.Prefix) {
	t.Helper()
	for _, p := range want {
		family := "-4"
		if p.Addr().Is6() {
			family = "-6"
		}
		var got string
		testenv.Eventually(t, soon, p.String()+" is in the ToR's kernel", func() bool {
			var err error
			got, err = h.Run(t.Context(), "ip", family, "route", "show", p.String())
			ok(t, err)
			return strings.Contains(got, "via")
		})
	}
}

// A session needs the same TCP MD5 password on both sides.
func TestPassword(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		for _, c := range []struct {
			theirs, ours string
			up           bool
		}{{"secret", "secret", true}, {"secret", "other", false}, {"secret", "", false}, {"", "secret", false}} {
			t.Run(fmt.Sprintf("%q and %q", c.theirs, c.ours), func(t *testing.T) {
				torHost, h := rack(t)
				tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS, Password: c.theirs}))
				ok(t, err)
				n := neighbor("10.0.0.1")
				n.Password = c.ours
				sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
				sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
				if c.up {
					knows(t, tor, service)
					return
				}
				refused(t, sp, tor, "connect: ")
			})
		}
	})
}

// refused waits for the reason, and sees that no session came up before.
func refused(t testing.TB, sp *host, tor peers.ToR, why string) {
	t.Helper()
	testenv.Eventually(t, soon, "a reason that contains "+why, func() bool { return strings.Contains(sp.session("tor").LastError, why) })
	if has(sp, func(s speaker.Session) bool { return s.State == bgp.Established }) {
		t.Error("a session was established")
	}
	got, err := tor.Prefixes(t.Context())
	ok(t, err)
	if len(got) > 0 {
		t.Errorf("the ToR learnt %v", got)
	}
}

// With GTSM on both sides the session comes up; a ToR that wants it does not hear
// us without. (FRR may hear our first words, since it sets the limit after it took
// the connection.)
func TestTTLSecurity(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		for _, c := range []struct{ theirs, ours int }{{1, 1}, {1, 0}} {
			t.Run(fmt.Sprintf("%d and %d", c.theirs, c.ours), func(t *testing.T) {
				torHost, h := rack(t)
				tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS, TTLSecurity: c.theirs}))
				ok(t, err)
				n := neighbor("10.0.0.1")
				n.TTLSecurity = c.ours
				sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
				sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
				if c.ours == c.theirs {
					knows(t, tor, service)
					return
				}
				testenv.Eventually(t, soon, "a reason", func() bool { return sp.session("tor").LastError != "" })
				knows(t, tor)
				t.Log(sp.session("tor").LastError)
			})
		}
	})
}

// A ToR with another AS than configured gets no session, and the reason is said.
func TestWrongAS(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		n := neighbor("10.0.0.1")
		n.RemoteAS = 64999
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		refused(t, sp, tor, "bad peer as")
	})
}

// A passive session waits for the ToR; with a password only a signed connection
// is taken.
func TestPassive(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		for _, c := range []struct{ theirs, ours string }{{"", ""}, {"secret", "secret"}} {
			t.Run(cmp.Or(c.ours, "no password"), func(t *testing.T) {
				torHost, h := rack(t)
				tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS, Password: c.theirs}))
				ok(t, err)
				n := neighbor("10.0.0.1")
				n.Passive, n.Password = true, c.ours
				conf := config(map[string]bgp.Neighbor{"tor": n})
				conf.ListenPort = 179
				sp := speak(t, h, conf)
				sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
				knows(t, tor, service)
			})
		}
	})
}

// A ToR's own routes are never kept, never passed on, and too many of them end
// the session.
func TestImportNothing(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		c := torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS})
		c.Announce = []string{"203.0.113.0/24", "203.0.112.0/24"}
		tor, err := s.start(torHost, c)
		ok(t, err)
		n := neighbor("10.0.0.1")
		n.MaxPrefixes = 1
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": n}))
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		testenv.Eventually(t, soon, "the limit ends the session", func() bool {
			return sp.session("tor").LastError == "the neighbor sent more than 1 prefixes"
		})
		knows(t, tor)
		n.MaxPrefixes = 2
		sp.p.Configure(config(map[string]bgp.Neighbor{"tor": n}))
		knows(t, tor, service)
		if got, err := h.Run(t.Context(), "ip", "route", "show"); err != nil || strings.Contains(got, "203.0.113") {
			t.Errorf("the host's routes: %s %v", got, err)
		}
	})
}

// The session is back soon after the ToR closed it, again and again.
func TestReset(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		knows(t, tor, service)
		for i := range uint64(3) {
			ok(t, tor.Reset(t.Context(), "10.0.0.2"))
			began := time.Now()
			testenv.Eventually(t, soon, "the session ends", func() bool { return sp.session("tor").Flaps == i+1 })
			if why := sp.session("tor").LastError; !strings.Contains(why, "cease") {
				t.Errorf("the session ended because of %q", why)
			}
			testenv.Eventually(t, soon, "the session is back", func() bool { return sp.session("tor").State == bgp.Established })
			t.Logf("back after %v", time.Since(began))
			knows(t, tor, service)
		}
	})
}

// A child that is killed is started again and tells everything again.
func TestChildKilled(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		knows(t, tor, service)
		ok(t, kill(sp))
		began := time.Now()
		testenv.Eventually(t, soon, "its end is reported", func() bool { return has(sp, func(speaker.Down) bool { return true }) })
		testenv.Eventually(t, soon, "another one has a session", func() bool { return sp.session("tor").Announced == 1 })
		knows(t, tor, service)
		t.Logf("announced again after %v", time.Since(began))
		if !has(sp, func(d speaker.Down) bool { return strings.Contains(d.Err.Error(), "killed") }) {
			t.Error("nothing said that the child was killed")
		}
	})
}
