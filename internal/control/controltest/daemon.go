package controltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/whatif"
	"github.com/vipd/vipd/pkg/fence"
)

// Daemon is a control.Backend. Its fields are set before it is used.
type Daemon struct {
	Doc     control.StatusDocument
	Refuse  string                         // text with which everything is refused, "" = nothing is
	Broken  string                         // why drills fail, "" = they pass
	Hang    bool                           // changes are never answered
	Stay    bool                           // drained VIPs stay held
	Mute    error                          // Status fails with it
	Reloads control.ReloadResult           // what a reload says
	Probes  map[string]control.CheckResult // what a probe says, by check

	Fenced  fence.History
	Devices map[string]control.FenceTest // what a fence device reads, by name

	Written, Effective string // the configuration

	mu      sync.Mutex
	records []engine.Record
	more    chan struct{}
	events  []engine.Event
	asked   uint64
}

// Status implements control.Source.
func (d *Daemon) Status(context.Context) (control.StatusDocument, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc := d.Doc
	doc.VIPs = slices.Clone(doc.VIPs)
	return doc, d.Mute
}

// Records implements control.Source.
func (d *Daemon) Records(since uint64) ([]engine.Record, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.more == nil {
		d.more = make(chan struct{})
	}
	d.asked = max(d.asked, since)
	var list []engine.Record
	for _, r := range d.records {
		if r.Seq > since {
			list = append(list, r)
		}
	}
	return list, d.more
}

// Record appends to the history. Seq is filled in.
func (d *Daemon) Record(records ...engine.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record(records...)
}

// record appends to the history, with the lock held.
func (d *Daemon) record(records ...engine.Record) {
	for _, r := range records {
		r.Seq = uint64(len(d.records) + 1)
		d.records = append(d.records, r)
	}
	if d.more != nil {
		close(d.more)
	}
	d.more = make(chan struct{})
}

// Events lists the events that were done.
func (d *Daemon) Events() []engine.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// Asked is the highest Seq that a client has asked to go on after: it has got
// everything up to there.
func (d *Daemon) Asked() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// Do implements control.Commander.
func (d *Daemon) Do(ctx context.Context, ev engine.Event) (engine.Answer, error) {
	if d.Hang {
		<-ctx.Done()
		return engine.Answer{}, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, ev)
	if d.Refuse != "" {
		return engine.Answer{Refused: true, Text: d.Refuse}, nil
	}
	switch ev := ev.(type) {
	case engine.Drain:
		return engine.Answer{Text: d.drain(ev)}, nil
	case engine.Undrain:
		return engine.Answer{Text: d.undrain(ev)}, nil
	case engine.ConfirmFence:
		return engine.Answer{Text: ev.Peer + " counts as off, by the word of " + ev.Actor.Name}, nil
	case engine.Drill:
		return engine.Answer{Drill: d.drill(ev)}, nil
	case engine.Noted:
		r := ev.Record
		r.Time = d.Doc.Now
		d.record(r)
		return engine.Answer{}, nil
	case engine.Failover:
		return engine.Answer{Text: ev.Name + ": 192.0.2.3 is Active after 94ms"}, nil
	default:
		return engine.Answer{}, fmt.Errorf("do %T: no operator asks for this", ev)
	}
}

// drill passes, unless Broken says why not.
func (d *Daemon) drill(ev engine.Drill) *engine.DrillReport {
	r := &engine.DrillReport{
		VIP: ev.Name, VIPs: []string{"inside", ev.Name}, Kind: ev.Kind, By: ev.Actor.Name, Began: d.Doc.Now, Limit: time.Second, Peer: "lb2",
		Took: 13400 * time.Microsecond, Passed: d.Broken == "", Why: d.Broken, Stays: ev.Stay,
		Client: &engine.ClientReport{Target: "echo of 192.0.2.10", Sent: 51, Lost: 1, Outage: 20 * time.Millisecond, OK: d.Broken == ""},
		Steps:  []engine.DrillStep{{After: 12 * time.Millisecond, Text: "gone from here"}, {After: 13400 * time.Microsecond, Text: "lb2 holds it"}},
	}
	if !ev.Stay {
		r.Steps = append(r.Steps, engine.DrillStep{After: 1030 * time.Millisecond, Text: "back here"})
	}
	return r
}

