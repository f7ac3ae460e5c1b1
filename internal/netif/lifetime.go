package netif

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const forEver = 0xffffffff // INFINITY_LIFE_TIME, of a lifetime in seconds

// life is what keeps the addresses of an owner alive.
type life struct {
	lasts time.Duration
	due   time.Time // nothing is asked of the kernel before
	asked time.Time // Prolong was called, and is not carried out yet; zero: it is
}

// pause is the shortest time between two prolongations: they make an event for
// every address, and with many IPv6 addresses the kernel takes long.
func (l *life) pause() time.Duration { return min(800*time.Millisecond, l.lasts/4) }

// setLife keeps what t says about its owner's lifetime. To Set is to prolong.
func (a *Addresses) setLife(t *task) {
	if !t.Present || t.Lifetime == 0 {
		delete(a.lives, t.Owner)
		return
	}
	l := &life{lasts: t.Lifetime}
	l.due = t.since.Add(l.pause())
	a.lives[t.Owner] = l
}

// Prolong has the addresses of an owner live for their Lifetime from now, about
// once a second however often it is called. It never blocks and, but for that
// once, does nothing. An address that is gone stays so: it is for Set to bring it
// back.
func (a *Addresses) Prolong(owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.lives[owner]
	now := time.Now()
	if l == nil || now.Before(l.due) {
		return
	}
	l.asked, l.due = now, now.Add(l.pause())
	a.wake()
}

// prolong carries out what Prolong was called for.
func (a *Addresses) prolong() {
	a.mu.Lock()
	owners := map[string]time.Time{}
	for owner, l := range a.lives {
		if !l.asked.IsZero() {
			owners[owner] = l.asked
			l.asked = time.Time{}
		}
	}
	a.mu.Unlock()
	if len(owners) == 0 {
		return
	}
	r := &round{Addresses: a, wanted: map[place]bool{}, devices: map[string]lookup{}, present: map[int]*content{}}
	for owner, asked := range owners {
		if t := a.known[owner]; t != nil {
			if err := r.prolongOne(*t, asked); err != nil {
				a.log.Warn("cannot prolong addresses", "owner", owner, "error", err)
			}
		}
	}
}

// prolongOne prolongs what is there of t. The kernel has no request for that
// which leaves out what is not there: an address that expires between our look
// and the request comes to life again. Where that can have been, because this
// process was stopped meanwhile, all of them go.
func (r *round) prolongOne(t task, asked time.Time) error {
	t.errs = nil
	var err error
	if t.parent, err = r.find(t.Link); err != nil {
		return nil // its addresses went with it
	}
	if t.target, err = r.find(t.device); err != nil {
		return nil
	}
	for _, index := range []int{t.parent.index, t.target.index} {
		if r.present[index] == nil {
			if err := r.look(index); err != nil {
				return err
			}
		}
	}
	for _, p := range t.Addresses {
		if t.Present {
			r.wanted[place{t.device, p}] = true
		}
	}
	var there, gone []op
	for _, p := range t.Addresses {
		if r.present[t.target.index].has[p] {
			there = append(there, r.prolongation(&t, p))
			gone = append(gone, removal(&t, t.target, p))
		}
	}
	if time.Since(asked) > t.Lifetime/2 {
		return nil // too late: what has lived so long lives on or not without us
	}
	r.carryOut(there)
	if time.Since(asked) > t.Lifetime {
		r.carryOut(gone)
	}
	return t.result()
}

// prolongation is the request that an address lives for the Lifetime from now.
func (r *round) prolongation(t *task, p netip.Prefix) op {
	return op{task: t, req: r.newAddress(t, p, unix.NLM_F_REPLACE), what: fmt.Sprintf("prolong %s on %s", p, t.target.name)}
}
