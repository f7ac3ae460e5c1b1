package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/testenv"
)

const (
	servicePort = 8080
	patience    = 20 * time.Second // for whatever a measurement waits for
	settled     = 300 * time.Millisecond
)

// pair is a lab with a client and two hosts of one daemon: lb1 with priority
// 150 and lb2 with priority 100.
type pair struct {
	daemon   daemon
	spec     spec
	lab      *testenv.Lab
	client   *testenv.Host
	hosts    [2]*testenv.Host
	agents   [2]running
	services [2]*testenv.Process // where they are watched
	wire     *testenv.Observer   // at the client
	mallory  *testenv.Host       // nil until somebody attacks

	responders [2]*testenv.Responder
}

// newPair builds the lab and starts the daemon on both hosts.
func newPair(ctx context.Context, d daemon, s spec) (*pair, error) {
	p, err := emptyPair(d, s)
	if err != nil {
		return nil, err
	}
	for i := range p.hosts {
		if err := p.start(i); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	if err := p.until(ctx, "lb1"); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// emptyPair builds the lab without any daemon.
func emptyPair(d daemon, s spec) (*pair, error) {
	p := &pair{daemon: d, spec: s}
	var err error
	if p.lab, err = testenv.NewLab(); err != nil {
		return nil, err
	}
	if p.client, err = p.lab.Host("client", "198.18.1.10/16"); err != nil {
		return nil, errors.Join(err, p.close())
	}
	for i := range p.hosts {
		if p.hosts[i], err = p.lab.Host(fmt.Sprintf("lb%d", i+1), fmt.Sprintf("198.18.1.%d/16", i+1)); err != nil {
			return nil, errors.Join(err, p.close())
		}
		if p.responders[i], err = p.hosts[i].Respond(servicePort); err != nil {
			return nil, errors.Join(err, p.close())
		}
		if err := s.guard.attach(p.lab, p.hosts[i]); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	if p.wire, err = p.client.Observe("eth0"); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *pair) close() error { return p.lab.Close() }

// of is the spec for one of the hosts.
func (p *pair) of(i int) spec {
	s := p.spec
	s.priority = 150 - 50*i
	return s
}

func (p *pair) start(i int) error {
	var err error
	if p.spec.watch != "" && p.services[i] == nil {
		if err = p.serve(i); err != nil {
			return err
		}
	}
	p.agents[i], err = p.daemon.start(p.hosts[i], p.of(i))
	return err
}

// until waits until a host answers a client that comes anew.
func (p *pair) until(ctx context.Context, host string) error {
	probes, err := p.probe()
	if err != nil {
		return err
	}
	defer probes.Stop()
	return answered(ctx, probes, host)
}

func (p *pair) probe() (*testenv.Prober, error) { return p.client.Probe(p.target(), testenv.ProbeRate) }

// target is what clients probe.
func (p *pair) target() netip.AddrPort { return netip.AddrPortFrom(served, servicePort) }

// answered waits until a host answers a probe sent from now on.
func answered(ctx context.Context, probes *testenv.Prober, host string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := probes.WaitAnswer(ctx, host)
	return err
}

// window lets a fixed time pass in which something is measured.
func window(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// phase returns at a moment between two adverts of lb1: run by run at another one,
// evenly over the interval, and in the same runs at the same one for each
// daemon, so that the medians do not differ by the moments alone.
func (p *pair) phase(ctx context.Context, part float64) error {
	if err := window(ctx, settled); err != nil {
		return err
	}
	from := time.Now()
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	f, err := p.wire.WaitFor(within, func(f testenv.Frame) bool { return isAdvert(f, 0) && !f.Time.Before(from) })
	if err != nil {
		return err
	}
	return window(ctx, time.Until(f.Time.Add(time.Duration(part*float64(p.spec.interval)))))
}

// source is the address that a host advertises from.
func source(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 1, byte(i + 1)}) }

// isAdvert reports whether a host advertises the served address with a frame.
func isAdvert(f testenv.Frame, i int) bool {
	return f.VRRP != nil && f.VRRP.VRID == 1 && f.VRRP.Source == source(i) && f.VRRP.Priority > 0
}

// adverts lists when a host sent adverts of the served address, releases aside.
func adverts(frames []testenv.Frame, i int) []time.Time {
	var at []time.Time
	for _, f := range frames {
		if isAdvert(f, i) {
			at = append(at, f.Time)
		}
	}
	return at
}

// move is what a client saw of one event.
type move struct {
	first   time.Time     // the first answer of the other host
	outage  time.Duration // from the event to the first answer of the other host
	lost    int
	gap     time.Duration // the longest run of lost probes
	silence time.Duration // the longest time without an answer
}

// moved reports what a client saw between an event and the next one, after which
// the named host answers.
func moved(r *testenv.Report, host string, from, to time.Time) (move, error) {
	part := r.Between(from, to)
	first, ok := part.FirstAnswerFrom(host, from)
	if !ok {
		return move{}, fmt.Errorf("no answer from %s: %v", host, part)
	}
	return move{first.Answered, first.Answered.Sub(from), part.Lost, part.LongestGap, part.LongestSilence}, nil
}

// ms is a duration as a figure of a table.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// steady begins to probe, and returns when lb1 answers and the wanted part of an
// advert interval has passed. The caller stops the prober.
func (p *pair) steady(ctx context.Context, part float64) (*testenv.Prober, error) {
	probes, err := p.probe()
	if err != nil {
		return nil, err
	}
	if err = answered(ctx, probes, "lb1"); err == nil {
		err = p.phase(ctx, part)
	}
	if err != nil {
		probes.Stop()
		return nil, err
	}
	return probes, nil
}
