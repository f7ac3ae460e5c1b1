package engine_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// TestAddressComesBeforeTheOwnOne: the interface got another address of its own
// in place of the first one, and the kernel lists the VIP before it.
func TestAddressComesBeforeTheOwnOne(t *testing.T) {
	t.Parallel()
	var (
		vip   = netip.MustParsePrefix("192.0.2.100/24")
		other = netip.MustParsePrefix("192.0.2.101/32")
		old   = netip.MustParsePrefix("192.0.2.2/24") // as in active
		own   = netip.MustParsePrefix("192.0.2.22/24")
		far   = netip.MustParsePrefix("198.51.100.2/24")
	)
	for name, tc := range map[string]struct {
		after []netip.Prefix
		again bool
	}{
		"own one first":           {[]netip.Prefix{old, vip, other}, false},
		"another one behind":      {[]netip.Prefix{old, vip, other, own}, false},
		"vip first":               {[]netip.Prefix{vip, other, own}, true},
		"only one of them first":  {[]netip.Prefix{other, own, vip}, true},
		"another network behind":  {[]netip.Prefix{old, vip, other, far}, false},
		"another network first":   {[]netip.Prefix{far, vip, other, own}, true},
		"the vips and no network": {[]netip.Prefix{far, vip, other}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, now, link := active(t, vip, other)
			link.Addresses = []netip.Prefix{old, vip, other}
			e.Step(now, engine.LinkChanged{Link: link})
			link.Addresses = tc.after
			set, ok := wanted(e.Step(now, engine.LinkChanged{Link: link}))
			if ok != tc.again || ok && !set.Present {
				t.Errorf("wants the addresses again: %t %+v, want %t", ok, set, tc.again)
			}
		})
	}
}

// active returns an engine whose VIP "web" has these addresses on eth0, the time,
// and the link as it was before.
func active(t *testing.T, addresses ...netip.Prefix) (*engine.Engine, time.Time, engine.Link) {
	t.Helper()
	now := time.Unix(1000, 0)
	e := engine.New(now)
	link := engine.Link{Name: "eth0", Present: true, Up: true, MAC: "02:00:00:00:00:01",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}}
	e.Step(now, engine.Configure{Config: engine.Config{Node: "lb1", VIPs: map[string]engine.VIP{"web": {
		Interface: "eth0", VRID: 51, Version: 3, Priority: 150, Interval: 100 * time.Millisecond, Addresses: addresses,
	}}}})
	e.Step(now, engine.LinkChanged{Link: link})
	now = now.Add(342 * time.Millisecond) // Active_Down_Interval is 341.4 ms
	set, ok := wanted(e.Step(now, engine.Wake{}))
	if !ok || e.Status(now).VIPs[0].Held {
		t.Fatalf("wants its addresses: %t; %+v", ok, e.Status(now).VIPs[0])
	}
	e.Step(now, engine.AddressesApplied{VIP: "web", Seq: set.Seq})
	return e, now, link
}

// TestHeldUntilGone: a VIP is held until the kernel says that its addresses are
// gone, whatever its state is by then.
func TestHeldUntilGone(t *testing.T) {
	t.Parallel()
	e, now, _ := active(t, netip.MustParsePrefix("192.0.2.100/24"))
	if v := e.Status(now).VIPs[0]; !v.Held || v.Entered == "" {
		t.Fatalf("an Active with its addresses: held %t, entered because %q", v.Held, v.Entered)
	}
	set, ok := wanted(e.Step(now, engine.Drain{Actor: engine.Actor{Name: "anna"}}))
	if v := e.Status(now).VIPs[0]; !ok || set.Present || v.State != engine.Initialize || !v.Held {
		t.Errorf("while the addresses leave: %s, held %t", v.State, v.Held)
	}
	e.Step(now, engine.AddressesApplied{VIP: "web", Seq: set.Seq, Err: "device busy"})
	if !e.Status(now).VIPs[0].Held {
		t.Error("not held although they could not be removed")
	}
	set, _ = wanted(e.Step(e.Next(), engine.Wake{}))
	e.Step(e.Next(), engine.AddressesApplied{VIP: "web", Seq: set.Seq})
	if e.Status(now).VIPs[0].Held {
		t.Error("held after the addresses are gone")
	}
}

// TestOldSnapshot: what was read of a link before the kernel said that the addresses are
// there, or gone, proves nothing, however late a newer one comes. It is asked for.
func TestOldSnapshot(t *testing.T) {
	t.Parallel()
	vip := netip.MustParsePrefix("192.0.2.100/24")
	own := netip.MustParsePrefix("192.0.2.2/24") // as in active
	asks := func(e *engine.Engine, now time.Time) bool {
		actions := e.Step(now, engine.Wake{})
		if set, ok := wanted(actions); ok {
			t.Errorf("%+v, after what an old snapshot shows", set)
		}
		return slices.Contains(actions, engine.Action(engine.ReadLink{Interface: "eth0"}))
	}
	for name, tc := range map[string]struct {
		held     bool
		old, new []netip.Prefix
		again    bool
	}{
		"held, there":          {true, []netip.Prefix{own}, []netip.Prefix{own, vip}, false},
		"held, taken away":     {true, []netip.Prefix{own}, []netip.Prefix{own}, true},
		"held, out of place":   {true, []netip.Prefix{vip, own}, []netip.Prefix{own, vip}, false},
		"given up, gone":       {false, []netip.Prefix{own, vip}, []netip.Prefix{own}, false},
		"given up, there":      {false, []netip.Prefix{own, vip}, []netip.Prefix{own, vip}, true},
		"held, first in place": {true, []netip.Prefix{vip, own}, []netip.Prefix{vip, own}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, now, link := active(t, vip)
			if !tc.held {
				set, _ := wanted(e.Step(now, engine.Drain{}))
				now = now.Add(time.Millisecond)
				e.Step(now, engine.AddressesApplied{VIP: "web", Seq: set.Seq})
			}
			applied := now
			link.Addresses, link.Read = tc.old, applied.Add(-time.Microsecond)
			now = now.Add(50 * time.Millisecond)
			if set, ok := wanted(e.Step(now, engine.LinkChanged{Link: link})); ok {
				t.Errorf("%+v, after an old snapshot", set)
			}
			for _, after := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond} {
				if now = applied.Add(after); asks(e, now.Add(-time.Microsecond)) || !asks(e, now) {
					t.Errorf("the link is not read again %v after the change", after)
				}
			}
			link.Addresses, link.Read = tc.new, applied
			if set, ok := wanted(e.Step(now, engine.LinkChanged{Link: link})); ok != tc.again || ok && set.Present != tc.held {
				t.Errorf("wants the addresses again: %t %+v, want %t", ok, set, tc.again)
			}
			if asks(e, now.Add(time.Second)) {
				t.Error("the link is read again, after a new snapshot")
			}
		})
	}
}

// wanted returns the SetAddresses among some actions.
func wanted(actions []engine.Action) (set engine.SetAddresses, ok bool) {
	for _, a := range actions {
		if s, is := a.(engine.SetAddresses); is {
			return s, true
		}
	}
	return set, false
}
