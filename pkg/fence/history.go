package fence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Entry is one line of the history.
type Entry struct {
	Time    time.Time `json:"time"`
	Peer    string    `json:"peer"`
	Kind    Kind      `json:"kind"`
	Level   int       `json:"level,omitempty"`
	Devices []string  `json:"devices,omitempty"`
	By      string    `json:"by,omitempty"` // the operator
	Text    string    `json:"text,omitempty"`
}

// History is what happened, the oldest first. It is kept over restarts, so that
// the brake works for a host that restarts as well, and for those who ask
// afterwards.
type History []Entry

// maxHistory is how many entries are kept of all peers together.
const maxHistory = 500

// Add adds an entry, and drops the oldest ones when there are too many.
func (h History) Add(e Entry) History {
	h = append(h, e)
	if len(h) > maxHistory {
		h = slices.Clone(h[len(h)-maxHistory:])
	}
	return h
}

// Marshal writes the history, one line of JSON for each entry.
func (h History) Marshal() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, e := range h {
		if err := enc.Encode(e); err != nil {
			return nil, fmt.Errorf("write the fence history: %w", err)
		}
	}
	return b.Bytes(), nil
}

// ParseHistory reads what [History.Marshal] wrote, and how many lines of it are
// unusable: torn ones, or not ours. They are left out.
func ParseHistory(text []byte) (h History, unusable int) {
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Peer == "" || e.Kind == "" || e.Time.IsZero() {
			unusable++
			continue
		}
		h = h.Add(e)
	}
	return h, unusable
}

// Restore tells a new Fencer what an earlier process knew: what happened, and when
// it last heard the peer, zero = not known. Entries from the future, by a clock
// that was wrong, count as of now.
//
// A peer that was cut off, and not heard since, is believed to be off if its
// devices read so again. A peer that was heard by an earlier process on this
// host, which has run since, counts as heard; see [Situation] about Upset.
func (f *Fencer) Restore(now time.Time, h History, heard time.Time) {
	f.heard, f.shots, f.offLevel, f.aimed = heard, nil, -1, -1
	for _, e := range h {
		if e.Peer != f.peer {
			continue
		}
		switch e.Kind {
		case Shot:
			t := now.Add(-max(0, now.Sub(e.Time))) // by the clock that does not jump from here on
			f.shots = append(f.shots, t)
			f.aimed = f.levelOf(e.Devices)
		case Verified:
			f.offLevel = f.levelOf(e.Devices)
		case Void, Lied:
			f.offLevel = -1
		}
	}
	if f.cfg.Reboot {
		f.offLevel = -1
	}
	slices.SortFunc(f.shots, time.Time.Compare)
	f.shots = f.recent(now)
}

// levelOf returns the level that has just these devices, -1 = none.
func (f *Fencer) levelOf(devices []string) int {
	return slices.IndexFunc(f.cfg.Levels, func(names []string) bool { return slices.Equal(names, devices) })
}

func (f *Fencer) remember(now time.Time, k Kind, level int, by, text string) {
	e := Entry{Time: now, Peer: f.peer, Kind: k, Level: level + 1, By: by, Text: text}
	if level >= 0 {
		e.Devices = f.cfg.Levels[level]
	}
	f.out = append(f.out, Remember{e})
}
