package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/replay"
)

// replayDocument is what vipd replay --json prints, schema vipd.replay/v1.
type replayDocument struct {
	Schema     string             `json:"schema"`
	File       string             `json:"file"`
	Recorded   replay.Header      `json:"recorded"`
	Version    string             `json:"version"` // of the vipd that replays
	Events     int                `json:"events"`  // given to the engine
	Span       time.Duration      `json:"span_ns"` // from the start to the last of them
	Records    []engine.Record    `json:"records"` // reported, of NAME when there is one
	Difference *replay.Difference `json:"difference,omitempty"`
	Status     engine.Status      `json:"status"` // at the end
}

// replayCommand is vipd replay.
func (a *app) replayCommand() *cobra.Command {
	var until string
	cmd := &cobra.Command{
		Use:   "replay FILE [NAME]",
		Short: "give a recording of vipd run --record to the engine again",
		Example: `  vipd replay /var/lib/vipd/recording.jsonl web
  vipd replay recording.jsonl --until 2026-11-21T14:02:12Z`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("vipd replay takes a FILE and one NAME at most, not %d arguments", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) == 2 {
				name = args[1]
			}
			return a.replay(args[0], name, until)
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "end this long after the start, or at a time in RFC 3339")
	return cmd
}

// replay replays a file and prints what the engine reports about a vip, check or
// interface, about everything without a name.
func (a *app) replay(path, name, until string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	defer func() { _ = f.Close() }()
	in, err := replay.NewReader(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	limit, err := parseUntil(until, in.Header.Started)
	if err != nil {
		return usageError{error: err}
	}
	doc := replayDocument{Schema: "vipd.replay/v1", File: path, Recorded: in.Header, Version: version, Records: []engine.Record{}}
	day := ""
	res, err := replay.Play(in, limit, func(r engine.Record) {
		if name != "" && r.Name != name {
			return
		}
		if a.json {
			doc.Records = append(doc.Records, r)
			return
		}
		a.dayLine(r, &day)
		_, _ = fmt.Fprintln(a.out, a.eventLine(r))
	})
	if err != nil {
		err = fmt.Errorf("read %s: %w", path, err)
		if errors.Is(err, replay.ErrCut) {
			a.note("what comes before line %d was replayed", in.Line)
		}
	}
	if err == nil && res.Difference != nil {
		err = fmt.Errorf("%s: %s", path, res.Difference)
		if in.Header.Version != version {
			a.note("recorded by vipd %s, replayed by %s", in.Header.Version, version)
		}
	}
	doc.Events, doc.Span, doc.Difference, doc.Status = res.Events, res.Last, res.Difference, res.Status
	if a.json {
		return errors.Join(a.encodeJSON(doc), err)
	}
	a.printReplayed(doc, name)
	if err == nil {
		a.note("%d events in %s replayed: all is as it was recorded", res.Events, res.Last.Round(time.Millisecond))
	}
	return err
}

// printReplayed prints how the vips stood at the end.
func (a *app) printReplayed(doc replayDocument, name string) {
	tab := newTable("VIP", "STATE", "PRIO", "WHY")
	for _, v := range doc.Status.VIPs {
		if name == "" || name == v.Name {
			tab.add(cell{text: v.Name}, cell{text: string(v.State), style: stateStyle(string(v.State))},
				cell{text: priority(v.Priority)}, cell{text: v.Why})
		}
	}
	a.say("\nAt %s:\n", doc.Recorded.Started.Add(doc.Span).Local().Format("15:04:05.000"))
	a.printTable(tab, true)
}

// parseUntil reads --until: a time since the start, or a time.
func parseUntil(text string, start time.Time) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil && t.After(start) {
		return t.Sub(start), nil
	}
	return 0, fmt.Errorf("%q is no time after the start at %s: write 90s, or a time as 2006-01-02T15:04:05Z",
		text, start.UTC().Format(time.RFC3339Nano))
}
