package demo

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// act is one scene.
type act struct {
	name   string
	title  string
	do     func(*stage, context.Context) error // returns when it is done, not when it has had its effect
	expect expectation
	show   func(*stage, context.Context) error // what the operator sees afterwards; nil = nothing
}

// expectation is what must be true at the end of an act.
type expectation struct {
	holder string                        // who answers the client and says ACTIVE
	other  string                        // what `vipd status` says on the other host; "" = it is dead
	limit  func(*Document) time.Duration // of the outage
	words  string                        // the same for a reader
}

// acts is the whole play.
var acts = []act{
	{
		name: "steady", title: "Steady state: lb1 holds the address, lb2 waits.",
		do:     (*stage).nothing,
		expect: expectation{holder: "lb1", other: string(engine.Backup), limit: none, words: "nothing happens"},
		show:   (*stage).showBoth,
	},
	{
		name: "power-loss", title: "lb1 loses power: its vipd is killed, its port goes down.",
		do:     (*stage).powerOff,
		expect: expectation{holder: "lb2", limit: activeDown, words: "Active_Down_Interval"},
		show:   func(s *stage, ctx context.Context) error { return s.command(ctx, s.lb2, "why", vipName) },
	},
	{
		name: "return", title: "lb1 boots again and takes the address back (preempt = true).",
		do:     (*stage).powerOn,
		expect: expectation{holder: "lb1", other: string(engine.Backup), limit: none, words: "planned move"},
	},
	{
		name: "hang", title: "vipd on lb1 is stopped for a while (SIGSTOP), as by a host that hangs.",
		do:     (*stage).freeze,
		expect: expectation{holder: "lb2", limit: activeDown, words: "Active_Down_Interval"},
	},
	{
		name: "wake", title: "It goes on: it has fallen silent by its lease, and takes the address back.",
		do:     func(s *stage, _ context.Context) error { return s.lb1.agent.Process().Signal(unix.SIGCONT) },
		expect: expectation{holder: "lb1", other: string(engine.Backup), limit: none, words: "planned move"},
	},
	{
		name: "drain", title: "An operator drains lb1.",
		do: func(s *stage, ctx context.Context) error {
			return s.command(ctx, s.lb1, "drain", "--wait", "--reason", "kernel upgrade")
		},
		expect: expectation{holder: "lb2", other: control.Drained, limit: none, words: "planned move"},
		show:   func(s *stage, ctx context.Context) error { return s.command(ctx, s.lb1, "status") },
	},
	{
		name: "undrain", title: "And puts it back.",
		do:     func(s *stage, ctx context.Context) error { return s.command(ctx, s.lb1, "undrain") },
		expect: expectation{holder: "lb1", other: string(engine.Backup), limit: none, words: "planned move"},
	},
	{
		name: "service-down", title: "The service on lb1 breaks; lb1 itself is well.",
		do:     func(s *stage, _ context.Context) error { return s.lb1.service.stop() },
		expect: expectation{holder: "lb2", other: string(engine.Fault), limit: checks, words: fmt.Sprintf("%d checks", checkFall)},
		show:   func(s *stage, ctx context.Context) error { return s.command(ctx, s.lb1, "why", vipName) },
	},
	{
		name: "service-up", title: "The service is repaired.",
		do:     func(s *stage, _ context.Context) error { return s.lb1.service.start() },
		expect: expectation{holder: "lb1", other: string(engine.Backup), limit: none, words: "planned move"},
	},
}

// none is for the steady state, and for planned moves: the new holder answers before
// the old one falls silent.
func none(*Document) time.Duration { return 0 }

// activeDown is how long a Backup waits for a silent Active (RFC 9568, Section
// 6.1).
func activeDown(d *Document) time.Duration { return d.ActiveDown }

// checks is how long a check needs to fail.
func checks(*Document) time.Duration { return checkFall * checkInterval }

func (s *stage) nothing(context.Context) error { return nil }

// showBoth shows the status of both hosts.
func (s *stage) showBoth(ctx context.Context) error {
	if err := s.command(ctx, s.lb1, "status"); err != nil {
		return err
	}
	return s.command(ctx, s.lb2, "status")
}

// powerOff kills everything on lb1 at once.
func (s *stage) powerOff(context.Context) error {
	if err := s.lab.PortDown(s.lb1.Host); err != nil {
		return err
	}
	s.lb1.agent.Process().Kill()
	return nil
}

// freeze stops the daemon of lb1. The host and its network go on.
func (s *stage) freeze(context.Context) error { return s.lb1.agent.Process().Signal(unix.SIGSTOP) }

// powerOn starts lb1's vipd and then plugs the cable in. The kernel of the lab
// has not died with lb1, so what a boot would have cleared goes first: the
// address, which vipd removes when it starts, and a question about the client's
// MAC address that nobody could answer.
func (s *stage) powerOn(ctx context.Context) error {
	if err := s.lb1.agent.Start(); err != nil {
		return err
	}
	if err := s.waitState(ctx, s.lb1, string(engine.Fault)); err != nil {
		return err
	}
	if err := s.lb1.ForgetNeighbour(clientAddress.Addr()); err != nil {
		return err
	}
	return s.lab.PortUp(s.lb1.Host)
}
