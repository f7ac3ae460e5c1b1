package daemon

import (
	"context"
	"log/slog"
	"sync"

	"github.com/vipd/vipd/pkg/engine"
)

// journalMost is how many records are kept.
const journalMost = 10_000

// journal keeps the newest records, tells who waits for more, and writes them to
// the log without holding up a turn.
type journal struct {
	log *slog.Logger

	mu      sync.Mutex
	records []engine.Record
	more    chan struct{} // closed when a record is added
	written int           // records of the slice that are in the log
	lost    int           // records that left the slice before they were written
}

func newJournal(log *slog.Logger) *journal {
	return &journal{log: log, more: make(chan struct{})}
}

// add keeps a record. It never waits.
func (j *journal) add(r engine.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.records) == journalMost {
		j.records = append(j.records[:0], j.records[journalMost/10:]...)
		j.lost += max(journalMost/10-j.written, 0)
		j.written = max(j.written-journalMost/10, 0)
	}
	j.records = append(j.records, r)
	close(j.more)
	j.more = make(chan struct{})
}

// since returns the records after seq and a channel that is closed when there
// are more.
func (j *journal) since(seq uint64) ([]engine.Record, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := len(j.records)
	for i > 0 && j.records[i-1].Seq > seq {
		i--
	}
	return append([]engine.Record(nil), j.records[i:]...), j.more
}

// Run writes records to the log until ctx ends, and then those that are left.
func (j *journal) Run(ctx context.Context) {
	for {
		more := j.write()
		select {
		case <-more:
		case <-ctx.Done():
			j.write()
			return
		}
	}
}

// write logs what is new and returns the channel to wait for.
func (j *journal) write() <-chan struct{} {
	j.mu.Lock()
	fresh := append([]engine.Record(nil), j.records[j.written:]...)
	lost, more := j.lost, j.more
	j.written, j.lost = len(j.records), 0
	j.mu.Unlock()
	if lost > 0 {
		j.log.Warn("records not logged", "count", lost)
	}
	for _, r := range fresh {
		attrs := []any{"text", r.Text, "seq", r.Seq}
		for _, a := range [][2]string{{"name", r.Name}, {"from", r.From}, {"to", r.To}, {"reason", r.Reason}} {
			if a[1] != "" {
				attrs = append(attrs, a[0], a[1])
			}
		}
		if r.Cause != 0 {
			attrs = append(attrs, "cause", r.Cause)
		}
		j.log.Log(context.Background(), level(r.Severity), string(r.Type), attrs...)
	}
	return more
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
