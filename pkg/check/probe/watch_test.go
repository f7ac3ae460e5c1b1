package probe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// sights collects what a watch tells.
type sights chan string

func (s sights) seen(ctx context.Context, _ string, seen Seen) {
	text := fmt.Sprint(seen.OK, " ", seen.Detail)
	if seen.Weight != nil {
		text += fmt.Sprint(" weight ", *seen.Weight)
	}
	select {
	case s <- text:
	case <-ctx.Done():
	}
}

// expect waits for what is told next.
func (s sights) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-s:
		if got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("told nothing, want %q", want)
	}
}

// until waits for something to be told, whatever is told before that.
func (s sights) until(t *testing.T, want string) {
	t.Helper()
	last := "nothing"
	for deadline := time.After(20 * time.Second); ; {
		select {
		case last = <-s:
			if last == want {
				return
			}
		case <-deadline:
			t.Fatalf("told %q at last, want %q", last, want)
		}
	}
}

// slow is a config whose watch does nothing by itself within a test: what is
// told is told by an event.
func slow(spec check.Spec) check.Config { return config(spec, time.Hour) }

// watching watches one thing until the test ends.
func watching(t *testing.T, cfg check.Config) sights {
	t.Helper()
	r, s := NewRunner(Settings{Log: logger(t)}), make(sights, 100)
	running(t, r)
	r.Watch("it", cfg, s.seen)
	return s
}

func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	r, s := NewRunner(Settings{}), make(sights, 10)
	r.Watch("early", slow(check.File{Path: one}), s.seen)
	stop := running(t, r)
	s.expect(t, "false "+one+" does not exist")
	writeFile(t, one, "")
	s.expect(t, "true "+one+" exists")

	r.Watch("early", slow(check.File{Path: two, Absent: true}), s.seen) // instead of the first
	s.expect(t, "true "+two+" does not exist")
	removeFile(t, one)
	writeFile(t, two, "")
	s.expect(t, "false "+two+" exists")

	r.Unwatch("early")
	r.Unwatch("nobody")
	removeFile(t, two)
	other := make(sights, 10)
	r.Watch("late", slow(check.File{Path: two}), other.seen)
	other.expect(t, "false "+two+" does not exist")
	stop()
	writeFile(t, two, "")
	r.Watch("never", slow(check.File{Path: two}), other.seen)
	if len(s) > 0 || len(other) > 0 {
		t.Error("told something after the end")
	}
}

func TestWatchNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spec check.Spec
		want string
	}{
		{nil, "false nothing to watch: the check has no type"},
		{check.TCP{}, "false no watch for type tcp"},
		{odd{"file"}, "false no watch for probe.odd"},
	} {
		watching(t, slow(tt.spec)).expect(t, tt.want)
	}
}

// The end of a watch is the end of the context of what it tells: nobody waits
// for somebody who does not listen any more.
func TestUnwatchEndsWhatIsTold(t *testing.T) {
	t.Parallel()
	r, told, ended := NewRunner(Settings{}), make(chan struct{}), make(chan struct{})
	running(t, r)
	r.Watch("it", slow(check.File{Path: "/"}), func(ctx context.Context, _ string, _ Seen) {
		close(told)
		<-ctx.Done()
		close(ended)
	})
	<-told
	r.Unwatch("it")
	<-ended
}

// Thousands of watches leave no descriptor and no goroutine behind.
func TestWatchLeaksNothing(t *testing.T) {
	r, s := NewRunner(Settings{}), make(sights, 1)
	stop := running(t, r)
	path := filepath.Join(t.TempDir(), "pid")
	writeFile(t, path, fmt.Sprint(os.Getpid()))
	specs := []check.Spec{
		check.File{Path: path},
		check.Process{PIDFile: path},
		check.Process{Name: "no-such-process", Listen: ":1"},
		check.Process{PIDFile: path, Listen: ":1", ListenUDP: ":1"},
		check.Process{Unit: "no-such.service"},
		check.Unit{Name: "no-such.service"},
	}
	first := 0
	for i := range 3000 {
		cfg := config(specs[i%len(specs)], time.Second)
		r.Watch("it", cfg, s.seen)
		if i%2 == 0 { // others end before they have told anything
			<-s
		}
		if i%3 == 0 {
			r.Unwatch("it")
		}
		if i == 300 {
			first = descriptors(t)
		}
	}
	r.Unwatch("it")
	stop()
	if n := descriptors(t); n > first {
		t.Errorf("%d descriptors are open, %d after the first few", n, first)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > 40; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left", runtime.NumGoroutine())
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
