package main

import (
	"context"
	"fmt"
	"time"
)

// measureCost counts what a pair of daemons costs its hosts in the steady state,
// and how long it takes to come there.
func measureCost(ctx context.Context, b *bench) error {
	for _, interval := range []time.Duration{time.Second, 100 * time.Millisecond} {
		for _, vips := range []int{1, 50, 255} {
			t := b.table(fmt.Sprintf("Cost of %d VIPs, adverts every %s", vips, interval), fmt.Sprintf(
				"CPU is time of the scheduler over %s, in percent of one core, of all processes of the daemon; "+
					"it includes the kernel's work for each packet, the bridge's too. Start-up is from the start of the process "+
					"on one host until the kernel has all addresses; a Backup listens for %.4g ms first.",
				b.cost, ms(spec{interval: interval}.alone())),
				"start-up until all are held", "CPU as Active", "CPU as Backup", "RSS as Active")
			for range b.rounds {
				for _, d := range b.daemons {
					if err := b.spend(ctx, d, spec{interval: interval, vips: vips}, t); err != nil {
						if ctx.Err() != nil {
							return err
						}
						b.say("%s, %s: %v", t.title, d.name, err)
						t.failed(d.name, err)
					}
				}
			}
			b.finished(t)
		}
	}
	return nil
}

// alone is Active_Down_Interval of lb1, which starts alone.
func (s spec) alone() time.Duration { return 3*s.interval + s.interval*106/256 }

func (b *bench) spend(ctx context.Context, d daemon, s spec, t *table) error {
	p, err := emptyPair(d, s)
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	if err := p.wire.Close(); err != nil { // it would cost the machine
		return err
	}
	if err := p.startAll(ctx, t); err != nil {
		return err
	}
	// All timers of a start have run, all announcements are sent.
	if err := window(ctx, 3*time.Second+3*s.interval); err != nil {
		return err
	}
	return p.count(ctx, b.cost, t)
}

// startAll starts lb1, waits until it holds everything, and starts lb2.
func (p *pair) startAll(ctx context.Context, t *table) error {
	if p.daemon.name == "frr" { // its addresses are there before it is
		if err := p.start(0); err != nil {
			return err
		}
		if err := window(ctx, 2*p.spec.alone()); err != nil {
			return err
		}
		return p.start(1)
	}
	w, err := watchAddresses(p.hosts[0], p.spec.vips)
	if err != nil {
		return err
	}
	defer w.close()
	started := time.Now()
	if err := p.start(0); err != nil {
		return err
	}
	all, err := w.wait(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s", err, tail(p.agents[0].output()))
	}
	t.add("start-up until all are held", "ms", p.daemon.name, ms(all.Sub(started)))
	return p.start(1)
}

func tail(s string) string { return s[max(0, len(s)-300):] }

// count takes the figures of both hosts over a window.
func (p *pair) count(ctx context.Context, d time.Duration, t *table) error {
	var before [2]usage
	from := time.Now()
	for i, a := range p.agents {
		var err error
		if before[i], err = used(a.pids()); err != nil {
			return err
		}
	}
	if err := window(ctx, d); err != nil {
		return err
	}
	took := time.Since(from)
	for i, a := range p.agents {
		after, err := used(a.pids())
		if err != nil {
			return err
		}
		role := []string{"Active", "Backup"}[i]
		spent := after.cpu - before[i].cpu
		t.add("CPU as "+role, "%", p.daemon.name, 100*spent.Seconds()/took.Seconds())
		packets := float64(p.spec.vips) * took.Seconds() / p.spec.interval.Seconds()
		t.add("CPU per advert as "+role, "µs", p.daemon.name, float64(spent.Microseconds())/packets)
		t.add("RSS as "+role, "MiB", p.daemon.name, after.rss)
		t.add("PSS as "+role, "MiB", p.daemon.name, after.pss)
	}
	return p.roles(ctx, t)
}

// roles counts the addresses for which the Backup advertises: there should be
// none.
func (p *pair) roles(ctx context.Context, t *table) error {
	tap, err := p.client.Observe("eth0")
	if err != nil {
		return err
	}
	if err := window(ctx, p.spec.interval+100*time.Millisecond); err != nil {
		return err
	}
	both := map[uint8]bool{}
	for _, f := range tap.Frames() {
		if f.VRRP != nil && f.VRRP.Source == source(1) {
			both[f.VRRP.VRID] = true
		}
	}
	t.add("VIPs that the Backup advertises", "", p.daemon.name, float64(len(both)))
	return nil
}
