package main

import (
	"context"
	"net/netip"
	"time"
)

// measureRepair does by hand what nobody should: it deletes the address, and the
// interface.
func measureRepair(ctx context.Context, b *bench) error {
	s := spec{interval: 100 * time.Millisecond, vips: 1}
	t := b.table("Address deleted by hand, adverts every 100 ms",
		"The virtual address is deleted from the Active. *Back* is the time until the kernel of that host has it again.", "back")
	if err := b.turns(ctx, t, s, deleteAddress); err != nil {
		return err
	}
	s.hotplug = true
	t = b.table("Interface deleted and made again, adverts every 100 ms",
		"The Active's interface is deleted; when the Backup serves, it is made again with the same name and own address, "+
			"another index and another MAC. keepalived has `dynamic_interfaces`. *Back* is the time until the preferred host "+
			"serves again; Active_Down_Interval of that host is 341 ms. FRR: its macvlan goes with the interface; not tried.", "back")
	return b.turns(ctx, t, s, deleteLink)
}

func deleteAddress(ctx context.Context, p *pair, part float64, t *table) error {
	if p.daemon.name == "frr" {
		return errNone // the address is not its own to put back
	}
	probes, err := p.steady(ctx, part)
	if err != nil {
		return err
	}
	defer probes.Stop()
	w, err := watchAddresses(p.hosts[0], 1)
	if err != nil {
		return err
	}
	defer w.close()
	gone := time.Now()
	if err := p.hosts[0].DeleteAddress("eth0", netip.PrefixFrom(served, 32)); err != nil {
		return err
	}
	back, err := w.wait(ctx)
	if err != nil {
		return err
	}
	if err := p.givenBack(ctx, probes, gone); err != nil {
		return err
	}
	r := probes.Stop().Since(gone)
	t.add("back", "ms", p.daemon.name, ms(back.Sub(gone)))
	t.add("lost probes", "", p.daemon.name, float64(r.Lost))
	t.add("longest gap", "ms", p.daemon.name, ms(r.LongestGap))
	return nil
}

func deleteLink(ctx context.Context, p *pair, part float64, t *table) error {
	if p.daemon.name == "frr" {
		return errNone
	}
	probes, err := p.steady(ctx, part)
	if err != nil {
		return err
	}
	defer probes.Stop()
	gone := time.Now()
	if err := p.hosts[0].DeleteLink("eth0"); err != nil {
		return err
	}
	if err := p.takenOver(ctx, probes, gone); err != nil {
		return err
	}
	if err := p.hosts[0].RecreateLink("eth0"); err != nil {
		return err
	}
	made := time.Now()
	if err := p.givenBack(ctx, probes, made); err != nil {
		return err
	}
	r := probes.Stop()
	again, err := moved(r, "lb1", made, time.Time{})
	if err != nil {
		return err
	}
	t.add("deleted: lost probes", "", p.daemon.name, float64(r.Between(gone, made).Lost))
	t.add("deleted: longest gap", "ms", p.daemon.name, ms(r.Between(gone, made).LongestGap))
	t.add("back", "ms", p.daemon.name, ms(again.outage))
	t.add("back: lost probes", "", p.daemon.name, float64(again.lost))
	return nil
}
