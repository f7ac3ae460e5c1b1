package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// provenSchema is the schema of the file that keeps when each VIP was last proven
// to fail over.
const provenSchema = "vipd.proven/v1"

// provenFile is that file.
type provenFile struct {
	Schema string               `json:"schema"`
	VIPs   map[string]time.Time `json:"vips"`
}

// proven keeps when each VIP was last proven to fail over.
type proven struct {
	path    string        // "" = it is not kept
	changed chan struct{} // holds a token when there is something to write

	mu sync.Mutex
	at map[string]time.Time
}

func newProven(dir string) *proven {
	p := &proven{changed: make(chan struct{}, 1), at: map[string]time.Time{}}
	if dir != "" {
		p.path = filepath.Join(dir, "proven.json")
	}
	return p
}

// remember notes a proof. It never waits.
func (p *proven) remember(a engine.RememberProven) {
	p.mu.Lock()
	p.at[a.VIP] = a.At
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default: // there is a token
	}
}

// load reads what an earlier run kept.
func (p *proven) load() (map[string]time.Time, error) {
	if p.path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file provenFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, unread(p.path, err)
	}
	if err := otherSchema(file.Schema, provenSchema); err != nil {
		return nil, unread(p.path, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = maps.Clone(file.VIPs)
	if p.at == nil {
		p.at = map[string]time.Time{}
	}
	return file.VIPs, nil
}

// save writes the file; it is whole or old, never half.
func (p *proven) save() error {
	p.mu.Lock()
	text, err := json.Marshal(provenFile{provenSchema, p.at})
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return replace(p.path, append(text, '\n'), false)
}

// keepProven writes after each change, until ctx ends.
func (d *Daemon) keepProven(ctx context.Context) {
	if d.proven.path == "" {
		return
	}
	for {
		select {
		case <-d.proven.changed:
		case <-ctx.Done():
			return
		}
		if err := d.proven.save(); err != nil {
			d.log.Warn("proven failovers are not kept over a restart", "error", err)
		}
	}
}

// restoreProven tells the engine what an earlier run knew. It belongs into the turn
// of the first configure.
func (d *Daemon) restoreProven() {
	at, err := d.proven.load()
	d.lose("when failovers were proven is lost", err)
	if len(at) > 0 {
		d.step(engine.RestoreProven{At: at})
	}
}
