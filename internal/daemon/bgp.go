package daemon

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/bgp/speaker"
	"github.com/vipd/vipd/pkg/engine"
)

// stuckAfter is how long a turn may take before the speaker is told no more that
// the daemon lives: what it announces may be wrong by now.
const stuckAfter = 500 * time.Millisecond

// bgpSpeaker is the process that speaks BGP, while there is one. It is used in
// turns only, but for busy.
type bgpSpeaker struct {
	process *speaker.Process // nil = none
	cancel  context.CancelFunc
	resumes bool         // neighbors keep what an earlier run told them
	busy    atomic.Int64 // when the turn began that is under way, ns; 0 = none is
}

// alive reports whether the turns go on.
func (s *bgpSpeaker) alive() bool {
	began := s.busy.Load()
	return began == 0 || time.Now().UnixNano()-began < int64(stuckAfter)
}

// setSpeaker starts the speaker, gives it another configuration, or ends it.
func (d *Daemon) setSpeaker(cfg bgp.Config) {
	s := &d.speaker
	if len(cfg.Neighbors) == 0 {
		if s.process != nil {
			s.cancel()
			s.process = nil
		}
		return
	}
	cfg.Neighbors = d.withPasswords(cfg.Neighbors)
	if s.process == nil {
		d.startSpeaker()
	}
	s.process.Configure(cfg)
}

// startSpeaker starts the process: this same program.
func (d *Daemon) startSpeaker() {
	s := &d.speaker
	s.process = speaker.New(speaker.Options{Command: speakerCommand(), Log: d.log, Alive: s.alive, Kept: s.resumes})
	s.resumes = false
	ctx, cancel := context.WithCancel(d.run)
	s.cancel = cancel
	process := s.process
	d.spawn(func() error {
		defer cancel()
		if err := process.Run(ctx, d.spoken); err != nil {
			d.post(engine.SpeakerDown{Err: err.Error()})
			d.log.Error("no BGP speaker", "error", err)
		}
		return nil
	})
}

// ownProgram is this program, also after an upgrade has put another one in its
// place.
const ownProgram = "/proc/self/exe"

// speakerCommand is how this program becomes the speaker: this very file, which may
// be another one, or none, at the path that it was started from.
func speakerCommand() []string { return []string{ownProgram, "speaker"} }

// replaced reports whether an upgrade has put another program in the place of
// the one that runs.
func replaced() bool {
	link, err := os.Readlink(ownProgram)
	return err == nil && strings.HasSuffix(link, " (deleted)")
}

// withPasswords adds the secrets, which the engine does not know.
func (d *Daemon) withPasswords(neighbors map[string]bgp.Neighbor) map[string]bgp.Neighbor {
	secrets, out := d.cfg.Load().Passwords, make(map[string]bgp.Neighbor, len(neighbors))
	for name, n := range neighbors {
		n.Password = string(secrets[name])
		out[name] = n
	}
	return out
}

// spoken brings what the speaker reports.
func (d *Daemon) spoken(r speaker.Report) {
	switch r := r.(type) {
	case speaker.Up:
		d.post(engine.SpeakerUp{PID: r.PID})
	case speaker.Down:
		d.post(engine.SpeakerDown{Err: fmt.Sprint(r.Err)})
	case speaker.Session:
		d.post(engine.SessionChanged{Session: r.Session})
	case speaker.Announced:
		d.post(engine.TableAnnounced{Seq: r.Seq, Count: r.Count})
	case speaker.Seen:
		d.post(engine.AnnouncersSeen{Prefix: r.Prefix, Others: r.Others})
	case speaker.Silenced:
		d.post(engine.Noted{Record: engine.Record{Type: engine.RecordSpeaker, To: "silent", Severity: engine.Warning,
			Text: "the BGP speaker withdrew everything and is told again: " + r.Why}})
	}
}
