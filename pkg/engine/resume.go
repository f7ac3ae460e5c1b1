package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/vrrp"
)

// A stop may leave VIPs as they are, for an upgrade in place. Their addresses stay,
// and their leases in the packet filter live on, once more refreshed, with an advert
// behind that. The next run goes on where the last one was, as Active from the
// start, but says nothing, neither in adverts nor on the pair channel, until it has
// the leases in its own hands. The first refresh decides: a lease that is over by
// then stays so, and the VIP is given up.

// Kept is a VIP that a run held when it ended, and left to the next one.
type Kept struct {
	VIP      VIP       // how it was held
	Epoch    uint64    // of this holder
	Priority uint8     // effective
	Since    time.Time // it is Active here
	Reason   string    // why, in one word
	Text     string    // and in a sentence
	Said     time.Time // the last advert left
	Until    time.Time // its lease ends then, unless it is refreshed
}

// resuming is what becomes of a VIP over a restart.
type resuming struct {
	stays  bool  // Active, and the stop that is under way leaves it to the next run
	kept   *Kept // by the last run: nothing is said until the lease is known to live
	frozen uint8 // effective priority of the last run, until all that counts is known; 0 = it is

	resumedAfter time.Duration // how long after the last advert of the last run it went on; 0 = it did not
}

// unkept says why v would not be left to the next run, "" = it would.
func (e *Engine) unkept(v *vip) string {
	for _, m := range v.peers() {
		if why := e.unkeptAlone(m); why != "" && m != v {
			return fmt.Sprintf("%s of sync group %s: %s", m.name, v.group.name, why)
		} else if why != "" {
			return why
		}
	}
	return ""
}

// unkeptStatus says why a restart gives v up, "" when it does not, or is to.
func (e *Engine) unkeptStatus(v *vip) string {
	if !e.cfg.Keep || v.router.State() != vrrp.Active {
		return ""
	}
	return e.unkept(v)
}

// unkeptAlone says the same without its sync group.
func (e *Engine) unkeptAlone(v *vip) string {
	switch {
	case v.router.State() != vrrp.Active:
		return "it is not held here"
	case e.leaseKind(v) != LeaseNFT:
		return "it has no lease in the packet filter, which alone outlives vipd"
	case !v.cfg.Keepable():
		return "its takeover is " + v.cfg.Takeover.String()
	case v.removed || v.replace != nil || len(v.own) > 0:
		return "it is being given up"
	case v.offer.to != "" || v.taking.from != "":
		return "it is being handed over"
	case !v.lease.armed || !v.want || !v.there || !v.applied || v.quiet || v.closed || v.kept != nil:
		return "it is still being taken over"
	}
	return ""
}

// keep notes which VIPs the stop that begins now leaves to the next run: those of
// the list that can be.
func (e *Engine) keep(list []string) (names []string) {
	if !e.cfg.Keep {
		return nil
	}
	listed := func(m *vip) bool { return slices.Contains(list, m.name) }
	for _, v := range e.vips {
		if v.stays = allOf(v.peers(), listed) && e.unkept(v) == ""; v.stays {
			names = append(names, v.name)
		}
	}
	return names
}

// keptOn reports whether v is left to the next run.
func (v *vip) keptOn() bool { return v.stays && v.router.State() == vrrp.Active }

// part says the last word for the VIPs that stay: nobody is to miss this host
// before the next run speaks.
func (e *Engine) part(now time.Time) {
	if e.stopping.IsZero() || !e.parted.IsZero() || !e.Done(now) {
		return
	}
	for _, v := range e.vips {
		if v.keptOn() {
			e.parted, e.pair.stirred, e.pair.beatAt = now, true, now
			e.renew(now, v)
			e.advertise(v, v.router.Settings().Priority)
		}
	}
}

// Left returns what this run leaves to the next one, after [Engine.Done].
func (e *Engine) Left() map[string]Kept {
	left := map[string]Kept{}
	for _, v := range e.vips {
		if v.keptOn() && !e.parted.IsZero() {
			left[v.name] = Kept{VIP: v.cfg.place(), Epoch: v.epoch, Priority: v.router.Settings().Priority, Since: v.since, Reason: v.reason, Text: v.text,
				Said: e.parted, Until: v.lease.until}
		}
	}
	return left
}

// place is what of a VIP must be the same for a next run to go on with it.
func (v VIP) place() VIP {
	return VIP{Interface: v.Interface, VRID: v.VRID, Version: v.Version, VMAC: v.VMAC, Interval: v.Interval, Addresses: v.Addresses, Routes: v.Routes}
}

// Keepable reports whether a run with this configuration can go on with what another
// one held: with a lease in the packet filter, and by nobody's leave but its own.
// Votes are promised to a process.
func (v VIP) Keepable() bool {
	nft := v.Lease == LeaseNFT || v.Lease == LeaseAuto && v.Interval >= LeaseLeastInterval
	return nft && v.Priority != vrrp.PriorityOwner && (v.Takeover == TakeoverVRRP || v.Takeover == TakeoverFence)
}

// SamePlace reports whether a run that is configured with w can go on with what one
// that was configured with v held.
func (v VIP) SamePlace(w VIP) bool {
	return v.Interface == w.Interface && v.VRID == w.VRID && v.Version == w.Version && v.VMAC == w.VMAC && v.Interval == w.Interval &&
		slices.Equal(v.Addresses, w.Addresses) && slices.Equal(v.Routes, w.Routes)
}

