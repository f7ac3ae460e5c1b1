package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vipd/vipd/internal/lease"
	"github.com/vipd/vipd/internal/netif"
	"github.com/vipd/vipd/pkg/engine"
)

// leases keeps the packet filter as the engine wants it. What may wait is done by a
// goroutine of its own, in the order in which it was decided.
type leases struct {
	left  *lease.Left  // by the last run, nil = nothing
	held  bool         // to the next run, set before the edges end
	table *lease.Table // nil until something was to be guarded; used by the goroutine and, once it is there, in turns

	mu   sync.Mutex
	todo []engine.Action // SetGuard and SetLease
	kick chan struct{}

	// Used in turns only.
	ready *lease.Table // the same as table, once it is open
	renew []string     // leases to refresh before the adverts of this turn
}

func newLeases() *leases { return &leases{kick: make(chan struct{}, 1)} }

// queue leaves work to the goroutine. It belongs into a turn. A lease that ends does
// so at once.
func (l *leases) queue(a engine.Action) {
	if s, ok := a.(engine.SetLease); ok && !s.On && l.ready != nil {
		_ = l.ready.Disarm(s.VIP) // done again, and answered for, below
	}
	l.mu.Lock()
	l.todo = append(l.todo, a)
	l.mu.Unlock()
	select {
	case l.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// guard works for the leases until ctx ends.
func (d *Daemon) guard(ctx context.Context) {
	l := d.leases
	for {
		l.mu.Lock()
		todo := l.todo
		l.todo = nil
		l.mu.Unlock()
		for len(todo) > 0 {
			if a, ok := todo[0].(engine.SetGuard); ok {
				todo = todo[1:]
				d.post(engine.GuardSet{Seq: a.Seq, Err: words(d.setGuard(ctx, a.VIPs))})
				continue
			}
			var run []engine.SetLease
			run, todo = sameWay(todo)
			d.post(l.set(run)...)
		}
		select {
		case <-l.kick:
		case <-ctx.Done():
			return
		}
	}
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// setGuard opens the packet filter when it is first needed.
func (d *Daemon) setGuard(ctx context.Context, list []engine.Guarded) error {
	l := d.leases
	if l.table == nil {
		table, err := lease.Open(d.log, netif.VMACName, l.left)
		if err != nil {
			return err
		}
		l.table = table
		if err := table.Refused(); err != nil {
			d.post(lost("leases of the last run do not go on", err))
		}
		d.turn(func(time.Time) { l.ready = table })
		d.spawn(func() error {
			err := table.Run(ctx, d.guardChanged)
			if l.held {
				d.endLeases(false) // beside the other edges: the kernel takes its time for each socket
			}
			return err
		})
	}
	guarded := make([]lease.Guarded, len(list))
	for i, g := range list {
		guarded[i] = lease.Guarded{
			Name: g.VIP, Interface: g.Interface, VMAC: g.VMAC, VRID: g.VRID, Family4: g.Addresses[0].Is4(), Addresses: g.Addresses, Timeout: g.Timeout,
		}
	}
	return l.table.Set(guarded)
}

// sameWay splits off the leases that are to begin, or to end, one after the other.
func sameWay(todo []engine.Action) (run []engine.SetLease, rest []engine.Action) {
	for i, a := range todo {
		s, ok := a.(engine.SetLease)
		if !ok || i > 0 && s.On != run[0].On {
			return run, todo[i:]
		}
		run = append(run, s)
	}
	return run, nil
}

// set begins leases, or ends them, all in one way, and answers for each.
func (l *leases) set(run []engine.SetLease) []engine.Event {
	errs := make([]error, len(run))
	names := make([]string, len(run))
	for i, a := range run {
		names[i] = a.VIP
		switch {
		case l.table == nil:
			errs[i] = errors.New("there is no packet filter")
		case !a.On:
			errs[i] = l.table.Disarm(a.VIP)
		}
	}
	if l.table != nil && run[0].On {
		errs = l.table.Arm(names...)
	}
	evs := make([]engine.Event, len(run))
	for i, a := range run {
		evs[i] = engine.LeaseSet{VIP: a.VIP, On: a.On, Seq: a.Seq, Err: words(errs[i])}
	}
	return evs
}

// guardChanged puts what others did to the packet filter into the history.
func (d *Daemon) guardChanged(what string) {
	d.post(engine.Noted{Record: engine.Record{Type: engine.RecordLease, To: "repaired", Severity: engine.Warning,
		Text: "the packet filter of the leases was changed by someone else: " + what}})
}

// refresh refreshes the leases of this turn, and returns the VIPs that have none any
// more: no advert of theirs may leave.
func (l *leases) refresh() []string {
	if len(l.renew) == 0 || l.ready == nil {
		l.renew = l.renew[:0]
		return nil
	}
	var lost lease.Expired
	err := l.ready.Renew(l.renew)
	l.renew = l.renew[:0]
	if errors.As(err, &lost) {
		return lost
	}
	return nil
}

// end closes the packet filter, or takes it away when nothing is left to guard.
func (d *Daemon) endLeases(polite bool) {
	if t := d.leases.table; t != nil {
		if err := t.Close(polite); err != nil {
			d.log.Warn("close the packet filter of the leases", "error", err)
		}
	}
}
