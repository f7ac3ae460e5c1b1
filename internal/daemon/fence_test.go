package daemon

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/fence/agent"
)

// The history is kept whole over a restart, and a torn line of it costs that line.
func TestFenceHistory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFences(dir, agent.NewRunner(slog.New(slog.DiscardHandler)))
	want := fence.History{
		{Time: time.Unix(1000, 0).UTC(), Peer: "lb2", Kind: fence.Shot, Level: 1, Devices: []string{"bmc"}},
		{Time: time.Unix(1001, 0).UTC(), Peer: "lb2", Kind: fence.Confirmed, By: "anna (uid 1004)"},
	}
	for _, e := range want {
		f.remember(e)
	}
	if err := f.save(); err != nil {
		t.Fatal(err)
	}
	after := newFences(dir, nil)
	got, err := after.load()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("history (%v): -want +got:\n%s", err, diff)
	}
	file, err := os.OpenFile(filepath.Join(dir, "fences.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"time":"20`); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if got, err = newFences(dir, nil).load(); len(got) != 2 || err == nil {
		t.Errorf("%d entries of a torn file, %v; want 2 and a word about it", len(got), err)
	}
}

// The next process on this host goes on where this one was, if it starts at once.
func TestFenceMemory(t *testing.T) {
	t.Parallel()
	now := time.Now()
	peer := engine.FenceMemory{Heard: now.Add(-3 * time.Second), PeerContent: true, PeerHolds: true, Preferred: true}
	holder := peer
	holder.Holds = true
	for name, c := range map[string]struct {
		peer   engine.FenceMemory
		change func(*memoryFile)
		lost   bool
	}{
		"at once":             {peer: peer},
		"another boot":        {peer: peer, change: func(m *memoryFile) { m.Boot = "another" }, lost: true},
		"long ago":            {peer: peer, change: func(m *memoryFile) { m.Saved -= memoryGood + time.Second }, lost: true},
		"from the future":     {peer: peer, change: func(m *memoryFile) { m.Saved += time.Hour }, lost: true},
		"by one that held it": {peer: holder, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFences(t.TempDir(), nil)
			wrote := memory{map[string]engine.FenceMemory{"lb2": c.peer, "lb3": {}}, now.Add(-time.Minute)}
			if err := f.note(wrote); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				rewrite(t, f.path+".json", c.change)
			}
			got, err := f.recall(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if c.lost != (got == nil) {
				t.Fatalf("recalled %+v", got)
			}
			if c.lost {
				return
			}
			want := map[string]engine.FenceMemory{"lb2": c.peer} // lb3 was never heard
			about := cmpopts.EquateApproxTime(time.Second)
			if diff := cmp.Diff(want, got.peers, about); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(wrote.upset, got.upset, about); diff != "" {
				t.Errorf("upset: -want +got:\n%s", diff)
			}
		})
	}
}

func rewrite(t *testing.T, path string, change func(*memoryFile)) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m memoryFile
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	change(&m)
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Agents get the options of their device and its secrets, sorted.
func TestFenceDevices(t *testing.T) {
	t.Parallel()
	bmc := fence.Device{Agent: "fence_ipmilan", Options: []fence.Option{{Name: "ip", Value: "10.0.8.3"}}}
	cfg := &config.Config{
		Engine:       engine.Config{Fences: map[string]fence.Config{"lb2": {Devices: map[string]fence.Device{"bmc": bmc}}}},
		FenceSecrets: map[string]map[string]config.Secret{"bmc": {"password": "x", "key": "y"}, "other": {"password": "z"}},
	}
	want := map[string]agent.Device{"bmc": {Device: bmc, Secrets: []fence.Option{{Name: "key", Value: "y"}, {Name: "password", Value: "x"}}}}
	if diff := cmp.Diff(want, fenceDevices(cfg)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
