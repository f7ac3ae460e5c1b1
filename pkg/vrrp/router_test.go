package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

var (
	t0    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	own   = netip.MustParseAddr("192.0.2.2")
	peer  = netip.MustParseAddr("192.0.2.3")
	third = netip.MustParseAddr("192.0.2.1")
)

func settings(priority uint8, interval time.Duration) Settings {
	return Settings{Version: Version3, Priority: priority, Interval: interval, Preempt: true, Address: own}
}

func advert(priority uint8, interval time.Duration) Advert {
	return Advert{Version: Version3, VRID: 51, Priority: priority, Interval: interval, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
}

// started returns a router that left Initialize at t0.
func started(t *testing.T, set Settings) *Router {
	t.Helper()
	r := NewRouter(set)
	if out := r.Start(t0); !out.Changed {
		t.Fatalf("start: %+v", out)
	}
	return r
}

// active returns a router that took over at t0.
func active(t *testing.T, set Settings) *Router {
	t.Helper()
	r := started(t, set)
	if r.State() != Active {
		r.TakeOver(t0)
	}
	if r.State() != Active {
		t.Fatal("not active")
	}
	return r
}

// Tests 24 to 26: Skew_Time and Active_Down_Interval to the nanosecond.
func TestRouterIntervals(t *testing.T) {
	t.Parallel()
	cs := func(v float64) time.Duration { return time.Duration(v * float64(centisecond)) }
	for _, tt := range []struct {
		name       string
		version    uint8
		priority   uint8
		interval   time.Duration
		skew, down time.Duration
	}{
		{"24 priority 100", Version3, 100, cs(100), cs(60.9375), cs(360.9375)},
		{"24 priority 254", Version3, 254, cs(100), cs(0.78125), cs(300.78125)},
		{"24 priority 1", Version3, 1, cs(100), cs(99.609375), cs(399.609375)},
		{"24 priority 255", Version3, 255, cs(100), cs(0.390625), cs(300.390625)},
		{"25 priority 1, longest interval", Version3, 1, cs(4095), cs(4079.00390625), cs(16364.00390625)},
		{"25 priority 200, shortest interval", Version3, 200, cs(1), cs(0.21875), cs(3.21875)},
		{"26 version 2 does not scale", Version2, 100, 5 * time.Second, cs(60.9375), 15609375 * time.Microsecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := settings(tt.priority, tt.interval)
			set.Version = tt.version
			r := NewRouter(set)
			if got := r.SkewTime(); got != tt.skew {
				t.Errorf("skew %v, want %v", got, tt.skew)
			}
			if got := r.ActiveDownInterval(); got != tt.down {
				t.Errorf("down interval %v, want %v", got, tt.down)
			}
		})
	}
}

// Test 27: the Active's interval is learned, and our own is used once we send.
// Test 28: it is forgotten in Initialize and kept over a change of priority.
func TestRouterLearnsInterval(t *testing.T) {
	t.Parallel()
	r := started(t, settings(100, time.Second))
	r.Receive(t0, peer, advert(200, 3*time.Second))
	want := t0.Add(9*time.Second + 3*time.Second*156/256)
	if got := r.Next(); !got.Equal(want) {
		t.Fatalf("down timer at %v, want %v", got.Sub(t0), want.Sub(t0))
	}
	set := r.Settings()
	set.Priority = 50
	r.Change(t0.Add(time.Second), set)
	if want = t0.Add(9*time.Second + 3*time.Second*206/256); !r.Next().Equal(want) {
		t.Errorf("after a lower priority: down timer at %v, want %v", r.Next().Sub(t0), want.Sub(t0))
	}
	if out := r.Wake(want); !out.Due || out.Reason != ReasonNoResponse {
		t.Fatalf("wake: %+v", out)
	}
	r.TakeOver(want)
	if d := r.Next().Sub(want); d <= 0 || d > time.Second {
		t.Errorf("next advert after %v, want at most our own interval", d)
	}
	r.Receive(want, peer, advert(200, 3*time.Second))
	r.Stop()
	r.Start(want)
	if got, want := r.ActiveDownInterval(), 3*time.Second+time.Second*206/256; got != want {
		t.Errorf("after Initialize: down interval %v, want %v", got, want)
	}
}

// Test 29: three lost adverts are survived when the fourth arrives before
// Skew_Time ends; four are not.
func TestRouterSurvivesThreeLostAdverts(t *testing.T) {
	t.Parallel()
	r := started(t, settings(100, 100*time.Millisecond))
	r.Receive(t0, peer, advert(200, 100*time.Millisecond))
	fourth := t0.Add(360 * time.Millisecond)
	if out := r.Wake(fourth); out.Due {
		t.Fatal("due before Skew_Time ended")
	}
	r.Receive(fourth, peer, advert(200, 100*time.Millisecond))
	if out := r.Wake(fourth.Add(360 * time.Millisecond)); out.Due {
		t.Fatal("due before Skew_Time ended")
	}
	if out := r.Wake(fourth.Add(361 * time.Millisecond)); !out.Due {
		t.Fatal("not due after Active_Down_Interval")
	}
}

