package engine_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// leased is an engine with one VIP whose lease is to be in the packet filter, and
// the world around it as far as a test plays it.
type leased struct {
	t   *testing.T
	e   *engine.Engine
	now time.Time
	did []engine.Action // by the newest Step
}

// step gives the engine an event some time later.
func (l *leased) step(after time.Duration, ev engine.Event) {
	l.t.Helper()
	l.now = l.now.Add(after)
	l.did = append([]engine.Action(nil), l.e.Step(l.now, ev)...)
}

// find returns the last action of a type in the newest Step.
func find[A engine.Action](l *leased) (found A, ok bool) {
	for _, a := range l.did {
		if f, is := a.(A); is {
			found, ok = f, true
		}
	}
	return found, ok
}

// said reports whether the newest Step reported something with these words.
func (l *leased) said(words string) bool {
	for _, a := range l.did {
		if r, is := a.(engine.Report); is && strings.Contains(r.Record.Text, words) {
			return true
		}
	}
	return false
}

// vip is the status of the VIP.
func (l *leased) vip() engine.VIPStatus { return l.e.Status(l.now).VIPs[0] }

// starts returns a host that waits for its Active_Down_Interval, and the SetGuard
// that nobody has answered yet.
func starts(t *testing.T) (*leased, engine.SetGuard) {
	t.Helper()
	l := &leased{t: t, now: time.Unix(1000, 0)}
	l.e = engine.New(l.now)
	l.step(0, engine.Configure{Config: engine.Config{Node: "lb1", VIPs: map[string]engine.VIP{"web": {
		Interface: "eth0", VRID: 51, Version: 3, Priority: 150, Interval: 100 * time.Millisecond, Lease: engine.LeaseNFT,
		Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.10/32")},
	}}}})
	guard, ok := find[engine.SetGuard](l)
	if !ok || len(guard.VIPs) != 1 || guard.VIPs[0].Timeout != 250*time.Millisecond {
		t.Fatalf("guards %+v", guard)
	}
	l.step(0, engine.LinkChanged{Link: engine.Link{Name: "eth0", Present: true, Up: true, MAC: "02:00:00:00:00:01",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}}})
	return l, guard
}

// due lets the Active_Down_Interval pass, and returns the lease that is asked for.
func (l *leased) due() engine.SetLease {
	l.t.Helper()
	l.step(342*time.Millisecond, engine.Wake{})
	set, ok := find[engine.SetLease](l)
	if !ok || !set.On || l.vip().State != engine.Backup || l.vip().Stage != engine.Cleared || l.vip().Why != "begins its lease" {
		l.t.Fatalf("asks for %+v as %s at stage %s: %s", set, l.vip().State, l.vip().Stage, l.vip().Why)
	}
	return set
}

// holds returns a host that is Active with its lease.
func holds(t *testing.T) *leased {
	t.Helper()
	l, guard := starts(t)
	l.step(0, engine.GuardSet{Seq: guard.Seq})
	set := l.due()
	l.step(time.Millisecond, engine.LeaseSet{VIP: "web", On: true, Seq: set.Seq})
	apply, ok := find[engine.SetAddresses](l)
	if !ok || l.vip().State != engine.Active {
		t.Fatalf("%s: %+v", l.vip().State, l.did)
	}
	l.step(time.Millisecond, engine.AddressesApplied{VIP: "web", Seq: apply.Seq})
	if s := l.vip().Lease; !s.Armed || s.Kind != "nft" || s.Why != "" {
		t.Fatalf("lease %+v", s)
	}
	return l
}

