package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestKept: what a run leaves is read once, by a run of the same boot that is in
// time.
func TestKept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := &Daemon{opts: Options{StateDir: filepath.Join(t.TempDir(), "new")}}
	read := func(at time.Time) time.Time {
		t.Helper()
		until, err := readKept(d.keptPath(), at)
		if err != nil {
			t.Fatal(err)
		}
		return until
	}
	leave := func() {
		t.Helper()
		if err := d.leaveWord(now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(now); !got.IsZero() {
		t.Errorf("without a file: %v", got)
	}
	leave()
	if got := read(now); !got.Equal(now.Add(time.Minute)) {
		t.Errorf("got %v, want %v", got, now.Add(time.Minute))
	}
	if got := read(now); !got.IsZero() {
		t.Errorf("a second time: %v", got)
	}
	leave()
	if got := read(now.Add(time.Minute)); !got.IsZero() {
		t.Errorf("too late: %v", got)
	}
	write(t, d.keptPath(), `{"schema":"vipd.kept/v1","booted":"2026-01-02T03:04:05Z","until":"2999-01-02T03:04:05Z"}`)
	if got := read(now); !got.IsZero() {
		t.Errorf("after a boot of the host: %v", got)
	}
	for _, spoiled := range []string{"", "{}", `{"schema":"vipd.kept/v2"}`} {
		write(t, d.keptPath(), spoiled)
		if until, err := readKept(d.keptPath(), now); err == nil || !until.IsZero() {
			t.Errorf("%q: %v, %v", spoiled, until, err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
