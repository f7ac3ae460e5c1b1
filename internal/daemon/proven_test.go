package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
)

// TestProvenKept: the next run knows what this one knew, and adds to it.
func TestProvenKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	web, mail := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	p := newProven(dir)
	if at, err := p.load(); err != nil || at != nil {
		t.Fatalf("%v, %v where nothing was kept", at, err)
	}
	p.remember(engine.RememberProven{VIP: "web", At: web})
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	next := newProven(dir)
	if _, err := next.load(); err != nil {
		t.Fatal(err)
	}
	next.remember(engine.RememberProven{VIP: "mail", At: mail})
	if err := next.save(); err != nil {
		t.Fatal(err)
	}
	got, err := newProven(dir).load()
	if diff := cmp.Diff(map[string]time.Time{"web": web, "mail": mail}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// TestProvenUnreadable: a file that is none is an error, and no panic.
func TestProvenUnreadable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`{`: "unexpected end", `{"schema":"vipd.drains/v1"}`: `schema "vipd.drains/v1"`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "proven.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := newProven(dir).load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
