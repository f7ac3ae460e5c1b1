package sim

import (
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// leaseDelay is how long the packet filter takes to be changed.
var leaseDelay = span{50 * time.Microsecond, 500 * time.Microsecond}

// heldUp is after how long a daemon looks around before it does what it decided.
const heldUp = 50 * time.Millisecond

// overlapMost is longer than two hosts ever hold one VIP by agreement, where the
// kernel is not slow.
const overlapMost = 60 * time.Millisecond

// filter is the packet filter of a host. It outlives the daemon.
type filter struct {
	idle    time.Time                // when it has done all that it was asked for
	guarded map[string]time.Duration // how long a refresh lasts, by VIP
	until   map[string]time.Time     // leases
}

func newFilter() filter {
	return filter{guarded: map[string]time.Duration{}, until: map[string]time.Time{}}
}

// opens reports whether the kernel answers for the addresses of a VIP.
func (h *Host) opens(vip string) bool {
	p := h.kernel[vip]
	if p == nil || !h.powered || !h.links[p.link].up {
		return false
	}
	_, guarded := h.filter.guarded[vip]
	return (!guarded || h.w.now.Before(h.filter.until[vip])) && (p.ends.IsZero() || h.w.now.Before(p.ends))
}

// setGuard says what is guarded.
func (h *Host) setGuard(a engine.SetGuard) {
	h.changeFilter(func() {
		if h.noFilter != "" {
			h.step(engine.GuardSet{Seq: a.Seq, Err: h.noFilter})
			return
		}
		clear(h.filter.guarded)
		for _, g := range a.VIPs {
			h.filter.guarded[g.VIP] = g.Timeout
		}
		h.step(engine.GuardSet{Seq: a.Seq})
	})
}

// changeFilter carries out one change after the other.
func (h *Host) changeFilter(do func()) {
	life := h.life
	takes := leaseDelay.least + time.Duration(h.w.rng.Int64N(int64(leaseDelay.most+h.slow-leaseDelay.least)))
	if h.filter.idle.Before(h.w.now) {
		h.filter.idle = h.w.now
	}
	h.filter.idle = h.filter.idle.Add(takes)
	h.w.at(h.filter.idle, func() {
		if h.life == life && h.powered {
			do()
		}
	})
}

// setLease begins or ends a lease.
func (h *Host) setLease(a engine.SetLease) {
	h.changeFilter(func() {
		done := engine.LeaseSet{VIP: a.VIP, On: a.On, Seq: a.Seq}
		timeout, guarded := h.filter.guarded[a.VIP]
		delete(h.filter.until, a.VIP)
		switch {
		case a.On && !guarded:
			done.Err = "it is not guarded"
		case a.On:
			h.filter.until[a.VIP] = h.w.now.Add(h.clock.lasts(timeout))
			h.w.exclusive(a.VIP, h)
		}
		h.step(done)
	})
}

// carryOut does what a Step decided: leases first, adverts last, and none for a
// VIP whose lease was found to be over; then it tells how things are by now.
func (h *Host) carryOut(decided []engine.Action) {
	var lost []string
	for _, a := range decided {
		if r, ok := a.(engine.RenewLease); ok && !h.renew(r) {
			lost = append(lost, r.VIP)
		}
	}
	for _, a := range decided {
		if advert, ok := a.(engine.SendAdvert); !ok || !slices.Contains(lost, advert.VIP) {
			h.act(a)
		}
	}
	slices.Sort(lost)
	for _, name := range slices.Compact(lost) {
		h.step(engine.LeaseLost{VIP: name, Why: "simulated"})
	}
	if word := h.word; word != nil && !h.paused {
		h.word = nil
		h.tell(word)
	}
}

// renew refreshes a lease, and reports whether it was not over.
func (h *Host) renew(a engine.RenewLease) bool {
	now := h.w.now
	if a.Lifetime > 0 {
		p := h.kernel[a.VIP]
		if p != nil && now.Before(p.ends) {
			p.ends = now.Add(h.clock.lasts(a.Lifetime))
		}
		return true // found out in another way
	}
	if !now.Before(h.filter.until[a.VIP]) {
		return false
	}
	over := h.leaseOver(a.VIP)
	h.filter.until[a.VIP] = now.Add(h.clock.lasts(h.filter.guarded[a.VIP]))
	if over {
		h.w.breaks("%s revives its lease of %s", h.name, a.VIP)
	}
	return true
}

// SetNoFilter makes the kernel refuse packet filters from the next start on; "" =
// it has them.
func (h *Host) SetNoFilter(why string) { h.noFilter = why }

// Pause stops the daemon for a time: what comes in meanwhile waits.
func (h *Host) Pause(d time.Duration) {
	if !h.paused && h.Running() {
		h.w.trace(h.name, "is stopped for %v", d)
		h.pause(d, nil)
	}
}

// Stall stops the daemon for a time as soon as it has decided something, and
// before it does that.
func (h *Host) Stall(d time.Duration) { h.stall = d }

// pause stops the daemon; what it decided last is done when it goes on.
func (h *Host) pause(d time.Duration, decided []engine.Action) {
	h.paused = true
	life := h.life
	h.w.at(h.w.now.Add(d), func() {
		if h.life != life {
			return
		}
		h.paused, h.awake = false, h.w.now
		h.w.trace(h.name, "goes on")
		h.carryOut(h.lookAround(d, decided))
		h.plan()
		queued := h.queued
		h.queued = nil
		for _, q := range queued {
			if heard, ok := q.ev.(engine.PeerHeard); ok {
				heard.Age += h.clock.counts(h.w.now.Sub(q.since))
				q.ev = heard
			}
			h.step(q.ev)
		}
	})
}

// lookAround does of what was decided a while ago all but send adverts, and returns
// those with what is decided now. Of its words to peers only the newest is told.
func (h *Host) lookAround(waited time.Duration, decided []engine.Action) []engine.Action {
	if waited <= heldUp || len(decided) == 0 {
		return decided
	}
	var leases []engine.RenewLease
	var adverts []engine.Action
	for _, a := range decided {
		switch a := a.(type) {
		case engine.RenewLease:
			leases = append(leases, a)
		case engine.SendAdvert:
			adverts = append(adverts, a)
		default:
			h.act(a)
		}
	}
	for _, a := range leases {
		if !h.renew(a) {
			h.step(engine.LeaseLost{VIP: a.VIP, Why: "simulated"})
		}
	}
	if h.eng == nil || h.paused {
		return nil
	}
	over := func(a engine.Action) bool {
		advert, ok := a.(engine.SendAdvert)
		return ok && h.leaseOver(advert.VIP)
	}
	return append(slices.DeleteFunc(adverts, over), h.decide(engine.Wake{})...)
}

// handing is who gives a VIP to whom.
type handing struct{ from, to *Host }

// handover is one of them, and until when both may hold it: who gives it up may be
// about to close when the other one opens, or opens again what somebody removed there.
type handover struct {
	handing
	until time.Time
}

// exclusive: no two hosts hold a VIP, where [World.Exclusive] says so, but while
// one hands it to the other. One that dies or hangs just then holds it until its
// lease is over, whomever it is handed to instead; one that goes on, and opens, has the
// first advert for finding out that it is late. It is called when to has opened.
func (w *World) exclusive(vip string, to *Host) {
	if !w.Exclusive || vip == "" || !to.opens(vip) {
		return
	}
	to.opened[vip] = w.now
	to.numbersRightly(vip)
	for _, from := range w.hosts {
		if from == to || !from.opens(vip) {
			continue
		}
		to, late := to, to.tookLate(vip) || from.tookLate(vip)
		if to.offers(vip) == from.name {
			from, to = to, from // who hands it over put back what somebody removed
		}
		move := handing{from, to}
		handed := w.handed[vip].handing == move && w.now.Before(w.handed[vip].until)
		if from.offers(vip) != to.name && !handed && !late {
			w.breaks("%s is held by %s and %s", vip, from.name, to.name)
			continue
		}
		opened, before, most := to.opened[vip], from.opened[vip], overlapMost+from.slow
		if !from.runs() {
			most = from.clock.lasts(from.filter.guarded[vip])
		}
		if !handed && !late {
			w.handed[vip] = handover{move, w.now.Add(most)}
		}
		began := w.now
		var both func()
		both = func() {
			if from.awake.After(began) { // it was stopped meanwhile: its lease is the bound
				began = w.now
				w.at(w.now.Add(from.clock.lasts(from.filter.guarded[vip])), both)
				return
			}
			if from.opens(vip) && to.opens(vip) && from.opened[vip].Equal(before) && to.opened[vip].Equal(opened) && from.runs() && to.runs() {
				w.breaks("%s is held by %s and %s since %v", vip, from.name, to.name, max(opened.Sub(epoch), before.Sub(epoch)))
			}
		}
		w.at(w.now.Add(most), both)
	}
}

// tookLate reports whether the host was stopped, or is, since it took a VIP that was
// handed to it, and before it could announce that.
func (h *Host) tookLate(vip string) bool {
	at := h.took[vip]
	return !at.IsZero() && (h.paused || at.Before(h.awake))
}

// runs reports whether the daemon does something.
func (h *Host) runs() bool { return h.eng != nil && !h.paused }

// offers returns the host that a VIP is being handed to, also by a daemon that was
// killed meanwhile.
func (h *Host) offers(vip string) string {
	if h.eng == nil {
		return h.offered[vip]
	}
	_, to := h.eng.Stands(vip)
	return to
}
