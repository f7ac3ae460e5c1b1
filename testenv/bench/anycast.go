package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vipd/vipd/testenv"
)

// Rows that several tables have.
const (
	rowGone  = "gone"
	rowBack  = "back"
	byHand   = "by hand"
	inBIRD   = "bird"
	inExaBGP = "exabgp"
)

// measureService kills the service of which a prefix is announced.
func measureService(ctx context.Context, b *bench) error {
	for _, kind := range []torKind{torFRR, torBIRD} {
		event := b.table("Service killed, watched by event, ToR "+kind.name,
			"The service gets SIGKILL; then it is started again. vipd: a check of `type = \"process\"`. None of the rivals watches for events. "+
				"*By hand*: no service and no check, an operator tells BIRD to disable the route and to enable it again, which is what this ToR needs for itself.",
			rowGone).against([]string{"vipd", byHand}, byHand)
		polled := b.table("Service killed, polled every 100 ms, ToR "+kind.name,
			"The same, all by polling, at moments spread evenly over the interval. vipd: a check of `type = \"exec\"`.",
			rowGone).against([]string{"vipd", inBIRD, inExaBGP}, inBIRD, inExaBGP)
		err := b.visits(ctx, b.runs, kind, []rival{
			{name: "vipd", table: event, start: announceVipd, count: 1, watch: byEvent},
			{name: byHand, table: event, start: announceBIRD, count: 1},
			{name: "vipd", table: polled, start: announceVipd, count: 1, watch: byPoll},
			{name: inBIRD, table: polled, start: announceBIRD, count: 1, watch: byPoll},
			{name: inExaBGP, table: polled, start: announceExaBGP, count: 1, watch: byPoll},
		}, loseService)
		if err != nil {
			return err
		}
		b.finished(event)
		b.finished(polled)
	}
	return nil
}

// loseService is one death of the service and its return.
func loseService(ctx context.Context, k *rack, part float64) error {
	stop := func() error { return k.service.Signal(syscall.SIGKILL) }
	begin := k.serve
	if k.watch == "" {
		stop = func() error { return k.agent.(*bird).order("disable vips") }
		begin = func() error { return k.agent.(*bird).order("enable vips") }
	}
	if err := window(ctx, time.Duration(part*float64(pollEvery))); err != nil {
		return err
	}
	for _, change := range []struct {
		row   string
		do    func() error
		count int
	}{{rowGone, stop, 0}, {rowBack, begin, k.count}} {
		from := time.Now()
		if err := change.do(); err != nil {
			return err
		}
		at, err := k.fib.wait(ctx, change.count, from)
		if err != nil {
			return err
		}
		k.add(change.row, from, at)
		if err := window(ctx, settled); err != nil {
			return err
		}
	}
	return nil
}

// measureSilence cuts a host off while its link stays up.
func measureSilence(ctx context.Context, b *bench) error {
	for _, kind := range []torKind{torFRR, torBIRD} {
		t := b.table("Host silent, BFD 50 ms × 3, ToR "+kind.name,
			"The switch drops all frames from and to the host while all links stay up, and then drops none. ExaBGP has no BFD. *Back* includes a new session.",
			rowGone).against([]string{"vipd", inBIRD}, inBIRD)
		err := b.visits(ctx, b.runs, kind, []rival{
			{name: "vipd", table: t, start: announceVipd, count: 1, bfd: true},
			{name: inBIRD, table: t, start: announceBIRD, count: 1, bfd: true},
		}, func(ctx context.Context, k *rack, part float64) error {
			if err := window(ctx, time.Duration(part*float64(bfdEvery))); err != nil {
				return err
			}
			from := time.Now()
			if err := k.lab.Cut(k.host); err != nil {
				return err
			}
			at, err := k.fib.wait(ctx, 0, from)
			if err != nil {
				return err
			}
			k.add(rowGone, from, at)
			if err := window(ctx, settled); err != nil {
				return err
			}
			from = time.Now()
			if err := k.lab.Heal(); err != nil {
				return err
			}
			if at, err = k.fib.wait(ctx, k.count, from); err != nil {
				return err
			}
			k.add(rowBack, from, at)
			return nil
		})
		if err != nil {
			return err
		}
		b.finished(t)
	}
	return nil
}

