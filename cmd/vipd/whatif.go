package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/whatif"
)

// whatIfCommand is vipd what-if.
func (a *app) whatIfCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "what-if QUESTION",
		Short: "ask what would happen, from the live state; nothing is changed",
		Long: `what-if asks the daemon what would happen on this host. It lets a copy of its
engine live on, in which the kernel does what it is told and the hosts that are
heard go on as they are. A question is one of

    ` + strings.Join(whatif.Forms(), "\n    "),
		Example: `  vipd what-if link eth0 down
  vipd what-if peer 192.0.2.3 silent --json`,
		Args: func(_ *cobra.Command, args []string) error {
			_, err := whatif.Parse(args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.whatIf(cmd.Context(), args) },
	}
}

// whatIf asks and prints the answer.
func (a *app) whatIf(ctx context.Context, words []string) error {
	ctx, cancel := a.within(ctx, shortTime)
	defer cancel()
	if a.json {
		return a.document(ctx, control.PathWhatIf(words))
	}
	answer, err := a.client().WhatIf(ctx, words)
	if err != nil {
		return err
	}
	a.say("If %s on %s:", answer.Question, answer.Node)
	if len(answer.Events) == 0 {
		a.say("  nothing happens within %s", answer.Span.Round(time.Millisecond))
	}
	for _, e := range answer.Events {
		line := strings.ReplaceAll(clean(fmt.Sprintf("  +%-9s  %s", seconds(e.After), e.Text)), "\n", " ")
		_, _ = fmt.Fprintln(a.out, a.paint(severityStyle(e.Severity), line))
	}
	a.say("\nAfter %s:\n", answer.Span.Round(time.Millisecond))
	tab := newTable("VIP", "NOW", "THEN", "PRIO", "WHY THEN")
	for _, v := range answer.VIPs {
		tab.add(cell{text: v.Name}, cell{text: string(v.Now), style: stateStyle(string(v.Now))},
			cell{text: string(v.Then), style: stateStyle(string(v.Then))}, cell{text: fmt.Sprint(v.Priority)}, cell{text: v.Why})
	}
	if len(answer.VIPs) > 0 || len(answer.Services) == 0 {
		a.printTable(tab, true)
	}
	a.printOutcomes(answer.Services)
	if len(answer.Unknown) > 0 {
		a.say("\nWhat this host cannot know:")
	}
	for _, u := range answer.Unknown {
		a.say("  - %s", u)
	}
	return nil
}

// printOutcomes prints what would become of anycast services.
func (a *app) printOutcomes(list []whatif.ServiceOutcome) {
	if len(list) == 0 {
		return
	}
	look := func(state engine.ServiceState) cell {
		return cell{text: string(state), style: serviceStyle(engine.ServiceStatus{State: state})}
	}
	tab := newTable("ANYCAST", "NOW", "THEN", "MED", "WHY THEN")
	for _, v := range list {
		tab.add(cell{text: v.Name}, look(v.Now), look(v.Then), cell{text: fmt.Sprint(v.MED)}, cell{text: v.Why})
	}
	a.printTable(tab, true)
}

// seconds writes a time since the start to the millisecond: "1.500s".
func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

// severityStyle makes what matters stand out.
func severityStyle(s engine.Severity) style {
	switch s {
	case engine.Critical:
		return red
	case engine.Warning:
		return yellow
	case engine.Info, engine.Notice:
	}
	return plain
}
