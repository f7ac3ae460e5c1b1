package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/vrrp"
)

// configure replaces the configuration as a difference: what did not change is
// not touched. A VIP that moves to another interface or virtual router is
// released first.
func (e *Engine) configure(now time.Time, ev Configure) {
	cfg := ev.Config
	kind, text := RecordReload, "configuration replaced"
	if ev.Actor != (Actor{}) {
		text += " by " + ev.Actor.Name
	}
	if e.cfg.VIPs == nil {
		kind, text = RecordStart, "started with node name "+cfg.Node
	}
	e.cfg = cfg
	cause := e.report(now, Record{Type: kind, Text: text, Severity: Notice, Actor: ev.Actor})
	goes, not := cfg.Resumes(now, e.kept)
	e.kept = nil
	e.refuseLeft(now, not, cause)
	e.configureChecks(now, cfg.Checks, kind == RecordReload)
	e.orderChecks()
	for _, v := range e.vips {
		next, ok := cfg.VIPs[v.name]
		v.removed, v.replace = !ok, nil
		switch {
		case !ok:
		case !sameWire(v.cfg, next):
			v.replace = &next
		default:
			e.reconfigure(now, v, next)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.VIPs)) {
		if e.byName[name] == nil {
			v := e.addVIP(now, name, cfg.VIPs[name])
			if k, ok := goes[name]; ok {
				e.takeUp(now, v, k)
			} else {
				v.fellBack = not[name]
				e.setAddresses(now, v, false)
			}
		}
	}
	e.configureSpeaker(now, cfg.BGP)
	e.configureServices(now, cfg.Services)
	e.index()
	e.setGuard()
	e.configurePair(now)
	e.configureVotes(now)
	e.configureFences(now)
	e.settle(now, cause)
	e.evaluate(now, cause)
}

// sameWire reports whether two configurations are of one virtual router: then a
// running election can go on.
func sameWire(a, b VIP) bool {
	return a.Interface == b.Interface && a.VRID == b.VRID && a.Version == b.Version && a.VMAC == b.VMAC &&
		a.Family4() == b.Family4() && (a.Priority == vrrp.PriorityOwner) == (b.Priority == vrrp.PriorityOwner)
}

// addVIP starts a VIP in Initialize. Whether its addresses are there is to be said
// next.
func (e *Engine) addVIP(now time.Time, name string, cfg VIP) *vip {
	v := &vip{
		name: name, cfg: cfg, list: electionList(cfg), state: Initialize, since: now,
		reason: "startup", text: "waits for its interface", transitions: map[string]uint64{},
	}
	v.router = vrrp.NewRouter(vrrp.Settings{
		Version: cfg.Version, Priority: cfg.Priority, Interval: cfg.Interval, Preempt: cfg.Preempt, PreemptDelay: cfg.PreemptDelay,
	})
	e.vipTimer(v)
	i, _ := slices.BinarySearchFunc(e.vips, name, func(v *vip, name string) int { return strings.Compare(v.name, name) })
	e.vips = slices.Insert(e.vips, i, v)
	e.byName[name] = v
	return v
}

// reconfigure changes what may change under a running election.
func (e *Engine) reconfigure(now time.Time, v *vip, next VIP) {
	old, kind, lifetime := v.cfg, e.leaseKind(v), e.lifetime(v)
	v.cfg, v.list = next, electionList(next)
	if e.leaseKind(v) != kind {
		e.forgetLease(now, v)
	}
	if !slices.Equal(old.Addresses, next.Addresses) || !reflect.DeepEqual(old.Routes, next.Routes) || e.lifetime(v) != lifetime {
		e.setAddresses(now, v, v.want)
	}
}

// electionList returns the addresses of the first one's family: what adverts of
// this virtual router list.
func electionList(cfg VIP) []netip.Addr {
	var list []netip.Addr
	for _, p := range cfg.Addresses {
		if p.Addr().Is4() == cfg.Family4() {
			list = append(list, p.Addr())
		}
	}
	return list
}

// departures ends the VIPs that a reload took away and whose release is done,
// starts what replaces them, and reports whether there were any.
func (e *Engine) departures(now time.Time) bool {
	var gone []*vip
	e.vips = slices.DeleteFunc(e.vips, func(v *vip) bool {
		departs := (v.removed || v.replace != nil) && !v.leaving && v.copies == 0 && v.offer.to == ""
		if departs {
			gone = append(gone, v)
		}
		return departs
	})
	for _, v := range gone {
		e.timers.set(&v.timer, time.Time{})
		e.forgetVotes(v)
		delete(e.byName, v.name)
		if v.moving != nil {
			e.do(Answer{ID: v.moving.id, Refused: true, Text: "a reload took " + v.name + " away"})
		}
		if v.replace != nil {
			next := e.addVIP(now, v.name, *v.replace)
			next.epoch, next.seen = v.epoch, v.seen // peers speak of the same VIP
			e.setAddresses(now, next, false)
		}
	}
	if len(gone) > 0 {
		e.index()
		e.setGuard()
		e.configureVotes(now)
	}
	return len(gone) > 0
}

