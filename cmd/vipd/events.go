package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// How far back the events begin without --since.
const (
	usualHistory  = "24h"
	followHistory = "10m"
)

// eventsCommand is vipd events.
func (a *app) eventsCommand() *cobra.Command {
	var q control.EventQuery
	cmd := &cobra.Command{
		Use:   "events",
		Short: "show what happened, oldest first",
		Example: `  vipd events --since 1h
  vipd events -f --type vrrp_transition,drain --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.events(cmd.Context(), q)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&q.Follow, "follow", "f", false, "go on with what happens from now on")
	flags.StringVar(&q.Since, "since", "", "begin 1h ago, at a time in RFC 3339, or after the event with this number (default 24h, with -f 10m)")
	flags.StringSliceVar(&q.Types, "type", nil, "only events of these types")
	flags.StringSliceVar(&q.Names, "name", nil, "only events about these vips, checks or interfaces")
	_ = cmd.RegisterFlagCompletionFunc("type", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return control.RecordTypes(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// events prints the history, and with --follow what comes after it.
func (a *app) events(ctx context.Context, q control.EventQuery) error {
	if q.Since == "" {
		q.Since = usualHistory
		if q.Follow {
			q.Since = followHistory
		}
	}
	if !q.Follow || a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = a.within(ctx, shortTime)
		defer cancel()
	}
	day := ""
	err := a.client().Events(ctx, q, func(line []byte) error {
		if a.json {
			_, err := fmt.Fprintf(a.out, "%s\n", line)
			return err
		}
		var ev control.Event
		if err := control.Decode(line, "/v1/events", &ev); err != nil {
			return err
		}
		a.dayLine(ev.Record, &day)
		_, err := fmt.Fprintln(a.out, a.eventLine(ev.Record))
		return err
	})
	if err == nil && q.Follow {
		a.note("the daemon ended the stream")
	}
	return err
}

// eventLine is one event in one line.
func (a *app) eventLine(r engine.Record) string {
	change := ""
	switch {
	case r.From != "" && r.To != "":
		change = r.From + " -> " + r.To
	case r.To != "":
		change = "-> " + r.To
	}
	line := fmt.Sprintf("%s  %-15s  %-12s  %-16s  %s", r.Time.Local().Format("15:04:05.000"), r.Type, r.Name, change, r.Text)
	line = strings.ReplaceAll(clean(line), "\n", " ")
	return a.paint(severityStyle(r.Severity), line)
}

// dayLine prints the day of an event when it is not the one before.
func (a *app) dayLine(r engine.Record, day *string) {
	if today := r.Time.Local().Format(time.DateOnly); today != *day {
		*day = today
		_, _ = fmt.Fprintln(a.out, a.paint(bold, today))
	}
}
