package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// Bounds of what an anycast service waits for.
const (
	// withdrawWithin is how long addresses wait for the speaker to say that it has
	// withdrawn their routes.
	withdrawWithin = 3 * time.Second
	// lingerFor is how long addresses stay after that: a router that knows has
	// not changed its forwarding table yet, and packets are on their way.
	lingerFor = time.Second
	// stopDrainMost is how much of the drain a stop waits for.
	stopDrainMost = 5 * time.Second
)

// service is one anycast service on its way through the stages: eligible, then
// announced once its addresses are there. Nobody else has to agree.
//
// The addresses come before the routes and go after them. A check that fails
// takes only the routes away: the service may be bound to the addresses, and the
// check may need them.
type service struct {
	name  string
	cfg   Service
	timer timer

	state  ServiceState
	since  time.Time
	reason string
	text   string // why the state was entered, a sentence
	record uint64 // of the last transition

	blockers []Blocker
	terms    []PriorityTerm // of healthOf: what they take off a priority is added to the MED
	penalty  int            // added to the MED
	drained  *DrainStatus
	follows  bool // the VIP that it follows is held here

	kernel
	told     bool           // in the newest table
	gone     []netip.Prefix // addresses that a reload took away: there until their routes are withdrawn
	fresh    []netip.Prefix // prefixes that a reload added: not told until their addresses are there
	tableSeq uint64         // of the table that told, or withdrew, it or a part of it
	leaveBy  time.Time      // when the addresses go although nobody said that the routes are withdrawn, or when they have lingered
	lingers  bool           // the routes are withdrawn, the addresses still there for packets on their way
	drainBy  time.Time      // when the drain is over; zero = it does not drain
	fitSince time.Time      // nothing blocks it since then; zero = something does
	riseAt   time.Time      // when rise_delay is over; zero = it waits for something else
	fell     bool           // something that failed withdrew it: rise_delay counts

	last        bool      // announced as the last resort, see lastResort
	lastWhy     string    // why, in one word
	lastBy      time.Time // when that is to be looked at again
	enoughSince time.Time // enough others have been seen since then, while it is the last resort

	replace *Service // on another device, after the old addresses have gone
	removed bool     // a reload took it away

	restored uint64
	changes  map[string]uint64 // transitions to and from Announced: "announced startup", "withdrawn check": count
}

// standing is how the routes of s show its state.
func (s *service) standing() bgp.Standing {
	return bgp.Standing{Penalty: s.penalty, Draining: !s.drainBy.IsZero(), Last: s.last}
}

// next returns the earliest deadline of the service.
func (s *service) next(e *Engine) time.Time {
	next := earliest(s.retryAt, s.lookAt, s.leaveBy, s.drainBy, s.riseAt, s.lastBy, s.blockedUntil)
	if s.drained != nil {
		next = earliest(next, s.drained.Until)
	}
	return next
}

func (e *Engine) scheduleService(s *service) {
	if e.service(s.name) == s {
		e.timers.set(&s.timer, s.next(e))
	}
}

// service finds a service by its name, nil when there is none.
func (e *Engine) service(name string) *service {
	i, ok := e.findService(name)
	if !ok {
		return nil
	}
	return e.services[i]
}

func (e *Engine) findService(name string) (int, bool) {
	return slices.BinarySearchFunc(e.services, name, func(s *service, name string) int { return strings.Compare(s.name, name) })
}

// serviceTimer gives s a timer that is not running.
func (e *Engine) serviceTimer(s *service) {
	s.timer = timer{pos: -1, fire: func(now time.Time) { e.wakeService(now, s) }}
}

// wakeService acts on whatever is due.
func (e *Engine) wakeService(now time.Time, s *service) {
	if e.service(s.name) != s {
		return // it departed while other timers fired
	}
	due := func(t *time.Time) bool {
		if t.IsZero() || now.Before(*t) {
			return false
		}
		*t = time.Time{}
		return true
	}
	if retry, look := due(&s.retryAt), due(&s.lookAt); retry || look {
		e.reconcileService(now, s)
	}
	if s.drained != nil && !s.drained.Until.IsZero() && !now.Before(s.drained.Until) {
		e.endServiceDrain(now, s, "its time is over", Actor{})
	}
	e.evaluateServices(now, 0)
}

// evaluateServices decides for every service whether it is announced, and with
// which metric.
func (e *Engine) evaluateServices(now time.Time, cause uint64) {
	for again := true; again; again = e.serviceDepartures(now) {
		for _, s := range e.services {
			e.judgeService(now, s, cause)
		}
	}
}

// judgeService moves s according to its blockers.
func (e *Engine) judgeService(now time.Time, s *service, cause uint64) {
	s.blockers = e.serviceBlockers(now, s)
	for _, b := range s.blockers {
		if c := e.check(b.Name); c != nil && b.Kind == BlockedCheck {
			cause = max(cause, c.record)
		}
	}
	e.weigh(now, s, cause)
	switch {
	case len(s.blockers) > 0:
		s.fitSince = time.Time{}
		s.fell = s.fell || s.told && s.failed()
	case s.fitSince.IsZero():
		s.fitSince = now
	}
	e.place(s)
	e.ladder(now, s)
	e.unplace(now, s)
	e.nameState(now, s, cause)
	e.scheduleService(s)
}

