package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func node() string { return "lb1" }

// kept opens a journal on a directory.
func kept(dir string) *Journal { return Open(Options{Dir: dir, Node: node, Log: quiet()}) }

// finish lets a journal write what it has and ends it.
func finish(t *testing.T, j *Journal) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j.Run(ctx)
}

// TestNewest keeps the newest records, resumes after any of them, and wakes who
// waits for more.
func TestNewest(t *testing.T) {
	t.Parallel()
	j := kept("")
	_, more := j.Since(0)
	const total = most + 500
	for seq := range uint64(total) {
		j.Add(engine.Record{Seq: seq + 1})
	}
	select {
	case <-more:
	default:
		t.Error("a new record wakes nobody")
	}
	all, _ := j.Since(0)
	if len(all) > most || len(all) < most*9/10 {
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
	if some, _ := j.Since(total - 3); len(some) != 3 || some[0].Seq != total-2 {
		t.Errorf("after %d: %+v", total-3, some)
	}
	if none, _ := j.Since(total); len(none) != 0 {
		t.Errorf("after the last: %+v", none)
	}
	if s := j.Status(); s != (Status{}) {
		t.Errorf("without a directory: %+v", s)
	}
}

// TestLog writes what is left when it ends, once each, by severity.
func TestLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := Open(Options{Node: node, Log: slog.New(slog.NewTextHandler(&out, nil))})
	j.Add(engine.Record{Seq: 1, Type: engine.RecordStart, Text: "started", Severity: engine.Notice})
	j.Add(engine.Record{Seq: 2, Type: engine.RecordCheck, Name: "svc", From: "up", To: "down", Text: "down", Severity: engine.Warning, Cause: 1})
	j.Add(engine.Record{Seq: 3, Type: engine.RecordConflict, Text: "two", Severity: engine.Critical})
	finish(t, j)
	for _, want := range []string{
		"level=INFO msg=start text=started id=1\n",
		"level=WARN msg=check text=down id=2 name=svc from=up to=down cause=1\n",
		"level=ERROR msg=conflict text=two id=3\n",
	} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("no line %q, or several, in:\n%s", want, out.String())
		}
	}
}

// TestRuns: what earlier runs kept is there after a restart, in order, and no
// number is used twice, so that every cause is found.
func TestRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var texts []string
	for run := range 3 {
		j := kept(dir)
		for seq := range uint64(3) {
			text := fmt.Sprintf("run %d, %d <é>", run, seq+1)
			texts = append(texts, text)
			j.Add(engine.Record{Seq: seq + 1, Time: at, Type: engine.RecordDrain, Text: text, Cause: seq, Severity: engine.Info})
		}
		finish(t, j)
	}
	all, _ := kept(dir).Since(0)
	var got []string
	seen := map[uint64]string{}
	for i, r := range all {
		got = append(got, r.Text)
		if seen[r.Seq] != "" || i > 0 && all[i-1].Seq >= r.Seq {
			t.Errorf("number %d of %q is no news", r.Seq, r.Text)
		}
		if before, _, _ := strings.Cut(r.Text, ","); r.Cause != 0 && !strings.HasPrefix(seen[r.Cause], before) {
			t.Errorf("the cause %d of %q is %q", r.Cause, r.Text, seen[r.Cause])
		}
		seen[r.Seq] = r.Text
		if !r.Time.Equal(at) {
			t.Errorf("%q was at %v", r.Text, r.Time)
		}
	}
	if diff := cmp.Diff(texts, got); diff != "" {
		t.Error(diff)
	}
	if all[3].Seq != runSpan+1 || all[4].Cause != runSpan+1 {
		t.Errorf("the second run begins with %+v, %+v", all[3], all[4])
	}
}

// TestMono: the monotonic time is that of the host.
func TestMono(t *testing.T) {
	t.Parallel()
	j := kept("")
	now := time.Now()
	a, b := j.Add(engine.Record{Seq: 1, Time: now}), j.Add(engine.Record{Seq: 2, Time: now.Add(time.Second)})
	if up := sinceBoot()(time.Now()); a.Mono <= 0 || a.Mono > up || b.Mono-a.Mono != 1e6 {
		t.Errorf("at %d and %d µs, and now %d", a.Mono, b.Mono, up)
	}
}

// TestManyAtOnce: records from one side, readers and the writer from others.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	j := kept(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { j.Run(ctx) })
	for range 2 {
		all.Go(func() {
			last := uint64(0)
			for last < 3*most {
				records, more := j.Since(last)
				if len(records) > 0 {
					last = records[len(records)-1].Seq
					continue
				}
				<-more
			}
		})
	}
	for seq := range uint64(3 * most) {
		j.Add(engine.Record{Seq: seq + 1, Text: "busy"})
		_ = j.Status()
	}
	cancel()
	all.Wait()
	s := j.Status()
	if s.Error != "" || s.Unsaved != 0 {
		t.Errorf("%+v", s)
	}
	if kept, err := newFile(j.opts.Dir).load(); err != nil || kept.last() != 3*most {
		t.Errorf("the last record in the file is %d, %v", kept.last(), err)
	}
}
