package sim

import (
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// act does what the daemon would do.
func (h *Host) act(a engine.Action) {
	life := h.life
	switch a := a.(type) {
	case engine.SendAdvert:
		h.traceAdvert(a)
		h.releasesRightly(a)
		h.w.carry(h, a)
	case engine.SetAddresses:
		h.newest[owner(a)] = a.Seq
		h.w.after(span{kernelDelay.least, kernelDelay.most + h.slow}, func() { h.apply(life, a) })
	case engine.ReadLink:
		h.sight(a.Interface)
	case engine.SetGuard:
		h.setGuard(a)
	case engine.SetLease:
		h.setLease(a)
	case engine.RenewLease: // done already
	case engine.RunFence:
		h.fence(a)
	case engine.RememberFence:
		h.history = h.history.Add(a.Entry)
	case engine.StopFence, engine.RememberProven:
	case engine.ProbeVIP:
		h.probeVIP(a)
	case engine.AskVote:
		h.handsBackRightly(a)
		h.ask(a)
	case engine.AnswerVote:
		h.answerVote(a)
	case engine.Tell:
		h.word = a.State
	case engine.Announce:
		h.announce(a)
	case engine.Hush: // a burst takes no time here
	case engine.SetSpeaker:
		h.setSpeaker(a.Config)
	case engine.SetTable:
		h.setTable(a)
	case engine.RunCheck:
		if by := h.masked[a.Check]; by != "" {
			h.w.breaks("%s probes %s, which is masked %s", h.name, a.Check, by)
		}
		h.w.after(probeDelay, func() {
			if h.life == life {
				h.step(engine.CheckDone{Check: a.Check, OK: !h.failing[a.Check], Detail: "simulated"})
			}
		})
	case engine.WatchCheck:
		h.watch(a)
	case engine.Notify:
		h.w.trace(h.name, "tells that %s is %s", a.Name, a.State)
		h.w.after(hookDelay, func() {
			if h.life == life {
				h.step(engine.NotifyDone{Group: a.Group, Name: a.Name, State: a.State})
			}
		})
	case engine.RunHook:
		h.runHook(a)
	case engine.StopHook:
		if h.waiting[a.VIP] == a.Seq {
			delete(h.waiting, a.VIP)
			h.w.trace(h.name, "stops before_hold of %s", a.VIP)
		}
	case engine.Report:
		h.reported(a.Record)
	case engine.Answer:
		h.w.trace(h.name, "answers: %s", a.Text)
	}
}

// reported notes what a record says for the invariants.
func (h *Host) reported(r engine.Record) {
	switch r.Type {
	case engine.RecordTransition, engine.RecordCheck, engine.RecordMask, engine.RecordReload, engine.RecordDrain, engine.RecordAnycast:
		h.moved, h.speaker.moved = true, true
	}
	if r.Type == engine.RecordTransition {
		delete(h.took, r.Name)
		if r.Reason == string(vrrp.ReasonHandover) && r.To == string(engine.Active) {
			h.took[r.Name] = h.w.now
		}
	}
	if r.Type == engine.RecordHandover && r.Reason == "late" { // it closes, or the other one finds out
		h.w.handed[r.Name] = handover{handing{h, h.w.byName[r.To]}, h.w.now.Add(kernelDelay.most + h.slow)}
	}
	if r.Type == engine.RecordMask {
		h.masked[r.Name] = r.To
	}
	h.w.trace(h.name, "%s", r.Text)
}

// runHook runs a before_hold.
func (h *Host) runHook(a engine.RunHook) {
	h.w.trace(h.name, "runs before_hold of %s", a.Name)
	if _, runs := h.waiting[a.Name]; runs {
		h.w.breaks("%s runs two before_hold of %s at once", h.name, a.Name)
	}
	h.waiting[a.Name] = a.Seq
	result, takes := engine.HookOK, hookDelay
	switch h.hook {
	case HookHangs:
		return
	case HookFails:
		result = engine.HookFailed
	case HookSlow:
		takes = slowHook
	case HookFast:
	}
	life := h.life
	h.w.after(takes, func() {
		if h.life != life || h.waiting[a.Name] != a.Seq {
			return
		}
		delete(h.waiting, a.Name)
		h.step(engine.HookDone{VIP: a.Name, Seq: a.Seq, Result: result, Detail: "simulated"})
	})
}

// traceAdvert writes the first advert of a series: those that repeat it say
// nothing new.
func (h *Host) traceAdvert(a engine.SendAdvert) {
	if a.Advert.Priority == vrrp.PriorityRelease {
		delete(h.said, a.VIP)
	} else if h.said[a.VIP] == a.Advert.Priority {
		return
	} else {
		h.said[a.VIP] = a.Advert.Priority
	}
	from := ""
	if a.VMAC {
		from = " from the virtual MAC"
	}
	h.w.trace(h.name, "advertises %s with priority %d%s", a.VIP, a.Advert.Priority, from)
}

// apply is the kernel changing its addresses, and telling.
func (h *Host) apply(life uint64, a engine.SetAddresses) {
	if h.life != life || !h.powered || h.newest[owner(a)] != a.Seq {
		return // the newest wish replaces older ones
	}
	if _, runs := h.waiting[a.VIP]; runs && a.Present {
		h.w.breaks("%s opens %s while its before_hold runs", h.name, a.VIP)
	}
	who := owner(a)
	had := h.kernel[who]
	switch {
	case h.refuses != "":
	case a.Present:
		h.kernel[who] = &present{link: a.Interface, addresses: a.Addresses}
		if a.Lifetime > 0 {
			h.kernel[who].ends = h.w.now.Add(h.clock.lasts(a.Lifetime))
		}
		h.stolen[who] = false
		if had == nil { // else it only has others now
			h.w.exclusive(a.VIP, h)
		}
	default:
		delete(h.kernel, who)
		h.stolen[who] = false
	}
	if a.Service != "" {
		h.leavesAfterRoutes(had, h.kernel[who])
	}
	if now := h.kernel[who]; (now == nil) != (had == nil) || now != nil && !slices.Equal(now.addresses, had.addresses) {
		h.sight(a.Interface)
	}
	h.step(engine.AddressesApplied{VIP: a.VIP, Service: a.Service, Seq: a.Seq, Err: h.refuses, Took: time.Millisecond})
}

// announce turns the clients of a VIP to this host, if its frames get out. Only
// who holds the addresses may announce them.
func (h *Host) announce(a engine.Announce) {
	delete(h.took, a.VIP)
	state, to := h.eng.Stands(a.VIP)
	if state != engine.Active && !h.opens(a.VIP) { // or its group is given up in this very step
		h.w.breaks("%s announces %s while it is %s", h.name, a.VIP, state)
	}
	if to != "" {
		h.w.breaks("%s announces %s, which it hands to %s", h.name, a.VIP, to)
	}
	if h.kernel[a.VIP] == nil && !h.stolen[a.VIP] && !h.owns(a.VIP) {
		h.w.breaks("%s announces %s without having its addresses", h.name, a.VIP)
	}
	if !h.reaches(a.Interface) {
		return
	}
	if h.w.cache[a.VIP] != h.name {
		h.w.trace(h.name, "garp for %s (%s) turns the clients", a.VIP, a.Cause)
	}
	h.w.cache[a.VIP] = h.name
	h.w.claim(h, a)
	life := h.life
	h.w.at(h.w.now.Add(announceDelay), func() {
		if h.life == life {
			h.step(engine.AnnouncementSent{VIP: a.VIP})
		}
	})
}

// owns reports whether the addresses of a VIP are the host's own (priority 255).
func (h *Host) owns(vip string) bool {
	v, _ := h.VIP(vip)
	return v.Priority.Configured == vrrp.PriorityOwner
}

// probeVIP is a client on this host, which sees who its cache points to. It looks
// once, at the end.
func (h *Host) probeVIP(a engine.ProbeVIP) {
	h.w.trace(h.name, "a client looks at %s: %t", a.VIP, a.On)
	if a.On {
		return
	}
	life := h.life
	h.w.after(probeDelay, func() {
		if h.life != life {
			return
		}
		c := engine.ClientReport{Target: "simulated", Sent: 1, Lost: 1, Detail: "no answer"}
		if o := h.w.byName[h.w.cache[a.VIP]]; o != nil && o != h && o.kernel[a.VIP] != nil && !o.deaf {
			c.Lost, c.OK, c.Detail = 0, true, ""
		}
		h.step(engine.VIPProbed{VIP: a.VIP, Client: c})
	})
}