// measureLink takes the carrier away from both ends.
func measureLink(ctx context.Context, b *bench) error {
	t := b.table("Link down, ToR BIRD",
		"Both ends of the link lose their carrier, as with a pulled cable. The ToR's kernel drops the route by itself, whatever the host does; it is asked "+
			"every 0.5 ms. *Session ended*: until vipd has given its session up; with BFD 50 ms × 3. FRR as ToR is left out: 8.4.4 does not always forward to "+
			"a next hop again after its link was down.",
		rowGone).against([]string{"vipd", inBIRD}, inBIRD)
	err := b.visits(ctx, b.runs, torBIRD, []rival{
		{name: "vipd", table: t, start: announceVipd, count: 1, bfd: true},
		{name: inBIRD, table: t, start: announceBIRD, count: 1, bfd: true},
	}, pullCable)
	b.finished(t)
	return err
}

func pullCable(ctx context.Context, k *rack, _ float64) error {
	from := time.Now()
	if err := errors.Join(k.lab.PortDown(k.torHost), k.lab.PortDown(k.host)); err != nil {
		return err
	}
	at, err := k.fib.deadEnd(ctx, anycast.Addr())
	if err != nil {
		return err
	}
	k.add(rowGone, from, at)
	if v, ok := k.agent.(vipdSpeaker); ok {
		if at, err = v.sessionEnded(ctx, from); err != nil {
			return err
		}
		k.add("session ended", from, at)
	}
	if err := window(ctx, settled); err != nil {
		return err
	}
	k.fib.forget()
	from = time.Now()
	if err := k.lab.Heal(); err != nil {
		return err
	}
	if at, err = k.fib.wait(ctx, k.count, from); err != nil {
		return err
	}
	k.add(rowBack, from, at)
	return nil
}

// checkerBound is how long a prefix may stay after its checker has stopped, before
// that counts as for ever.
const checkerBound = 10 * time.Second

// checkerRuns bounds the runs of rivals, most of which need checkerBound for each.
const checkerRuns = 2

// measureChecker stops or kills what decides, together with the service.
func measureChecker(ctx context.Context, b *bench) error {
	for _, how := range []struct {
		title  string
		signal syscall.Signal
	}{{"stopped", syscall.SIGSTOP}, {"killed", syscall.SIGKILL}} {
		t := b.table("Checker "+how.title+" and service dead, ToR BIRD", fmt.Sprintf(
			"The process that decides gets %s, and at once the service SIGKILL. vipd: the core, whose speaker is a process of its own; three heartbeats are 300 ms. "+
				"BIRD: the loop. ExaBGP: its health check, which it starts again when that ends. *Never*: the prefix is still there after %s.",
			map[syscall.Signal]string{syscall.SIGSTOP: "SIGSTOP", syscall.SIGKILL: "SIGKILL"}[how.signal], checkerBound),
			rowGone).against([]string{"vipd", inBIRD, inExaBGP}, inBIRD, inExaBGP)
		once := func(ctx context.Context, k *rack, part float64) error { return k.loseChecker(ctx, how.signal, part) }
		ours := []rival{{name: "vipd", table: t, start: announceVipd, count: 1, watch: byEvent}}
		theirs := []rival{
			{name: inBIRD, table: t, start: announceBIRD, count: 1, watch: byPoll},
			{name: inExaBGP, table: t, start: announceExaBGP, count: 1, watch: byPoll},
		}
		if err := b.visits(ctx, b.runs, torBIRD, ours, once); err != nil {
			return err
		}
		if err := b.visits(ctx, min(b.runs, checkerRuns), torBIRD, theirs, once); err != nil {
			return err
		}
		b.finished(t)
	}
	return nil
}

// loseChecker is one loss of the one who decides, after which all that was started
// on the host is started again.
func (k *rack) loseChecker(ctx context.Context, signal syscall.Signal, part float64) error {
	pid, err := k.agent.checker()
	if err != nil {
		return err
	}
	if err := window(ctx, time.Duration(part*float64(pollEvery))); err != nil {
		return err
	}
	from := time.Now()
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("send %v to %d: %w", signal, pid, err)
	}
	if err := k.service.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	at, err := k.fib.waitFor(ctx, checkerBound, 0, from)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		k.table.add(rowGone, "ms", k.name, never)
	default:
		k.add(rowGone, from, at)
	}
	return k.again(ctx)
}

