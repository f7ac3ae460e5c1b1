package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/pair"
)

// TestHandoverHushes: who hands a VIP to a peer says nothing more to the network,
// since clients and switches would come back to it just before it closes.
func TestHandoverHushes(t *testing.T) {
	t.Parallel()
	vip, lb2 := netip.MustParsePrefix("192.0.2.100/24"), netip.MustParseAddr("192.0.2.3")
	now := time.Unix(1000, 0)
	e := engine.New(now)
	e.Step(now, engine.Configure{Config: engine.Config{
		Node: "lb1",
		Pair: &engine.Pair{Interval: 100 * time.Millisecond, Peers: map[string][]netip.Addr{"lb2": {lb2}}},
		VIPs: map[string]engine.VIP{"web": {
			Interface: "eth0", VRID: 51, Version: 3, Priority: 150, VMAC: true, Interval: 100 * time.Millisecond, Addresses: []netip.Prefix{vip},
			GARP: engine.GARP{Repeat: 5, Bursts: []time.Duration{0, 100 * time.Millisecond}},
		}},
	}})
	e.Step(now, engine.LinkChanged{Link: engine.Link{
		Name: "eth0", Present: true, Up: true, MAC: "02:00:00:00:00:01", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")},
	}})
	e.Step(now, engine.PairUp{Boot: 1})
	seq := uint64(0)
	told := func(role pair.Role, held bool) []engine.Action {
		seq++
		return e.Step(now, engine.PeerHeard{Peer: "lb2", Boot: 2, Path: lb2, Whole: true, State: pair.State{
			Node: "lb2", Seq: seq, Hears: []pair.Hears{{Node: "lb1", Boot: 1, Seq: 1 << 40}},
			VIPs: []pair.VIP{{Name: "web", Role: role, Held: held, Eligible: true, Priority: 100, Source: lb2, Interval: 100 * time.Millisecond}},
		}})
	}
	wait := func(d time.Duration) []engine.Action { now = now.Add(d); return e.Step(now, engine.Wake{}) }
	set, ok := wanted(told(pair.Standby, false)) // nobody has it
	if !ok {
		t.Fatalf("it was not taken: %+v", e.Status(now).VIPs[0])
	}
	now = now.Add(time.Millisecond)
	e.Step(now, engine.AddressesApplied{VIP: "web", Seq: set.Seq})
	wait(94 * time.Millisecond)
	told(pair.Standby, false)

	hushed := false
	for _, a := range e.Step(now, engine.Drain{Names: []string{"web"}}) {
		hushed = hushed || a == engine.Action(engine.Hush{VIP: "web"})
	}
	if !hushed {
		t.Error("bursts go on while it is offered")
	}
	quiet := func(what string, list []engine.Action) {
		t.Helper()
		for _, a := range list {
			switch a := a.(type) {
			case engine.Announce:
				t.Errorf("%s: announces: %+v", what, a)
			case engine.SendAdvert:
				if a.VMAC {
					t.Errorf("%s: advertises from the virtual MAC: %+v", what, a.Advert)
				}
			}
		}
	}
	quiet("taken by lb2", told(pair.Active, true))
	quiet("claimed by lb2", e.Step(now, engine.AddressClaimed{Interface: "eth0", Address: vip.Addr(), MAC: "02:00:00:00:00:02"}))
	quiet("a burst and an advert are due", wait(8*time.Millisecond)) // 103 ms after the takeover
	quiet("closing", wait(3*time.Millisecond))
	if s := e.Status(now).VIPs[0].State; s == engine.Active {
		t.Errorf("it is %s", s)
	}
}

// TestOfferTakenOnce: who took an offer, and gave the VIP up again, does not take the
// same offer once more: its maker may be closing.
func TestOfferTakenOnce(t *testing.T) {
	t.Parallel()
	l := paired(t, nil)
	offer := pair.VIP{Name: "web", Role: pair.Active, Held: true, Eligible: true, Priority: 100, Source: lb2Address, Interval: 100 * time.Millisecond, Offer: "lb1"}
	l.hear(0, 1, offer)
	if s := l.vip().State; s != engine.Active {
		t.Fatalf("an offer was not taken: it is %s", s)
	}
	l.step(time.Millisecond, engine.Drain{Names: []string{"web"}})
	set, ok := find[engine.SetAddresses](l)
	if !ok || set.Present {
		t.Fatalf("drained, it wants %+v", set)
	}
	l.step(time.Millisecond, engine.AddressesApplied{VIP: "web", Seq: set.Seq})
	l.step(time.Millisecond, engine.Undrain{Names: []string{"web"}})
	if s := l.vip().State; s != engine.Backup {
		t.Fatalf("drained and undrained it is %s", s)
	}
	l.hear(time.Millisecond, 1, offer)
	if s := l.vip().State; s != engine.Backup {
		t.Errorf("the same offer once more: it is %s", s)
	}
}
