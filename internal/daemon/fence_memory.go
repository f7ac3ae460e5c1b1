package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/engine"
)

const (
	// memorySchema is the schema of the file that tells the next process on this host
	// what it must know of peers.
	memorySchema = "vipd.fence-memory/v1"
	// memoryEvery is how often it is written.
	memoryEvery = time.Second
	// memoryGood is for how long after that it is good: vipd has just restarted, or
	// was upgraded. A peer may do anything while nobody listens for longer.
	memoryGood = 10 * time.Second
)

// memory is what a process knows of peers.
type memory struct {
	peers map[string]engine.FenceMemory
	upset time.Time
}

// memoryFile is a memory with times by the clock that counts from the start of
// the host and that nobody can set.
type memoryFile struct {
	Schema string                `json:"schema"`
	Boot   string                `json:"boot_id"` // of the kernel
	Saved  time.Duration         `json:"saved_ns"`
	Upset  time.Duration         `json:"upset_ns"`
	Peers  map[string]memoryPeer `json:"peers"`
}

type memoryPeer struct {
	Heard time.Duration `json:"heard_ns"`
	engine.FenceMemory
}

// recollect belongs into a turn.
func (d *Daemon) recollect(now time.Time) memory {
	peers, upset := d.eng.FenceMemory(now)
	return memory{peers, upset}
}

// bequeath is what is left of a memory at a polite end: peers that heard of it may
// have taken over before the next process listens.
func (d *Daemon) bequeath(now time.Time) memory {
	m := d.recollect(now)
	for name, p := range m.peers {
		if now.Sub(p.Heard) < d.cfg.Load().Engine.Fences[name].Silence {
			delete(m.peers, name)
		}
	}
	return m
}

// stale reports whether the end of its process made a memory worthless: that
// process held something, and peers count on it that such a host fences nobody.
func (m memory) stale() bool {
	for _, p := range m.peers {
		if p.Holds {
			return true
		}
	}
	return false
}

// note writes a memory. A crash of the host makes it worthless, so it need not
// last.
func (f *fences) note(m memory) error {
	boot, host, err := hostClock()
	if err != nil {
		return err
	}
	now := time.Now()
	since := func(t time.Time) time.Duration { return host - now.Sub(t) }
	file := memoryFile{Schema: memorySchema, Boot: boot, Saved: host, Upset: since(m.upset), Peers: map[string]memoryPeer{}}
	for name, p := range m.peers {
		if !p.Heard.IsZero() {
			heard := since(p.Heard)
			p.Heard = time.Time{}
			file.Peers[name] = memoryPeer{heard, p}
		}
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	return replace(f.path+".json", append(text, '\n'), false)
}

// recall reads what the process before this one has noted: nil when it is not
// good any more.
func (f *fences) recall(now time.Time) (*memory, error) {
	if f.path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.path + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	boot, host, err := hostClock()
	if err != nil {
		return nil, err
	}
	var file memoryFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read %s.json: %w", f.path, err)
	}
	if err := otherSchema(file.Schema, memorySchema); err != nil {
		return nil, fmt.Errorf("read %s.json: %w", f.path, err)
	}
	if file.Boot != boot || file.Saved > host || host-file.Saved > memoryGood {
		return nil, nil
	}
	at := func(since time.Duration) time.Time { return now.Add(-max(0, host-since)) }
	m := &memory{peers: map[string]engine.FenceMemory{}, upset: at(file.Upset)}
	for name, p := range file.Peers {
		p.FenceMemory.Heard = at(p.Heard)
		m.peers[name] = p.FenceMemory
	}
	if m.stale() {
		return nil, nil
	}
	return m, nil
}

// hostClock returns which run of the kernel this is, and for how long it has run,
// asleep or not.
func hostClock() (boot string, now time.Duration, err error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0, err
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0, fmt.Errorf("read the clock of the host: %w", err)
	}
	return string(bytes.TrimSpace(text)), time.Duration(ts.Nano()), nil
}
