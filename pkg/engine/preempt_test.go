package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vrrp"
)

// TestSpares: when an Active of lower priority is preempted that does not answer on
// the channel. Active_Down_Interval is 342 ms, and the channel is heard for 350 ms: it
// is then listened for until 342 ms after its last advert, and until 942 ms when adverts go on.
func TestSpares(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told   bool // on the channel that it is Active, at the beginning
		source netip.Addr
		last   time.Duration // advert
		want   time.Duration
	}{
		"hangs early":             {true, lb2Address, 300 * time.Millisecond, 642 * time.Millisecond},
		"hangs late":              {true, lb2Address, 400 * time.Millisecond, 742 * time.Millisecond},
		"goes on without channel": {true, lb2Address, 2 * time.Second, 942 * time.Millisecond},
		"never on the channel":    {false, lb2Address, 2 * time.Second, 342 * time.Millisecond},
		"no host of the pair":     {false, stranger, 2 * time.Second, 342 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := paired(t, func(v *engine.VIP) { v.Preempt = true })
			if c.told {
				l.hear(0, 1, pair.VIP{Name: "web", Role: pair.Active, Held: true, Eligible: true, Priority: 100, Source: lb2Address, Interval: 100 * time.Millisecond})
			}
			began := l.now
			for l.vip().State != engine.Active && l.now.Sub(began) < 2*time.Second {
				l.step(time.Millisecond, engine.Wake{})
				if at := l.now.Sub(began); at <= c.last && at%(100*time.Millisecond) == 0 {
					l.step(0, engine.AdvertReceived{Interface: "eth0", Source: c.source, Advert: vrrp.Advert{
						Version: 3, VRID: 51, Priority: 100, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.10")}}})
				}
			}
			if took := l.now.Sub(began); took != c.want {
				t.Errorf("preempted after %v, want %v", took, c.want)
			}
		})
	}
}

// TestDeadPeer: how long after its last word and its last advert, which come together, a
// dead Active is followed: by who has waited Active_Down_Interval (361 ms for priority 100,
// 342 ms for 150, 326 ms for 249), but not before the channel counts it as silent, after
// 350 ms.
func TestDeadPeer(t *testing.T) {
	t.Parallel()
	for priority, want := range map[uint8]time.Duration{100: 361 * time.Millisecond, 150: 351 * time.Millisecond, 249: 351 * time.Millisecond} {
		l := paired(t, func(v *engine.VIP) { v.Priority = priority })
		dead := pair.VIP{Name: "web", Role: pair.Active, Held: true, Eligible: true, Priority: 250, Source: lb2Address, Interval: 100 * time.Millisecond}
		l.hear(0, 1, dead)
		began := l.now
		for l.vip().State != engine.Active && l.now.Sub(began) < 2*time.Second {
			l.step(time.Millisecond, engine.Wake{})
		}
		if took := l.now.Sub(began); took != want {
			t.Errorf("priority %d: taken over after %v, want %v", priority, took, want)
		}
	}
}
