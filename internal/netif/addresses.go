package netif

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Wanted is what the kernel shall have for one owner. It is absolute: what an
// earlier Wanted of the same owner put there and this one does not name goes.
type Wanted struct {
	Owner   string
	Link    string // where the addresses live, or the parent with VMAC
	VMAC    bool   // on a macvlan with the virtual MAC
	VRID    uint8  // 1–255, with VMAC
	Family4 bool   // the election is IPv4: which virtual MAC
	// Addresses are added with the length given. Outgoing traffic never uses one
	// as its source while the link has an address of its own in that network.
	Addresses []netip.Prefix
	// Lifetime is how long the addresses stay without Prolong: the kernel removes
	// them then, also when nobody is there any more to have it do so. Whole
	// seconds; 0 = for ever. Up to 1.25 s more pass until they are gone.
	Lifetime time.Duration
	Routes   []Route // come after the addresses and go before them
	Present  bool
	Seq      uint64 // comes back in Applied
}

// Route is a route that is present together with the addresses of its owner.
type Route struct {
	To    netip.Prefix
	Via   netip.Addr // zero = directly on the link
	Table int        // 0 = main
}

// Applied answers the newest Wanted of an owner; one that was replaced before
// it was carried out is not answered.
type Applied struct {
	Owner string
	Seq   uint64
	Err   error         // nil: the kernel is as was wanted
	Took  time.Duration // since Set
}

// Addresses makes the kernel as is wanted. Set and Forget may be called from
// any goroutine.
type Addresses struct {
	log  *slog.Logger
	kick chan struct{}

	mu    sync.Mutex
	queue []*task // one per owner, in the order of Set
	lives map[string]*life

	// Used by Run only.
	conn    *rtnl
	known   map[string]*task // what was carried out last, by owner
	vmacs   map[string]bool  // the macvlans made or used, by name: is it up?
	sysctls sysctls
}

// task is a Wanted on its way.
type task struct {
	Wanted
	forget bool
	since  time.Time
	parent device // the link that was named
	target device // where the addresses live: the same, or the macvlan
	device string // name of the target, also when it does not exist
	errs   []error
}

func (t *task) failed(err error) { t.errs = append(t.errs, err) }

// result is the first error, with the number of the others.
func (t *task) result() error {
	if len(t.errs) < 2 {
		return errors.Join(t.errs...)
	}
	return fmt.Errorf("%w (and %d more)", t.errs[0], len(t.errs)-1)
}

// NewAddresses returns an Addresses that has nothing to do yet.
func NewAddresses(log *slog.Logger) *Addresses {
	return &Addresses{log: log, kick: make(chan struct{}, 1), lives: map[string]*life{}, known: map[string]*task{}, vmacs: map[string]bool{},
		sysctls: sysctls{log: log, saved: map[sysctlKey]sysctlValue{}}}
}

// Set asks for w. It never blocks; the newest Wanted of an owner replaces an
// older one that was not carried out yet. Setting the same again repairs what
// others changed meanwhile.
func (a *Addresses) Set(w Wanted) {
	w.Addresses, w.Routes = slices.Clone(w.Addresses), slices.Clone(w.Routes)
	a.enqueue(&task{Wanted: w, since: time.Now()})
}

// Forget releases whatever owner has, and deletes its macvlan. It is not
// answered, and it never blocks. It is for an owner that left the configuration.
func (a *Addresses) Forget(owner string) {
	a.enqueue(&task{Wanted: Wanted{Owner: owner}, forget: true, since: time.Now()})
}

func (a *Addresses) enqueue(t *task) {
	a.mu.Lock()
	a.queue = append(slices.DeleteFunc(a.queue, func(q *task) bool { return q.Owner == t.Owner }), t)
	a.setLife(t)
	a.mu.Unlock()
	a.wake()
}

func (a *Addresses) wake() {
	select {
	case a.kick <- struct{}{}:
	default: // it is awake already
	}
}

func (a *Addresses) take() []*task {
	a.mu.Lock()
	defer a.mu.Unlock()
	tasks := a.queue
	a.queue = nil
	return tasks
}

// Run carries out what is set, everything that waits at once, and calls applied
// with each result, until ctx ends. Then it deletes the macvlans and puts back
// the sysctls, but leaves what is still held as it is. The error says that the
// kernel's netlink cannot be used at all.
func (a *Addresses) Run(ctx context.Context, applied func(Applied)) error {
	var err error
	if a.conn, err = openRTNL(); err != nil {
		return err
	}
	defer a.conn.close()
	for {
		a.prolong()
		if tasks := a.take(); len(tasks) > 0 {
			a.apply(tasks)
			for _, t := range tasks {
				if !t.forget {
					applied(Applied{Owner: t.Owner, Seq: t.Seq, Err: t.result(), Took: time.Since(t.since)})
				} else if err := t.result(); err != nil {
					a.log.Warn("cannot remove addresses", "owner", t.Owner, "error", err)
				}
			}
			continue
		}
		if ctx.Err() != nil {
			a.cleanup()
			return nil
		}
		if a.idle() {
			continue
		}
		select {
		case <-a.kick:
		case <-ctx.Done():
		}
	}
}

// devicesInUse names the devices of the known owners, and those that are held.
func (a *Addresses) devicesInUse() (used, held map[string]bool) {
	used, held = map[string]bool{}, map[string]bool{}
	for _, t := range a.known {
		used[t.device] = true
		if t.Present {
			held[t.device] = true
		}
	}
	return used, held
}
