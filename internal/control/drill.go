package control

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// Bounds of what a drill may be asked to wait for.
const (
	leastWithin = 10 * time.Millisecond
	mostWithin  = time.Minute
	mostHold    = 10 * time.Minute
)

// DrillKinds are the kinds of drills, the default first.
func DrillKinds() []string {
	return []string{string(engine.DrillCheck), string(engine.DrillStop), string(engine.DrillLink), string(engine.DrillFence)}
}

// DrillRequest is the body of POST /v1/vips/{name}/drill. All of it is optional.
type DrillRequest struct {
	Kind   string `json:"kind,omitempty"`   // check, stop, link, fence-test; "" = check
	Within string `json:"within,omitempty"` // "2s": limit for the peer and for a client, 10ms to 1m; "" = by the kind
	Hold   string `json:"hold,omitempty"`   // "1s": how long the peer serves, up to 10m; "" = 1s
	Stay   bool   `json:"stay,omitempty"`   // the peer keeps it
	Probe  string `json:"probe,omitempty"`  // "192.0.2.10:443": connect there; "none": no client; "" = echo of the vip
}

// DrillDocument is the answer to POST /v1/vips/{name}/drill, schema vipd.drill/v1,
// of a drill that was carried out, passed or not. One that was refused is a
// [Problem].
type DrillDocument struct {
	Schema string `json:"schema"`
	Node   string `json:"node"`
	engine.DrillReport
}

// drill answers POST /v1/vips/{name}/drill.
func (s *Server) drill(c call) (any, error) {
	var req DrillRequest
	if err := decode(c.body, &req); err != nil {
		return nil, err
	}
	ev, err := req.event()
	if err != nil {
		return nil, err
	}
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	ev.Name, ev.Actor = c.PathValue("name"), c.actor
	if err := findAny(doc.Status, ev.Name); err != nil {
		return nil, err
	}
	ctx, cancel := limit(c.Context(), true)
	defer cancel()
	if ev.Kind == engine.DrillFence {
		return s.drillFences(ctx, doc, ev)
	}
	ans, err := s.answerOf(ctx, ev)
	if err != nil {
		return nil, err
	}
	if ans.Drill == nil {
		return nil, fmt.Errorf("drill %s: the daemon tells nothing of it", ev.Name)
	}
	return DrillDocument{Schema: schemaDrill, Node: doc.Node.Name, DrillReport: *ans.Drill}, nil
}

// event is what the engine is asked for.
func (r DrillRequest) event() (engine.Drill, error) {
	ev := engine.Drill{Kind: engine.DrillCheck, Stay: r.Stay, Probe: r.Probe}
	if r.Kind != "" {
		ev.Kind = engine.DrillKind(r.Kind)
	}
	if !slices.Contains(DrillKinds(), string(ev.Kind)) {
		return ev, problem(ProblemRequest, fmt.Sprintf("no drill is %q: there is %s", r.Kind, strings.Join(DrillKinds(), ", ")))
	}
	for _, set := range []struct {
		name, text  string
		least, most time.Duration
		into        *time.Duration
	}{{"within", r.Within, leastWithin, mostWithin, &ev.Within}, {"hold", r.Hold, leastWithin, mostHold, &ev.Hold}} {
		if set.text == "" {
			continue
		}
		d, err := time.ParseDuration(set.text)
		if err != nil || d < set.least || d > set.most {
			return ev, problem(ProblemRequest, fmt.Sprintf("%s is %q, and must be a time from %s to %s", set.name, set.text, set.least, set.most))
		}
		*set.into = d
	}
	if r.Probe == "" || r.Probe == engine.DrillNoProbe {
		return ev, nil
	}
	host, port, err := net.SplitHostPort(r.Probe)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return ev, problem(ProblemRequest, fmt.Sprintf("probe is %q, and must be HOST:PORT, or %s", r.Probe, engine.DrillNoProbe))
	}
	return ev, nil
}

// drillFences reads every device that could cut a peer off, and moves nothing.
func (s *Server) drillFences(ctx context.Context, doc StatusDocument, ev engine.Drill) (any, error) {
	devices := FenceDevices(doc.Status)
	if len(devices) == 0 {
		return nil, problem(ProblemRefused, "no peer is fenced: no [peer.NAME] has fence")
	}
	begin := time.Now()
	r := engine.DrillReport{VIP: ev.Name, VIPs: []string{ev.Name}, Kind: ev.Kind, By: ev.Actor.Name, Began: begin, Passed: true, Steps: []engine.DrillStep{}}
	for _, name := range devices {
		res, err := s.back.TestFence(ctx, name)
		text := fmt.Sprintf("%s reads %s for %s", name, res.Power, res.Peer)
		switch {
		case err != nil && isTimeout(err):
			return nil, err
		case err != nil:
			text, r.Passed = fmt.Sprintf("%s could not be asked: %v", name, err), false
		case res.Power == "":
			text, r.Passed = fmt.Sprintf("%s does not tell whether %s is on: %s", name, res.Peer, res.Detail), false
		}
		if !r.Passed && r.Why == "" {
			r.Why = text
		}
		r.Steps = append(r.Steps, engine.DrillStep{After: time.Since(begin), Text: text})
	}
	rec := engine.Record{Type: engine.RecordDrill, Name: ev.Name, To: "passed", Reason: string(ev.Kind), Severity: engine.Notice, Actor: ev.Actor,
		Text: fmt.Sprintf("%s: drill by %s (%s) passed: %s", ev.Name, ev.Actor.Name, ev.Kind, strings.Join(devices, ", "))}
	if !r.Passed {
		rec.To, rec.Severity = "failed", engine.Warning
		rec.Text = fmt.Sprintf("%s: drill by %s (%s) failed: %s", ev.Name, ev.Actor.Name, ev.Kind, r.Why)
	}
	if _, err := s.answerOf(ctx, engine.Noted{Record: rec}); err != nil {
		return nil, err
	}
	return DrillDocument{Schema: schemaDrill, Node: doc.Node.Name, DrillReport: r}, nil
}
