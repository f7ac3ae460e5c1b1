package control_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/pkg/engine"
)

// whyPairCases are what leases and the word of the other hosts add.
var whyPairCases = map[string]struct {
	vip    string
	change func(lb2 *engine.PeerStatus, v *engine.VIPStatus)
}{
	"lease-fallback": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Lease.Kind, v.Lease.Time, v.Lease.Why = "address", 2*time.Second, "open nf_tables: operation not supported"
	}},
	"lease-address-long": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Lease.Kind, v.Lease.Time, v.Interval, v.ActiveDown = "address", 28*time.Second, 10*time.Second, 34140*time.Millisecond
	}},
	"lease-none": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) { v.Lease = engine.LeaseStatus{Kind: "none"} }},
	"lease-short-adverts": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Lease = engine.LeaseStatus{Kind: "none", Why: "adverts are less than 30ms apart"}
	}},
	"lease-failed": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Lease.Armed, v.Lease.Why = false, "no buffer space available"
	}},
	"lease-late": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Lease.Late, v.Reason, v.Entered = 1, "handover", "lb2 handed it over"
	}},
	"lease-awaited": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		toBackup(v)
		v.Active, v.Stage, v.Reason, v.Entered, v.Why = nil, engine.Cleared, "startup", "", "begins its lease"
	}},
	"pair-silent": {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) { p.Heard, p.Last = false, whyNow.Add(-3*time.Minute) }},
	"pair-never":  {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) { *p = engine.PeerStatus{Name: "lb2", Paths: p.Paths} }},
	"pair-version": {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) {
		*p = engine.PeerStatus{Name: "lb2", Paths: p.Paths, Channel: 2}
	}},
	"pair-one-path":     {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) { p.Paths[1].Heard = false }},
	"pair-no-such-vip":  {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) { p.VIPs = p.VIPs[:2] }},
	"pair-both-active":  {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) { p.VIPs[2].Role, p.VIPs[2].Held = "active", true }},
	"pair-taking":       {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) { p.VIPs[2].Role = "active" }},
	"pair-disbelieved":  {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) { v.Disbelieved = 4711 }},
	"pair-not-eligible": {"web", func(p *engine.PeerStatus, _ *engine.VIPStatus) { notReady(&p.VIPs[2]) }},
	"restart-resuming": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Resuming, v.Why = "the packet filter with its lease", "goes on from the run before, silent until it has the packet filter with its lease"
		v.Lease.Until = whyNow.Add(180 * time.Millisecond)
		v.Unkept = "it is still being taken over"
	}},
	"votes-held": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Votes = &engine.VotesStatus{Stage: "held", Need: 2, Have: 2, Epoch: 7, Votes: []engine.VoteStatus{
			{Voter: "lb1", Host: true, Counts: true, Until: whyNow.Add(700 * time.Millisecond), Heard: whyNow},
			{Voter: "lb2", Host: true, Counts: true, Until: whyNow.Add(510 * time.Millisecond), Heard: whyNow, Why: "sits_out"},
			{Voter: "rack3", Heard: whyNow.Add(-2 * time.Minute)},
		}}
	}},
	"restart-unkept":    {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) { v.Unkept = "its takeover is votes" }},
	"restart-fell-back": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) { v.FellBack = "its lease was over 50ms ago" }},
	"observed-agrees": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Held, v.Observed = false, &engine.ObservedStatus{Here: true}
	}},
	"observed-differs": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Held, v.Observed = false, &engine.ObservedStatus{Holders: []netip.Addr{netip.MustParseAddr("192.0.2.3")}, Differences: []engine.ObservedDifference{{
			Kind: "holder", Since: whyNow.Add(-20 * time.Second),
			Text: "vipd would hold it here (nobody was heard), but this host has none of its addresses: 192.0.2.3 advertises it with priority 100",
		}}}
	}},
	"pair-handover": {"web", func(_ *engine.PeerStatus, v *engine.VIPStatus) {
		v.Handover = &engine.HandoverStatus{To: "lb2", Until: whyNow.Add(42 * time.Millisecond)}
	}},
}

// notReady is what a peer tells whose check fails.
func notReady(v *engine.PeerVIPStatus) {
	v.Role, v.Eligible, v.Blocker = "out", false, "check haproxy fails: connection refused"
}

// TestWhyResumed: that a VIP went on in place is told in the first hour.
func TestWhyResumed(t *testing.T) {
	t.Parallel()
	doc := controltest.Pair()
	v := vipOf(&doc, "web")
	v.ResumedAfter = 61234 * time.Microsecond
	for ago, told := range map[time.Duration]bool{time.Minute: true, 2 * time.Hour: false} {
		doc.Started = doc.Now.Add(-ago)
		e, err := control.Why(doc.Status, "web")
		if err != nil {
			t.Fatal(err)
		}
		const line = "It went on in place from the run before, 61.2ms after the last advert of that."
		if got := slices.Contains(e.Because, line); got != told {
			t.Errorf("%s after the start it is told: %t, in %q", ago, got, e.Because)
		}
	}
}

// TestWhyPair compares what operators read of leases and other hosts.
func TestWhyPair(t *testing.T) {
	t.Parallel()
	for name, c := range whyPairCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := controltest.Pair()
			c.change(&doc.Pair.Peers[0], vipOf(&doc, c.vip))
			e, err := control.Why(doc.Status, c.vip)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("why", name+".txt"), e.Text())
		})
	}
}

// TestWhyChannelClosed says that nothing is known but adverts.
func TestWhyChannelClosed(t *testing.T) {
	t.Parallel()
	doc := controltest.Pair()
	doc.Pair.Open, doc.Pair.Err = false, "listen on [::]:5798: address already in use"
	e, err := control.Why(doc.Status, "web")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("why", "pair-closed.txt"), e.Text())
}

// TestStandbyNews: only who is heard and not ready is news.
func TestStandbyNews(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(doc *control.StatusDocument)
		ready  int
		news   string
	}{
		"ready":     {func(*control.StatusDocument) {}, 1, ""},
		"not ready": {func(doc *control.StatusDocument) { notReady(&doc.Pair.Peers[0].VIPs[2]) }, 0, "no other host could take it: lb2 is ready (priority 100)"},
		"silent":    {func(doc *control.StatusDocument) { doc.Pair.Peers[0].Heard = false }, 0, ""},
		"no pair":   {func(doc *control.StatusDocument) { doc.Pair = nil }, 0, ""},
		"unknown":   {func(doc *control.StatusDocument) { doc.Pair.Peers[0].VIPs = nil }, 0, "no other host could take it: lb2 is ready (priority 100)"},
		"handing over": {func(doc *control.StatusDocument) {
			notReady(&doc.Pair.Peers[0].VIPs[2])
			vipOf(doc, "web").Handover = &engine.HandoverStatus{To: "lb2"}
		}, 0, ""},
		"backup": {func(doc *control.StatusDocument) {
			notReady(&doc.Pair.Peers[0].VIPs[2])
			vipOf(doc, "web").State = engine.Backup
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := controltest.Pair()
			c.change(&doc)
			if got := control.ReadyPeers(doc.Status, "web"); got != c.ready {
				t.Errorf("%d ready, want %d", got, c.ready)
			}
			if got := control.StandbyNews(doc.Status, *vipOf(&doc, "web")); got != c.news {
				t.Errorf("news %q, want %q", got, c.news)
			}
		})
	}
}
