package replay

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// Result is how a replay went.
type Result struct {
	Events     int           // given to the engine
	Last       time.Duration // when the last of them happened, since the start
	Status     engine.Status // of the engine after them
	Difference *Difference   // the first one, nil when everything is as it was recorded
}

// Difference is one step at which the engine reported something else than the
// recording says. Either may be nil: nothing.
type Difference struct {
	Line     int            `json:"line"`
	At       time.Duration  `json:"t"`
	Recorded *engine.Record `json:"recorded"`
	Replayed *engine.Record `json:"replayed"`
}

// String tells it in a sentence.
func (d Difference) String() string {
	text := func(r *engine.Record) string {
		if r == nil {
			return "nothing"
		}
		return fmt.Sprintf("%q (id %d, cause %d, %s, %s)", r.Text, r.Seq, r.Cause, r.Type, r.Severity)
	}
	return fmt.Sprintf("line %d, %s after the start: recorded %s, replayed %s", d.Line, d.At, text(d.Recorded), text(d.Replayed))
}

// Play gives what a reader reads to a new engine, up to the time until when that
// is not 0, and calls each, when it is not nil, with every record that the
// engine reports. It ends early with the error of the reader; the result tells
// about the steps before it all the same.
func Play(r *Reader, until time.Duration, each func(engine.Record)) (Result, error) {
	start := r.Header.Started
	eng := engine.New(start)
	var res Result
	for {
		s, err := r.Next()
		if err != nil || until > 0 && s.At > until {
			res.Status = eng.Status(start.Add(res.Last))
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return res, err
		}
		var said []engine.Record
		for _, a := range eng.Step(start.Add(s.At), s.Event) {
			if report, ok := a.(engine.Report); ok {
				said = append(said, report.Record)
				if each != nil {
					each(report.Record)
				}
			}
		}
		res.Events, res.Last = res.Events+1, s.At
		if res.Difference == nil {
			res.Difference = compare(s.Records, timeless(said))
		}
		if d := res.Difference; d != nil && d.Line == 0 {
			d.Line, d.At = r.Line, s.At
		}
	}
}

// compare finds the first record that differs.
func compare(recorded, replayed []engine.Record) *Difference {
	if slices.Equal(recorded, replayed) {
		return nil
	}
	at := func(list []engine.Record, i int) *engine.Record {
		if i < len(list) {
			return &list[i]
		}
		return nil
	}
	for i := 0; ; i++ {
		a, b := at(recorded, i), at(replayed, i)
		if a == nil || b == nil || *a != *b {
			return &Difference{Recorded: a, Replayed: b}
		}
	}
}
