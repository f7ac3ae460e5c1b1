package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/vipd/vipd/testenv"
)

// calamity is a fault that a pair must survive.
type calamity struct {
	name      string
	in        map[string]bool // guards that it is for
	device    testenv.FenceBehaviour
	wrongPlug bool // the first device of a host cuts off the one that uses it
	fences    bool // the host that held it may be fenced
	planned   bool // the host lets go: the other one follows at once
	starts    bool // a daemon that starts takes away what an earlier one has left, and so lets go
	short     bool // no other lab has it
	strike    func(context.Context, *ordeal) error
	bounds    bounds
}

// bounds are how long nobody may answer.
type bounds struct {
	votes, fence limit
}

// limit is a time in adverts, and more on top of it.
type limit struct {
	adverts float64
	more    time.Duration
	none    bool
}

// What the bounds are made of.
const (
	downAdverts = 3.609                  // Active_Down_Interval of priority 100
	ttlAdverts  = 8.5                    // the votes of a pair, by default
	silence     = time.Second            // until a peer may be fenced
	fenceTime   = 250 * time.Millisecond // a shot, and two readings 100 ms apart
	bootTime    = 300 * time.Millisecond // of a daemon
)

var (
	nothing   = limit{}
	unbounded = limit{none: true}
	takeover  = limit{more: silence + fenceTime}
	cutOff    = limit{more: fenceTime}                                  // the holder serves until the shot
	votesOver = limit{adverts: ttlAdverts, more: 20 * time.Millisecond} // and one exchange
)

func (c calamity) meets(guard string) bool { return c.in[guard] }

func (l limit) at(interval time.Duration) time.Duration {
	return time.Duration(l.adverts*float64(interval)) + l.more
}

// bound is how long nobody may answer with a guard.
func (c calamity) bound(guard string, interval time.Duration) (time.Duration, bool) {
	l := unbounded
	switch guard {
	case byVotes:
		l = c.bounds.votes
	case byFence:
		l = c.bounds.fence
	}
	return l.at(interval), !l.none
}

// title is the name with the bounds.
func (c calamity) title(interval time.Duration) string {
	words := ""
	for _, g := range []string{byVotes, byFence} {
		if !c.in[g] {
			continue
		}
		text := "none"
		if at, ok := c.bound(g, interval); ok {
			text = fmt.Sprint(at.Milliseconds())
		}
		if words != "" {
			words += ", "
		}
		words += g + " " + text
	}
	return c.name + " (bounds: " + words + ")"
}

var (
	everywhere = guardsOf()
	fenceOnly  = guardsOf(byFence)
	votesOnly  = guardsOf(byVotes)
)

// calamities are the rows of the design's table of what a pair must survive.
var calamities = []calamity{
	{name: "host dead", in: everywhere, fences: true, strike: hostDead, bounds: bounds{votesOver, takeover}},
	{name: "daemon dead", in: everywhere, fences: true, strike: daemonDead, bounds: bounds{votesOver, takeover}},
	{name: "daemon hung", in: everywhere, fences: true, strike: daemonHung, bounds: bounds{votesOver, takeover}},
	{name: "link cut", in: everywhere, fences: true, strike: linkCut, bounds: bounds{nothing, cutOff}},
	{name: "standby deaf", in: everywhere, fences: true, strike: standbyDeaf, bounds: bounds{nothing, cutOff}},
	{name: "holder deaf", in: everywhere, strike: holderDeaf, short: true, bounds: bounds{nothing, nothing}},
	{name: "holder isolated", in: everywhere, fences: true, strike: holderIsolated, short: true, bounds: bounds{votesOver, takeover}},
	{name: "standby isolated", in: everywhere, strike: standbyIsolated, short: true, bounds: bounds{nothing, nothing}},
	{name: "both started at once", in: everywhere, starts: true, strike: bothStarted, short: true,
		bounds: bounds{limit{adverts: ttlAdverts + downAdverts, more: bootTime}, limit{adverts: downAdverts, more: bootTime}}},
	{name: "released", in: everywhere, planned: true, strike: released, short: true, bounds: bounds{limit{adverts: 1}, limit{adverts: 1}}},
	{name: "link cut, dead device", in: fenceOnly, device: testenv.FenceDead, fences: true, strike: linkCut, bounds: bounds{fence: cutOff}},
	{name: "host and its device dead", in: fenceOnly, device: testenv.FenceDead, fences: true, strike: hostDead, short: true, bounds: bounds{fence: takeover}},
	{name: "link cut, lying device", in: fenceOnly, device: testenv.FenceLies, fences: true, strike: linkCut, bounds: bounds{fence: cutOff}},
	{name: "link cut, slow device", in: fenceOnly, device: testenv.FenceSlow, fences: true, strike: linkCut, bounds: bounds{fence: cutOff}},
	{name: "link cut, wrong plug", in: fenceOnly, wrongPlug: true, fences: true, strike: wrongPlug, bounds: bounds{fence: nothing}},
	{name: "witness dead", in: votesOnly, strike: witnessDead, bounds: bounds{votes: nothing}},
	{name: "witness restarted", in: votesOnly, strike: witnessRestarted, short: true, bounds: bounds{votes: nothing}},
	{name: "witness dead and link cut", in: votesOnly, strike: witnessDeadLinkCut, bounds: bounds{votes: unbounded}},
}

