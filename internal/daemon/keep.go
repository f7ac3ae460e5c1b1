package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vipd/vipd/internal/netif"
	"github.com/vipd/vipd/pkg/config"
)

// keptSchema is the schema of the file that a run leaves for the next one when its
// routes stay with the neighbors.
const keptSchema = "vipd.kept/v1"

// keptFile is that file.
type keptFile struct {
	Schema string    `json:"schema"`
	Booted time.Time `json:"booted"` // when the host started: after a boot nothing was forwarded meanwhile
	Until  time.Time `json:"until"`  // when the neighbors forget the routes
}

func (d *Daemon) keptPath() string { return filepath.Join(d.opts.StateDir, "kept.json") }

// bootSlack is how much the start of the host may seem to move between two looks,
// as its clock is corrected. A clock that was set looks like a boot, and that is
// the safe side.
const bootSlack = 5 * time.Second

// booted is when this life of the host began. Its boot id would say that better,
// but is hidden from a service with ProcSubset=pid.
func booted(now time.Time) (time.Time, error) {
	up, err := sinceBooted()
	if err != nil {
		return time.Time{}, err
	}
	return now.Round(0).Add(-up), nil
}

// keepRoutes has the end say nothing to the neighbors, and leaves word for the
// next run, when the engine wants it so. It comes after the last turn.
func (d *Daemon) keepRoutes() {
	d.one.Lock()
	within, keeps := d.eng.Keeps()
	process := d.speaker.process
	d.one.Unlock()
	if !keeps || process == nil {
		return
	}
	err := errors.New("there is no state directory")
	if d.opts.StateDir != "" {
		err = d.leaveWord(time.Now().Add(within))
	}
	if err != nil {
		d.log.Error("routes are not kept over the restart", "error", err)
		return
	}
	process.Keep()
}

func (d *Daemon) leaveWord(until time.Time) error {
	boot, err := booted(time.Now())
	if err != nil {
		return err
	}
	text, err := json.Marshal(keptFile{Schema: keptSchema, Booted: boot.UTC(), Until: until.UTC()})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.opts.StateDir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(d.keptPath(), append(text, '\n'), 0o600)
}

// resumes reads what the last run left, once: until when the neighbors keep its
// routes, zero when they do not.
func (d *Daemon) resumes(now time.Time) time.Time {
	if d.opts.StateDir == "" {
		return time.Time{}
	}
	until, err := readKept(d.keptPath(), now)
	d.lose("what the last run left with the neighbors is not known", err)
	return until
}

func readKept(path string, now time.Time) (time.Time, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return time.Time{}, err
	}
	var file keptFile
	if err := json.Unmarshal(text, &file); err != nil {
		return time.Time{}, fmt.Errorf("read %s: %w", path, err)
	}
	if err := otherSchema(file.Schema, keptSchema); err != nil {
		return time.Time{}, fmt.Errorf("read %s: %w", path, err)
	}
	boot, err := booted(time.Now())
	if err != nil || boot.Sub(file.Booted).Abs() > bootSlack || !now.Before(file.Until) {
		return time.Time{}, err
	}
	return now.Add(file.Until.Sub(now)), nil // on the clock that never jumps from here on
}

// stays is what a start leaves as an earlier run left it: addresses of services.
func stays(cfg *config.Config) (list []netif.Wanted) {
	for device, addresses := range cfg.Engine.ServiceAddresses() {
		list = append(list, netif.Wanted{Link: device, Addresses: addresses})
	}
	return list
}
