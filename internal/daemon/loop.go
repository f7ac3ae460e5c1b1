package daemon

import (
	"context"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// drainMost bounds how many deliveries one turn of the loop takes before it
// sends what is due.
const drainMost = 64

// loop runs the engine until it is done with a polite end, or an edge ended.
func (d *Daemon) loop(ctx, edges context.Context) error {
	stop := ctx.Done()
	for {
		select {
		case evs := <-d.events:
			d.step(evs...)
		case <-d.clock.C:
			d.clock.fired()
			// What came in before the timer ran out is handled before it: a late
			// loop must not take its own lateness for the silence of a peer.
		case ask := <-d.asks:
			ask(time.Now())
		case <-stop:
			stop = nil // once; the edges live on until the engine is done
			d.notify("STOPPING=1")
			d.step(engine.Stop{})
		case <-edges.Done():
			return context.Cause(edges)
		}
		d.drain()
		d.wake()
		d.send()
		now := time.Now()
		if d.eng.Done(now) {
			return nil
		}
		if err := d.clock.arm(now, d.eng.Next()); err != nil {
			return err
		}
	}
}

// drain takes the events that wait already.
func (d *Daemon) drain() {
	for range drainMost {
		select {
		case evs := <-d.events:
			d.step(evs...)
		default:
			return
		}
	}
}

// wake runs the engine's timers when they are due.
func (d *Daemon) wake() {
	now := time.Now()
	if due := d.eng.Next(); !due.IsZero() && !now.Before(due) {
		d.lateness.Observe(now.Sub(due))
		d.step(engine.Wake{})
	}
}

// step hands events to the engine and carries out what it answers.
func (d *Daemon) step(evs ...engine.Event) {
	now := time.Now()
	for _, ev := range evs {
		for _, a := range d.eng.Step(now, ev) {
			d.do(now, a)
		}
		d.forget(ev)
	}
}

// post hands events to the loop, from any other goroutine. It waits while the
// loop is behind, and gives up when the daemon ends.
func (d *Daemon) post(ctx context.Context, evs ...engine.Event) {
	select {
	case d.events <- evs:
	case <-ctx.Done():
	}
}

// ask runs fn on the loop and waits until it has run.
func (d *Daemon) ask(ctx context.Context, fn func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case d.asks <- func(now time.Time) { fn(now); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.ended:
		return errEnded
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.ended:
		return errEnded
	}
}