// moved waits until the other host answers.
func (r *ordeal) moved(ctx context.Context) error {
	return answered(ctx, r.probes, r.hosts[1-r.was].Name)
}

// stays lets the time pass in which something might happen, and nothing may.
func (r *ordeal) stays(ctx context.Context) error {
	if err := window(ctx, 12*r.spec.interval); err != nil {
		return err
	}
	if n := r.probes.Report().Since(r.mark).ByHost[r.hosts[1-r.was].Name]; n > 0 {
		return fmt.Errorf("%s answered %d probes", r.hosts[1-r.was].Name, n)
	}
	return answered(ctx, r.probes, r.hosts[r.was].Name)
}

// split waits for what comes of a link that is cut: nothing, a fence, or two that hold.
func (r *ordeal) split(ctx context.Context) error {
	switch r.guard {
	case byVotes:
		return r.stays(ctx)
	case byFence:
		return r.moved(ctx)
	}
	if err := until(ctx, patience, func() bool { return r.hosts[1-r.was].Holds(served) }); err != nil {
		return fmt.Errorf("wait for the other one to hold it as well: %w", err)
	}
	return window(ctx, 5*r.spec.interval)
}

// kill ends all processes of a daemon.
func (r *ordeal) kill(i int) error {
	r.dead[i] = true
	if err := r.agents[i].signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.agents[i].gone()
	return nil
}

// cutTo drops all that one host sends to the other one.
func (r *ordeal) cutTo(from, to int) error { return r.lab.CutOneWay(r.hosts[from], r.hosts[to]) }

func hostDead(ctx context.Context, r *ordeal) error {
	if err := r.lab.PortDown(r.hosts[r.was]); err != nil {
		return err
	}
	if err := r.kill(r.was); err != nil {
		return err
	}
	return r.moved(ctx)
}

func daemonDead(ctx context.Context, r *ordeal) error {
	if err := r.kill(r.was); err != nil {
		return err
	}
	return r.moved(ctx)
}

// daemonHung lets it go on when the other host has taken over.
func daemonHung(ctx context.Context, r *ordeal) error {
	r.frozen[r.was] = true
	if err := r.agents[r.was].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := r.moved(ctx); err != nil {
		return err
	}
	return window(ctx, 3*r.spec.interval)
}

func linkCut(ctx context.Context, r *ordeal) error {
	if err := r.cutTo(0, 1); err != nil {
		return err
	}
	if err := r.cutTo(1, 0); err != nil {
		return err
	}
	return r.split(ctx)
}

func standbyDeaf(ctx context.Context, r *ordeal) error {
	if err := r.cutTo(r.was, 1-r.was); err != nil {
		return err
	}
	return r.split(ctx)
}

func holderDeaf(ctx context.Context, r *ordeal) error {
	if err := r.cutTo(1-r.was, r.was); err != nil {
		return err
	}
	return r.stays(ctx)
}

func holderIsolated(ctx context.Context, r *ordeal) error {
	if err := r.lab.Cut(r.hosts[r.was]); err != nil {
		return err
	}
	return r.moved(ctx)
}

func standbyIsolated(ctx context.Context, r *ordeal) error {
	if err := r.lab.Cut(r.hosts[1-r.was]); err != nil {
		return err
	}
	return r.stays(ctx)
}

func bothStarted(ctx context.Context, r *ordeal) error {
	for i := range r.hosts {
		if err := r.kill(i); err != nil {
			return err
		}
	}
	for i := range r.hosts {
		if err := r.start(i); err != nil {
			return err
		}
		r.dead[i] = false
	}
	return answered(ctx, r.probes, "")
}

func released(ctx context.Context, r *ordeal) error {
	r.dead[r.was] = true
	if err := r.agents[r.was].stop(ctx); err != nil {
		return err
	}
	return r.moved(ctx)
}

// wrongPlug has the one that would take over cut itself off.
func wrongPlug(ctx context.Context, r *ordeal) error {
	if err := r.cutTo(0, 1); err != nil {
		return err
	}
	if err := r.cutTo(1, 0); err != nil {
		return err
	}
	if err := until(ctx, patience, func() bool { return r.shots(r.was) > 0 }); err != nil {
		return fmt.Errorf("wait for the shot: %w", err)
	}
	return r.stays(ctx)
}

func witnessDead(ctx context.Context, r *ordeal) error {
	r.mute = true
	r.killWitness()
	return r.stays(ctx)
}

func witnessRestarted(ctx context.Context, r *ordeal) error {
	r.killWitness()
	if err := r.startWitness(); err != nil {
		return err
	}
	return r.stays(ctx)
}

// witnessDeadLinkCut leaves nobody a majority.
func witnessDeadLinkCut(ctx context.Context, r *ordeal) error {
	r.mute = true
	r.killWitness()
	for i := range r.hosts {
		if err := r.cutTo(i, 1-i); err != nil {
			return err
		}
	}
	if err := until(ctx, patience, func() bool { return !r.hosts[r.was].Holds(served) }); err != nil {
		return fmt.Errorf("wait for it to be given up: %w", err)
	}
	if err := window(ctx, 12*r.spec.interval); err != nil {
		return err
	}
	for i, h := range r.hosts {
		if h.Holds(served) {
			return fmt.Errorf("lb%d holds it without a majority", i+1)
		}
	}
	return nil
}
