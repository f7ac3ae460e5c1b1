package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vipd/vipd/testenv"
)

// fault is what happens to every process of a holder's daemon.
type fault struct {
	name      string
	signal    syscall.Signal
	length    time.Duration
	bringBack func(p *pair, i int) error
}

var (
	killed  = fault{name: "killed", signal: syscall.SIGKILL, length: time.Second, bringBack: (*pair).start}
	stopped = fault{name: "stopped", signal: syscall.SIGSTOP, length: 5 * time.Second,
		bringBack: func(p *pair, i int) error { return p.agents[i].signal(syscall.SIGCONT) }}
)

// once is one such fault and the return from it.
func (f fault) once(ctx context.Context, p *pair, what string, t *table) error {
	probes, err := p.client.Probe(p.target(), 200)
	if err != nil {
		return err
	}
	defer probes.Stop()
	was, err := p.holder(ctx, probes)
	if err != nil {
		return err
	}
	var ports [2]*testenv.Observer
	for i, h := range p.hosts {
		if ports[i], err = h.ObservePort("eth0"); err != nil {
			return err
		}
		defer ports[i].Close() //nolint:errcheck // the lab closes it otherwise
	}
	asks, err := p.client.WhoHas("eth0", served, 0)
	if err != nil {
		return err
	}
	defer asks.Stop()
	mark := time.Now()
	if err := p.agents[was].signal(f.signal); err != nil {
		return err
	}
	if err := answered(ctx, probes, p.hosts[1-was].Name); err != nil {
		return err
	}
	if err := window(ctx, time.Until(mark.Add(f.length))); err != nil {
		return err
	}
	if err := f.bringBack(p, was); err != nil {
		return err
	}
	if err := window(ctx, time.Second); err != nil {
		return err
	}
	r := probes.Stop()
	said := [2][]time.Time{}
	for i := range said {
		said[i] = claims(ports[i].Since(mark))
	}
	first, ok := r.FirstAnswerFrom(p.hosts[1-was].Name, mark)
	if !ok || len(said[1-was]) == 0 {
		return fmt.Errorf("%s never answered: %v", p.hosts[1-was].Name, r)
	}
	wrong := 0
	for _, probe := range r.Probes() {
		if probe.Host == p.hosts[was].Name && probe.Answered.After(first.Answered) {
			wrong++
		}
	}
	late := slices.DeleteFunc(said[was], func(at time.Time) bool { return at.Before(said[1-was][0]) })
	label := f.name + what + ": "
	t.add(label+"wrong who-has answers", "", p.daemon.name, float64(len(late)))
	t.add(label+"wrong answers to probes", "", p.daemon.name, float64(wrong))
	t.add(label+"outage", "ms", p.daemon.name, ms(first.Answered.Sub(mark)))
	return nil
}

// claims lists when a host said that it has the address: an answer, or an
// announcement.
func claims(frames []testenv.Frame) (at []time.Time) {
	for _, f := range frames {
		if !f.Out && f.ARP != nil && f.ARP.Sender == served {
			at = append(at, f.Time)
		}
	}
	return at
}

// holder waits until one host alone has answered for half a second, and names it.
func (p *pair) holder(ctx context.Context, probes *testenv.Prober) (int, error) {
	for range 20 {
		from := time.Now()
		if err := window(ctx, 500*time.Millisecond); err != nil {
			return 0, err
		}
		r := probes.Report().Since(from)
		for i, h := range p.hosts {
			if len(r.ByHost) == 1 && r.ByHost[h.Name] > 50 {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("no host alone answers: %v", probes.Report())
}

func (b *bench) introduceGuard(s *strings.Builder) {
	fmt.Fprintf(s, `What keeps an address from being held twice, and what moves it without loss: vipd beside keepalived, measured by
`+"`make bench BENCH='-only guard -n 20'`"+` on %s, in %s, on the machine and in the labs of the chapters above. vipd has a lease, which is how it comes, and a channel
between its hosts where that is said.

`, b.started.UTC().Format(time.DateOnly), time.Since(b.started).Round(time.Minute))
}

const guardNotMeasured = `## What is not measured

IPv6, which the labs have; a clock that is set, since a network namespace has no clock of its own: the unit tests of pkg/pair have that.
`

// measureGuardCost counts what leases cost: the same hosts with and without, at the
// same time.
func measureGuardCost(ctx context.Context, b *bench) error {
	for _, c := range []struct{ vips, many int }{{1, 1}, {255, 1}, {4, 250}} {
		t := b.table(fmt.Sprintf("Lease, %d VIPs of %d addresses, adverts every 100 ms", c.vips, c.many), fmt.Sprintf(
			"CPU of the holder, in percent of one core, over %s; two pairs of vipd at the same time, one with `lease = \"none\"`.", b.cost),
			"CPU as Active", "CPU per advert as Active").guard("with a lease", "without")
		t.rivals = []string{"without"}
		for range b.rounds {
			errs, i := make([]error, 2), 0
			var wg sync.WaitGroup
			for name, lease := range map[string]string{"with a lease": "nft", "without": "none"} {
				d := b.daemons[0]
				d.name = name
				s := spec{interval: 100 * time.Millisecond, vips: c.vips, guard: &guarded{lease: lease, many: c.many}}
				at := i
				i++
				wg.Go(func() { errs[at] = b.spend(ctx, d, s, t) })
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				if ctx.Err() != nil {
					return err
				}
				t.failed("with a lease", err)
			}
		}
		b.finished(t)
	}
	return nil
}
