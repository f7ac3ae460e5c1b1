package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/vipd/vipd/pkg/engine"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestJournal keeps the newest records, resumes after any of them, and wakes who
// waits for more.
func TestJournal(t *testing.T) {
	t.Parallel()
	j := newJournal(quiet())
	_, more := j.since(0)
	const total = journalMost + 500
	for seq := range uint64(total) {
		j.add(engine.Record{Seq: seq + 1})
	}
	select {
	case <-more:
	default:
		t.Error("a new record wakes nobody")
	}
	all, _ := j.since(0)
	if len(all) > journalMost || len(all) < journalMost*9/10 {
		t.Errorf("%d records kept", len(all))
	}
	if last := all[len(all)-1].Seq; last != total {
		t.Errorf("the last is %d", last)
	}
	for i := range all[1:] {
		if all[i+1].Seq != all[i].Seq+1 {
			t.Fatalf("%d follows %d", all[i+1].Seq, all[i].Seq)
		}
	}
	if some, _ := j.since(total - 3); len(some) != 3 || some[0].Seq != total-2 {
		t.Errorf("after %d: %+v", total-3, some)
	}
	if none, _ := j.since(total); len(none) != 0 {
		t.Errorf("after the last: %+v", none)
	}
}

// TestJournalLog writes what is left when it ends, once each, by severity.
func TestJournalLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := newJournal(slog.New(slog.NewTextHandler(&out, nil)))
	j.add(engine.Record{Seq: 1, Type: engine.RecordStart, Text: "started", Severity: engine.Notice})
	j.add(engine.Record{Seq: 2, Type: engine.RecordCheck, Name: "svc", From: "up", To: "down", Text: "down", Severity: engine.Warning, Cause: 1})
	j.add(engine.Record{Seq: 3, Type: engine.RecordConflict, Text: "two", Severity: engine.Critical})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j.Run(ctx)
	for _, want := range []string{
		"level=INFO msg=start text=started seq=1\n",
		"level=WARN msg=check text=down seq=2 name=svc from=up to=down cause=1\n",
		"level=ERROR msg=conflict text=two seq=3\n",
	} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("no line %q, or several, in:\n%s", want, out.String())
		}
	}
}
