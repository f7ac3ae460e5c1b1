package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A stop may leave anycast services as they are, for an upgrade in place: the
// addresses stay, the speaker ends without a word, and neighbors that agreed on a
// graceful restart (RFC 4724) forward as before for [bgp.Config].GracefulRestart.
// The next run tells them everything in one table, before the End-of-RIB, once it
// knows of every service what becomes of it.

// keepsRoutes reports whether a stop is under way that leaves services alone.
func (e *Engine) keepsRoutes() bool {
	return !e.stopping.IsZero() && e.cfg.Keep && e.cfg.BGP != nil && e.cfg.BGP.GracefulRestart > 0
}

// Keeps reports whether the routes are to stay with the neighbors when this run
// ends, for how long at most, and false when there are none to keep.
func (e *Engine) Keeps() (within time.Duration, ok bool) {
	if !e.keepsRoutes() || !slices.ContainsFunc(e.services, func(s *service) bool { return s.told }) {
		return 0, false
	}
	return e.cfg.BGP.GracefulRestart, true
}

// stays reports whether a stop is done with s: nothing about it changes any more.
func (e *Engine) stays(s *service) bool {
	return e.keepsRoutes() && s.belongs() && s.leaveBy.IsZero() && (s.seq == 0 || s.applied)
}

// tellKept makes the record of a stop say what stays, and who will not have it so.
func (e *Engine) tellKept(r *Record) {
	var kept, deaf []string
	for _, s := range e.services {
		if s.told && s.belongs() {
			kept = append(kept, s.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.speaker.sessions)) {
		if s := e.speaker.sessions[name]; s.established() && !s.Graceful {
			deaf = append(deaf, name)
		}
	}
	if len(kept) == 0 {
		return
	}
	r.Reason = "keep"
	r.Text = fmt.Sprintf("stops: neighbors keep the routes of %s for %s", strings.Join(kept, ", "), e.cfg.BGP.GracefulRestart)
	if len(deaf) > 0 {
		r.Severity = Warning
		r.Text += "; but " + strings.Join(deaf, ", ") + " did not agree on a graceful restart, and will drop them"
	}
}

// resume takes over what an earlier run left. Of the time that routes are
// kept, half is for checks, the other half for sessions.
func (e *Engine) resume(now time.Time, ev Resume) {
	e.kept = ev.VIPs
	if !now.Before(ev.Until) {
		return
	}
	sp := &e.speaker
	sp.resumed, sp.keptUntil, sp.holdUntil = true, ev.Until, now.Add(ev.Until.Sub(now)/2)
	e.report(now, Record{Type: RecordSpeaker, To: "resumes", Severity: Notice,
		Text: fmt.Sprintf("neighbors keep the routes of the last run for %s; sessions open when every service is decided, in %s at the latest",
			round(ev.Until.Sub(now)), round(sp.holdUntil.Sub(now)))})
}

// holds reports whether the first table after a restart has to wait.
func (e *Engine) holds(now time.Time) bool {
	if !now.Before(e.speaker.holdUntil) {
		return false
	}
	return e.cfg.VIPs == nil || slices.ContainsFunc(e.services, (*service).undecided)
}

// undecided reports whether it is not known yet what becomes of s after a start.
func (s *service) undecided() bool {
	starting := func(b Blocker) bool { return b.Kind == BlockedStartup }
	switch {
	case s.told:
		return false
	case len(s.blockers) > 0:
		return !slices.ContainsFunc(s.blockers, func(b Blocker) bool { return !starting(b) })
	}
	return s.lastErr == ""
}
