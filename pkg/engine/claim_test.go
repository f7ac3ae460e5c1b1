package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// holding returns an engine that holds a VIP, and whose link shows it.
func holding(t *testing.T, vip netip.Prefix) (*engine.Engine, time.Time) {
	t.Helper()
	e, now, link := active(t, vip)
	link.Addresses = append(link.Addresses, vip)
	e.Step(now, engine.LinkChanged{Link: link})
	return e, now
}

// TestClaim: another machine's announcement of a held address is answered, not at
// once, and not by who has heard a better Active by then.
func TestClaim(t *testing.T) {
	t.Parallel()
	vip := netip.MustParsePrefix("192.0.2.100/24")
	claim := engine.AddressClaimed{Interface: "eth0", Address: vip.Addr(), MAC: "02:00:00:00:00:02"}
	e, now := holding(t, vip)
	contests := func(after time.Duration) uint64 {
		e.Step(now.Add(after), engine.Wake{})
		return e.Status(now).VIPs[0].Contests
	}
	for _, other := range []engine.AddressClaimed{
		{Interface: "eth1", Address: claim.Address}, {Interface: "eth0", Address: netip.MustParseAddr("192.0.2.101")},
	} {
		e.Step(now, other)
	}
	e.Step(now, claim)
	if n := contests(19 * time.Millisecond); n != 0 {
		t.Errorf("answered %d times, and at once", n)
	}
	if n := contests(20 * time.Millisecond); n != 1 {
		t.Errorf("answered %d times", n)
	}

	now = now.Add(time.Minute)
	e.Step(now, claim)
	e.Step(now.Add(time.Millisecond), engine.AdvertReceived{Interface: "eth0", Source: netip.MustParseAddr("192.0.2.3"),
		Advert: vrrp.Advert{Version: 3, VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{vip.Addr()}}})
	if n := contests(time.Second); n != 1 {
		t.Errorf("a Backup answered: %d", n)
	}
}

// TestClaimsWithoutEnd: who keeps claiming is answered less and less often.
func TestClaimsWithoutEnd(t *testing.T) {
	t.Parallel()
	vip := netip.MustParsePrefix("192.0.2.100/24")
	e, now := holding(t, vip)
	for end := now.Add(100 * time.Second); now.Before(end); now = now.Add(10 * time.Millisecond) {
		e.Step(now, engine.AddressClaimed{Interface: "eth0", Address: vip.Addr(), MAC: "02:00:00:00:00:02"})
		e.Step(now, engine.Wake{})
	}
	if n := e.Status(now).VIPs[0].Contests; n < 100 || n > 111 {
		t.Errorf("%d answers in 100 s, want 10 and one a second", n)
	}
}
