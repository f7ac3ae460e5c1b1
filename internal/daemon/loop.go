package daemon

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// heldUp is after how long a turn looks around before it sends what it decided: this
// host may have been stopped meanwhile, and lost what it is about to tell that it holds.
const heldUp = 50 * time.Millisecond

// late is a wake-up that was slept through: by then the sockets may hold adverts
// that came in before the time for which they were waited.
const late = 2 * time.Millisecond

// work lets the turns go on until the engine is done with a polite end, or an
// edge ended.
func (d *Daemon) work(ctx, edges context.Context) error {
	select {
	case <-ctx.Done():
		d.notify("STOPPING=1")
		d.post(engine.Stop{Keep: d.keepable()})
	case <-edges.Done():
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	for {
		select {
		case <-edges.Done():
			return context.Cause(edges)
		case <-d.ended:
			return nil
		case <-again:
			d.post(engine.Stop{}) // in haste
		}
	}
}

// turn is the loop of the engine, one round of it. Whoever brings news takes
// a turn: the goroutine that read a packet, waited for the clock or asked the
// kernel for something hands its news to the engine, starts what the engine
// answers, and goes back to wait. So an advert costs one thread that wakes, and
// nothing waits in a queue. The lock makes the turns one after the other;
// nothing in a turn blocks. It reports false when the engine has ended.
func (d *Daemon) turn(news func(now time.Time)) bool {
	d.one.Lock()
	defer d.one.Unlock()
	if d.done {
		return false
	}
	now := time.Now()
	d.speaker.busy.Store(now.UnixNano())
	defer d.speaker.busy.Store(0)
	news(now)
	d.refresh()
	if time.Since(now) > heldUp {
		d.step(engine.Wake{}) // what was decided may be over
		d.refresh()
	}
	d.send()
	now = time.Now()
	if err := d.clock.arm(now, d.eng.Next()); err != nil {
		d.fail(err)
	}
	if d.done = d.eng.Done(now); d.done {
		close(d.ended)
	}
	return true
}

// alarm is the turn of the clock: the timers of the engine that are due. When it
// is late, what has come in meanwhile goes first: a late host must not take its
// own lateness for the silence of a peer.
func (d *Daemon) alarm() {
	d.one.Lock()
	due := d.clock.due
	d.clock.fired()
	d.one.Unlock()
	if !due.IsZero() && time.Since(due) > late {
		for _, p := range *d.portList.Load() {
			p.poll(d.advertised)
		}
		d.pair.poll(d.told)
	}
	d.turn(func(now time.Time) {
		if due := d.eng.Next(); !due.IsZero() && !now.Before(due) {
			d.timings.Late(now.Sub(due))
			d.step(engine.Wake{})
		}
	})
}

// step hands events to the engine and carries out what it answers. It belongs
// into a turn.
func (d *Daemon) step(evs ...engine.Event) {
	now := time.Now()
	for _, ev := range evs {
		did := d.eng.Step(now, ev)
		d.recorder.Step(now, ev, did)
		for _, a := range did {
			d.do(now, a)
		}
		d.forget(ev)
	}
}

// post takes a turn with events. After the end of the engine it does nothing.
func (d *Daemon) post(evs ...engine.Event) {
	d.turn(func(time.Time) { d.step(evs...) })
}

// advertised brings adverts from the socket of an interface. Who observes hears them
// in another way.
func (d *Daemon) advertised(evs ...engine.Event) {
	if d.shadow == nil {
		d.post(evs...)
	}
}

// ask takes a turn with fn and returns what it returned, for those who wait no
// longer than their context.
func ask[T any](ctx context.Context, d *Daemon, fn func(now time.Time) T) (T, error) {
	answer := make(chan T, 1)
	go func() {
		if !d.turn(func(now time.Time) { answer <- fn(now) }) {
			close(answer)
		}
	}()
	var none T
	select {
	case got, ok := <-answer:
		if !ok {
			return none, errEnded
		}
		return got, nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