// Test 30, the part of the election: only differences of the given times count,
// so a wall clock step (which changes no monotonic reading) changes nothing. A
// router that was not run for longer than an interval listens once more.
func TestRouterThatWasNotRunListensAgain(t *testing.T) {
	t.Parallel()
	r := started(t, settings(100, 100*time.Millisecond))
	late := t0.Add(10 * time.Second)
	if out := r.Wake(late); out.Due {
		t.Fatalf("took its own pause for the Active's silence: %+v", out)
	}
	if got, want := r.Next(), late.Add(r.ActiveDownInterval()); !got.Equal(want) {
		t.Errorf("listens until %v, want %v", got, want)
	}
}

// Test 31: who is not the owner listens for a whole down interval; the owner is
// Active at once.
func TestRouterStart(t *testing.T) {
	t.Parallel()
	r := NewRouter(settings(100, time.Second))
	if out := r.Start(t0); out.Became != Backup || out.Advertise {
		t.Errorf("start: %+v", out)
	}
	if got, want := r.Next(), t0.Add(r.ActiveDownInterval()); !got.Equal(want) {
		t.Errorf("listens until %v, want %v", got, want)
	}
	r = NewRouter(settings(255, time.Second))
	if out := r.Start(t0); out.Became != Active || !out.Advertise || out.Reason != ReasonOwner {
		t.Errorf("owner: %+v", out)
	}
}

// Test 32: priority 0 to a Backup starts Skew_Time; the higher priority of two
// that wait wins. Copies of one release do not put it off.
func TestRouterReleaseToBackup(t *testing.T) {
	t.Parallel()
	high, low := started(t, settings(150, time.Second)), started(t, settings(100, time.Second))
	now := t0.Add(500 * time.Millisecond)
	for _, r := range []*Router{high, low} {
		r.Receive(now, peer, advert(200, time.Second))
		r.Receive(now, peer, advert(0, time.Second))
		if got, want := r.Next(), now.Add(r.SkewTime()); !got.Equal(want) {
			t.Errorf("takeover after %v, want %v", got.Sub(now), want.Sub(now))
		}
	}
	if !high.Next().Before(low.Next()) {
		t.Error("the lower priority is not later")
	}
	due := high.Next()
	high.Receive(now.Add(10*time.Millisecond), peer, advert(0, time.Second))
	if !high.Next().Equal(due) {
		t.Error("a copy of the release put the takeover off")
	}
	if out := high.Wake(due); !out.Due || out.Reason != ReasonRelease {
		t.Errorf("wake: %+v", out)
	}
}

// A release counts from whom the Backup follows, and from anybody when it follows
// nobody, or has not heard that one for Active_Down_Interval.
func TestRouterReleaseOfAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		from  netip.Addr
		heard bool
		after time.Duration
		takes bool // as soon as Skew_Time is over
	}{
		{"the Active", peer, true, time.Second, true},
		{"another one", third, true, time.Second, false},
		{"another one, nobody heard", third, false, time.Second, true},
	} {
		r, now := started(t, settings(100, time.Second)), t0
		if c.heard {
			r.Receive(now, peer, advert(200, time.Second))
		}
		now = now.Add(c.after)
		r.Receive(now, c.from, advert(PriorityRelease, time.Second))
		if got := r.Wake(now.Add(r.SkewTime())).Due; got != c.takes {
			t.Errorf("%s: taken over after Skew_Time: %t, want %t", c.name, got, c.takes)
		}
	}
}

// Test 33: priority 0 to the Active: one advert at once, timer reset.
func TestRouterReleaseToActive(t *testing.T) {
	t.Parallel()
	r := active(t, settings(100, time.Second))
	now := t0.Add(300 * time.Millisecond)
	if out := r.Receive(now, peer, advert(0, time.Second)); !out.Advertise || out.Changed {
		t.Errorf("outcome %+v", out)
	}
	if d := r.Next().Sub(now); d <= 0 || d > time.Second {
		t.Errorf("next advert after %v", d)
	}
}

// Test 34: a lower priority to the Active is answered at once; a storm of them
// is answered at a bounded rate, and at least once per interval.
func TestRouterLowerPriorityToActive(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	r := active(t, settings(200, interval))
	now := t0.Add(50 * time.Millisecond)
	if out := r.Receive(now, peer, advert(100, interval)); !out.Advertise || !out.Contest || out.Changed {
		t.Fatalf("outcome %+v", out)
	}
	sent, last, gap := 0, now, time.Duration(0)
	for end := now.Add(time.Second); now.Before(end); now = now.Add(50 * time.Microsecond) {
		out := r.Receive(now, peer, advert(100, interval))
		if !out.Advertise && !r.Next().After(now) {
			out = r.Wake(now)
		}
		if out.Advertise {
			sent++
			gap, last = max(gap, now.Sub(last)), now
		}
	}
	if sent < 10 || sent > 101 {
		t.Errorf("%d adverts in a second, want 10 to 101", sent)
	}
	if gap > interval {
		t.Errorf("gap of %v between adverts", gap)
	}
}

