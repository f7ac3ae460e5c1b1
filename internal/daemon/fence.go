package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/fence/agent"
)

// fences has agents cut peers off, and keeps for the next process what this one
// knows of them: what happened, and when each was heard last.
type fences struct {
	runner *agent.Runner
	path   string        // without ".jsonl" and ".json", "" = nothing is kept
	happen chan struct{} // holds a token when there is history to write

	mu      sync.Mutex
	history fence.History
}

func newFences(dir string, runner *agent.Runner) *fences {
	f := &fences{runner: runner, happen: make(chan struct{}, 1)}
	if dir != "" {
		f.path = filepath.Join(dir, "fences")
	}
	return f
}

// fence works devices, and keeps what must be known of peers, until ctx ends.
func (d *Daemon) fence(ctx context.Context) {
	var kept sync.WaitGroup
	kept.Go(func() { d.keepFences(ctx) })
	d.fences.runner.Run(ctx)
	kept.Wait()
}

// remember adds an entry to the history. It never waits.
func (f *fences) remember(e fence.Entry) {
	f.mu.Lock()
	f.history = f.history.Add(e)
	f.mu.Unlock()
	select {
	case f.happen <- struct{}{}:
	default: // there is a token
	}
}

// past returns the history.
func (f *fences) past() fence.History {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.history)
}

// configureFences gives the runner the devices of a configuration, with their
// secrets.
func (d *Daemon) configureFences(cfg *config.Config) {
	d.fences.runner.Configure(scriptUser(cfg), fenceDevices(cfg))
}

// fenceDevices are the devices by which any peer is fenced.
func fenceDevices(cfg *config.Config) map[string]agent.Device {
	list := map[string]agent.Device{}
	for _, f := range cfg.Engine.Fences {
		for name, dev := range f.Devices {
			secrets := cfg.FenceSecrets[name]
			with := agent.Device{Device: dev}
			for _, option := range slices.Sorted(maps.Keys(secrets)) {
				with.Secrets = append(with.Secrets, fence.Option{Name: option, Value: string(secrets[option])})
			}
			list[name] = with
		}
	}
	return list
}

// restoreFences tells the engine what an earlier process knew. It belongs into
// the turn of the first configure.
func (d *Daemon) restoreFences(now time.Time) {
	past, err := d.fences.load()
	d.lose("some of the history of fences is lost", err)
	ev := engine.RestoreFences{History: past}
	memory, err := d.fences.recall(now)
	d.lose("what the process before knew of peers is lost", err)
	if memory != nil {
		ev.Peers, ev.Upset = memory.peers, memory.upset
	}
	if len(d.cfg.Load().Engine.Fences) > 0 || len(past) > 0 {
		d.step(ev)
	}
}

// load reads the history of earlier runs.
func (f *fences) load() (fence.History, error) {
	if f.path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.path + ".jsonl")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	past, unusable := fence.ParseHistory(text)
	f.mu.Lock()
	f.history = past
	f.mu.Unlock()
	if unusable > 0 {
		err = fmt.Errorf("%s.jsonl: %d lines are unusable", f.path, unusable)
	} else {
		err = nil
	}
	return slices.Clone(past), err
}

// keepFences writes the history after each change, and each second what the next
// process must know, until ctx ends.
func (d *Daemon) keepFences(ctx context.Context) {
	if d.fences.path == "" {
		return
	}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	warned := false // once, until it works again
	for {
		var err error
		select {
		case <-d.fences.happen:
			err = d.fences.save()
		case <-tick.C:
			err = d.noteFences(ctx)
		case <-ctx.Done():
			return
		}
		if err != nil && !warned && ctx.Err() == nil {
			d.log.Warn("fences are not kept over a restart", "error", err)
		}
		warned = err != nil
	}
}

// save writes the history: shots of it must not be forgotten in a crash.
func (f *fences) save() error {
	text, err := f.past().Marshal()
	if err != nil {
		return err
	}
	return replace(f.path+".jsonl", text, true)
}

// noteFences writes what the next process must know.
func (d *Daemon) noteFences(ctx context.Context) error {
	if len(d.cfg.Load().Engine.Fences) == 0 {
		return nil
	}
	memory, err := ask(ctx, d, d.recollect)
	if errors.Is(err, errEnded) {
		return nil // written at the end of the turns
	}
	if err != nil {
		return err
	}
	return d.fences.note(memory)
}

// endFences writes all of it for the last time, after the last turn.
func (d *Daemon) endFences() {
	if d.fences.path == "" || len(d.cfg.Load().Engine.Fences) == 0 {
		return
	}
	if err := errors.Join(d.fences.save(), d.fences.note(d.bequeath(time.Now()))); err != nil {
		d.log.Warn("fences are not kept over a restart", "error", err)
	}
}

// replace writes a file that is whole or old, never half; if it must last, also
// after a power cut.
func replace(path string, text []byte, lasting bool) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	next, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	if lasting && err == nil {
		err = next.Sync()
	}
	if err = errors.Join(err, next.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil || !lasting {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
