package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
)

// TestDrainsKept: what is saved is loaded, and only drained VIPs are in it.
func TestDrainsKept(t *testing.T) {
	t.Parallel()
	d := newDrains(t.TempDir())
	if got, err := d.load(); err != nil || len(got.Drains)+len(got.Services) != 0 {
		t.Fatalf("before the first: %v, %v", got, err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	drained := engine.DrainStatus{Actor: "anna (uid 1004)", Reason: "new kernel", Since: at, Until: at.Add(time.Hour)}
	if err := d.save(engine.Status{VIPs: []engine.VIPStatus{{Name: "mail"}, {Name: "web", Drained: &drained}},
		Services: []engine.ServiceStatus{{Name: "dns", Drained: &drained}, {Name: "ntp"}}}); err != nil {
		t.Fatal(err)
	}
	got, err := d.load()
	if err != nil {
		t.Fatal(err)
	}
	want := drainsFile{Schema: drainsSchema, Drains: map[string]engine.DrainStatus{"web": drained}, Services: map[string]engine.DrainStatus{"dns": drained}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestDrainsSpoiled: a file that makes no sense is an error that names it, and a
// directory that cannot be written to one too.
func TestDrainsSpoiled(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"garbage": "\x00\x01", "another schema": `{"schema":"vipd.drains/v9"}`, "empty": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "drains.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := newDrains(dir).load(); err == nil {
				t.Errorf("loaded %v", got)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newDrains(file).save(engine.Status{}); err == nil {
		t.Error("saved into something that is no directory")
	}
}
