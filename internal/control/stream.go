package control

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// recordTypes are the types that ?type= knows.
var recordTypes = []engine.RecordType{
	engine.RecordTransition, engine.RecordPriority, engine.RecordCheck, engine.RecordMask, engine.RecordLink,
	engine.RecordAnycast, engine.RecordMED, engine.RecordSession, engine.RecordBFD, engine.RecordSpeaker,
	engine.RecordAddress, engine.RecordLost, engine.RecordConflict, engine.RecordPeer,
	engine.RecordLease, engine.RecordDrift, engine.RecordHandover, engine.RecordFence, engine.RecordVotes,
	engine.RecordDrain, engine.RecordNotify, engine.RecordBeforeHold, engine.RecordFailover, engine.RecordDrill, engine.RecordReload, engine.RecordResume, engine.RecordStart, engine.RecordStop,
	engine.RecordRecording, engine.RecordObserve,
}

// RecordTypes lists the types of records that events can be filtered by.
func RecordTypes() []string {
	names := make([]string, 0, len(recordTypes))
	for _, t := range recordTypes {
		names = append(names, string(t))
	}
	return names
}

// query is what a client wants of the history.
type query struct {
	seq    uint64    // only records above
	after  time.Time // only records at or after
	types  []string  // none = all
	names  []string  // of VIPs, checks or interfaces; none = all
	follow bool
}

// wants reports whether a record is asked for.
func (q query) wants(r engine.Record) bool {
	if r.Time.Before(q.after) {
		return false
	}
	if len(q.types) > 0 && !slices.Contains(q.types, string(r.Type)) {
		return false
	}
	return len(q.names) == 0 || slices.ContainsFunc(q.names, func(name string) bool { return concerns(r, name) })
}

// concerns reports whether a record is about a VIP, check or interface. One of a
// drain or failover may be about several: "inside, web".
func concerns(r engine.Record, name string) bool {
	return r.Name == name || slices.Contains(strings.Split(r.Name, ", "), name)
}

// events answers GET /v1/events: JSON lines, oldest first.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r, time.Now())
	if err != nil {
		problemOf(err).write(w)
		return
	}
	doc, err := s.current(r.Context())
	if err != nil {
		problemOf(err).write(w)
		return
	}
	if q.follow {
		select {
		case s.followers <- struct{}{}:
			defer func() { <-s.followers }()
			defer hold(r)()
		default:
			problem(ProblemTooMany, fmt.Sprintf("%d clients follow the events already", maxFollowers)).write(w)
			return
		}
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("X-Accel-Buffering", "no")
	s.stream(w, r, doc.Node.Name, q)
}

// stream writes records until there are no more, or, when following, until the
// client or the daemon goes. A client that does not read is dropped.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, node string, q query) {
	rc := http.NewResponseController(w)
	enc := encoder(w)
	for {
		records, more := s.back.Records(q.seq)
		for _, rec := range records {
			q.seq = max(q.seq, rec.Seq)
			if !q.wants(rec) {
				continue
			}
			bound(w)
			if enc.Encode(rec.Document(node)) != nil {
				return
			}
		}
		bound(w)
		if rc.Flush() != nil || !q.follow {
			return
		}
		if !s.await(r, more) {
			return
		}
	}
}

// await waits for more, and reports false when the client or the daemon went
// away instead. A client that sends something while it follows hides from the
// HTTP server that it hangs up, so the connection is looked at, too.
func (s *Server) await(r *http.Request, more <-chan struct{}) bool {
	look := time.NewTicker(hangupTick)
	defer look.Stop()
	for {
		select {
		case <-more:
			return true
		case <-look.C:
			if c, ok := r.Context().Value(connKey{}).(*gateConn); ok && c.hungUp() {
				return false
			}
		case <-s.stopping:
			return false
		case <-r.Context().Done():
			return false
		}
	}
}

// parseQuery reads ?since=&type=&name=&follow= and Last-Event-ID, which is the
// number of the last event that a client has got and goes before ?since=.
func parseQuery(r *http.Request, now time.Time) (query, error) {
	var q query
	values := r.URL.Query()
	for key := range values {
		if !slices.Contains([]string{"since", "type", "name", "follow"}, key) {
			return q, problem(ProblemRequest, fmt.Sprintf("events take since, type, name and follow, not %q", key))
		}
	}
	since := values.Get("since")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if _, err := strconv.ParseUint(last, 10, 64); err != nil {
			return q, problem(ProblemRequest, fmt.Sprintf("Last-Event-ID is the number of an event, not %q", last))
		}
		since = last
	}
	if err := q.parseSince(since, now); err != nil {
		return q, err
	}
	for _, list := range values["name"] {
		q.names = append(q.names, strings.Split(list, ",")...)
	}
	for _, list := range values["type"] {
		for t := range strings.SplitSeq(list, ",") {
			if !slices.Contains(RecordTypes(), t) {
				p := problem(ProblemRequest, fmt.Sprintf("no type of event is named %q", t))
				p.Hint = "there is " + strings.Join(RecordTypes(), ", ")
				return q, p
			}
			q.types = append(q.types, t)
		}
	}
	return q, parseFlag("follow", values.Get("follow"), &q.follow)
}

// parseSince reads a number of a record, a time, or how long ago.
func (q *query) parseSince(text string, now time.Time) error {
	if text == "" {
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		q.seq = n
		return nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		q.after = now.Add(-d)
		return nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		q.after = t
		return nil
	}
	return problem(ProblemRequest, fmt.Sprintf("%q is no point in time: write 1h, a time as 2006-01-02T15:04:05Z, or the number of an event", text))
}
