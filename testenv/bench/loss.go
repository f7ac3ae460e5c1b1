package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vipd/vipd/testenv"
)

// measureLoss drops adverts on their way, in every direction, while a client
// goes on.
func measureLoss(percent float64) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		t := b.table(fmt.Sprintf("%.0f %% of adverts lost for %s, adverts every 100 ms", percent, b.loss),
			"Each advert is lost with this probability on the way to each host; everything else arrives. "+
				"*False failovers* counts how often the Backup began to advertise.", "lost probes", "longest gap")
		for _, d := range b.daemons {
			if err := b.lose(ctx, d, percent, t); err != nil {
				if ctx.Err() != nil {
					return err
				}
				t.failed(d.name, err)
			}
		}
		b.finished(t)
		return nil
	}
}

func (b *bench) lose(ctx context.Context, d daemon, percent float64, t *table) error {
	p, err := newPair(ctx, d, spec{interval: 100 * time.Millisecond, vips: 1})
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	sent, err := p.hosts[1].ObservePort("eth0") // before anything is lost
	if err != nil {
		return err
	}
	probes, err := p.probe()
	if err != nil {
		return err
	}
	defer probes.Stop()
	if err := answered(ctx, probes, "lb1"); err != nil {
		return err
	}
	if err := p.lab.Loss(nil, nil, percent, testenv.MatchVRRP); err != nil {
		return err
	}
	from := time.Now()
	if err := window(ctx, b.loss); err != nil {
		return err
	}
	r := probes.Stop().Since(from)
	t.add("lost probes", "%", d.name, 100*float64(r.Lost)/float64(max(r.Sent, 1)))
	t.add("longest gap", "ms", d.name, ms(r.LongestGap))
	t.add("answered by the Backup", "%", d.name, 100*float64(r.ByHost["lb2"])/float64(max(r.Sent, 1)))
	t.add("false failovers", "", d.name, float64(episodes(adverts(sent.Since(from), 1), p.spec.interval)))
	return nil
}

// episodes counts how often a host began to advertise: adverts that follow each
// other within three intervals belong together.
func episodes(at []time.Time, interval time.Duration) int {
	n := 0
	for i, a := range at {
		if i == 0 || a.Sub(at[i-1]) > 3*interval {
			n++
		}
	}
	return n
}
