package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ServiceState is what becomes of the routes of an anycast service.
type ServiceState string

// The states.
const (
	ServiceAnnounced ServiceState = "ANNOUNCED" // a neighbor has its routes
	ServiceWaiting   ServiceState = "WAITING"   // nothing is wrong with it: it waits for something else
	ServiceWithdrawn ServiceState = "WITHDRAWN" // a check, the interface or its VIP keeps it from being announced
	ServiceLast      ServiceState = "LAST"      // announced although a check fails: preferred by nobody who knows another host
	ServiceDraining  ServiceState = "DRAINING"  // announced, with GRACEFUL_SHUTDOWN
	ServiceDrained   ServiceState = "DRAINED"   // by an operator
)

// What a service waits for that nothing blocks, in one word.
const (
	waitsRise     = "rise_delay"
	waitsAddress  = "address"
	waitsRestart  = "restart"
	waitsSpeaker  = "speaker"
	waitsSession  = "session"
	waitsAnnounce = "announce"
)

// nameState gives s the state that it has come to, and reports a change of it.
func (e *Engine) nameState(now time.Time, s *service, cause uint64) {
	to, reason, text := e.stateOf(s)
	if from := s.state; from == to && (to != ServiceLast || reason == s.reason) {
		s.reason, s.text = reason, text
		return
	}
	e.serviceTransition(now, s, to, reason, text, cause)
}

// stateOf says where s is, and why in a word and in a sentence.
func (e *Engine) stateOf(s *service) (to ServiceState, reason, text string) {
	if s.last && s.drainBy.IsZero() {
		if s.lastWhy == "" {
			return ServiceLast, waitsRise, fmt.Sprintf("healthy again, must stay so for %s before it is preferred again", s.cfg.RiseDelay)
		}
		return ServiceLast, s.lastWhy, e.lastText(s)
	}
	if len(s.blockers) == 0 {
		if reason, text = e.waitsFor(s); reason != "" {
			return ServiceWaiting, reason, text
		}
		up, all := e.audience(s)
		return ServiceAnnounced, "healthy", fmt.Sprintf("%d of %d neighbors have a session", up, all)
	}
	b := s.blockers[0]
	for _, other := range s.blockers { // what failed tells more than who asked
		if !b.Quiet() || other.Quiet() {
			continue
		}
		b = other
	}
	switch {
	case !s.drainBy.IsZero():
		return ServiceDraining, string(s.blockers[0].Kind), s.blockers[0].Text + "; the neighbors are asked to send traffic elsewhere"
	case s.drained != nil:
		return ServiceDrained, string(BlockedDrain), s.drained.text()
	case b.Kind == BlockedStartup:
		return ServiceWaiting, string(b.Kind), b.Text
	}
	return ServiceWithdrawn, string(b.Kind), b.Text
}

// waitsFor says what a service that nothing blocks waits for, "" when it waits
// for nothing.
func (e *Engine) waitsFor(s *service) (reason, text string) {
	up, all := e.audience(s)
	switch {
	case !s.riseAt.IsZero():
		return waitsRise, fmt.Sprintf("healthy again, must stay so for %s", s.cfg.RiseDelay)
	case !s.told && s.lastErr != "":
		return waitsAddress, s.lastErr
	case !s.told:
		return waitsAddress, "the addresses are being added"
	case !e.speaker.holdUntil.IsZero():
		return waitsRestart, "the neighbors keep its routes from before the restart, and are told again when every service is decided"
	case !e.speaker.up && e.speaker.err != "":
		return waitsSpeaker, "the BGP speaker has ended: " + e.speaker.err
	case !e.speaker.up:
		return waitsSpeaker, "the BGP speaker is being started"
	case all == 0:
		return waitsSession, "there is no neighbor to tell"
	case up == 0:
		return waitsSession, fmt.Sprintf("no session is up, of %d", all)
	case !e.withdrawn(s):
		if s.state == ServiceAnnounced || s.state == ServiceDraining || s.state == ServiceLast {
			return "", "" // something else about it is being told
		}
		return waitsAnnounce, "the neighbors are being told"
	}
	return "", ""
}

// serviceTransition enters a state, counts it and reports it once.
func (e *Engine) serviceTransition(now time.Time, s *service, to ServiceState, reason, text string, cause uint64) {
	from := s.state
	s.state, s.since, s.reason, s.text = to, now, reason, text
	severity := Notice
	if to == ServiceLast && (reason == lastMin || reason == lastBudget) {
		severity = Critical
	}
	if to == ServiceLast && reason == lastSeen || to == ServiceWithdrawn && reason != string(BlockedVIP) && reason != string(BlockedStop) && reason != string(BlockedReload) ||
		to == ServiceWaiting && from == ServiceAnnounced {
		severity = Warning
	}
	s.changes[strings.ToLower(string(to))+" "+reason]++
	s.record = e.report(now, Record{Type: RecordAnycast, Name: s.name, From: string(from), To: string(to), Reason: reason, Cause: cause, Severity: severity,
		Text: fmt.Sprintf("%s: %s -> %s (%s)", s.name, from, to, text)})
}

// stage returns the stage that the service has not reached yet, or
// Announced.
func (s *service) stage() Stage {
	if len(s.blockers) > 0 || s.reason == waitsRise {
		return Eligible
	}
	return Announced
}

func (e *Engine) endServiceDrain(now time.Time, s *service, why string, actor Actor) {
	s.drained = nil
	e.report(now, Record{Type: RecordDrain, Name: s.name, From: "drained", Severity: Notice, Actor: actor,
		Text: fmt.Sprintf("%s: drain ended: %s", s.name, why)})
}

// draining names those of a list that drain now.
func (e *Engine) draining(list []*service) string {
	return strings.Join(serviceNames(slices.DeleteFunc(slices.Clone(list), func(s *service) bool { return s.drainBy.IsZero() })), ", ")
}

func serviceNames(list []*service) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.name
	}
	slices.Sort(out)
	return out
}
