package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
)

// unconfirmed is a reload that is taken back unless somebody confirms it in
// time: the change may have cut off whoever made it. The daemon waits, and not
// the client, which may be gone by then.
type unconfirmed struct {
	former *config.Config
	within time.Duration
	by     time.Time
}

// refusal is why there can be no other reload now, "" when there can.
func (u *unconfirmed) refusal() string {
	if u == nil {
		return ""
	}
	return fmt.Sprintf("the last reload waits for its confirmation, and is taken back in %s",
		max(time.Until(u.by), 0).Round(time.Second))
}

// wait arms the way back after a reload, or, with nil, disarms it. It is called
// with r.one.
func (r *reloads) wait(u *unconfirmed) {
	var by time.Time
	if u != nil {
		by = u.by
	}
	r.waits = u
	r.mu.Lock()
	r.status.ConfirmBy = by
	r.mu.Unlock()
	select {
	case <-r.armed: // not seen yet, and out of date
	default:
	}
	r.armed <- by
}

// Confirm implements control.Commander.
func (d *Daemon) Confirm(_ context.Context, actor engine.Actor) (control.ReloadResult, error) {
	d.reloads.one.Lock()
	defer d.reloads.one.Unlock()
	result := control.ReloadResult{Hash: hash(d.cfg.Load())}
	if d.reloads.waits == nil {
		result.Refused = "no reload waits for a confirmation"
		return result, nil
	}
	d.reloads.wait(nil)
	d.log.Info("reload confirmed", "by", actor.Name)
	if !d.noteReload(engine.Notice, actor, "configuration confirmed by "+actor.Name) {
		return result, errEnded
	}
	return result, nil
}

// noteReload writes about a reload into the history.
func (d *Daemon) noteReload(severity engine.Severity, actor engine.Actor, text string) bool {
	return d.turn(func(time.Time) {
		d.step(engine.Noted{Record: engine.Record{Type: engine.RecordReload, Severity: severity, Actor: actor, Text: text}})
	})
}

// reverts takes reloads back that nobody confirms in time.
func (d *Daemon) reverts(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case by := <-d.reloads.armed:
			timer.Stop()
			if !by.IsZero() {
				timer.Reset(time.Until(by))
			}
		case <-timer.C:
			d.revert()
		case <-ctx.Done():
			return
		}
	}
}

// revert puts the former configuration in force again. The file stays as it is.
func (d *Daemon) revert() {
	d.reloads.one.Lock()
	defer d.reloads.one.Unlock()
	u := d.reloads.waits
	if u == nil { // confirmed just now
		return
	}
	d.reloads.wait(nil)
	text := fmt.Sprintf("the reload was not confirmed within %s: the former configuration is in force again", u.within)
	d.log.Warn("reload taken back: not confirmed", "within", u.within)
	d.reloads.tried(time.Now(), "not confirmed within "+u.within.String()+", and taken back")
	d.turn(func(time.Time) {
		d.step(engine.Noted{Record: engine.Record{Type: engine.RecordReload, Severity: engine.Warning, Text: text}})
		d.configure(u.former, engine.Actor{Name: "vipd itself"})
	})
}