// index rebuilds what is derived from the set of VIPs: sync groups, the way from
// an advert to its VIP, and the addresses that are never a source.
func (e *Engine) index() {
	clear(e.byWire)
	clear(e.managed)
	maps.DeleteFunc(e.groupTold, func(name string, _ State) bool { return e.cfg.Groups[name] == nil })
	for _, v := range e.vips {
		v.group = nil
		e.byWire[wire{v.cfg.Interface, v.cfg.VRID, v.cfg.Family4()}] = v
		for _, p := range v.cfg.Addresses {
			if !v.owner() {
				e.managed[p.Addr()] = true
			}
		}
	}
	for _, s := range e.services {
		for _, p := range s.cfg.Addresses() {
			e.managed[p.Addr()] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.cfg.Groups)) {
		g := &group{name: name}
		for _, member := range slices.Sorted(slices.Values(e.cfg.Groups[name])) {
			if v := e.byName[member]; v != nil {
				v.group = g
				g.members = append(g.members, v)
			}
		}
	}
}

// configureChecks keeps the checks that did not change. One that a reload adds
// counts as passing until it fails: a reload never takes a service down by
// itself.
func (e *Engine) configureChecks(now time.Time, configs map[string]check.Config, reload bool) {
	old := e.checks
	e.checks = nil
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		cfg := configs[name]
		i := slices.IndexFunc(old, func(c *checkRun) bool { return c.name == name })
		if i < 0 {
			e.addCheck(now, name, cfg, reload)
			continue
		}
		c := old[i]
		old = slices.Delete(old, i, i+1)
		e.checks = append(e.checks, c)
		if !reflect.DeepEqual(c.cfg, cfg) {
			e.rewatch(c, cfg)
			c.cfg = cfg
			c.state.Reconfigure(cfg, now)
		}
	}
	for _, c := range old {
		e.timers.set(&c.timer, time.Time{})
		e.rewatch(c, check.Config{})
	}
}

// rewatch ends or begins to watch what c is about, when its configuration becomes
// next.
func (e *Engine) rewatch(c *checkRun, next check.Config) {
	same := reflect.DeepEqual(c.cfg.Spec, next.Spec)
	switch {
	case check.IsWatched(next.Spec) && (!same || c.cfg.Interval != next.Interval):
		e.do(WatchCheck{Check: c.name, On: true})
	case check.IsWatched(c.cfg.Spec) && !same:
		e.do(WatchCheck{Check: c.name})
	}
	if !same {
		c.sight, c.weight = nil, nil
	}
}

func (e *Engine) addCheck(now time.Time, name string, cfg check.Config, passing bool) {
	first := cfg
	first.InitOK = first.InitOK || passing
	c := &checkRun{name: name, cfg: cfg, state: check.New(first, check.NewPace(e.started, e.cfg.Node, name), now)}
	e.checkTimer(c)
	e.checks = append(e.checks, c)
	if check.IsWatched(cfg.Spec) {
		e.do(WatchCheck{Check: name, On: true})
	}
}

// why is the status line of a VIP for a human.
func (e *Engine) why(now time.Time, v *vip) string {
	if len(v.blockers) > 0 {
		return v.blockers[0].Text
	}
	heard := v.router.Heard()
	switch {
	case v.state == Backup && v.router.Due() && !v.lease.asked.IsZero():
		return "begins its lease"
	case v.state == Backup && v.router.Due() && !e.guarded(now, v):
		return e.waitText(now, v)
	case v.state == Backup && v.router.Due() && v.group != nil:
		return "waits for the rest of sync group " + v.group.name
	case v.state == Backup && heard.Source.IsValid():
		text := fmt.Sprintf("%s advertises %d, own %d", heard.Source, heard.Priority, v.router.Settings().Priority)
		if hold := v.router.Preempting(now); hold != "" {
			text += " (" + hold + ")"
		}
		return text
	case v.state == Backup:
		return fmt.Sprintf("listens for an Active for %s", round(v.router.ActiveDownDue().Sub(now)))
	case v.state == Active && v.kept != nil:
		return "goes on from the run before, silent until it has " + e.lacks(v)
	case v.state == Active && v.closed:
		return v.hookText(now)
	case v.state == Active && !v.applied && v.lastErr != "":
		return v.lastErr
	case v.state == Active && !v.applied:
		return "the addresses are being added"
	case v.leaving:
		return "the addresses are being removed"
	}
	return v.reason + ": " + v.text
}
