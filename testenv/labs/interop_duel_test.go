package labs

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// duel is two VRRP daemons with one virtual router: the first on lb1, the second
// on lb2. Each step of it is judged by what both daemons say, by their adverts,
// by who answers ARP or ND for the address, and by whose service answers a
// client.
type duel struct {
	*pair
	sides  [2]*side
	vip    netip.Addr
	tap    *testenv.Observer // the port of lb2: what it sends, and what reaches it
	probes *testenv.Prober
}

// duelRate is the number of probes a second: enough to tell who answers, and
// few enough for several labs at once.
const duelRate = 100

// newDuel builds the lab; nothing runs yet. The last address of the routers is
// the one that the client uses.
func newDuel(t *testing.T, kinds [2]kind, routers [2]peers.Router) *duel {
	t.Helper()
	d := &duel{pair: newPair(t)}
	for i := range d.sides {
		d.sides[i] = kinds[i](d.pair, d.hosts[i], routers[i])
	}
	addresses := routers[0].Addresses
	d.vip = addressOf(t, addresses[len(addresses)-1])
	var err error
	if d.tap, err = d.hosts[1].ObservePort("eth0"); err != nil {
		t.Fatal(err)
	}
	return d
}

func addressOf(t *testing.T, s string) netip.Addr {
	t.Helper()
	text, _, _ := strings.Cut(s, "/")
	ip, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return ip
}

// fatalf fails the test and prints what both sides say and what was on the wire.
func (d *duel) fatalf(format string, args ...any) {
	d.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, format+"\n", args...)
	for _, s := range d.sides {
		b.WriteString(s.describe())
	}
	b.WriteString("the last adverts:\n")
	var lines []string
	for _, f := range d.tap.Frames() {
		if f.VRRP != nil {
			lines = append(lines, fmt.Sprintf("  %s lb%d %v > %v v%d priority %d interval %v hop limit %d %v\n", f.Time.Format("05.000"),
				sender(f)+1, f.VRRP.Source, f.VRRP.Destination, f.VRRP.Version, f.VRRP.Priority, f.VRRP.Interval, f.VRRP.HopLimit, f.VRRP.Addresses))
		}
	}
	b.WriteString(strings.Join(lines[max(0, len(lines)-30):], ""))
	d.t.Fatal(b.String())
}

// within does something with a deadline and fails the test when it fails.
func (d *duel) within(limit time.Duration, what string, do func(context.Context) error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), limit)
	defer cancel()
	if err := do(ctx); err != nil {
		d.fatalf("%s: %v", what, err)
	}
}

// sender is the side that an advert came from.
func sender(f testenv.Frame) int {
	if f.Out { // to lb2
		return 0
	}
	return 1
}

// frame waits for the n-th frame of a side at or after a time that matches.
func (d *duel) frame(i, n int, after time.Time, what string, match func(testenv.Frame) bool) (found testenv.Frame) {
	d.t.Helper()
	d.within(20*time.Second, fmt.Sprintf("%s of lb%d", what, i+1), func(ctx context.Context) error {
		seen := 0
		var err error
		found, err = d.tap.WaitFor(ctx, func(f testenv.Frame) bool {
			if sender(f) == i && !f.Time.Before(after) && match(f) {
				seen++
			}
			return seen == n
		})
		return err
	})
	return found
}

func advert(f testenv.Frame) bool  { return f.VRRP != nil && f.VRRP.Priority > 0 }
func release(f testenv.Frame) bool { return f.VRRP != nil && f.VRRP.Priority == 0 }

// claim is what a new Active says first: an advert, or, where the address of a
// dead unicast peer no longer resolves, an announcement of the VIP.
func (d *duel) claim(f testenv.Frame) bool {
	return advert(f) || f.ARP != nil && f.ARP.Gratuitous() && f.ARP.Sender == d.vip || f.ND != nil && f.ND.Unsolicited() && f.ND.Target == d.vip
}

// lastAdvert is the last one that a side sent before a time.
func (d *duel) lastAdvert(i int, before time.Time) (last testenv.Frame) {
	for _, f := range d.tap.Frames() {
		if f.VRRP != nil && sender(f) == i && f.Time.Before(before) {
			last = f
		}
	}
	return last
}

// start runs a side's daemon.
func (d *duel) start(i int) {
	d.t.Helper()
	var err error
	if d.sides[i].Peer, err = d.sides[i].start(); err != nil {
		d.fatalf("start lb%d: %v", i+1, err)
	}
}

// begin starts the first side, lets it become Active, then starts the second.
func (d *duel) begin() {
	d.t.Helper()
	d.start(0)
	d.state(0, peers.Active)
	d.start(1)
	d.keeps(0)
}

func (d *duel) state(i int, want peers.State) {
	d.t.Helper()
	d.within(20*time.Second, fmt.Sprintf("lb%d", i+1), func(ctx context.Context) error {
		return peers.WaitState(ctx, d.sides[i], routerName, want)
	})
}

// mac is what a side answers with.
func (s *side) mac(vip netip.Addr) string {
	switch {
	case !s.vmac:
		return s.host.MAC("eth0").String()
	case vip.Is4():
		return net.HardwareAddr{0, 0, 0x5e, 0, 1, s.router.VRID}.String()
	}
	return net.HardwareAddr{0, 0, 0x5e, 0, 2, s.router.VRID}.String()
}