// Test 35: a higher priority to the Active: Backup, and its interval is adopted.
// Test 36: equal priorities are decided by the address, unsigned, network order.
func TestRouterBetterAdvertToActive(t *testing.T) {
	t.Parallel()
	a := netip.MustParseAddr
	for _, tt := range []struct {
		name     string
		own, src netip.Addr
		priority uint8
		lost     bool
		reason   Reason
	}{
		{"35 higher priority", own, third, 101, true, ReasonPriority},
		{"36 equal, higher address", own, peer, 100, true, ReasonAddress},
		{"36 equal, lower address", own, third, 100, false, ""},
		{"36 unsigned", a("1.0.0.255"), a("255.0.0.1"), 100, true, ReasonAddress},
		{"36 unsigned, the other side", a("255.0.0.1"), a("1.0.0.255"), 100, false, ""},
		{"36 IPv6 unsigned", a("fe80::7fff:1"), a("fe80::8000:1"), 100, true, ReasonAddress},
		{"36 IPv6 last octet", a("fe80::ff"), a("fe80::7f"), 100, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := settings(100, time.Second)
			set.Address = tt.own
			r := active(t, set)
			now := t0.Add(500 * time.Millisecond)
			out := r.Receive(now, tt.src, advert(tt.priority, 2*time.Second))
			if out.Changed != tt.lost || out.Reason != tt.reason {
				t.Fatalf("outcome %+v", out)
			}
			if !tt.lost {
				if !out.Advertise {
					t.Error("stayed Active in silence")
				}
				return
			}
			want := now.Add(6*time.Second + 2*time.Second*156/256)
			if !r.Next().Equal(want) {
				t.Errorf("down timer after %v, want %v", r.Next().Sub(now), want.Sub(now))
			}
		})
	}
}

// Test 37: an equal priority is accepted by a Backup whatever the address.
func TestRouterEqualPriorityToBackup(t *testing.T) {
	t.Parallel()
	for _, src := range []netip.Addr{peer, third} {
		r := started(t, settings(100, time.Second))
		now := t0.Add(time.Second)
		r.Receive(now, src, advert(100, time.Second))
		if got, want := r.Next(), now.Add(r.ActiveDownInterval()); !got.Equal(want) {
			t.Errorf("from %v: down timer at %v, want %v", src, got, want)
		}
	}
}

// Test 41, the part of the election: two owners are decided by their addresses.
func TestRouterTwoOwners(t *testing.T) {
	t.Parallel()
	r := active(t, settings(255, time.Second))
	if out := r.Receive(t0.Add(time.Second/2), third, advert(255, time.Second)); out.Changed || !out.Advertise {
		t.Errorf("lower address: %+v", out)
	}
	if out := r.Receive(t0.Add(time.Second), peer, advert(255, time.Second)); out.Became != Backup || out.Reason != ReasonAddress {
		t.Errorf("higher address: %+v", out)
	}
	if r.Receive(t0.Add(time.Second), third, advert(100, time.Second)); r.Preempting(t0.Add(time.Second)) != "" {
		t.Error("the owner always preempts")
	}
}

// Test 42: a changed priority is advertised at once by the Active.
func TestRouterPriorityChange(t *testing.T) {
	t.Parallel()
	r := active(t, settings(200, time.Second))
	set := r.Settings()
	set.Priority = 50
	if out := r.Change(t0.Add(100*time.Millisecond), set); !out.Advertise || out.Changed {
		t.Errorf("outcome %+v", out)
	}
	if out := r.Change(t0.Add(200*time.Millisecond), set); out.Advertise {
		t.Error("advertised although nothing changed")
	}
}

// The adverts of all routers of one interval share their ticks.
func TestRouterTicksAreShared(t *testing.T) {
	t.Parallel()
	first, second := active(t, settings(200, 100*time.Millisecond)), NewRouter(settings(100, 100*time.Millisecond))
	second.Start(t0.Add(37 * time.Millisecond))
	second.TakeOver(t0.Add(41 * time.Millisecond))
	if !first.Next().Equal(second.Next()) {
		t.Errorf("ticks at %v and %v", first.Next().Sub(t0), second.Next().Sub(t0))
	}
	out := second.Wake(second.Next())
	if d := second.Next().Sub(first.Next()); !out.Advertise || d != 100*time.Millisecond {
		t.Errorf("the next tick is %v later", d)
	}
}