// serviceBlockers lists why s is not eligible.
func (e *Engine) serviceBlockers(now time.Time, s *service) []Blocker {
	var list []Blocker
	add := func(b Blocker) { list = append(list, b) }
	if !e.stopping.IsZero() && !e.keepsRoutes() {
		add(Blocker{Kind: BlockedStop, Text: "vipd is stopping"})
	}
	if s.removed || s.replace != nil {
		add(Blocker{Kind: BlockedReload, Text: "a reload takes it away from here"})
	}
	if s.drained != nil {
		add(Blocker{Kind: BlockedDrain, Text: s.drained.text(), Ends: s.drained.Until})
	}
	s.blockedUntil = time.Time{}
	if ready := e.started.Add(e.cfg.StartupDelay); now.Before(ready) && !e.speaker.resumed {
		add(Blocker{Kind: BlockedStartup, Text: fmt.Sprintf("startup delay of %s", e.cfg.StartupDelay), Ends: ready})
		s.blockedUntil = ready
	}
	if name := s.cfg.FollowVIP; name != "" && !s.follows {
		add(Blocker{Kind: BlockedVIP, Name: name, Text: fmt.Sprintf("vip %s is not held here", name)})
	}
	if len(s.cfg.Addresses()) > 0 {
		switch l := e.links[s.cfg.Device]; {
		case l == nil:
			add(Blocker{Kind: BlockedStartup, Name: s.cfg.Device, Text: "waits for the state of interface " + s.cfg.Device})
		case !l.up():
			add(Blocker{Kind: BlockedInterface, Name: l.Name, Text: fmt.Sprintf("interface %s is %s", l.Name, linkWord(l))})
		}
	}
	return append(list, checkBlockers(e.healthOf(s.cfg.Track).failing)...)
}

// weigh computes what is added to the MED.
func (e *Engine) weigh(now time.Time, s *service, cause uint64) {
	before := s.cfg.Effective(s.standing())
	s.terms, s.penalty = e.healthOf(s.cfg.Track).terms, 0
	for _, t := range s.terms {
		s.penalty -= t.Delta
	}
	after := s.cfg.Effective(s.standing())
	if before == after || !s.told {
		return
	}
	e.speaker.dirty = true
	e.report(now, Record{Type: RecordMED, Name: s.name, From: fmt.Sprint(before), To: fmt.Sprint(after), Cause: cause,
		Text: fmt.Sprintf("%s: MED %d -> %d%s", s.name, before, after, termsText(metricTerms(s.terms)))})
}

// metricTerms turns what is taken off a priority into what is added to a metric.
func metricTerms(terms []PriorityTerm) []PriorityTerm {
	list := slices.Clone(terms)
	for i := range list {
		list[i].Delta = -list[i].Delta
	}
	return list
}

// failed reports whether a check or the interface keeps s from being announced.
func (s *service) failed() bool {
	return slices.ContainsFunc(s.blockers, func(b Blocker) bool { return b.Kind == BlockedCheck || b.Kind == BlockedInterface })
}

// leavesPolitely reports whether s still works, and only somebody's wish takes it
// away: there is time for a drain.
func (s *service) leavesPolitely() bool {
	return len(s.blockers) > 0 && !slices.ContainsFunc(s.blockers, func(b Blocker) bool {
		return b.Kind != BlockedStop && b.Kind != BlockedReload && b.Kind != BlockedDrain
	})
}

// ladder climbs up or down between withdrawn and announced: down by a drain where
// somebody listens and nothing has failed.
func (e *Engine) ladder(now time.Time, s *service) {
	s.riseAt = time.Time{}
	switch {
	case len(s.blockers) == 0 && s.told:
		e.restore(now, s)
	case len(s.blockers) == 0:
		due := s.fitSince
		if s.fell {
			due = due.Add(s.cfg.RiseDelay)
		}
		switch {
		case now.Before(due):
			s.riseAt = due
		case s.ready():
			s.told, s.fell, s.leaveBy, s.lingers = true, false, time.Time{}, false
			e.retell(s)
		}
	case !s.told:
	case s.leavesPolitely() && s.drainBy.IsZero() && e.heard(s) && e.drainWait() > 0:
		s.drainBy = now.Add(e.drainWait())
		e.retell(s)
	case s.leavesPolitely() && !s.drainBy.IsZero() && now.Before(s.drainBy) && !e.hurry:
		if !e.stopping.IsZero() {
			s.drainBy = earliest(s.drainBy, e.stopping.Add(stopDrainMost))
		}
	case e.lastResort(now, s):
	default:
		e.spend(now, s)
		s.last, s.enoughSince = false, time.Time{}
		s.told, s.drainBy = false, time.Time{}
		s.leaveBy, s.lingers = now.Add(withdrawWithin), false
		e.retell(s)
	}
}

// restore ends what made s less preferred: a drain that was undone, or a failure,
// after which rise_delay counts.
func (e *Engine) restore(now time.Time, s *service) {
	s.lastBy, s.lastWhy = time.Time{}, ""
	if due := s.fitSince.Add(s.cfg.RiseDelay); s.last && now.Before(due) {
		s.riseAt = due
		return
	}
	if s.last || !s.drainBy.IsZero() {
		s.last, s.drainBy, s.fell = false, time.Time{}, false
		e.retell(s)
	}
}

// drainWait is how long a drain that begins now may take.
func (e *Engine) drainWait() time.Duration {
	switch {
	case e.hurry:
		return 0
	case !e.stopping.IsZero():
		return min(e.cfg.DrainWait, stopDrainMost)
	}
	return e.cfg.DrainWait
}

// ready reports whether the kernel has the addresses, or none are wanted of it.
func (s *service) ready() bool {
	return len(s.cfg.Addresses()) == 0 || s.want && s.there
}

// hasten ends all drains: somebody who stops vipd asked twice.
func (e *Engine) hasten(now time.Time) {
	e.hurry = true
	e.evaluateServices(now, 0)
}
