package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vipd/vipd/testenv"
)

// measureCrash takes the Active host off the network and gives it back.
func measureCrash(interval time.Duration) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		s := spec{interval: interval, vips: 1}
		t := b.table(fmt.Sprintf("Host death, adverts every %s", interval), fmt.Sprintf(
			"The Active's switch port goes down, at moments spread evenly over the advert interval. Active_Down_Interval (ADI) "+
				"of the Backup is %.4g ms. *Detection* is from the last advert of the old Active to the first of the new one, *service* "+
				"from that last advert to the first answer of the new one. Then the port comes up again: *fail-back* takes the address "+
				"to the preferred host.", ms(s.activeDown())), "outage ÷ ADI", "service ÷ ADI", "lost probes", "fail-back: lost probes")
		return b.turns(ctx, t, s, crash)
	}
}

// turn is one run; part says where in the advert interval its event falls, 0 to 1.
type turn func(ctx context.Context, p *pair, part float64, t *table) error

// turns keeps a pair of each daemon and lets them take turns at what is measured.
func (b *bench) turns(ctx context.Context, t *table, s spec, once turn) error {
	var pairs []*pair
	defer func() {
		for _, p := range pairs {
			if p != nil {
				_ = p.close()
			}
		}
	}()
	for _, d := range b.daemons {
		p, err := newPair(ctx, d, s)
		if err != nil {
			switch {
			case ctx.Err() != nil:
				return err
			case !errors.Is(err, errNone):
				t.failed(d.name, err)
			}
			continue
		}
		pairs = append(pairs, p)
	}
	for i := range b.runs {
		for at, p := range pairs {
			if p == nil {
				continue
			}
			err := once(ctx, p, (float64(i)+0.5)/float64(b.runs), t)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, errNone):
			case err != nil:
				b.say("%s, %s, run %d: %v", t.title, p.daemon.name, i+1, err)
				t.failed(p.daemon.name, err)
				if pairs[at], err = b.fresh(ctx, p); err != nil {
					return err
				}
			}
		}
	}
	b.finished(t)
	return nil
}

// fresh replaces a pair in which a run failed.
func (b *bench) fresh(ctx context.Context, p *pair) (*pair, error) {
	if err := p.close(); err != nil {
		return nil, err
	}
	next, err := newPair(ctx, p.daemon, p.spec)
	if err != nil && ctx.Err() == nil {
		return nil, nil //nolint:nilerr // this daemon takes no further turn
	}
	return next, err
}

// crash is one host death and one fail-back.
func crash(ctx context.Context, p *pair, part float64, t *table) error {
	probes, err := p.steady(ctx, part)
	if err != nil {
		return err
	}
	defer probes.Stop()
	died := time.Now()
	if err := p.lab.PortDown(p.hosts[0]); err != nil {
		return err
	}
	if err := p.takenOver(ctx, probes, died); err != nil {
		return err
	}
	back := time.Now()
	if err := p.lab.PortUp(p.hosts[0]); err != nil {
		return err
	}
	if err := p.givenBack(ctx, probes, back); err != nil {
		return err
	}
	r := probes.Stop()
	over, err := moved(r, "lb2", died, back)
	if err != nil {
		return err
	}
	again, err := moved(r, "lb1", back, time.Time{})
	if err != nil {
		return err
	}
	name, adi := p.daemon.name, ms(p.spec.activeDown())
	t.add("outage ÷ ADI", "", name, ms(over.outage)/adi)
	t.add("outage", "ms", name, ms(over.outage))
	t.add("lost probes", "", name, float64(over.lost))
	t.add("longest gap", "ms", name, ms(over.gap))
	if last, first := p.silence(died); !last.IsZero() && !first.IsZero() {
		t.add("detection ÷ ADI", "", name, ms(first.Sub(last))/adi)
		t.add("service ÷ ADI", "", name, ms(over.first.Sub(last))/adi)
	}
	t.add("fail-back: lost probes", "", name, float64(again.lost))
	t.add("fail-back: longest gap", "ms", name, ms(again.gap))
	t.add("fail-back: until it answers", "ms", name, ms(again.outage))
	return nil
}

// takenOver waits until lb2 serves and has advertised, and a little longer.
func (p *pair) takenOver(ctx context.Context, probes *testenv.Prober, since time.Time) error {
	return p.changed(ctx, probes, 1, since)
}

// givenBack waits for the same of lb1.
func (p *pair) givenBack(ctx context.Context, probes *testenv.Prober, since time.Time) error {
	return p.changed(ctx, probes, 0, since)
}

func (p *pair) changed(ctx context.Context, probes *testenv.Prober, i int, since time.Time) error {
	if err := answered(ctx, probes, p.hosts[i].Name); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := p.wire.WaitFor(within, func(f testenv.Frame) bool {
		return isAdvert(f, i) && !f.Time.Before(since)
	})
	if err != nil {
		return err
	}
	return window(ctx, settled)
}

// silence returns the last advert of lb1 before an event and the first one of
// lb2 after it.
func (p *pair) silence(event time.Time) (last, first time.Time) {
	frames := p.wire.Since(event.Add(-2*p.spec.interval - time.Second))
	for _, at := range adverts(frames, 0) {
		if at.Before(event) {
			last = at
		}
	}
	for _, at := range adverts(frames, 1) {
		if !at.Before(event) {
			return last, at
		}
	}
	return last, time.Time{}
}
