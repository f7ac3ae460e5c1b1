package whatif

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// What things take in this world.
const (
	kernelTakes = time.Millisecond
	probeTakes  = time.Millisecond
	hookTakes   = time.Millisecond
	votingTakes = time.Millisecond
)

// world is one engine and what surrounds it.
type world struct {
	eng      *engine.Engine
	now      time.Time
	steps    int
	links    map[string]engine.Link
	failing  map[string]bool // checks
	speakers []*speaker
	hushed   bool        // the other hosts are silent
	todo     []happening // in the order in which they were planned

	records []engine.Record
}

// speaker is another host that advertises a VIP.
type speaker struct {
	advert engine.AdvertReceived
	next   time.Time
}

// happening is an event to come.
type happening struct {
	at time.Time
	ev engine.Event
}

// newWorld is the world as an engine knows it. It owns the engine.
func newWorld(eng *engine.Engine, now time.Time, s engine.Status) *world {
	w := &world{eng: eng, now: now, links: map[string]engine.Link{}, failing: map[string]bool{}}
	for _, l := range eng.Links() {
		w.links[l.Name] = l
	}
	for _, c := range s.Checks {
		// One that has no result yet is hoped for.
		w.failing[c.Name] = c.Runs > 0 && !c.LastOK
	}
	for _, v := range s.VIPs {
		if v.Active != nil {
			w.speakers = append(w.speakers, newSpeaker(v, now))
		}
	}
	for _, a := range eng.Pending() {
		w.act(a)
	}
	return w
}

// newSpeaker is the host that is heard to advertise v.
func newSpeaker(v engine.VIPStatus, now time.Time) *speaker {
	var list []netip.Addr
	for _, p := range v.Addresses {
		if p.Addr().Is4() == v.Active.Address.Is4() {
			list = append(list, p.Addr())
		}
	}
	interval := v.Active.Interval
	if interval <= 0 {
		interval = v.Interval
	}
	next := v.Active.Heard.Add(interval)
	if next.Before(now) {
		next = now
	}
	return &speaker{next: next, advert: engine.AdvertReceived{Interface: v.Interface, Source: v.Active.Address, Advert: vrrp.Advert{
		Version: v.Version, VRID: v.VRID, Priority: v.Active.Priority, Interval: interval, Addresses: list,
	}}}
}

// silence ends the adverts of a host.
func (w *world) silence(host netip.Addr) {
	w.hushed = true
	w.speakers = slices.DeleteFunc(w.speakers, func(s *speaker) bool { return s.advert.Source == host })
}

// step gives an event to the engine and does what it wants.
func (w *world) step(ev engine.Event) {
	w.steps++
	for _, a := range slices.Clone(w.eng.Step(w.now, ev)) {
		w.act(a)
	}
}

// vote lets every voter promise its vote, but a host that is asked to be silent.
func (w *world) vote(a engine.AskVote) {
	if pair := w.eng.Config().Pair; w.hushed && pair != nil && pair.Peers[a.Voter] != nil {
		return
	}
	answer := vote.Answer{Kind: vote.Granted, VIP: a.Ask.VIP, Number: a.Ask.Number, Epoch: a.Ask.Epoch}
	if a.Ask.Kind == vote.Release {
		answer.Kind = vote.Released
	}
	w.after(votingTakes, engine.VoteAnswered{Voter: a.Voter, Answer: answer})
}

// after plans an event.
func (w *world) after(d time.Duration, ev engine.Event) {
	w.todo = append(w.todo, happening{w.now.Add(d), ev})
}

