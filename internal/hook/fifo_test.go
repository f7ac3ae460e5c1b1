package hook

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// counted waits until so many lines of FIFOs ended in some way.
func (h *harness) counted(n uint64) map[Result]uint64 {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		got := map[Result]uint64{}
		sum := uint64(0)
		for run, count := range h.Counters().Runs {
			if run.Kind == FIFO {
				got[run.Result] += count
				sum += count
			}
		}
		if sum >= n {
			return got
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("counted %v, want %d", got, n)
		}
	}
}

func fifoHarness(t *testing.T, path string) *harness {
	t.Helper()
	h := run(t, NewRunner(quiet))
	h.Configure(Settings{}, map[Subject]Hooks{web: {FIFO: path}, edge.Subject: {FIFO: path}})
	return h
}

// TestFIFO: the lines are keepalived's, a reader gets them in order and finds no
// end between them, and a second reader finds what comes after the first.
func TestFIFO(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify.fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	h := fifoHarness(t, path)
	for range 2 {
		reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(reader)
		h.Notify(active)
		h.Notify(edge)
		for _, want := range []string{"INSTANCE \"web\" MASTER 150\n", "GROUP \"edge\" STOP 0\n"} {
			h.next()
			got, err := "", error(nil)
			for deadline := time.Now().Add(time.Minute); got == "" && time.Now().Before(deadline); {
				got, err = in.ReadString('\n') // its end, as long as nobody has it open for writing
			}
			if got != want {
				t.Errorf("read %q (%v), want %q", got, err, want)
			}
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[Result]uint64{OK: 4}, h.counted(4)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestFIFONobodyReads: without a reader, and with one that does not read, lines
// are dropped and counted, and nothing waits.
func TestFIFONobodyReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify.fifo")
	h := fifoHarness(t, path)
	for range 10 {
		h.Notify(active)
		h.next()
	}
	if diff := cmp.Diff(map[Result]uint64{Dropped: 10}, h.counted(10)); diff != "" {
		t.Errorf("without a reader (-want +got)\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Fatalf("the FIFO was not made: %v (%v)", info, err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	const lines = 5000 // more than a pipe holds
	for i := range lines {
		h.Notify(active)
		if i%100 == 0 {
			h.counted(uint64(10 + i)) // no faster than it is written
		}
	}
	got := h.counted(10 + lines)
	if got[OK] == 0 || got[Dropped] <= 10 || got[OK]+got[Dropped] != 10+lines {
		t.Errorf("with a reader that does not read: %v", got)
	}
}

// TestFIFOIsNone: other kinds of files are not written to.
func TestFIFOIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir, "/dev/null", filepath.Join(dir, "none", "notify.fifo")} {
		h := fifoHarness(t, path)
		h.Notify(active)
		h.Notify(active)
		if diff := cmp.Diff(map[Result]uint64{Failed: 2}, h.counted(2)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
	if text, _ := os.ReadFile(file); string(text) != "precious\n" {
		t.Errorf("the file holds %q", text)
	}
}

// TestFIFOReplaced: whoever makes the FIFO anew is written to.
func TestFIFOReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify.fifo")
	h := fifoHarness(t, path)
	for i := range 3 {
		// In one step: where there is none for a moment, the runner makes one.
		if err := unix.Mkfifo(path+".new", 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		h.Notify(active)
		if got := h.counted(uint64(i + 1)); got[OK] != uint64(i+1) {
			t.Errorf("round %d: %v", i, got)
		}
		buf := make([]byte, 100)
		if n, err := reader.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "INSTANCE") {
			t.Errorf("round %d: read %q (%v)", i, buf[:n], err)
		}
		_ = reader.Close()
	}
}
