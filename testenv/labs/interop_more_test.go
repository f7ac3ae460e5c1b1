package labs

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// match is a pair of sides that is not a cell of the matrix.
type match struct {
	name    string
	kinds   [2]kind // lb1, lb2
	family  int
	unicast bool
	set     func(*[2]peers.Router) // changes what the matrix would have
}

func (m match) String() string { return m.name }

func (m match) duel(t *testing.T) *duel {
	t.Helper()
	peers.RequireKeepalived(t)
	peers.RequireFRR(t)
	routers := combination{version: 3, family: m.family, unicast: m.unicast, preempt: true}.routers()
	if m.set != nil {
		m.set(&routers)
	}
	return newDuel(t, m.kinds, routers)
}

// TestInteropVMAC: with `vmac = true` the clients see the virtual MAC, and that
// one only, through a crash and a return, beside daemons with a virtual MAC and
// without.
func TestInteropVMAC(t *testing.T) {
	vipd, other := vipdSide(""), kind(keepalivedVMACSide)
	both := func(r *[2]peers.Router) { r[0].VMAC, r[1].VMAC = true, true }
	first := func(r *[2]peers.Router) { r[0].VMAC = true }
	second := func(r *[2]peers.Router) { r[1].VMAC = true }
	together(t, []match{
		{"vipd-vipd-ipv4", [2]kind{vipd, vipd}, 4, false, both},
		{"vipd-vipd-ipv6", [2]kind{vipd, vipd}, 6, false, both},
		{"vipd-keepalived-ipv4", [2]kind{vipd, other}, 4, false, both},
		{"keepalived-vipd-ipv4", [2]kind{other, vipd}, 4, false, both},
		{"vipd-keepalived-ipv6", [2]kind{vipd, other}, 6, false, both},
		{"keepalived-vipd-ipv6", [2]kind{other, vipd}, 6, false, both},
		{"vipd-frr-ipv4", [2]kind{vipd, frrSide}, 4, false, both},
		{"frr-vipd-ipv4", [2]kind{frrSide, vipd}, 4, false, both},
		{"vipd-keepalived-without-ipv4", [2]kind{vipd, keepalivedSide}, 4, false, first},
		{"keepalived-without-vipd-ipv4", [2]kind{keepalivedSide, vipd}, 4, false, second},
	}, func(t *testing.T, m match) {
		d := m.duel(t)
		seen, err := d.client.Observe("eth0")
		if err != nil {
			t.Fatal(err)
		}
		d.begin()
		d.crash(0)
		d.restore(0)
		d.holds(0)
		d.release(0)
		d.onlyVirtual(seen)
	})
}

// onlyVirtual looks at all that the client was told about the VIP: a host with a
// virtual MAC never names its own.
func (d *duel) onlyVirtual(seen *testenv.Observer) {
	d.t.Helper()
	allowed := map[string]bool{}
	for _, s := range d.sides {
		allowed[s.mac(d.vip)] = true
	}
	told := 0
	for _, f := range seen.Frames() {
		var mac string
		switch {
		case f.Out:
			continue
		case f.ARP != nil && f.ARP.Sender == d.vip:
			mac = f.ARP.SenderMAC.String()
		case f.ND != nil && f.ND.Advertisement && f.ND.Target == d.vip:
			mac = f.ND.LinkAddress.String()
		default:
			continue
		}
		told++
		if !allowed[mac] || !allowed[f.Source.String()] {
			d.fatalf("the client heard %s from %s for %v, want only %v: %+v %+v", mac, f.Source, d.vip, allowed, f.ARP, f.ND)
		}
	}
	if told == 0 {
		d.fatalf("nobody told the client about %v", d.vip)
	}
}

// TestInteropContest: two hosts that are Active at once, because a cut kept them
// apart, agree as soon as it heals: the higher priority wins, and among equals
// the higher address, whatever preempt says, and the clients follow it. Among
// equals a Backup never contests.
func TestInteropContest(t *testing.T) {
	vipd := vipdSide("")
	equal := func(r *[2]peers.Router) { r[0].Priority, r[1].Priority = 100, 100 }
	keeps := func(r *[2]peers.Router) { r[0].NoPreempt, r[1].NoPreempt = true, true }
	together(t, []match{
		{"equal-vipd-keepalived-ipv4", [2]kind{vipd, keepalivedSide}, 4, false, equal},
		{"equal-keepalived-vipd-ipv4", [2]kind{keepalivedSide, vipd}, 4, false, equal},
		{"equal-vipd-keepalived-ipv6", [2]kind{vipd, keepalivedSide}, 6, false, equal},
		{"equal-keepalived-vipd-ipv6", [2]kind{keepalivedSide, vipd}, 6, false, equal},
		{"equal-vipd-keepalived-unicast", [2]kind{vipd, keepalivedSide}, 4, true, equal},
		{"equal-keepalived-vipd-unicast", [2]kind{keepalivedSide, vipd}, 4, true, equal},
		{"equal-vipd-frr-ipv4", [2]kind{vipd, frrSide}, 4, false, equal},
		{"equal-frr-vipd-ipv4", [2]kind{frrSide, vipd}, 4, false, equal},
		{"better-vipd-keepalived-nopreempt", [2]kind{vipd, keepalivedSide}, 4, false, keeps},
		{"better-keepalived-vipd-nopreempt", [2]kind{keepalivedSide, vipd}, 4, false, keeps},
	}, func(t *testing.T, m match) {
		d := m.duel(t)
		d.begin()
		winner := 0
		if d.sides[0].router.Priority == d.sides[1].router.Priority && d.source(0).Less(d.source(1)) {
			winner = 1
		}
		if err := d.lab.Cut(d.hosts[0]); err != nil {
			t.Fatal(err)
		}
		d.state(0, peers.Active)
		d.state(1, peers.Active)
		if err := d.lab.Heal(); err != nil {
			t.Fatal(err)
		}
		// vipd says when it loses, to which FRR does not listen. Of another loser the
		// winner may not know, and the clients come back by their neighbour tables.
		if _, ours := d.sides[1-winner].Peer.(vipdPeer); ours && !d.sides[winner].frr {
			d.within(4*time.Second, "the winner to answer the client", func(ctx context.Context) error {
				_, err := d.probes.WaitAnswer(ctx, d.hosts[winner].Name)
				return err
			})
		}
		d.holds(winner)
		d.release(winner)
		d.sides[winner].forget(t)
		d.start(winner)
		d.state(1-winner, peers.Active)
		if d.sides[0].router.Priority == d.sides[1].router.Priority || d.sides[0].router.NoPreempt {
			d.keeps(1 - winner) // an equal, or one that does not preempt, stays Backup
		}
	})
}

