package daemon

import (
	"fmt"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/journal"
	"github.com/vipd/vipd/pkg/engine"
)

// record begins the recording that was asked for, if any.
func (d *Daemon) record(node string) (err error) {
	if d.opts.Record == "" {
		return nil
	}
	d.recorder, err = journal.NewRecorder(d.opts.Record, d.opts.RecordMax, d.started, d.opts.Version, node)
	return err
}

// recordingBegun notes that all that decides is recorded.
func (d *Daemon) recordingBegun() {
	if d.recorder != nil {
		d.step(engine.Noted{Record: engine.Record{Type: engine.RecordRecording, To: "recording", Text: "records its input to " + d.opts.Record}})
	}
}

// recordingEnded notes that the recording ended before vipd did.
func (d *Daemon) recordingEnded(why error) {
	d.post(engine.Noted{Record: engine.Record{
		Type: engine.RecordRecording, From: "recording", To: "ended", Severity: engine.Warning,
		Text: fmt.Sprintf("the recording to %s ended: %v", d.opts.Record, why),
	}})
}

// history tells how events are kept and how the recording goes.
func (d *Daemon) history() (control.EventsStatus, *control.RecordingStatus) {
	s := d.journal.Status()
	events := control.EventsStatus{Path: s.Path, Bytes: s.Bytes, Unsaved: s.Unsaved, Dropped: s.Dropped, Error: s.Error}
	if d.recorder == nil {
		return events, nil
	}
	r := d.recorder.Status()
	return events, &control.RecordingStatus{Path: r.Path, Bytes: r.Bytes, Ended: r.Ended}
}