// act does what an engine wants done.
func (w *world) act(a engine.Action) {
	switch a := a.(type) {
	case engine.SendAdvert:
		w.heard(a)
	case engine.SetAddresses:
		w.setAddresses(a)
	case engine.Announce, engine.Hush, engine.SetSpeaker, engine.RenewLease, engine.Tell, engine.RunFence, engine.StopFence, engine.RememberFence, engine.AnswerVote,
		engine.ProbeVIP, engine.RememberProven:
	case engine.AskVote:
		w.vote(a)
	case engine.ReadLink:
		w.after(kernelTakes, engine.LinkChanged{Link: w.links[a.Interface]})
	case engine.SetGuard:
		w.after(kernelTakes, engine.GuardSet{Seq: a.Seq})
	case engine.SetLease:
		w.after(kernelTakes, engine.LeaseSet{VIP: a.VIP, On: a.On, Seq: a.Seq})
	case engine.SetTable:
		w.after(kernelTakes, engine.TableAnnounced{Seq: a.Seq})
	case engine.RunCheck:
		done := engine.CheckDone{Check: a.Check, OK: !w.failing[a.Check], Detail: "in the question", Took: probeTakes}
		w.after(probeTakes, done)
	case engine.WatchCheck: // as it is, unless that is the question
	case engine.Notify:
		w.after(hookTakes, engine.NotifyDone{Group: a.Group, Name: a.Name, State: a.State})
	case engine.RunHook:
		w.after(hookTakes, engine.HookDone{VIP: a.Name, Seq: a.Seq, Result: engine.HookOK, Detail: "in the question", Took: hookTakes})
	case engine.StopHook: // its answer counts for nothing
	case engine.Report:
		w.records = append(w.records, a.Record)
	case engine.Answer:

	}
}

// heard lets the host that advertises the same give way to a better one (RFC
// 9568, Section 6.4.3).
func (w *world) heard(a engine.SendAdvert) {
	if l := w.links[a.Interface]; !l.Present || !l.Up {
		return
	}
	w.speakers = slices.DeleteFunc(w.speakers, func(s *speaker) bool {
		theirs := s.advert.Advert
		same := s.advert.Interface == a.Interface && theirs.VRID == a.Advert.VRID && s.advert.Source.Is4() == a.Source.Is4()
		return same && (a.Advert.Priority > theirs.Priority || a.Advert.Priority == theirs.Priority && s.advert.Source.Less(a.Source))
	})
}

// setAddresses is the kernel, which obeys and tells.
func (w *world) setAddresses(a engine.SetAddresses) {
	l := w.links[a.Interface]
	l.Name = a.Interface
	l.Addresses = slices.DeleteFunc(slices.Clone(l.Addresses), func(p netip.Prefix) bool { return slices.Contains(a.Addresses, p) })
	if a.Present {
		l.Addresses = append(l.Addresses, a.Addresses...)
	}
	w.links[a.Interface] = l
	w.after(kernelTakes, engine.LinkChanged{Link: l})
	w.after(kernelTakes, engine.AddressesApplied{VIP: a.VIP, Service: a.Service, Seq: a.Seq, Took: kernelTakes})
}

// next is when something happens next, zero when nothing does.
func (w *world) next() time.Time {
	next := w.eng.Next()
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, s := range w.speakers {
		sooner(s.next)
	}
	for _, h := range w.todo {
		sooner(h.at)
	}
	return next
}

// run lets time pass up to end, and reports whether it got there within the
// given number of steps.
func (w *world) run(end time.Time, most int) bool {
	for w.steps < most {
		next := w.next()
		if next.IsZero() || next.After(end) {
			w.now = end
			return true
		}
		if next.After(w.now) {
			w.now = next
		}
		w.happen()
	}
	return false
}

// happen lets everything happen that is due: answers first, then adverts, and
// the engine's own timers last, as in the daemon.
func (w *world) happen() {
	var due []happening
	w.todo = slices.DeleteFunc(w.todo, func(h happening) bool {
		if !h.at.After(w.now) {
			due = append(due, h)
			return true
		}
		return false
	})
	for _, h := range due {
		if c, ok := h.ev.(engine.LinkChanged); ok {
			h.ev = engine.LinkChanged{Link: w.links[c.Link.Name]} // as it is by now
		}
		w.step(h.ev)
	}
	for _, s := range slices.Clone(w.speakers) {
		if s.next.After(w.now) {
			continue
		}
		s.next = s.next.Add(s.advert.Advert.Interval)
		if l := w.links[s.advert.Interface]; l.Present && l.Up && slices.Contains(w.speakers, s) {
			w.step(s.advert)
		}
	}
	if due := w.eng.Next(); !due.IsZero() && !due.After(w.now) {
		w.step(engine.Wake{})
	}
}

// setPriority gives one VIP another configured priority.
func (w *world) setPriority(name string, priority uint8) {
	cfg := w.eng.Config()
	cfg.VIPs = maps.Clone(cfg.VIPs)
	v := cfg.VIPs[name]
	v.Priority = priority
	cfg.VIPs[name] = v
	w.step(engine.Configure{Config: cfg})
}
