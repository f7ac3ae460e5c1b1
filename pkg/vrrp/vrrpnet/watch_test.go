package vrrpnet

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/vrrp"
	"github.com/vipd/vipd/testenv"
)

// TestWatch sees an advert where it leaves a host and where it comes in, although
// nobody there believes it, and nothing but adverts.
func TestWatch(t *testing.T) {
	t.Parallel()
	for _, family4 := range []bool{true, false} {
		for _, unicast := range []bool{false, true} {
			one, two := pair(t)
			conn := one.listen(t, ifname, family4)
			two.listen(t, ifname, family4) // has joined the group, and no member
			sender, receiver := one.watch(t), two.watch(t)
			out := Outgoing{Source: one.addr[family4], Advert: advert(51, family4)}
			if unicast {
				out.Peers = []netip.Addr{two.addr[family4]}
			}
			for own, seen := range map[bool]<-chan Sighting{true: sender, false: receiver} {
				want := Sighting{Own: own, Advert: out.Advert}
				want.Source, want.HopLimit, want.Destination = one.addr[family4], 255, vrrp.Group6
				if family4 {
					want.Destination = vrrp.Group4
				}
				if unicast {
					want.Destination = two.addr[family4]
				}
				testenv.Eventually(t, 5*time.Second, "the advert to be seen", func() bool {
					must(t, conn.Send([]Outgoing{out})) // again, until the watch is there
					select {
					case got := <-seen:
						got.Payload, got.Time = nil, time.Time{}
						if diff := cmp.Diff(want, got, byAddr); diff != "" {
							t.Fatalf("family4 %t, unicast %t (-want +got):\n%s", family4, unicast, diff)
						}
						return true
					default:
						return false
					}
				})
			}
		}
	}
}

// TestWatchEnds ends a watch when its interface goes, and says why there is none.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	one, _ := pair(t)
	err := one.ns.Do(func() error { return Watch(t.Context(), "eth9", nil) })
	if err == nil || !strings.Contains(err.Error(), "watch adverts on eth9: find interface eth9") {
		t.Error(err)
	}
	ended := make(chan error, 1)
	ready := make(chan struct{}, 1)
	go func() {
		ended <- one.ns.Do(func() error {
			return Watch(t.Context(), ifname, func(Sighting) {
				select {
				case ready <- struct{}{}:
				default:
				}
			})
		})
	}()
	conn := one.listen(t, ifname, true)
	testenv.Eventually(t, 5*time.Second, "the watch to be there", func() bool {
		must(t, conn.Send([]Outgoing{{Source: one.addr[true], Advert: advert(51, true)}}))
		select {
		case <-ready:
			return true
		default:
			return false
		}
	})
	must(t, one.ns.Netlink().LinkSetDown(one.link))
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "network is down") {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the watch goes on without its interface")
	}
}

// TestSighting refuses what is no whole packet.
func TestSighting(t *testing.T) {
	t.Parallel()
	a := encode(t, advert(51, true), netip.MustParseAddr("10.0.0.1"), vrrp.Group4)
	p := packet{src: netip.MustParseAddr("10.0.0.1"), dst: vrrp.Group4, payload: a}
	whole := p.ip4(nil)
	for n := range whole {
		if _, ok := sighting(whole[:n], false); ok {
			t.Errorf("%d of %d bytes are an advert", n, len(whole))
		}
	}
	if _, ok := sighting(append(whole, 0, 0, 0), false); !ok {
		t.Error("a packet with padding is none")
	}
}

// watch watches the interface of a host.
func (h *host) watch(t testing.TB) <-chan Sighting {
	t.Helper()
	seen := make(chan Sighting, 64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- h.ns.Do(func() error {
			return Watch(ctx, ifname, func(s Sighting) {
				select {
				case seen <- s:
				default: // enough of them
				}
			})
		})
	}()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	return seen
}