// again ends all that was started on the host and starts it anew.
func (k *rack) again(ctx context.Context) error {
	for _, p := range append(k.agent.processes(), k.service) {
		p.Kill()
	}
	if _, err := k.fib.wait(ctx, 0, time.Time{}); err != nil {
		return err
	}
	return k.launch()
}

// measureSpeaker kills what speaks BGP.
func measureSpeaker(ctx context.Context, b *bench) error {
	for _, kind := range []torKind{torFRR, torBIRD} {
		t := b.table("Speaker killed, ToR "+kind.name,
			"The process that speaks BGP gets SIGKILL. vipd's core starts it again, and is new for each run, as it waits longer each time "+
				"before it starts one that dies again and again; the others need somebody else for that. "+interrupted,
			rowUp, rowGap).against([]string{"vipd"})
		err := b.visits(ctx, b.runs, kind, []rival{
			{name: "vipd", table: t, start: announceVipd, count: 1, watch: byEvent, calm: sessionCalm},
		}, func(ctx context.Context, k *rack, _ float64) error {
			pid, err := k.agent.talker()
			if err != nil {
				return err
			}
			err = k.interrupt(ctx, func() error { return syscall.Kill(pid, syscall.SIGKILL) }, func() bool {
				now, err := k.agent.talker()
				return err == nil && now != pid
			})
			if err != nil {
				return err
			}
			return k.again(ctx)
		})
		if err != nil {
			return err
		}
		b.finished(t)
	}
	return nil
}

// measureSession has the ToR end the session.
func measureSession(ctx context.Context, b *bench) error {
	for _, kind := range []torKind{torFRR, torBIRD} {
		t := b.table("Session reset by the ToR, ToR "+kind.name,
			"An operator has the ToR end the session. *Listening*: with `listen_port = 179` the ToR may connect as well, as it may to BIRD. "+interrupted,
			rowUp, rowGap).against([]string{"vipd", "vipd, listening", inBIRD, inExaBGP}, inBIRD, inExaBGP)
		err := b.visits(ctx, b.runs, kind, []rival{
			{name: "vipd", table: t, start: announceVipd, count: 1, calm: sessionCalm},
			{name: "vipd, listening", table: t, start: announceVipd, count: 1, listens: true, calm: sessionCalm},
			{name: inBIRD, table: t, start: announceBIRD, count: 1, calm: sessionCalm},
			{name: inExaBGP, table: t, start: announceExaBGP, count: 1, calm: sessionCalm},
		}, func(ctx context.Context, k *rack, _ float64) error {
			return k.interrupt(ctx, func() error { return k.tor.Reset(ctx, hostAddress) }, func() bool { return true })
		})
		if err != nil {
			return err
		}
		b.finished(t)
	}
	return nil
}

// sessionCalm is how long a session must have been up before it is ended: no
// speaker connects more often than once a second.
const sessionCalm = 1500 * time.Millisecond

const (
	rowUp       = "session up"
	rowGap      = "without a route"
	interrupted = "*Session up*: until the ToR calls the session established again, asked as fast as it answers. *Without a route*: for how long its kernel has " +
		"none; 0 when it is told again before it has taken the route away."
)

// interrupt times how long it takes until a fault has mended itself, as far as begun
// can tell.
func (k *rack) interrupt(ctx context.Context, fault func() error, begun func() bool) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	k.fib.gaps()
	from := time.Now()
	if err := fault(); err != nil {
		return err
	}
	err := testenv.Until(within, func() bool {
		if !begun() {
			return false
		}
		up, err := k.tor.Established(within, hostAddress)
		return err == nil && up
	})
	if err != nil {
		return fmt.Errorf("wait for the session: %w", err)
	}
	k.add(rowUp, from, time.Now())
	if err := k.fib.calm(ctx, k.count, settled); err != nil {
		return err
	}
	k.table.add(rowGap, "ms", k.name, ms(k.fib.gaps()))
	return nil
}
