package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vrrp"
)

var (
	lb2Address = netip.MustParseAddr("192.0.2.3")
	stranger   = netip.MustParseAddr("192.0.2.66")
)

// paired returns a Backup that has lb2 for a peer and has not heard it yet.
func paired(t *testing.T, change func(*engine.VIP)) *leased {
	t.Helper()
	l := &leased{t: t, now: time.Unix(1000, 0)}
	l.e = engine.New(l.now)
	v := engine.VIP{
		Interface: "eth0", VRID: 51, Version: 3, Priority: 150, Interval: 100 * time.Millisecond,
		Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.10/32")},
	}
	if change != nil {
		change(&v)
	}
	l.step(0, engine.Configure{Config: engine.Config{Node: "lb1", VIPs: map[string]engine.VIP{"web": v},
		Pair: &engine.Pair{Peers: map[string][]netip.Addr{"lb2": {lb2Address}}}}})
	l.step(0, engine.PairUp{Boot: 7})
	l.step(0, engine.LinkChanged{Link: engine.Link{Name: "eth0", Present: true, Up: true, MAC: "02:00:00:00:00:01",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}}})
	return l
}

// hear tells the engine what lb2 says of web.
func (l *leased) hear(after time.Duration, seq uint64, vips ...pair.VIP) {
	l.t.Helper()
	l.step(after, engine.PeerHeard{Peer: "lb2", Boot: 1, Path: lb2Address, Whole: true, State: pair.State{Node: "lb2", Seq: seq, VIPs: vips}})
}