// drain takes VIPs out of service.
func (d *Daemon) drain(ev engine.Drain) string {
	var names []string
	d.Doc.VIPs = slices.Clone(d.Doc.VIPs)
	for i := range d.Doc.VIPs {
		v := &d.Doc.VIPs[i]
		if len(ev.Names) > 0 && !slices.Contains(ev.Names, v.Name) {
			continue
		}
		names = append(names, v.Name)
		v.Drained = &engine.DrainStatus{Actor: ev.Actor.Name, Reason: ev.Reason, Since: d.Doc.Now}
		if ev.For > 0 {
			v.Drained.Until = d.Doc.Now.Add(ev.For)
		}
		if !d.Stay {
			v.State, v.Stage, v.Held, v.Reason, v.Why = engine.Fault, engine.Eligible, false, "drained", "drained by "+ev.Actor.Name
			v.Since, v.Blockers = d.Doc.Now, []engine.Blocker{{Kind: engine.BlockedDrain, Text: "drained by " + ev.Actor.Name}}
		}
	}
	d.Doc.Drained = len(names) == len(d.Doc.VIPs)
	d.record(engine.Record{Time: d.Doc.Now, Type: engine.RecordDrain, Severity: engine.Notice, Actor: ev.Actor, Text: strings.Join(names, ", ") + " drained by " + ev.Actor.Name})
	return strings.Join(names, ", ") + " drained"
}

// undrain puts VIPs back.
func (d *Daemon) undrain(ev engine.Undrain) string {
	var names []string
	d.Doc.VIPs = slices.Clone(d.Doc.VIPs)
	for i := range d.Doc.VIPs {
		v := &d.Doc.VIPs[i]
		if v.Drained != nil && (len(ev.Names) == 0 || slices.Contains(ev.Names, v.Name)) {
			names = append(names, v.Name)
			v.Drained, v.State, v.Blockers = nil, engine.Backup, nil
		}
	}
	d.Doc.Drained = false
	if len(names) == 0 {
		return "nothing was drained"
	}
	return strings.Join(names, ", ") + " back in service"
}

// WhatIf implements control.Source: it answers every question in the same way.
func (d *Daemon) WhatIf(_ context.Context, q whatif.Question) (whatif.Answer, error) {
	if q.String() == "interface eth7 goes down" {
		return whatif.Answer{}, &whatif.UnknownError{Kind: "interface", Name: "eth7", Known: []string{"eth0", "eth1"}}
	}
	return whatif.Answer{
		Schema: whatif.Schema, Node: "lb1", Now: d.Doc.Now, Question: q.String(), Span: 10 * time.Second,
		Events: []whatif.Coming{
			{Type: engine.RecordLink, Name: "eth0", From: "up", To: "down", Text: "interface eth0 is down", Severity: engine.Warning},
			{After: 1500 * time.Microsecond, Type: engine.RecordTransition, Name: "web", From: "ACTIVE", To: "FAULT", Reason: "interface",
				Text: "web: ACTIVE -> FAULT (interface eth0 is down)", Severity: engine.Warning},
		},
		VIPs: []whatif.Outcome{
			{Name: "mail", Now: engine.Backup, Then: engine.Backup, Priority: 80, Why: "192.0.2.3 advertises 90, own 80"},
			{Name: "web", Now: engine.Active, Then: engine.Fault, Priority: 150, Why: "interface eth0 is down"},
		},
		Unknown: []string{"whether a peer takes web over: none advertises it as long as this host does"},
	}, nil
}

// RunCheck implements control.Commander.
func (d *Daemon) RunCheck(ctx context.Context, name string) (control.CheckResult, error) {
	if d.Hang {
		<-ctx.Done()
		return control.CheckResult{}, ctx.Err()
	}
	res, ok := d.Probes[name]
	if !ok {
		return res, errors.New("the test gave no result for check " + name)
	}
	return res, nil
}

// FenceHistory implements control.Source.
func (d *Daemon) FenceHistory() fence.History { return d.Fenced }

// TestFence implements control.Commander.
func (d *Daemon) TestFence(_ context.Context, name string) (control.FenceTest, error) {
	res, ok := d.Devices[name]
	if !ok {
		return res, errors.New("the test gave no result for fence device " + name)
	}
	return res, nil
}

// Reload implements control.Commander.
func (d *Daemon) Reload(_ context.Context, _ engine.Actor, how control.ReloadKind) (control.ReloadResult, error) {
	res := d.Reloads
	if how.ConfirmWithin > 0 {
		res.ConfirmBy = d.Doc.Now.Add(how.ConfirmWithin)
	}
	return res, nil
}

// Confirm implements control.Commander.
func (d *Daemon) Confirm(context.Context, engine.Actor) (control.ReloadResult, error) {
	return d.Reloads, nil
}

// Config implements control.Source.
func (d *Daemon) Config(effective bool) string {
	if effective {
		return d.Effective
	}
	return d.Written
}

// At is a time on the day of the fixtures, in UTC: At(14, 5, 2.118).
func At(hour, minute int, second float64) time.Time {
	midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	return midnight.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second*1e9).Round(time.Microsecond))
}
