package journal

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/engine"
)

// most is how many records are kept in memory, also of those that wait for the
// disk.
const most = 10_000

// retry is how long a write that failed waits for the next attempt, which also
// comes with every new record.
const retry = 5 * time.Second

// runSpan is how many records a run may number.
const runSpan = 1_000_000_000

// Options says what a [Journal] keeps and where.
type Options struct {
	Dir      string        // state directory; "" = nothing is kept over a restart
	Node     func() string // name of this host
	Log      *slog.Logger
	Journald bool // records go to journald with fields, not to Log: see [Connected]
}

// Journal keeps the newest records, tells who waits for more, and writes them to
// the disk and the log. Its methods may be called from many goroutines.
type Journal struct {
	opts Options
	file *file                     // used by Run only; nil without a directory
	send func(engine.Record) error // to journald; nil = to the log
	base uint64                    // added to what the engine counts
	mono func(time.Time) int64     // µs since the host started

	past   past      // what earlier runs kept, until somebody asks
	recall sync.Once // reads it

	mu      sync.Mutex
	records []engine.Record
	first   uint64        // place of records[0] among all that ever were in it
	more    chan struct{} // closed when a record is added
	logged  uint64        // place of the first record that is not in the log
	saved   uint64        // the same for the file
	unsaid  uint64        // left memory before they were logged
	dropped uint64        // left memory before they were saved
	failure string        // of the last attempt to save, "" = it went well
	sized   int64         // bytes of the file
}

// Open reads what earlier runs kept. A file that cannot be read is no error: the
// journal goes on without, tries again to write, and says so in [Journal.Status].
func Open(opts Options) *Journal {
	j := &Journal{opts: opts, more: make(chan struct{}), mono: sinceBoot()}
	if opts.Journald {
		j.send = sendJournald
	}
	if opts.Dir == "" {
		return j
	}
	j.file = newFile(opts.Dir)
	var err error
	if j.past, err = j.file.load(); err != nil {
		j.failure = err.Error()
	}
	if last := j.past.last(); last > 0 {
		j.base = (last/runSpan + 1) * runSpan
	}
	// Room in front, for what earlier runs kept.
	j.first, j.logged, j.saved = most, most, most
	return j
}

// sinceBoot returns a clock that says when a time was on CLOCK_MONOTONIC.
func sinceBoot() func(time.Time) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return func(time.Time) int64 { return 0 }
	}
	now, then := time.Now(), ts.Nano()
	return func(t time.Time) int64 { return (then + t.Sub(now).Nanoseconds()) / 1000 }
}

// Add keeps a record of the engine and returns it with the numbers that it has
// outside. It never waits.
func (j *Journal) Add(r engine.Record) engine.Record {
	r.Seq += j.base
	if r.Cause != 0 {
		r.Cause += j.base
	}
	r.Mono = j.mono(r.Time)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.records) >= most {
		j.forget(most / 10)
	}
	j.records = append(j.records, r)
	close(j.more)
	j.more = make(chan struct{})
	return r
}

// forget drops the n oldest records, with the lock held.
func (j *Journal) forget(n int) {
	j.records = append(j.records[:0], j.records[n:]...)
	j.first += uint64(n)
	if j.logged < j.first {
		j.unsaid += j.first - j.logged
		j.logged = j.first
	}
	if j.saved < j.first {
		if j.file != nil {
			j.dropped += j.first - j.saved
		}
		j.saved = j.first
	}
}

// Since returns the records with a number above seq, and a channel that is
// closed when there are more.
func (j *Journal) Since(seq uint64) ([]engine.Record, <-chan struct{}) {
	j.recall.Do(j.remember)
	j.mu.Lock()
	defer j.mu.Unlock()
	i := len(j.records)
	for i > 0 && j.records[i-1].Seq > seq {
		i--
	}
	return slices.Clone(j.records[i:]), j.more
}