// TestBelieves: which adverts count, by what their sender says of itself.
func TestBelieves(t *testing.T) {
	t.Parallel()
	standby := pair.VIP{Name: "web", Role: pair.Standby, Priority: 100, Eligible: true, Source: lb2Address, Interval: 100 * time.Millisecond}
	active := standby
	active.Role, active.Held = pair.Active, true
	for name, c := range map[string]struct {
		told     *pair.VIP
		silent   time.Duration
		unicast  bool
		source   netip.Addr
		priority uint8
		believed bool
	}{
		"never heard":                {nil, 0, false, lb2Address, 200, true},
		"standby":                    {&standby, 0, false, lb2Address, 100, false},
		"standby, release":           {&standby, 0, false, lb2Address, 0, false},
		"active":                     {&active, 0, false, lb2Address, 100, true},
		"active, other priority":     {&active, 0, false, lb2Address, 255, false},
		"active, release":            {&active, 0, false, lb2Address, 0, false},
		"silent since":               {&standby, 351 * time.Millisecond, false, lb2Address, 100, true},
		"not silent yet":             {&standby, 349 * time.Millisecond, false, lb2Address, 100, false},
		"stranger":                   {&active, 0, false, stranger, 255, false},
		"stranger, peer never heard": {nil, 0, false, stranger, 200, true},
		"stranger, peer silent":      {&active, time.Second, false, stranger, 255, false},
		"unicast peer of its own":    {&active, 0, true, stranger, 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := paired(t, func(v *engine.VIP) {
				if c.unicast {
					v.UnicastPeers = []netip.Addr{lb2Address, stranger}
				}
			})
			if c.told != nil {
				l.hear(0, 1, *c.told)
			}
			before := l.vip().Disbelieved
			l.step(c.silent, engine.AdvertReceived{Interface: "eth0", Source: c.source, Advert: vrrp.Advert{
				Version: 3, VRID: 51, Priority: c.priority, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.10")}}})
			if got := l.vip().Disbelieved == before; got != c.believed {
				t.Errorf("believed: %t", got)
			}
		})
	}
}

// TestDrift: what differs by key; a table that only one side has is one difference.
func TestDrift(t *testing.T) {
	t.Parallel()
	long := ""
	for i := range 60 {
		long += netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String() + "/32, "
	}
	same := func() map[string]string {
		return map[string]string{"vip.web.vrid": "51", "vip.web.version": "3", "vip.web.advert_interval": "100ms",
			"vip.web.addresses": "198.51.100.10/32", "vip.web.vmac": "false", "vip.web.handover": "overlap", "vip.web.takeover": "vrrp"}
	}
	for name, c := range map[string]struct {
		change func(theirs map[string]string)
		want   []engine.Drift
	}{
		"same":  {func(map[string]string) {}, nil},
		"one":   {func(m map[string]string) { m["vip.web.vrid"] = "52" }, []engine.Drift{{Key: "vip.web.vrid", Ours: "51", Theirs: "52"}}},
		"older": {func(m map[string]string) { delete(m, "vip.web.vmac") }, nil},
		"newer": {func(m map[string]string) { m["vip.web.new_key"], m["new.edge.key"], m["node.new"] = "1", "1", "1" }, nil},
		"two, sorted": {func(m map[string]string) { m["vip.web.vrid"], m["vip.web.addresses"] = "52", pair.Told(long) },
			[]engine.Drift{{Key: "vip.web.addresses", Ours: "198.51.100.10/32", Theirs: pair.Told(long)}, {Key: "vip.web.vrid", Ours: "51", Theirs: "52"}}},
		"their table": {func(m map[string]string) { m["vip.old.vrid"], m["vip.old.vmac"] = "9", "true" },
			[]engine.Drift{{Key: "vip.old", Theirs: "configured"}}},
		"our table": {func(m map[string]string) { clear(m); m["sync.edge.vips"] = "a, b" },
			[]engine.Drift{{Key: "sync.edge", Theirs: "configured"}, {Key: "vip.web", Ours: "configured"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := paired(t, nil)
			theirs := same()
			c.change(theirs)
			ev := engine.PeerHeard{Peer: "lb2", Boot: 1, Path: lb2Address, Whole: true, State: pair.State{Node: "lb2", Seq: 1, Config: theirs}}
			l.step(0, ev)
			p := l.e.Status(l.now).Pair.Peers[0]
			if diff := cmp.Diff(c.want, p.Drift); diff != "" || !p.Compared {
				t.Errorf("compared %t: %s", p.Compared, diff)
			}
			if said := l.said("configuration differs from lb2: "); said != (len(c.want) > 0) {
				t.Errorf("said it: %t", said)
			}
			l.step(time.Millisecond, ev)
			if l.said("configuration") {
				t.Error("said it twice")
			}
		})
	}
}

// TestPeerOfAnotherVersion: who speaks another version of the channel is not heard, which
// is said once, and again when it comes back to that version.
func TestPeerOfAnotherVersion(t *testing.T) {
	t.Parallel()
	const text = "peer lb2 speaks version 2 of the pair channel, and this host 1: only its adverts count"
	foreign := engine.PeerHeard{Peer: "lb2", Path: lb2Address, Version: 2}
	l := paired(t, nil)
	version := func() uint8 { return l.e.Status(l.now).Pair.Peers[0].Channel }
	l.step(0, foreign)
	if p := l.e.Status(l.now).Pair.Peers[0]; !l.said(text) || p.Heard || p.Channel != 2 || len(p.VIPs) > 0 {
		t.Errorf("said it: %t, lb2 is %+v", l.said(text), p)
	}
	if v := l.e.Status(l.now).VIPs[0]; v.Standby != "lb2 speaks another version of the pair channel" {
		t.Errorf("standby: %s", v.Standby)
	}
	l.step(time.Second, foreign)
	if l.said(text) {
		t.Error("said it twice")
	}
	l.hear(time.Second, 1)
	if version() != 0 {
		t.Error("it is heard, and said to speak another version")
	}
	l.step(10*time.Millisecond, foreign)
	if l.said(text) {
		t.Error("said it while lb2 is heard: it may be a message that somebody sends again")
	}
	l.step(10*time.Second, engine.Wake{})
	if !l.said(text) || version() != 2 {
		t.Errorf("lb2 is silent now, and version %d not told", version())
	}
}

// TestPeerForgetsVIP: a VIP that a peer tells of no more is none of its VIPs, but not
// before all of a state has come.
func TestPeerForgetsVIP(t *testing.T) {
	t.Parallel()
	l := paired(t, nil)
	web, mail := pair.VIP{Name: "web", Role: pair.Standby, Priority: 100}, pair.VIP{Name: "mail", Role: pair.Standby, Priority: 100}
	names := func() (list []string) {
		for _, v := range l.e.Status(l.now).Pair.Peers[0].VIPs {
			list = append(list, v.Name)
		}
		return list
	}
	part := engine.PeerHeard{Peer: "lb2", Boot: 1, Path: lb2Address, State: pair.State{Node: "lb2", Seq: 2, VIPs: []pair.VIP{mail}}}
	l.hear(0, 1, web, mail)
	l.step(0, part)
	if diff := cmp.Diff([]string{"mail", "web"}, names()); diff != "" {
		t.Errorf("after a part: %s", diff)
	}
	part.Whole = true
	l.step(0, part)
	if diff := cmp.Diff([]string{"mail"}, names()); diff != "" {
		t.Errorf("after the whole: %s", diff)
	}
	l.hear(0, 1, web, mail) // an older one, overtaken on its way
	if diff := cmp.Diff([]string{"mail"}, names()); diff != "" {
		t.Errorf("after an older one: %s", diff)
	}
}

// TestOldOffer: an offer that waited while this host did not run is not taken.
func TestOldOffer(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]engine.State{0: engine.Active, 24 * time.Millisecond: engine.Active, 26 * time.Millisecond: engine.Backup} {
		l := paired(t, nil)
		offer := pair.VIP{Name: "web", Role: pair.Active, Held: true, Eligible: true, Priority: 200, Source: lb2Address,
			Interval: 100 * time.Millisecond, Offer: "lb1", Epoch: 3}
		l.step(time.Second/10, engine.PeerHeard{Peer: "lb2", Boot: 1, Path: lb2Address, Whole: true, Age: age,
			State: pair.State{Node: "lb2", Seq: 1, VIPs: []pair.VIP{offer}}})
		if got := l.vip().State; got != want {
			t.Errorf("%s for an offer of %s ago", got, age)
		}
	}
}
