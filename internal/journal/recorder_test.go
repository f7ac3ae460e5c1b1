package journal

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/replay"
	"github.com/vipd/vipd/pkg/vrrp"
)

// record drives an engine with a recorder beside it for some steps.
func record(r *Recorder, start time.Time, steps int) {
	e := engine.New(start)
	for i := range steps {
		now, ev := start.Add(time.Duration(i)*time.Second), engine.Event(engine.Noted{Record: engine.Record{Text: "something"}})
		if i == 0 {
			ev = engine.Configure{Config: engine.Config{Node: "lb1"}}
		}
		r.Step(now, ev, e.Step(now, ev))
	}
}

// play replays a file.
func play(t *testing.T, path string) (replay.Result, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	in, err := replay.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return replay.Play(in, 0, nil)
}

func recorder(t *testing.T, most int64) (*Recorder, string, time.Time) {
	t.Helper()
	path, start := filepath.Join(t.TempDir(), "rec.jsonl"), time.Now()
	r, err := NewRecorder(path, most, start, "test", "lb1")
	if err != nil {
		t.Fatal(err)
	}
	return r, path, start
}

// TestRecord: what was stepped before the end is in the file, and is what the
// engine does again. A recorder that is nil records nothing.
func TestRecord(t *testing.T) {
	t.Parallel()
	r, path, start := recorder(t, 1<<20)
	record(r, start, 100)
	record(nil, start, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx, func(err error) { t.Errorf("stopped: %v", err) })
	res, err := play(t, path)
	if err != nil || res.Difference != nil || res.Events != 100 {
		t.Errorf("%+v, %v", res, err)
	}
	if s := r.Status(); s.Path != path || s.Bytes < 1000 || !s.Ended {
		t.Errorf("%+v", s)
	}
	if s := (*Recorder)(nil).Status(); s != (RecorderStatus{}) {
		t.Errorf("%+v", s)
	}
}

// TestRecordFull: a recording ends at its size, with whole lines, and says so
// once; what comes later costs nothing.
func TestRecordFull(t *testing.T) {
	t.Parallel()
	r, path, start := recorder(t, 2000)
	record(r, start, 100)
	var why []error
	r.Run(t.Context(), func(err error) { why = append(why, err) })
	if len(why) != 1 || !errors.Is(why[0], errFull) {
		t.Errorf("stopped with %v", why)
	}
	record(r, start, 100)
	if len(r.steps) > 100 {
		t.Errorf("%d steps wait for nobody", len(r.steps))
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 2000 || info.Size() < 1500 || info.Size() != r.Status().Bytes {
		t.Errorf("%v, %v", info.Size(), err)
	}
	if res, err := play(t, path); err != nil || res.Difference != nil || res.Events < 5 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestRecordBehind: a disk that does not keep up ends the recording without a
// gap in it.
func TestRecordBehind(t *testing.T) {
	t.Parallel()
	r, path, start := recorder(t, 1<<30)
	record(r, start, waiting+500)
	var why error
	r.Run(t.Context(), func(err error) { why = err })
	if !errors.Is(why, errBehind) {
		t.Errorf("stopped with %v", why)
	}
	if res, err := play(t, path); err != nil || res.Difference != nil || res.Events != waiting {
		t.Errorf("%d events, %v, %v", res.Events, res.Difference, err)
	}
}

// BenchmarkRecord is what a step costs the loop while it is recorded, and what
// the writer does for it.
func BenchmarkRecord(b *testing.B) {
	start := time.Now()
	ev := engine.AdvertReceived{Interface: "eth0", Source: netip.MustParseAddr("192.0.2.2"), Advert: vrrp.Advert{
		Version: 3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")},
	}}
	b.Run("loop", func(b *testing.B) {
		r := &Recorder{start: start, steps: make(chan replay.Step, 1)}
		b.ReportAllocs()
		for b.Loop() {
			r.Step(start, ev, nil)
			<-r.steps
		}
	})
	b.Run("writer", func(b *testing.B) {
		var line []byte
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if line, err = replay.AppendStep(line[:0], replay.Step{Event: ev}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(line)), "B/line")
	})
}

// TestRecordAgain: a restart keeps the recording of the run before; a place that
// cannot be written to is an error at once.
func TestRecordAgain(t *testing.T) {
	t.Parallel()
	r, path, start := recorder(t, 1<<20)
	record(r, start, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx, nil)
	again, err := NewRecorder(path, 1<<20, start, "test", "lb1")
	if err != nil {
		t.Fatal(err)
	}
	again.Run(ctx, nil)
	if res, err := play(t, path+".1"); err != nil || res.Events != 10 {
		t.Errorf("%d events of the run before, %v", res.Events, err)
	}
	if _, err := NewRecorder(filepath.Join(path, "x"), 1, start, "test", "lb1"); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("%v", err)
	}
}
