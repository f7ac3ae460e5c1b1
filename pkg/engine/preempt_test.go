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
// is listened for until 684 ms, and until 942 ms when an advert comes meanwhile.
func TestSpares(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told   bool // on the channel that it is Active, at the beginning
		source netip.Addr
		last   time.Duration // advert
		want   time.Duration
	}{
		"hangs early":             {true, lb2Address, 300 * time.Millisecond, 684 * time.Millisecond},
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
