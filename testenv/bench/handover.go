package main

import (
	"context"
	"slices"
	"time"

	"github.com/vipd/vipd/testenv"
)

// handover is a planned move of the address to lb2 and back.
type handover struct {
	title, text string
	away, back  func(context.Context, *pair) error
}

var (
	sigterm = handover{"SIGTERM", "The Active daemon is asked to end, and is started again.",
		func(ctx context.Context, p *pair) error { return p.agents[0].stop(ctx) },
		func(_ context.Context, p *pair) error { return p.start(0) }}
	priorityChange = handover{"Priority change by reload", "The Active's priority falls from 150 to 50 by a reload, and rises again by another. FRR: not tried.",
		func(_ context.Context, p *pair) error { return p.reprioritise(50) },
		func(_ context.Context, p *pair) error { return p.reprioritise(150) }}
	drain = handover{"Drain", "`vipd drain` on the Active, then `vipd undrain`. The others have no such command.",
		func(ctx context.Context, p *pair) error { return p.agents[0].command(ctx, "drain", "v1") },
		func(ctx context.Context, p *pair) error { return p.agents[0].command(ctx, "undrain", "v1") }}
	failover = handover{"Failover", "`vipd failover` on the Active, then `vipd undrain`, which lets it preempt again. The others have no such command.",
		func(ctx context.Context, p *pair) error { return p.agents[0].command(ctx, "failover", "v1") },
		func(ctx context.Context, p *pair) error { return p.agents[0].command(ctx, "undrain", "v1") }}
)

// measure moves the address on purpose, at adverts every 100 ms.
func (h handover) measure(ctx context.Context, b *bench) error {
	t := b.table(h.title+", adverts every 100 ms", h.text+" The Backup's skew time is 61 ms.", "lost probes", "fail-back: lost probes")
	return b.turns(ctx, t, spec{interval: 100 * time.Millisecond, vips: 1}, h.once)
}

func (p *pair) reprioritise(priority int) error {
	s := p.of(0)
	s.priority = priority
	return p.agents[0].reload(s)
}

func (h handover) once(ctx context.Context, p *pair, part float64, t *table) error {
	probes, err := p.steady(ctx, part)
	if err != nil {
		return err
	}
	defer probes.Stop()
	away := time.Now()
	if err := h.away(ctx, p); err != nil {
		return err
	}
	if err := p.takenOver(ctx, probes, away); err != nil {
		return err
	}
	back := time.Now()
	if err := h.back(ctx, p); err != nil {
		return err
	}
	if err := p.givenBack(ctx, probes, back); err != nil {
		return err
	}
	p.steps(away, t)
	r := probes.Stop()
	if p.spec.guard != nil {
		t.add("probes", "", p.daemon.name, float64(r.Sent))
		t.add("moves", "", p.daemon.name, 2)
		late := 0
		for _, service := range p.responders {
			late += len(slices.DeleteFunc(service.Late(), func(at time.Time) bool { return at.Before(away) }))
		}
		t.add("probes that waited for a service that was not run", "", p.daemon.name, float64(late))
	}
	return h.note(r, p.daemon.name, away, back, t)
}

func (h handover) note(r *testenv.Report, name string, away, back time.Time, t *table) error {
	over, err := moved(r, "lb2", away, back)
	if err != nil {
		return err
	}
	again, err := moved(r, "lb1", back, time.Time{})
	if err != nil {
		return err
	}
	t.add("lost probes", "", name, float64(over.lost))
	t.add("longest gap", "ms", name, ms(over.gap))
	t.add("until the other answers", "ms", name, ms(over.outage))
	t.add("fail-back: lost probes", "", name, float64(again.lost))
	t.add("fail-back: longest gap", "ms", name, ms(again.gap))
	t.add("fail-back: until it answers", "ms", name, ms(again.outage))
	return nil
}

// steps adds what the wire shows of a takeover after a release: when the Backup
// advertised and when it announced the address.
func (p *pair) steps(since time.Time, t *table) {
	var release, advert time.Time
	for _, f := range p.wire.Since(since) {
		switch {
		case release.IsZero():
			if f.VRRP != nil && f.VRRP.VRID == 1 && f.VRRP.Priority == 0 {
				release = f.Time
			}
		case advert.IsZero():
			if isAdvert(f, 1) {
				advert = f.Time
				t.add("release to advert", "ms", p.daemon.name, ms(advert.Sub(release)))
			}
		case f.ARP != nil && f.ARP.Gratuitous() && f.ARP.Sender == served:
			t.add("advert to announcement", "ms", p.daemon.name, ms(f.Time.Sub(advert)))
			return
		}
	}
}