// TestGuardRefused: a kernel without a packet filter gives the addresses a
// lifetime, says so once, and is not asked again.
func TestGuardRefused(t *testing.T) {
	t.Parallel()
	l, guard := starts(t)
	l.step(0, engine.GuardSet{Seq: guard.Seq - 1, Err: "an answer to something older"})
	if l.vip().Lease.Kind != "nft" {
		t.Error("an old answer counted")
	}
	l.step(0, engine.GuardSet{Seq: guard.Seq, Err: "operation not supported"})
	if !l.said("no lease in the packet filter: operation not supported") || l.vip().Lease.Kind != "address" || l.vip().Lease.Why != "operation not supported" {
		t.Errorf("lease %+v after %+v", l.vip().Lease, l.did)
	}
	l.step(0, engine.GuardSet{Seq: guard.Seq, Err: "operation not supported"})
	if l.said("no lease") {
		t.Error("it is said twice")
	}
	l.step(342*time.Millisecond, engine.Wake{})
	set, _ := find[engine.SetAddresses](l)
	if _, asks := find[engine.SetLease](l); asks || set.Lifetime != 2*time.Second {
		t.Errorf("took over with a lifetime of %s, asks for a lease: %t", set.Lifetime, asks)
	}
}

// TestGuardRefusedWhileDue: the takeover that waited for a lease goes on with a
// lifetime, an Active_Down_Interval later.
func TestGuardRefusedWhileDue(t *testing.T) {
	t.Parallel()
	l, guard := starts(t)
	set := l.due()
	l.step(0, engine.GuardSet{Seq: guard.Seq, Err: "operation not supported"})
	l.step(0, engine.LeaseSet{VIP: "web", On: true, Seq: set.Seq, Err: "there is no packet filter"})
	l.step(342*time.Millisecond, engine.Wake{})
	if l.vip().State != engine.Active {
		t.Errorf("%s: %s", l.vip().State, l.vip().Why)
	}
}

// TestLeaseLate: a lease that was confirmed when more than half of it was over is
// no ground to take over on: this host did not run meanwhile.
func TestLeaseLate(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]engine.State{
		124 * time.Millisecond: engine.Active, 126 * time.Millisecond: engine.Backup, 5 * time.Second: engine.Backup,
	} {
		l, guard := starts(t)
		l.step(0, engine.GuardSet{Seq: guard.Seq})
		set := l.due()
		l.step(after, engine.LeaseSet{VIP: "web", On: true, Seq: set.Seq})
		if got := l.vip().State; got != want {
			t.Errorf("%s after %s, want %s", got, after, want)
		}
	}
}

// TestLeaseFails: who cannot have a lease says so once, tries again, and lets a peer
// have the VIP after three times.
func TestLeaseFails(t *testing.T) {
	t.Parallel()
	l, guard := starts(t)
	l.step(0, engine.GuardSet{Seq: guard.Seq})
	for i := range 3 {
		set := l.due()
		l.step(0, engine.LeaseSet{VIP: "web", On: true, Seq: set.Seq, Err: "no buffer space available"})
		if said := l.said("web: begin a lease: no buffer space available; trying again"); said != (i == 0) {
			t.Errorf("attempt %d: said it %t", i, said)
		}
		if why := l.vip().Lease.Why; why != "no buffer space available" {
			t.Errorf("attempt %d: the status says %q", i, why)
		}
	}
	if v := l.vip(); v.State != engine.Fault || v.Why != "its lease cannot be had: no buffer space available" {
		t.Errorf("%s: %s", v.State, v.Why)
	}
	l.step(10*time.Second, engine.Wake{})
	if v := l.vip(); v.State != engine.Backup {
		t.Errorf("10 s later: %s: %s", v.State, v.Why)
	}
	set := l.due()
	l.step(0, engine.LeaseSet{VIP: "web", On: true, Seq: set.Seq})
	if v := l.vip(); v.State != engine.Active || v.Lease.Why != "" {
		t.Errorf("with a lease: %s, %+v", v.State, v.Lease)
	}
}

