package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// speaker is what is known about the process that speaks BGP, and what it was
// told. It may come and go: the table stays, and services wait for it.
type speaker struct {
	cfg       *bgp.Config // the newest one; kept without [bgp] until the last service has left
	up        bool
	pid       int
	since     time.Time // of up or not
	err       string    // why it is not
	losses    uint64
	sessions  map[string]*session
	table     bgp.Table                 // the newest one; replaced as a whole
	seq       uint64                    // of it
	announced uint64                    // Seq of the newest table that the neighbors know
	seen      map[netip.Prefix][]string // who else announces observed prefixes; replaced as a whole
	dirty     bool                      // the table is to be made again

	resumed   bool      // an earlier run left its routes with the neighbors
	keptUntil time.Time // they forget those routes then
	holdUntil time.Time // there is no table before then, or before all services are decided; zero = nothing holds it
}

// manyPrefixes is how many a neighbor may send before that is worth a word: a host
// needs none of them.
const manyPrefixes = 1000

// session is what is known about a BGP session.
type session struct {
	bgp.Session
	since time.Time // of Established or not
}

func (s *session) established() bool { return s != nil && s.State == bgp.Established }

// configureSpeaker says who speaks, on every reload: a password may be another
// one.
func (e *Engine) configureSpeaker(now time.Time, cfg *bgp.Config) {
	if cfg == nil {
		return // announceTable ends it when the last service has left
	}
	cfg = copied(cfg)
	cfg.Observe = observed(e.cfg.Services)
	e.speaker.cfg, e.speaker.dirty = cfg, true
	maps.DeleteFunc(e.speaker.sessions, func(name string, _ *session) bool {
		_, stays := cfg.Neighbors[name]
		return !stays
	})
	for name := range cfg.Neighbors {
		if e.speaker.sessions[name] == nil {
			e.speaker.sessions[name] = &session{Session: bgp.Session{Neighbor: name, State: bgp.Idle}, since: now}
		}
	}
	e.do(SetSpeaker{*cfg})
}

// retell makes the table anew at the end of this Step, and lets s wait for it.
func (e *Engine) retell(s *service) {
	e.speaker.dirty = true
	s.tableSeq = e.speaker.seq + 1
}

// announceTable hands out the table when something in it changed, and ends the
// speaker that a reload took away.
func (e *Engine) announceTable(now time.Time) {
	sp := &e.speaker
	if !sp.holdUntil.IsZero() {
		if e.holds(now) {
			return
		}
		sp.holdUntil = time.Time{}
	}
	if sp.dirty && sp.cfg != nil {
		var list []bgp.Announced
		for _, s := range e.services {
			if s.told {
				list = append(list, bgp.Announced{Service: s.toldService(), Standing: s.standing()})
			}
		}
		sp.table = bgp.NewTable(*sp.cfg, list)
		sp.seq++
		e.do(SetTable{sp.table, sp.seq})
	}
	sp.dirty = false
	if sp.cfg != nil && e.cfg.BGP == nil && len(e.services) == 0 {
		*sp = speaker{sessions: map[string]*session{}, seq: sp.seq, announced: sp.seq}
		e.do(SetSpeaker{})
	}
}

// toldService is the service without the prefixes whose addresses are not there
// yet.
func (s *service) toldService() bgp.Service {
	out := s.cfg.Service
	out.Prefixes = slices.DeleteFunc(slices.Clone(out.Prefixes), func(p netip.Prefix) bool { return slices.Contains(s.fresh, p) })
	return out
}

// speakerUp tells a new process everything.
func (e *Engine) speakerUp(now time.Time, ev SpeakerUp) {
	sp := &e.speaker
	sp.up, sp.pid, sp.since, sp.err = true, ev.PID, now, ""
	cause := e.report(now, Record{Type: RecordSpeaker, From: "down", To: "up", Severity: Notice,
		Text: fmt.Sprintf("the BGP speaker runs (pid %d)", ev.PID)})
	for _, s := range e.services {
		if s.told {
			e.retell(s)
		}
	}
	sp.dirty = true
	e.evaluateServices(now, cause)
}

