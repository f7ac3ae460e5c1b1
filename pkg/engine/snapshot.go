package engine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/vrrp"
)

// Status returns a copy of what the engine knows at now. Nothing in it is shared
// with the engine.
func (e *Engine) Status(now time.Time) Status {
	s := Status{Node: e.cfg.Node, Now: now, Started: e.started, Drained: len(e.vips)+len(e.services) > 0}
	for _, v := range e.vips {
		s.VIPs = append(s.VIPs, e.vipStatus(now, v))
		s.Drained = s.Drained && v.drained != nil
	}
	s.Pair, s.Fences = e.pairStatus(now), e.fenceStatuses(now)
	e.serviceStatuses(&s)
	for _, c := range e.checks {
		s.Checks = append(s.Checks, c.status())
	}
	for _, name := range slices.Sorted(maps.Keys(e.links)) {
		s.Links = append(s.Links, e.linkStatus(e.links[name]))
	}
	return s
}

// VIP returns what [Engine.Status] tells of one VIP, and whether there is such a one.
func (e *Engine) VIP(now time.Time, name string) (VIPStatus, bool) {
	v := e.byName[name]
	if v == nil {
		return VIPStatus{}, false
	}
	return e.vipStatus(now, v), true
}

// Stands returns the state of a VIP and the peer that it is being handed to, ""
// when it is not: the two things of its status that cost nothing. The state of a VIP
// that there is not is "".
func (e *Engine) Stands(name string) (state State, to string) {
	v := e.byName[name]
	if v == nil {
		return "", ""
	}
	return v.state, v.offer.to
}

func (e *Engine) vipStatus(now time.Time, v *vip) VIPStatus {
	set, heard := v.router.Settings(), v.router.Heard()
	s := VIPStatus{
		Name: v.name, Interface: v.cfg.Interface, VRID: v.cfg.VRID, Version: v.cfg.Version, Family: "ipv6",
		Addresses: slices.Clone(v.cfg.Addresses), Held: v.there,
		State: v.state, Stage: v.stage(), Since: v.since, Reason: v.reason, Entered: v.text, Why: e.why(now, v),
		Priority:   PriorityStatus{Configured: v.cfg.Priority, Effective: set.Priority, Terms: slices.Clone(v.terms)},
		Interval:   v.cfg.Interval,
		ActiveDown: v.router.ActiveDownInterval(), ActiveDownDue: v.router.ActiveDownDue(), PreemptHolding: v.router.Preempting(now),
		Unkept: e.unkeptStatus(v), ResumedAfter: v.resumedAfter, Resuming: e.resumeStatus(v), FellBack: v.fellBack,
		AdvertsSent: v.sent, AdvertsReceived: v.received, ReleasesSent: v.releasesSent, ReleasesReceived: v.releasesReceived,
		LostRestored: v.restored, Contests: v.contests, Transitions: maps.Clone(v.transitions), HeldAnyway: v.heldAnyway,
	}
	s.Proven = v.proven
	s.Standby = e.standby(now, v)
	s.Votes = e.votesStatus(now, v)
	s.Lease, s.Epoch, s.Disbelieved = e.leaseStatus(v), v.epoch, v.disbelieved
	if v.offer.to != "" {
		s.Handover = &HandoverStatus{To: v.offer.to, Until: v.offer.until}
	}
	if m := v.waitsFor(); m != nil {
		s.BeforeHold = &HookStatus{VIP: m.name, Since: m.hookSince, Until: m.hookDue}
	}
	if v.cfg.Family4() {
		s.Family = "ipv4"
	}
	if v.group != nil {
		s.Group = v.group.name
	}
	s.Blockers, s.Tracks = slices.Clone(v.blockers), v.tracks()
	if v.drained != nil {
		d := *v.drained
		s.Drained = &d
	}
	if v.state != Active && heard.Source.IsValid() && now.Sub(heard.At) <= v.router.ActiveDownInterval() {
		s.Active = &ActiveStatus{Address: heard.Source, Priority: heard.Priority, Interval: heard.Interval, Heard: heard.At}
	}
	return s
}

// tracks lists what v tracks, checks first, sorted by name.
func (v *vip) tracks() []Tracked {
	var list []Tracked
	for _, name := range slices.Sorted(maps.Keys(v.cfg.Track)) {
		list = append(list, Tracked{"check", name, v.cfg.Track[name].Fault, v.cfg.Track[name].Delta})
	}
	for _, name := range slices.Sorted(maps.Keys(v.cfg.TrackLinks)) {
		list = append(list, Tracked{"interface", name, v.cfg.TrackLinks[name].Fault, v.cfg.TrackLinks[name].Delta})
	}
	return list
}

// stage returns the stage that the VIP has not reached yet, or Held.
func (v *vip) stage() Stage {
	switch {
	case v.router.State() == vrrp.Initialize:
		return Eligible
	case v.router.Due():
		return Cleared
	case v.router.State() == vrrp.Backup:
		return Elected
	}
	return Held
}

func (c *checkRun) status() CheckStatus {
	stats := c.state.Stats()
	s := CheckStatus{
		Name: c.name, Type: c.cfg.Spec.Type(), State: c.state.String(), Since: stats.Since, Healthy: c.state.Healthy(), Masked: c.mask,
		Consecutive: stats.Consecutive, Rise: c.cfg.Rise, Fall: c.cfg.Fall, Runs: stats.Runs, Failures: stats.Failures,
		LastOK: stats.LastOK, LastDetail: c.detail, LastRun: stats.LastRun, LastTook: c.took, Recent: slices.Clone(c.recent),
		NextRun: c.state.Due(), HoldDown: c.state.HoldDown(), HeldUntil: c.state.HeldDownUntil(), After: slices.Clone(c.cfg.After),
		BecameUp: stats.Ups, BecameDown: stats.Downs, Durations: c.probes,
	}
	switch spec := c.cfg.Spec.(type) {
	case check.Watcher:
		s.Watched, s.Rise, s.Fall = true, 1, 1
	case check.Group:
		s.Group = &GroupStatus{Members: slices.Clone(spec.Members), Need: spec.Need}
	default:
		s.Interval = c.cfg.Interval
	}
	if c.weight != nil {
		w := *c.weight
		s.Weight = &w
	}
	return s
}

func (e *Engine) linkStatus(l *link) LinkStatus {
	s := LinkStatus{Name: l.Name, Present: l.Present, Up: l.up(), Since: l.since}
	if a := l.primary(true, e.managed); a.IsValid() {
		s.Source4 = a.String()
	}
	if a := l.primary(false, e.managed); a.IsValid() {
		s.Source6 = fmt.Sprint(a)
	}
	return s
}

// round makes a duration readable without losing what matters.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
