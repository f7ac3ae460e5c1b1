package whatif

import (
	"fmt"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// Schema names the form of an [Answer].
const Schema = "vipd.what-if/v1"

const (
	ahead     = 10 * time.Second // how far an answer looks, or further where things are slower
	aheadMost = 10 * time.Minute
	stepsMost = 300_000 // some seconds of a processor at the very most
)

// Answer tells what would happen.
type Answer struct {
	Schema   string        `json:"schema"`
	Node     string        `json:"node"`
	Now      time.Time     `json:"time"`
	Question string        `json:"question"` // "interface eth0 goes down"
	Span     time.Duration `json:"span_ns"`  // how far it looks
	Events   []Coming      `json:"events"`
	VIPs     []Outcome     `json:"vips"`

	Services []ServiceOutcome `json:"anycast,omitempty"`

	Unknown []string `json:"unknown"` // what it cannot know, in sentences
}

// Coming is a record that would be made.
type Coming struct {
	After    time.Duration     `json:"after_ns"`
	Type     engine.RecordType `json:"type"`
	Name     string            `json:"name,omitempty"`
	From     string            `json:"from,omitempty"`
	To       string            `json:"to,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Text     string            `json:"text"`
	Severity engine.Severity   `json:"severity"`
}

// Outcome is what would become of a VIP.
type Outcome struct {
	Name     string       `json:"name"`
	Now      engine.State `json:"now"`
	Then     engine.State `json:"then"`
	Held     bool         `json:"held"` // then
	Priority uint8        `json:"priority"`
	Why      string       `json:"why"` // then
}

// ServiceOutcome is what would become of an anycast service.
type ServiceOutcome struct {
	Name string              `json:"name"`
	Now  engine.ServiceState `json:"now"`
	Then engine.ServiceState `json:"then"`
	MED  uint32              `json:"med"` // then
	Why  string              `json:"why"` // then
}

// Ask answers a question at now. The engine is used up by it: give it a clone.
// The error is an [UnknownError] when the question names something that there is
// not.
func Ask(eng *engine.Engine, now time.Time, q Question) (Answer, error) {
	before := eng.Status(now)
	if err := q.known(before); err != nil {
		return Answer{}, err
	}
	w := newWorld(eng, now, before)
	a := Answer{
		Schema: Schema, Node: before.Node, Now: now, Question: q.String(), Span: span(eng, before),
		Events: []Coming{}, VIPs: []Outcome{}, Unknown: []string{},
	}
	w.pose(q)
	if !w.run(now.Add(a.Span), stepsMost) {
		a.Span = w.now.Sub(now)
	}
	for _, r := range w.records {
		a.Events = append(a.Events, Coming{
			After: r.Time.Sub(now), Type: r.Type, Name: r.Name, From: r.From, To: r.To, Reason: r.Reason, Text: r.Text, Severity: r.Severity,
		})
	}
	after := eng.Status(w.now)
	for _, v := range after.VIPs {
		a.VIPs = append(a.VIPs, Outcome{
			Name: v.Name, Now: find(before, v.Name).State, Then: v.State, Held: v.Held, Priority: v.Priority.Effective, Why: v.Why,
		})
	}
	for _, v := range after.Services {
		o := ServiceOutcome{Name: v.Name, Then: v.State, MED: v.MED.Effective, Why: v.Why}
		for _, was := range before.Services {
			if was.Name == v.Name {
				o.Now = was.State
			}
		}
		a.Services = append(a.Services, o)
	}
	a.Unknown = append(a.Unknown, unknown(q, w, before, after)...)
	return a, nil
}

// find returns a VIP by name.
func find(s engine.Status, name string) engine.VIPStatus {
	i := slices.IndexFunc(s.VIPs, func(v engine.VIPStatus) bool { return v.Name == name })
	if i < 0 {
		return engine.VIPStatus{} // a reload is replacing it just now
	}
	return s.VIPs[i]
}

// pose puts the question to the world.
func (w *world) pose(q Question) {
	switch q.subject {
	case "link":
		l := w.links[q.names[0]]
		l.Up = q.good
		l.Present = l.Present || q.good
		w.links[l.Name] = l
		w.step(engine.LinkChanged{Link: l})
	case "check":
		w.setCheck(q.names[0], q.good)
	case "peer":
		w.silence(q.peer)
	case "priority":
		w.setPriority(q.names[0], q.priority)
	case "drain":
		w.step(engine.Drain{Names: q.names, Actor: engine.Actor{Name: "you"}})
	case "undrain":
		w.step(engine.Undrain{Names: q.names, Actor: engine.Actor{Name: "you"}})
	case "failover":
		w.step(engine.Failover{Name: q.names[0], Actor: engine.Actor{Name: "you"}})
	}
}

// setCheck lets a check pass or fail: a probe from the next one on, what is
// watched at once, and a group by all that it consists of.
func (w *world) setCheck(name string, good bool) {
	spec := w.eng.Config().Checks[name].Spec
	w.failing[name] = !good
	if g, ok := spec.(check.Group); ok {
		for _, member := range g.Members {
			w.setCheck(member, good)
		}
	}
	if check.IsWatched(spec) {
		w.step(engine.CheckSeen{Check: name, OK: good, Detail: "in the question"})
	}
}

// span is how far an answer has to look: until the slowest Active_Down_Timer and
// the slowest check could have run out, and once more.
func span(eng *engine.Engine, s engine.Status) time.Duration {
	slowest := time.Duration(0)
	for _, v := range s.VIPs {
		slowest = max(slowest, v.ActiveDown)
	}
	detect := time.Duration(0)
	for _, c := range eng.Config().Checks {
		detect = max(detect, c.Interval*time.Duration(max(c.Rise, c.Fall)+1))
	}
	cfg := eng.Config()
	for _, v := range cfg.Services {
		slowest = max(slowest, cfg.DrainWait+v.RiseDelay)
	}
	return min(max(ahead, 2*(slowest+detect)), aheadMost)
}

// unknown lists what the world cannot show.
func unknown(q Question, w *world, before, after engine.Status) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, v := range after.VIPs {
		was := find(before, v.Name)
		left := was.State == engine.Active && slices.ContainsFunc(w.records, func(r engine.Record) bool {
			return r.Type == engine.RecordTransition && r.Name == v.Name && r.From == string(engine.Active)
		})
		switch {
		case left:
			add("whether a peer takes %s over: none advertises it as long as this host does", v.Name)
		case was.State != engine.Active && v.State == engine.Active && was.Active != nil && q.subject == "peer":
			add("whether %s, silent, still answers for %s", was.Active.Address, v.Name)
		}
		if v.Votes != nil && v.State != was.State {
			add("whether the voters promise their votes on %s: here they do, at once", v.Name)
		}
	}
	if len(list) > 0 || q.subject == "peer" {
		add("which other hosts would contend: only those that advertise are heard")
	}
	for _, c := range before.Checks {
		if c.Runs == 0 && c.Type != (check.Group{}).Type() {
			add("check %s: it has no result yet and is taken to pass", c.Name)
		}
	}
	if w.steps >= stepsMost {
		add("what comes later: so much happens that it ends here")
	}
	return list
}
