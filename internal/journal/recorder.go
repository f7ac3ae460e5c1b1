package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/replay"
)

// waiting is how many steps may wait for the disk: some seconds of a host with
// 255 vips.
const waiting = 8192

// Recorder writes all that the engine is given, and what it reports, to a file
// for `vipd replay`. A recording has no gap: when it cannot go on, it ends.
type Recorder struct {
	path    string
	most    int64
	start   time.Time
	steps   chan replay.Step
	behind  atomic.Bool // a step found no room
	ended   atomic.Bool
	written atomic.Int64

	file *os.File
	out  *bufio.Writer
	line []byte
}

// NewRecorder begins a recording of up to most bytes; what a file of that name
// has becomes path.1, so that a restart does not take away what led to it. start
// is what engine.New is called with.
func NewRecorder(path string, most int64, start time.Time, version, node string) (*Recorder, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the last recording: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	r := &Recorder{path: path, most: most, start: start, steps: make(chan replay.Step, waiting), file: f, out: bufio.NewWriterSize(f, 64<<10)}
	r.line, err = replay.AppendHeader(nil, replay.Header{Version: version, Node: node, Started: start})
	if err == nil {
		err = r.put()
	}
	if err == nil {
		err = r.out.Flush()
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// Step takes one step of the engine and its answer, which it copies. It never
// waits. A nil Recorder records nothing.
func (r *Recorder) Step(now time.Time, ev engine.Event, did []engine.Action) {
	if r == nil || r.ended.Load() || r.behind.Load() {
		return
	}
	s := replay.Step{At: now.Sub(r.start), Event: ev}
	for _, a := range did {
		if report, ok := a.(engine.Report); ok {
			s.Records = append(s.Records, report.Record)
		}
	}
	select {
	case r.steps <- s:
	default:
		r.behind.Store(true)
	}
}

// RecorderStatus tells how a recording goes.
type RecorderStatus struct {
	Path  string
	Bytes int64
	Ended bool
}

// Status tells how the recording goes.
func (r *Recorder) Status() RecorderStatus {
	if r == nil {
		return RecorderStatus{}
	}
	return RecorderStatus{Path: r.path, Bytes: r.written.Load(), Ended: r.ended.Load()}
}

// Run writes until ctx ends, and then what is left. When the recording has to
// end before, it calls stopped, once, with the reason.
func (r *Recorder) Run(ctx context.Context, stopped func(why error)) {
	err := r.run(ctx)
	r.ended.Store(true)
	if flush := errors.Join(r.out.Flush(), r.file.Close()); err == nil && ctx.Err() == nil {
		err = flush
	}
	if err != nil {
		stopped(err)
	}
}

var (
	errFull   = errors.New("its size has reached --record-max")
	errBehind = errors.New("the disk is too slow for it")
)

// run writes steps. It returns nil when ctx has ended and all are written.
func (r *Recorder) run(ctx context.Context) error {
	for {
		select {
		case s := <-r.steps:
			if err := r.write(s); err != nil {
				return err
			}
			continue
		default:
		}
		// Whatever kills vipd from now on finds whole lines in the file.
		if err := r.out.Flush(); err != nil {
			return err
		}
		if r.behind.Load() {
			return errBehind
		}
		select {
		case s := <-r.steps:
			if err := r.write(s); err != nil {
				return err
			}
		case <-ctx.Done():
			if len(r.steps) == 0 {
				return nil
			}
		}
	}
}

func (r *Recorder) write(s replay.Step) (err error) {
	if r.line, err = replay.AppendStep(r.line[:0], s); err != nil {
		return err
	}
	if r.written.Load()+int64(len(r.line)) > r.most {
		return errFull
	}
	return r.put()
}

func (r *Recorder) put() error {
	n, err := r.out.Write(r.line)
	r.written.Add(int64(n))
	return err
}
