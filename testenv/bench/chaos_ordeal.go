package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/vipd/vipd/testenv"
)

// ordeal is one fault in an arena, while a client watches.
type ordeal struct {
	*arena
	was    int // the host that held the VIP
	mark   time.Time
	probes *testenv.Prober
	asks   *testenv.WhoHas
	ended  bool
	seen   *testenv.Report
	held   *testenv.HolderReport
	dead   [2]bool // hosts whose daemon has ended
	frozen [2]bool
	mute   bool // the witness is dead
	slept  int  // times, so far, that a daemon was not run for longer than its lease
}

// begin watches, and returns at any moment between two adverts when all is well.
func (a *arena) begin(ctx context.Context) (*ordeal, error) {
	r := &ordeal{arena: a}
	var err error
	if r.probes, err = a.probe(); err != nil {
		return nil, err
	}
	if r.was, err = a.settle(ctx, r.probes); err != nil {
		r.probes.Stop()
		return nil, err
	}
	if r.asks, err = a.client.WhoHas("eth0", served, 0); err != nil {
		r.probes.Stop()
		return nil, err
	}
	if err := window(ctx, a.spec.interval+rand.N(a.spec.interval)); err != nil { //nolint:gosec // any moment will do
		r.end()
		return nil, err
	}
	r.mark, r.slept = time.Now(), r.sleeps()
	return r, nil
}

// sleeps counts how often a daemon says that it was not run for longer than its lease.
func (r *ordeal) sleeps() (n int) {
	for i := range r.hosts {
		said := r.agents[i].output()
		n += strings.Count(said, "since this host did not run") + strings.Count(said, "it could not be refreshed")
	}
	return n
}

// stalled reports whether the machine of the labs stopped a daemon for longer than its
// lease: a fault that is none of ours.
func (r *ordeal) stalled() bool { return r.frozen == [2]bool{} && r.sleeps() > r.slept }

// end stops watching.
func (r *ordeal) end() {
	if r.ended {
		return
	}
	r.ended = true
	r.seen, r.held = r.probes.Stop(), r.asks.Stop()
}

// shots is how often a host was shot at since the fault.
func (r *ordeal) shots(i int) int {
	n := 0
	for _, d := range r.cut[i] {
		n += d.Shots(r.mark)
	}
	return n
}

// mend undoes the fault and waits until all is well.
func (r *ordeal) mend(ctx context.Context) error {
	for i := range r.hosts {
		if r.frozen[i] {
			if err := r.agents[i].signal(syscall.SIGCONT); err != nil {
				return err
			}
		}
		for _, d := range r.cut[i] {
			d.PowerOn()
		}
	}
	if err := r.lab.Heal(); err != nil {
		return err
	}
	if r.mute {
		if err := r.startWitness(); err != nil {
			return err
		}
	}
	for i := range r.hosts {
		if r.dead[i] {
			if err := r.start(i); err != nil {
				return err
			}
		}
	}
	if _, err := r.settle(ctx, r.probes); err != nil {
		return err
	}
	for i := range r.hosts {
		if len(r.cut[i]) == 0 {
			continue
		}
		// A host whose port is set up again did not boot: the device is taken for one that lies.
		if err := r.reload(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// words is the end of what the daemons have said, for whoever looks into a failure.
func (r *ordeal) words() string {
	var s strings.Builder
	fmt.Fprintf(&s, "\n  %s held it\n  %v\n", r.hosts[r.was].Name, r.seen)
	for i, h := range r.hosts {
		lines := strings.Split(strings.TrimSpace(r.agents[i].output()), "\n")
		fmt.Fprintf(&s, "  %s:\n    %s\n", h.Name, strings.Join(lines[max(0, len(lines)-40):], "\n    "))
	}
	return s.String()
}

// switches counts the probes that one host answered right after the other one did.
func switches(seen *testenv.Report) int {
	n := 0
	var last testenv.Probe
	for _, p := range seen.Probes() {
		if p.Host == "" {
			continue
		}
		if last.Host != "" && last.Host != p.Host && p.Sent.Sub(last.Answered) < overlapGrace {
			n++
		}
		last = p
	}
	return n
}