// Resumes returns those of the VIPs that the last run left which a run with this
// configuration goes on with, and why not of the others. A sync group goes on as a
// whole or not at all.
func (c Config) Resumes(now time.Time, left map[string]Kept) (goes map[string]Kept, not map[string]string) {
	goes, not = maps.Clone(left), map[string]string{}
	for name, k := range left {
		v, there := c.VIPs[name]
		switch lasts := k.Until.Sub(now); {
		case !there:
			not[name] = "it is not configured any more"
		case !k.VIP.SamePlace(v) || !v.Keepable():
			not[name] = "its configuration has changed"
		case lasts > 0 && lasts <= leaseSlack:
			not[name] = fmt.Sprintf("its lease is over in %s", round(lasts))
		case lasts <= 0:
			not[name] = fmt.Sprintf("its lease was over %s ago", round(-lasts))
		case lasts > v.Interval*5/2:
			not[name] = "its lease cannot last that long"
		}
	}
	for _, group := range slices.Sorted(maps.Keys(c.Groups)) {
		i := slices.IndexFunc(c.Groups[group], func(name string) bool { _, ok := left[name]; return !ok || not[name] != "" })
		for _, name := range c.Groups[group] {
			if _, ok := left[name]; ok && i >= 0 && not[name] == "" {
				not[name] = c.Groups[group][i] + " of its sync group does not go on"
			}
		}
	}
	maps.DeleteFunc(goes, func(name string, _ Kept) bool { return not[name] != "" })
	return goes, not
}

// refuseLeft reports what of the last run does not go on.
func (e *Engine) refuseLeft(now time.Time, not map[string]string, cause uint64) {
	for _, name := range slices.Sorted(maps.Keys(not)) {
		e.report(now, Record{Type: RecordResume, Name: name, From: "held", To: "released", Severity: Warning, Cause: cause,
			Text: fmt.Sprintf("%s: does not go on as the last run left it: %s", name, not[name])})
	}
}

// fallBack notes that v leaves its state before it went on from the last run: before
// it said anything, or since its first refresh found the lease over.
func (v *vip) fallBack(reason, text string) {
	if v.kept != nil || v.resumedAfter > 0 && v.lease.renewals <= 1 && (reason == reasonLease || reason == reasonLateWake) {
		v.fellBack = text
	}
}

// resumeStatus says what v waits for to go on from the last run, "" = it does not.
func (e *Engine) resumeStatus(v *vip) string {
	if v.kept == nil {
		return ""
	}
	return e.lacks(v)
}

// takeUp makes v Active, as it was in the last run. It says nothing yet.
func (e *Engine) takeUp(now time.Time, v *vip, k Kept) {
	v.kept, v.frozen = &k, k.Priority
	set := v.router.Settings()
	set.Priority = k.Priority
	v.router.Change(now, set)
	v.router.Resume(now)
	v.state, v.since, v.reason, v.text, v.epoch, v.told = Active, k.Since, k.Reason, k.Text, k.Epoch, Active
	v.there, v.announced = true, true
	v.lease.armed, v.lease.until = true, k.Until
	e.watchLease(v)
	e.setAddresses(now, v, true)
}

// takingUp reports whether it is still to be found out how a VIP of the last run
// goes on. Until then nobody is told anything: the word of the last run stands.
func (e *Engine) takingUp() bool {
	return slices.ContainsFunc(e.vips, func(v *vip) bool { return v.kept != nil })
}

// lacks names what a VIP of the last run waits for before it may say something.
func (e *Engine) lacks(v *vip) string {
	l := e.links[v.cfg.Interface]
	switch {
	case e.guard.set != e.guard.seq || e.guard.seq == 0:
		return "the packet filter with its lease"
	case l == nil:
		return "the state of interface " + v.cfg.Interface
	case l.deaf(v.cfg.Family4()) != "":
		return "a socket for adverts: " + l.deaf(v.cfg.Family4())
	case !v.router.Settings().Address.IsValid():
		return "an address to send from"
	}
	return ""
}

// goOn lets what the last run left go on, when its leases are in the hands of this
// one, and it is known where the adverts leave from, and that they can.
func (e *Engine) goOn(now time.Time) {
	for _, v := range e.vips {
		if v.kept == nil || e.lacks(v) != "" {
			continue
		}
		took := now.Sub(v.kept.Said)
		v.kept, v.resumedAfter, e.pair.stirred = nil, took, true
		v.record = e.report(now, Record{Type: RecordResume, Name: v.name, From: "held", To: "resumed", Severity: Notice, Took: took,
			Text: fmt.Sprintf("%s: goes on in place, %s after the last advert of the run before", v.name, round(took))})
		e.renew(now, v)
		e.advertise(v, v.router.Settings().Priority)
	}
}

// unknown reports whether something that v tracks has not been seen yet.
func (e *Engine) unknown(v *vip) bool {
	for name := range v.cfg.Track {
		if c := e.check(name); c != nil && !c.state.Known() {
			return true
		}
	}
	for name := range v.cfg.TrackLinks {
		if e.links[name] == nil {
			return true
		}
	}
	return false
}

// tellLeft makes the record of a stop say which VIPs stay, and which could not.
func (e *Engine) tellLeft(r *Record, kept []string) {
	if len(kept) == 0 {
		return
	}
	text := "leaves " + strings.Join(kept, ", ") + " to the next run"
	for _, v := range e.vips {
		if v.router.State() == vrrp.Active && !v.stays {
			text += ", and gives " + v.name + " up"
		}
	}
	if r.Reason == "keep" {
		r.Text += "; " + text
		return
	}
	r.Reason, r.Text = "keep", "stops: "+text
}