// source is the address that a side sent its last advert from.
func (d *duel) source(i int) netip.Addr {
	d.t.Helper()
	if f := d.lastAdvert(i, time.Now()); f.VRRP != nil {
		return f.VRRP.Source
	}
	// It has been a Backup so far: multicast over IPv4, or an address of its own.
	for _, p := range d.hosts[i].Addresses("eth0") {
		if a := p.Addr(); a.Is4() == d.vip.Is4() && a != d.vip && (a.Is4() || a.IsLinkLocalUnicast()) {
			return a
		}
	}
	d.t.Fatalf("lb%d has no source", i+1)
	return netip.Addr{}
}

// TestInteropInterval: a Backup learns the Active's interval, waits by it, and
// sends by its own.
func TestInteropInterval(t *testing.T) {
	vipd := vipdSide("")
	slow := func(r *[2]peers.Router) { r[0].Interval = 300 * time.Millisecond }
	together(t, []match{
		{"vipd-learns-from-keepalived-ipv4", [2]kind{keepalivedSide, vipd}, 4, false, slow},
		{"vipd-learns-from-keepalived-ipv6", [2]kind{keepalivedSide, vipd}, 6, false, slow},
		{"vipd-learns-from-frr-ipv4", [2]kind{frrSide, vipd}, 4, false, slow},
		{"keepalived-learns-from-vipd-ipv4", [2]kind{vipd, keepalivedSide}, 4, false, slow},
		{"frr-learns-from-vipd-ipv4", [2]kind{vipd, frrSide}, 4, false, slow},
	}, func(t *testing.T, m match) {
		d := m.duel(t)
		d.begin()
		d.crash(0) // not before 3 × 300 ms and the skew of 300 ms
		last := time.Now()
		if err := d.lab.Heal(); err != nil { // a unicast or multicast listener again
			t.Fatal(err)
		}
		f := d.frame(1, 3, last, "three adverts", advert)
		if own := d.sides[1].router.Interval; f.VRRP.Interval != own || f.Time.Sub(last) > d.slowed(5*own, last, f.Time) {
			d.fatalf("lb2 sends %v in three adverts that took %v", f.VRRP.Interval, f.Time.Sub(last))
		}
	})
}

// TestInteropOwner: the owner of the address is Active as soon as it starts,
// also beside a living Active.
func TestInteropOwner(t *testing.T) {
	vipd := vipdSide("")
	own := func(r *[2]peers.Router) {
		r[0].Priority = 255
		for i := range r {
			r[i].Interval = 300 * time.Millisecond
		}
	}
	together(t, []match{
		{"vipd-owns-keepalived", [2]kind{vipd, keepalivedSide}, 4, false, own},
		{"keepalived-owns-vipd", [2]kind{keepalivedSide, vipd}, 4, false, own},
		{"vipd-owns-frr", [2]kind{vipd, frrSide}, 4, false, own},
	}, func(t *testing.T, m match) {
		d := m.duel(t)
		owned := func() {
			if err := d.hosts[0].AddAddress("eth0", netip.MustParsePrefix(d.sides[0].router.Addresses[0])); err != nil {
				t.Fatal(err)
			}
		}
		owned()
		d.begin()
		d.crash(0)
		d.sides[0].forget(t)
		owned()
		mark := time.Now()
		d.restoreOwner()
		f := d.frame(0, 1, mark, "the owner's first advert", advert)
		// keepalived takes the owner's short cut only with `state MASTER`.
		if ours, ok := d.sides[0].Peer.(vipdPeer); ok {
			list := ours.a.events("start")
			begun := list[len(list)-1].Time // loading the program took its own time
			if took := f.Time.Sub(begun); took > d.slowed(600*time.Millisecond, begun, f.Time) {
				d.fatalf("the owner waited %v", took)
			}
		}
		d.holds(0)
	})
}

// restoreOwner brings the owner's host back with its address, which is its own.
func (d *duel) restoreOwner() {
	d.t.Helper()
	if err := d.lab.Heal(); err != nil {
		d.t.Fatal(err)
	}
	d.start(0)
}