// TestLeaseLost: what the kernel does not let answer any more is given up, once.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	l := holds(t)
	l.step(time.Millisecond, engine.LeaseLost{VIP: "mail", Why: "no such vip"})
	if l.vip().State != engine.Active {
		t.Fatal("gave up for another")
	}
	l.step(time.Millisecond, engine.LeaseLost{VIP: "web", Why: "somebody removed it"})
	if v := l.vip(); v.State == engine.Active || v.Reason != "lease" || !l.said("its lease is over in the kernel: somebody removed it; gives it up") {
		t.Errorf("%s (%s): %+v", v.State, v.Reason, l.did)
	}
	if set, ok := find[engine.SetAddresses](l); !ok || set.Present {
		t.Error("keeps its addresses")
	}
	l.step(0, engine.LeaseLost{VIP: "web", Why: "somebody removed it"})
	if l.said("gives it up") {
		t.Error("given up twice")
	}
}

// TestLateWake: whatever the event is with which a late host wakes up, it gives up
// first. One that is late by less than the lease does not.
func TestLateWake(t *testing.T) {
	t.Parallel()
	for name, ev := range map[string]engine.Event{
		"wake": engine.Wake{}, "lease": engine.LeaseSet{VIP: "web", On: true}, "claim": engine.AddressClaimed{Interface: "eth0"}, "stop": engine.Stop{},
	} {
		l := holds(t)
		l.step(200*time.Millisecond, engine.Wake{})
		if l.vip().State != engine.Active {
			t.Errorf("%s: gave up early", name)
		}
		l.step(241*time.Millisecond, ev)
		if first, ok := l.did[0].(engine.Report); !ok || first.Record.Reason != "late-wake" || l.vip().Lease.Late != 1 {
			t.Errorf("%s: began with %+v", name, l.did[0])
		}
		for _, a := range l.did {
			if r, is := a.(engine.RenewLease); is {
				t.Errorf("%s: refreshed %s", name, r.VIP)
			}
		}
	}
}

// TestDueWhileLeaseEnds: who loses a VIP, and is to take it again before the kernel
// has ended its lease, listens once more and takes it then.
func TestDueWhileLeaseEnds(t *testing.T) {
	t.Parallel()
	l := holds(t)
	advert := func(priority uint8) engine.AdvertReceived {
		return engine.AdvertReceived{Interface: "eth0", Source: netip.MustParseAddr("192.0.2.3"), Advert: vrrp.Advert{
			Version: 3, VRID: 51, Priority: priority, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.10")},
		}}
	}
	l.step(time.Millisecond, advert(200))
	set, ok := find[engine.SetLease](l)
	apply, _ := find[engine.SetAddresses](l)
	if !ok || set.On || l.vip().State != engine.Backup {
		t.Fatalf("%s asks for %+v", l.vip().State, set)
	}
	l.step(time.Millisecond, engine.AddressesApplied{VIP: "web", Seq: apply.Seq})
	l.step(time.Millisecond, advert(vrrp.PriorityRelease))
	l.step(42*time.Millisecond, engine.Wake{}) // Skew_Time: it is due
	if set, ok := find[engine.SetLease](l); ok {
		t.Fatalf("asks for %+v before the lease has ended", set)
	}
	l.step(time.Millisecond, engine.LeaseSet{VIP: "web", Seq: set.Seq})
	set = l.due()
	l.step(time.Millisecond, engine.LeaseSet{VIP: "web", On: true, Seq: set.Seq})
	if s := l.vip().State; s != engine.Active {
		t.Errorf("it is %s", s)
	}
}

// TestRenewBeforeAdvert: no advert is decided without a refresh before it.
func TestRenewBeforeAdvert(t *testing.T) {
	t.Parallel()
	l := holds(t)
	adverts := 0
	for range 20 {
		l.step(l.e.Next().Sub(l.now), engine.Wake{})
		renewed := false
		for _, a := range l.did {
			switch a.(type) {
			case engine.RenewLease:
				renewed = true
			case engine.SendAdvert:
				adverts++
				if !renewed {
					t.Errorf("advert without a refresh: %+v", l.did)
				}
			default:
			}
		}
	}
	if adverts < 5 {
		t.Errorf("%d adverts", adverts)
	}
}