// speakerDown notes that every session ended with the process. It says nothing
// about VIPs.
func (e *Engine) speakerDown(now time.Time, ev SpeakerDown) {
	sp := &e.speaker
	if sp.up || sp.since.IsZero() {
		sp.since = now
	}
	sp.seen = nil
	was, news := sp.up, sp.up || sp.err != ev.Err
	sp.up, sp.pid, sp.err = false, 0, ev.Err
	if was {
		sp.losses++
	}
	if !news {
		return // it does not come up, again
	}
	cause := e.report(now, Record{Type: RecordSpeaker, From: "up", To: "down", Severity: Warning,
		Text: "the BGP speaker has ended: " + ev.Err})
	for _, name := range slices.Sorted(maps.Keys(sp.sessions)) {
		s := sp.sessions[name].Session
		s.State, s.BFD, s.Announced, s.LastError = bgp.Idle, "", 0, "the speaker has ended"
		e.takeSession(now, s, cause)
	}
	e.evaluateServices(now, cause)
}

// sessionChanged takes the new state of a session.
func (e *Engine) sessionChanged(now time.Time, s bgp.Session) {
	if e.speaker.sessions[s.Neighbor] == nil {
		return // a reload removed it
	}
	e.evaluateServices(now, e.takeSession(now, s, 0))
}

// takeSession reports when a session, or what watches it, comes up or goes down.
func (e *Engine) takeSession(now time.Time, next bgp.Session, cause uint64) uint64 {
	old := e.speaker.sessions[next.Neighbor]
	n := &session{Session: next, since: old.since}
	e.speaker.sessions[next.Neighbor] = n
	if old.BFD != next.BFD && (old.BFD == "up" || next.BFD == "up") {
		severity := Notice
		if next.BFD != "up" {
			severity = Warning
		}
		cause = e.report(now, Record{Type: RecordBFD, Name: next.Neighbor, From: old.BFD, To: next.BFD, Severity: severity, Cause: cause,
			Text: fmt.Sprintf("neighbor %s: BFD is %s", next.Neighbor, orUnknown(next.BFD))})
	}
	if old.Received <= manyPrefixes && n.Received > manyPrefixes {
		e.report(now, Record{Type: RecordSession, Name: next.Neighbor, Reason: "prefixes", Severity: Warning,
			Text: fmt.Sprintf("neighbor %s: sends %d prefixes; none is used, and each costs memory: filter them there, or set max_prefixes", next.Neighbor, n.Received)})
	}
	if old.established() == n.established() {
		return cause
	}
	n.since = now
	r := Record{Type: RecordSession, Name: next.Neighbor, From: string(old.State), To: string(next.State), Severity: Notice, Cause: cause,
		Text: fmt.Sprintf("neighbor %s: session with AS %d at %s is up", next.Neighbor, next.RemoteAS, next.Address)}
	if !n.established() {
		r.Severity = Warning
		r.Text = fmt.Sprintf("neighbor %s: session is down: %s", next.Neighbor, orUnknown(next.LastError))
	}
	return e.report(now, r)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// tableAnnounced lets go on what waited for the neighbors to know.
func (e *Engine) tableAnnounced(now time.Time, ev TableAnnounced) {
	if ev.Seq > e.speaker.announced && ev.Seq <= e.speaker.seq {
		e.speaker.announced = ev.Seq
		e.evaluateServices(now, 0)
	}
}

// heard reports whether a neighbor that s is told to has a session.
func (e *Engine) heard(s *service) bool {
	up, _ := e.audience(s)
	return e.speaker.up && up > 0
}

// audience counts the neighbors that s is told to: those with a session, and all.
func (e *Engine) audience(s *service) (up, all int) {
	if e.speaker.cfg == nil {
		return 0, 0
	}
	for name := range e.speaker.cfg.Neighbors {
		if !s.cfg.Tells(name) {
			continue
		}
		all++
		if e.speaker.sessions[name].established() {
			up++
		}
	}
	return up, all
}
