package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// keptSchema is the schema of the file that a run leaves for the next one when its
// routes stay with the neighbors.
const keptSchema = "vipd.kept/v1"

// keptFile is that file.
type keptFile struct {
	Schema string    `json:"schema"`
	Boot   string    `json:"boot_id"` // of the host: after a boot nothing was forwarded meanwhile
	Until  time.Time `json:"until"`   // when the neighbors forget the routes
}

func (d *Daemon) keptPath() string { return filepath.Join(d.opts.StateDir, "kept.json") }

// bootID names this life of the host.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
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
	boot, err := bootID()
	if err != nil {
		return err
	}
	text, err := json.Marshal(keptFile{Schema: keptSchema, Boot: boot, Until: until.UTC()})
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
	if err != nil {
		d.log.Warn("what the last run left with the neighbors is not known", "error", err)
	}
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
	if file.Schema != keptSchema {
		return time.Time{}, fmt.Errorf("read %s: schema %q, not %q", path, file.Schema, keptSchema)
	}
	boot, err := bootID()
	if err != nil || boot != file.Boot || !now.Before(file.Until) {
		return time.Time{}, err
	}
	return now.Add(file.Until.Sub(now)), nil // on the clock that never jumps from here on
}
