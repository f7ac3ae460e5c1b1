package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vipd/vipd/pkg/engine"
)

// drainsSchema is the schema of the file that keeps drains over restarts.
const drainsSchema = "vipd.drains/v1"

// drainsFile is that file.
type drainsFile struct {
	Schema string                        `json:"schema"`
	Drains map[string]engine.DrainStatus `json:"drains"` // by VIP

	Services map[string]engine.DrainStatus `json:"anycast,omitempty"` // by anycast service
}

// drains keeps who drained what in the state directory, so that a restart does
// not put a VIP or service back behind an operator's back.
type drains struct {
	path    string        // "" = not kept
	changed chan struct{} // holds a token when there is something to write
}

func newDrains(dir string) *drains {
	d := &drains{changed: make(chan struct{}, 1)}
	if dir != "" {
		d.path = filepath.Join(dir, "drains.json")
	}
	return d
}

// touch says that drains changed. It never waits.
func (d *drains) touch() {
	select {
	case d.changed <- struct{}{}:
	default: // there is a token
	}
}

// load reads what an earlier run kept.
func (d *drains) load() (drainsFile, error) {
	var file drainsFile
	if d.path == "" {
		return file, nil
	}
	text, err := os.ReadFile(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	if err != nil {
		return file, err
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return drainsFile{}, unread(d.path, err)
	}
	if err := otherSchema(file.Schema, drainsSchema); err != nil {
		return drainsFile{}, unread(d.path, err)
	}
	return file, nil
}

// save writes the drains of a status; the file is whole or old, never half.
func (d *drains) save(s engine.Status) error {
	file := drainsFile{Schema: drainsSchema, Drains: map[string]engine.DrainStatus{}, Services: map[string]engine.DrainStatus{}}
	for _, v := range s.VIPs {
		if v.Drained != nil {
			file.Drains[v.Name] = *v.Drained
		}
	}
	for _, v := range s.Services {
		if v.Drained != nil {
			file.Services[v.Name] = *v.Drained
		}
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return err
	}
	next := d.path + ".new"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, d.path)
}

// keepDrains writes the drains after each change, until ctx ends.
func (d *Daemon) keepDrains(ctx context.Context) {
	if d.drains.path == "" {
		return
	}
	for {
		select {
		case <-d.drains.changed:
		case <-ctx.Done():
			return
		}
		s, err := ask(ctx, d, d.status)
		if err == nil {
			err = d.drains.save(s)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("drains are not kept over a restart", "error", err)
		}
	}
}
