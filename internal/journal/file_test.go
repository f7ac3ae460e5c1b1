package journal

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/testenv"
)

// add adds records with the given numbers of the engine.
func add(j *Journal, from, to uint64) {
	for seq := from; seq <= to; seq++ {
		j.Add(engine.Record{Seq: seq, Type: engine.RecordCheck, Text: fmt.Sprintf("record %d", seq), Severity: engine.Info})
	}
}

// lines reads the lines of the file; every one must be an event.
func lines(t *testing.T, path string) (list []engine.EventDocument) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		var doc engine.EventDocument
		if err := json.Unmarshal([]byte(l), &doc); err != nil || !strings.HasSuffix(l, "\n") || doc.Schema != "vipd.event/v1" || doc.Node != "lb1" {
			t.Errorf("%v: %q", err, l)
		}
		list = append(list, doc)
	}
	return list
}

// TestTorn: a last line that a crash cut, and lines of garbage, are left out;
// what comes later stands on lines of its own.
func TestTorn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(whole string) string
		keeps int // of three records
	}{
		"nothing":         {func(s string) string { return s }, 3},
		"cut":             {func(s string) string { return s[:len(s)-5] }, 2},
		"only the feed":   {func(s string) string { return s[:len(s)-1] }, 2},
		"zeros":           {func(s string) string { return s + strings.Repeat("\x00", 4096) }, 3},
		"zeros and feed":  {func(s string) string { return s + strings.Repeat("\x00", 4096) + "\n" }, 3},
		"garbage between": {func(s string) string { return "garbage\n" + s }, 3},
		"another schema":  {func(s string) string { return s + `{"schema":"vipd.event/v9","id":9}` + "\n" }, 3},
		"a huge number":   {func(s string) string { return s + `{"schema":"vipd.event/v1","id":18446744073709551615}` + "\n" }, 3},
		"a number again":  {func(s string) string { return s + s }, 3},
		"empty":           {func(string) string { return "" }, 0},
		"only garbage":    {func(string) string { return strings.Repeat("x", 200_000) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "events.jsonl")
			j := kept(dir)
			add(j, 1, 3)
			finish(t, j)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tc.spoil(string(whole))), 0o600); err != nil {
				t.Fatal(err)
			}
			j = kept(dir)
			if before, _ := j.Since(0); len(before) != tc.keeps {
				t.Errorf("%d records of the run before, want %d", len(before), tc.keeps)
			}
			add(j, 1, 2)
			finish(t, j)
			if s := j.Status(); s.Error != "" {
				t.Error(s.Error)
			}
			all, _ := kept(dir).Since(0)
			if len(all) != tc.keeps+2 || all[len(all)-1].Text != "record 2" {
				t.Errorf("%+v", all)
			}
		})
	}
}

// TestRotate: one older file is kept, and a start reads on over the border.
func TestRotate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := kept(dir)
	j.file.most = 3000
	for seq := range uint64(100) {
		add(j, seq+1, seq+1)
		j.write()
	}
	finish(t, j)
	newest, older := lines(t, j.file.path), lines(t, j.file.path+".1")
	if len(newest) == 0 || len(older) == 0 || older[len(older)-1].Seq+1 != newest[0].Seq || newest[len(newest)-1].Seq != 100 {
		t.Errorf("%d older, %d newest", len(older), len(newest))
	}
	for _, path := range []string{j.file.path, j.file.path + ".1"} {
		if info, err := os.Stat(path); err != nil || info.Size() > 3000 || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	all, _ := kept(dir).Since(0)
	if len(all) != len(newest)+len(older) {
		t.Errorf("%d records after a restart, want %d", len(all), len(newest)+len(older))
	}
}

// TestUnwritable: a directory that cannot be is no reason to stop; when it can,
// everything is written, in order.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := filepath.Join(base, "state")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := kept(dir)
	add(j, 1, 700)
	j.write()
	if s := j.Status(); !strings.Contains(s.Error, "not a directory") || s.Unsaved != 700 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	if all, _ := j.Since(0); len(all) != 700 {
		t.Errorf("%d records in memory", len(all))
	}
	add(j, 701, most+100)
	j.write()
	if s := j.Status(); s.Dropped != most/10 || s.Unsaved != most-most/10+100 {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	finish(t, j)
	if s := j.Status(); s.Error != "" || s.Unsaved != 0 || s.Dropped != most/10 {
		t.Errorf("%+v", s)
	}
	list := lines(t, j.file.path)
	if len(list) != most-most/10+100 || list[0].Seq != most/10+1 || list[len(list)-1].Seq != most+100 {
		t.Errorf("%d lines from %d", len(list), list[0].Seq)
	}
}

// TestFullDisk: a disk that runs full in the middle of a line leaves none, and
// when there is room again the rest is written.
func TestFullDisk(t *testing.T) {
	testenv.Require(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 48<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	j := kept(dir)
	for seq := range uint64(200) {
		add(j, seq+1, seq+1)
		j.write()
	}
	s := j.Status()
	if !strings.Contains(s.Error, "no space left on device") || s.Unsaved == 0 {
		t.Fatalf("%+v", s)
	}
	if got := uint64(len(lines(t, j.file.path))); got+s.Unsaved != 200 {
		t.Errorf("%d lines and %d unsaved of 200", got, s.Unsaved)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	finish(t, j)
	if list := lines(t, j.file.path); len(list) != 200 || j.Status().Error != "" {
		t.Errorf("%d lines, %+v", len(list), j.Status())
	}
}

// BenchmarkOpen is what a full history costs a start.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	j := kept(dir)
	for n := uint64(1); n < 40_000; n += 5000 {
		add(j, n, n+4999)
		j.write()
	}
	for b.Loop() {
		kept(dir)
	}
}
