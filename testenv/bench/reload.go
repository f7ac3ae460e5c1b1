package main

import (
	"context"
	"time"

	"github.com/vipd/vipd/testenv"
)

// measureReload adds another virtual router to the Active's configuration, or
// takes it away again, and looks at the one that is served.
func measureReload(ctx context.Context, b *bench) error {
	t := b.table("Unrelated reload, adverts every 100 ms",
		"A virtual router with another VRID and address comes into the Active's configuration, or leaves it. "+
			"The figures are those of the one that did not change, in the second after. FRR: not tried.", "lost probes", "transitions")
	return b.turns(ctx, t, spec{interval: 100 * time.Millisecond, vips: 1}, reloadOnce)
}

func reloadOnce(ctx context.Context, p *pair, part float64, t *table) error {
	probes, err := p.steady(ctx, part)
	if err != nil {
		return err
	}
	defer probes.Stop()
	before := time.Now()
	p.spec.more = !p.spec.more
	if err := p.agents[0].reload(p.of(0)); err != nil {
		return err
	}
	if err := window(ctx, time.Second); err != nil {
		return err
	}
	r := probes.Stop().Since(before)
	frames := p.wire.Since(before.Add(-2 * p.spec.interval))
	t.add("lost probes", "", p.daemon.name, float64(r.Lost))
	t.add("longest gap", "ms", p.daemon.name, ms(r.LongestGap))
	t.add("longest time between adverts", "ms", p.daemon.name, ms(widest(adverts(frames, 0))))
	t.add("transitions", "", p.daemon.name, float64(transitions(frames, before)))
	return nil
}

// widest is the longest time between two that follow each other.
func widest(at []time.Time) time.Duration {
	var most time.Duration
	for i := 1; i < len(at); i++ {
		most = max(most, at[i].Sub(at[i-1]))
	}
	return most
}

// transitions counts what shows a change of the served virtual router: releases
// of lb1 and adverts of lb2.
func transitions(frames []testenv.Frame, since time.Time) int {
	n := 0
	for _, f := range frames {
		if v := f.VRRP; v != nil && v.VRID == 1 && !f.Time.Before(since) && (v.Priority == 0 || v.Source == source(1)) {
			n++
		}
	}
	return n
}