// holds waits until the sides agree that one of them is Active, and shows that
// it is so.
func (d *duel) holds(i int) {
	d.t.Helper()
	if d.version() == 2 {
		d.agree(i, 2)
		return
	}
	d.keeps(i)
}

// keeps is holds for longer than the other would wait for a dead Active.
func (d *duel) keeps(i int) {
	d.t.Helper()
	if d.version() == 2 {
		d.agree(i, 4)
		return
	}
	d.agree(i, 5)
}

func (d *duel) version() int { return d.sides[0].router.Version }

// agree is holds for as long as a number of adverts take.
func (d *duel) agree(i, adverts int) {
	d.t.Helper()
	other := d.sides[1-i]
	d.state(i, peers.Active)
	d.state(1-i, peers.Backup)
	if d.probes == nil {
		var err error
		if d.probes, err = d.client.Probe(netip.AddrPortFrom(d.vip, servicePort), duelRate); err != nil {
			d.t.Fatal(err)
		}
	}
	d.within(20*time.Second, fmt.Sprintf("lb%d to answer the client", i+1), func(ctx context.Context) error {
		if _, err := d.probes.WaitAnswer(ctx, d.sides[i].host.Name); err != nil {
			return err
		}
		return testenv.Until(ctx, func() bool { return other.frr || !other.host.Holds(d.vip) })
	})
	who, err := d.client.WhoHas("eth0", d.vip, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	mark := time.Now()
	last := d.frame(i, adverts, mark, "the adverts", advert)
	holders, seen := who.Stop(), d.probes.Report().Between(mark, last.Time)
	if f := d.lastAdvert(1-i, time.Now()); f.Time.After(mark) {
		d.fatalf("lb%d is a Backup and sends %+v", 2-i, *f.VRRP)
	}
	// Two hosts with one virtual MAC would give more answers than there were questions.
	mac := d.sides[i].mac(d.vip)
	if n := holders.Holders[mac].Answers; len(holders.Holders) != 1 || n == 0 || n > holders.Asked {
		d.fatalf("who has %v: %+v, want %s alone", d.vip, *holders, mac)
	}
	if n := seen.ByHost[d.sides[1-i].host.Name]; n > 0 || seen.Answered == 0 {
		d.fatalf("the client of lb%d: %v", i+1, seen)
	}
	d.state(i, peers.Active)
	d.state(1-i, peers.Backup)
}

// crash takes an Active host away at once. The other one takes over by its
// Active_Down_Interval, not earlier.
func (d *duel) crash(i int) {
	d.t.Helper()
	mark := time.Now()
	if err := d.lab.Cut(d.hosts[i]); err != nil {
		d.t.Fatal(err)
	}
	d.sides[i].Kill()
	first := d.frame(1-i, 1, mark, "the claim after a crash", d.claim)
	last := d.lastAdvert(i, first.Time)
	took, down := first.Time.Sub(last.Time), d.downInterval(1-i, last.VRRP)
	if took < down-10*time.Millisecond || took > d.slowed(down+time.Second/2, last.Time, first.Time) {
		d.fatalf("lb%d took over after %v, Active_Down_Interval is %v", 2-i, took, down)
	}
	d.state(1-i, peers.Active)
	d.within(10*time.Second, "the survivor to answer the client", func(ctx context.Context) error {
		_, err := d.probes.WaitAnswer(ctx, d.hosts[1-i].Name)
		return err
	})
	if !d.hosts[1-i].Holds(d.vip) {
		d.fatalf("lb%d does not hold %v", 2-i, d.vip)
	}
}

// skewTime is Skew_Time of a side towards the Active that sends such adverts.
func (d *duel) skewTime(i int, a *testenv.VRRP) time.Duration {
	unit := a.Interval
	if a.Version == 2 {
		unit = time.Second
	}
	return unit * time.Duration(256-int(d.sides[i].router.Priority)) / 256
}

func (d *duel) downInterval(i int, a *testenv.VRRP) time.Duration {
	return 3*a.Interval + d.skewTime(i, a)
}

// restore brings a crashed host back, as a boot does.
func (d *duel) restore(i int) {
	d.t.Helper()
	d.sides[i].forget(d.t)
	if err := d.lab.Heal(); err != nil {
		d.t.Fatal(err)
	}
	d.start(i)
}

// release ends an Active daemon politely. It says so in an advert of priority 0,
// and the other one takes over by its Skew_Time.
func (d *duel) release(i int) {
	d.t.Helper()
	mark := time.Now()
	d.within(10*time.Second, "stop", d.sides[i].Stop)
	zero := d.frame(i, 1, mark, "the release", release)
	first := d.frame(1-i, 1, zero.Time, "the claim after a release", d.claim)
	last := d.lastAdvert(i, mark)
	if took, silence := first.Time.Sub(zero.Time), 3*last.VRRP.Interval; took >= d.slowed(silence, zero.Time, first.Time) {
		d.fatalf("lb%d took over %v after a release, Skew_Time is %v", 2-i, took, d.skewTime(1-i, last.VRRP))
	}
	d.state(1-i, peers.Active)
	d.within(10*time.Second, "the other to answer the client", func(ctx context.Context) error {
		_, err := d.probes.WaitAnswer(ctx, d.hosts[1-i].Name)
		return err
	})
	if !d.sides[i].frr && d.hosts[i].Holds(d.vip) {
		d.fatalf("lb%d gave up and still holds %v", i+1, d.vip)
	}
}