// remember puts what earlier runs kept in front of what there is. That is read
// when somebody first asks, since a start has more urgent things to do.
func (j *Journal) remember() {
	kept := j.past.records()
	j.past = nil
	j.mu.Lock()
	defer j.mu.Unlock()
	kept = kept[max(len(kept)-max(most-len(j.records), 0), 0):]
	kept = kept[max(len(kept)-int(min(j.first, most)), 0):]
	j.first -= uint64(len(kept))
	j.records = append(kept, j.records...)
}

// Status is how well the history is kept.
type Status struct {
	Path    string // "" = it is not kept over a restart
	Bytes   int64  // of the file
	Unsaved uint64 // records that wait for the disk
	Dropped uint64 // that waited too long
	Error   string // of the last attempt to write, "" when it went well
}

// Status tells how well the history is kept.
func (j *Journal) Status() Status {
	if j.file == nil {
		return Status{}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Status{Path: j.file.path, Bytes: j.sized, Dropped: j.dropped, Error: j.failure}
	if j.failure != "" {
		s.Unsaved = j.first + uint64(len(j.records)) - j.saved
	}
	return s
}

// Run writes records until ctx ends, and then those that are left.
func (j *Journal) Run(ctx context.Context) {
	again := time.NewTicker(retry)
	defer again.Stop()
	for {
		more := j.write()
		select {
		case <-more:
		case <-again.C:
		case <-ctx.Done():
			j.write()
			if j.file != nil {
				j.file.close()
			}
			return
		}
	}
}

// write saves and logs what is new, and returns the channel to wait for.
func (j *Journal) write() <-chan struct{} {
	j.mu.Lock()
	more := j.more
	j.mu.Unlock()
	j.save()
	j.log()
	return more
}

// save writes what is not in the file yet, in pieces.
func (j *Journal) save() {
	for j.file != nil {
		j.mu.Lock()
		fresh := slices.Clone(j.records[j.saved-j.first:])
		from, before := j.saved, j.failure
		j.mu.Unlock()
		if len(fresh) == 0 {
			return
		}
		fresh = fresh[:min(len(fresh), 256)]
		err := j.file.append(j.opts.Node(), fresh)
		j.mu.Lock()
		j.failure, j.sized = "", j.file.size
		if err != nil {
			j.failure = err.Error()
		} else {
			j.saved = max(j.saved, from+uint64(len(fresh)))
		}
		j.mu.Unlock()
		switch {
		case err != nil && err.Error() != before:
			j.opts.Log.Warn("events are not kept, trying again", "error", err)
		case err == nil && before != "":
			j.opts.Log.Info("events are kept again", "path", j.file.path)
		}
		if err != nil {
			return
		}
	}
}

// log logs what is new.
func (j *Journal) log() {
	j.mu.Lock()
	fresh, lost := slices.Clone(j.records[j.logged-j.first:]), j.unsaid
	j.logged, j.unsaid = j.first+uint64(len(j.records)), 0
	j.mu.Unlock()
	if lost > 0 {
		j.opts.Log.Warn("records not logged", "count", lost)
	}
	for _, r := range fresh {
		at := level(r.Severity)
		if !j.opts.Log.Enabled(context.Background(), at) || j.send != nil && j.send(r) == nil {
			continue
		}
		attrs := []any{"text", r.Text, "id", r.Seq}
		for _, a := range [][2]string{{"name", r.Name}, {"from", r.From}, {"to", r.To}, {"reason", r.Reason}} {
			if a[1] != "" {
				attrs = append(attrs, a[0], a[1])
			}
		}
		if r.Cause != 0 {
			attrs = append(attrs, "cause", r.Cause)
		}
		j.opts.Log.Log(context.Background(), at, string(r.Type), attrs...)
	}
}

func level(s engine.Severity) slog.Level {
	switch s {
	case engine.Warning:
		return slog.LevelWarn
	case engine.Critical:
		return slog.LevelError
	case engine.Info, engine.Notice:
	}
	return slog.LevelInfo
}
