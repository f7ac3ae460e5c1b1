package daemon

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/check/probe"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/whatif"
)

// Status implements control.Source.
func (d *Daemon) Status(ctx context.Context) (control.StatusDocument, error) {
	doc := control.StatusDocument{Node: control.Node{
		Version: d.opts.Version, Revision: d.opts.Revision, PID: os.Getpid(), Replaced: replaced(), Watchdog: d.pings.Load(), Edge: d.edge(),
	}}
	var err error
	if doc.Status, err = ask(ctx, d, d.status); err != nil {
		return doc, err
	}
	cfg := d.cfg.Load()
	d.authenticated(cfg, doc.VIPs)
	d.shadow.disclose(&doc, cfg)
	doc.Node.Name = cfg.Engine.Node
	d.reloads.mu.Lock()
	doc.Node.Config = d.reloads.status
	d.reloads.mu.Unlock()
	doc.Node.Events, doc.Node.Recording = d.history()
	doc.Node.Config.Path, doc.Node.Config.Hash = d.opts.ConfigPath, hash(cfg)
	doc.Node.Config.RestartRequired = d.restartRequired(cfg)
	return doc, nil
}

// status belongs into a turn.
func (d *Daemon) status(now time.Time) engine.Status { return d.eng.Status(now) }

// edge collects the counters of the edges.
func (d *Daemon) edge() control.EdgeStatus {
	var s control.EdgeStatus
	for _, p := range *d.portList.Load() {
		family := "ipv6"
		if p.key.family4 {
			family = "ipv4"
		}
		for cause, n := range p.refused(p.conn.Load()).causes {
			s.Dropped = append(s.Dropped, control.DropCount{Interface: p.key.link, Family: family, Reason: string(cause), Count: n})
		}
	}
	for c, n := range d.announcer.Counters() {
		sent := control.SentCount{Interface: c.Link, Cause: c.Cause, Count: n.Sent}
		if c.Kind == "arp" {
			s.GARP = append(s.GARP, sent)
		} else {
			s.NA = append(s.NA, sent)
		}
	}
	hooks := d.hooks.Counters()
	s.Hooks, s.Waiting = hookCounts(hooks), hooks.Waiting
	s.Pair, s.Witnesses = d.pair.counts(), d.votes.counts()
	return s
}

// Records implements control.Source.
func (d *Daemon) Records(since uint64) ([]engine.Record, <-chan struct{}) {
	return d.journal.Since(since)
}

// WhatIf implements control.Source. The turn only copies the engine.
func (d *Daemon) WhatIf(ctx context.Context, q whatif.Question) (whatif.Answer, error) {
	d.questions.Lock() // one at a time: they cost time of a processor
	defer d.questions.Unlock()
	type moment struct {
		eng *engine.Engine
		at  time.Time
	}
	m, err := ask(ctx, d, func(now time.Time) moment { return moment{d.eng.Clone(), now} })
	if err != nil {
		return whatif.Answer{}, err
	}
	return whatif.Ask(m.eng, m.at, q)
}

// Config implements control.Source.
func (d *Daemon) Config(effective bool) string {
	if effective {
		return d.cfg.Load().Text.Effective()
	}
	return d.cfg.Load().Text.Written()
}

// Do implements control.Commander.
func (d *Daemon) Do(ctx context.Context, ev engine.Event) (engine.Answer, error) {
	if _, noted := ev.(engine.Noted); d.shadow != nil && !noted {
		return engine.Answer{Refused: true, Text: "this vipd only observes (vipd run --observe): it holds nothing that it could move"}, nil
	}
	answer, err := ask(ctx, d, func(time.Time) <-chan engine.Answer { return d.command(ev) })
	if err != nil {
		return engine.Answer{}, err
	}
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return engine.Answer{}, ctx.Err()
	case <-d.ended:
		return engine.Answer{}, errEnded
	}
}

// command gives a command to the engine. Its answer comes with this turn or a
// later one.
func (d *Daemon) command(ev engine.Event) <-chan engine.Answer {
	answer := make(chan engine.Answer, 1)
	d.commands++
	id := d.commands
	switch e := ev.(type) {
	case engine.Drain:
		e.ID = id
		ev = e
	case engine.Undrain:
		e.ID = id
		ev = e
	case engine.Failover:
		e.ID = id
		ev = e
	case engine.Drill:
		e.ID = id
		ev = e
	case engine.ConfirmFence:
		e.ID = id
		ev = e
	case engine.Noted:
		d.step(e)
		answer <- engine.Answer{}
		return answer
	default:
		answer <- engine.Answer{Refused: true, Text: fmt.Sprintf("%T is not a command", ev)}
		return answer
	}
	d.waiting[id] = answer
	d.step(ev)
	return answer
}

// RunCheck implements control.Commander.
func (d *Daemon) RunCheck(ctx context.Context, name string) (control.CheckResult, error) {
	cfg := d.cfg.Load()
	c, ok := cfg.Engine.Checks[name]
	if !ok {
		return control.CheckResult{}, fmt.Errorf("no check %s", name)
	}
	r := probe.Once(ctx, c, probe.Settings{User: scriptUser(cfg), Check: name})
	return control.CheckResult{Check: name, OK: r.OK, Detail: r.Detail, Took: r.Took}, nil
}

// monotonic is the time that systemd wants with RELOADING=1.
func monotonic() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
