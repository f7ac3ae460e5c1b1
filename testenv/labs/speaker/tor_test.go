package speaker_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// soon is how long a lab waits for what should come within a few seconds on a
// machine that has nothing else to do.
const soon = 30 * time.Second

// rack is a ToR (10.0.0.1) and a host (10.0.0.2) on one link.
func rack(t testing.TB) (tor, h *testenv.Host) {
	t.Helper()
	_, tor, h = labRack(t)
	return tor, h
}

func labRack(t testing.TB) (lab *testenv.Lab, tor, h *testenv.Host) {
	t.Helper()
	peers.RequireToRs(t)
	lab = testenv.TestLab(t)
	tor, err := lab.Host("tor", "10.0.0.1/24", "2001:db8:a::1/64")
	ok(t, err)
	h, err = lab.Host("host", "10.0.0.2/24", "2001:db8:a::2/64")
	ok(t, err)
	return lab, tor, h
}

type starter struct {
	name  string
	start func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)
}

var tors = []starter{
	{"frr", func(h *testenv.Host, c peers.ToRConfig) (peers.ToR, error) { return peers.StartFRRToR(h, c) }},
	{"bird", func(h *testenv.Host, c peers.ToRConfig) (peers.ToR, error) { return peers.StartBIRDToR(h, c) }},
}

// withEach runs a test with FRR and with BIRD as the ToR.
func withEach(t *testing.T, test func(t *testing.T, s starter)) {
	for _, s := range tors {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

func torConfig(n ...peers.ToRNeighbor) peers.ToRConfig {
	return peers.ToRConfig{AS: torAS, RouterID: "10.0.0.1", Neighbors: n}
}

// knows waits until the ToR has exactly these prefixes.
func knows(t testing.TB, tor peers.ToR, want ...netip.Prefix) {
	t.Helper()
	var got []netip.Prefix
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	slices.SortFunc(want, bgp.ComparePrefixes)
	err := testenv.Until(ctx, func() bool {
		var err error
		if got, err = tor.Prefixes(t.Context()); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, bgp.ComparePrefixes)
		return slices.Equal(got, want)
	})
	if err != nil {
		t.Fatalf("the ToR has %v, want %v", got, want)
	}
}

// path waits until the ToR has one path to the prefix that is as wanted.
func path(t testing.TB, tor peers.ToR, p netip.Prefix, want peers.Path) {
	t.Helper()
	var diff string
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	err := testenv.Until(ctx, func() bool {
		got, err := tor.Paths(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		diff = cmp.Diff([]peers.Path{want}, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty())
		return diff == ""
	})
	if err != nil {
		t.Fatalf("paths of %s (-want +got):\n%s", p, diff)
	}
}

// A prefix is announced and withdrawn, and the ToR says so.
func TestAnnounce(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		knows(t, tor, service)
		if got := sp.session("tor"); got.State != bgp.Established || got.Announced != 1 || got.RemoteAS != torAS {
			t.Errorf("session %+v", got)
		}
		sp.p.Announce(bgp.Table{}, 2)
		knows(t, tor)
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 3)
		knows(t, tor, service)
	})
}
