package program

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/vipd/vipd/testenv"
)

func shell(text string) Program {
	return Program{Command: []string{"/bin/sh", "-c", text}, Timeout: 20 * time.Second, Grace: time.Second}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		ok         bool
		detail     string
	}{
		{"silent", "true", true, "exit 0"},
		{"says a word", "echo one; echo two; exit 3", false, "exit 3: two"},
		{"blank lines last", "echo one; echo; echo '  '", true, "exit 0: one"},
		{"no newline at the end", "echo one; printf two", true, "exit 0: two"},
		{"standard error counts", "echo one; echo two >&2", true, "exit 0: two"},
		{"reads its input", "cat", true, "exit 0: hello"},
		{"ended by a signal", "kill -SEGV $$", false, "killed by SIGSEGV"},
		{"long line", "head -c 100000 /dev/zero | tr '\\0' x", true, "exit 0: " + strings.Repeat("x", maxLine)},
		{"only what it is given", "env | sort | tr '\\n' ' '", true, "exit 0: LANG=C.UTF-8 PATH=" + SearchPath + " PWD=/ VIPD_NAME=web"},
		{"in a group of its own", `[ "$(cut -d' ' -f5 /proc/$$/stat)" = $$ ] && echo leader`, true, "exit 0: leader"},
		{"vanishes", "rm -f /proc/nothing; exec /nonexistent/program", false, "exit 127: /bin/sh: 1: exec: /nonexistent/program: not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := shell(tt.text)
			p.Input, p.Env = []byte("hello\n"), []string{"VIPD_NAME=web"}
			got := Run(t.Context(), p)
			if got.OK != tt.ok || got.Detail != tt.detail || got.Late || got.Killed || got.Took <= 0 {
				t.Errorf("got %+v, want %v %q", got, tt.ok, tt.detail)
			}
		})
	}
}

func TestProgramCannotStart(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/nonexistent/hook": "start /nonexistent/hook: no such program",
		"hook/here":         "start hook/here: not an absolute path",
		t.TempDir():         "not executable",
	} {
		got := Run(t.Context(), Program{Command: []string{path}, Timeout: time.Second})
		if got.OK || !strings.Contains(got.Detail, want) {
			t.Errorf("%s: %+v, want %q", path, got, want)
		}
	}
}

// TestProgramTimeout: SIGTERM to the whole group comes first, SIGKILL after the
// grace; a program cannot talk itself out of having been late.
func TestProgramTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, line string
	}{
		{"hangs", "exec sleep 60", ""},
		{"obeys SIGTERM", "trap 'echo tidy; exit 0' TERM; sleep 60 & wait", ": tidy"},
		{"ignores SIGTERM", "trap '' TERM; echo stubborn; while :; do sleep 60; done", ": stubborn"},
		{"its child gets SIGTERM as well", "(trap 'echo child; exit 0' TERM; sleep 60 & wait) & trap : TERM; wait; wait", ": child"},
		{"forks", "sleep 60 & sleep 60 & sleep 60 & wait", ""},
		{"prints without end", "exec yes f", ": f"},
		{"prints without a newline", "exec cat /dev/zero", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := shell(tt.text)
			p.Timeout, p.Grace = 300*time.Millisecond, 300*time.Millisecond
			got := Run(t.Context(), p)
			if want := "killed, not done within 300ms" + tt.line; got.OK || !got.Late || got.Killed || got.Detail != want {
				t.Errorf("got %+v, want %q", got, want)
			}
		})
	}
}

// TestProgramStopped: the end of the context kills at once, whatever the
// program thinks of SIGTERM.
func TestProgramStopped(t *testing.T) {
	t.Parallel()
	there := filepath.Join(t.TempDir(), "there")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = testenv.Until(ctx, func() bool { _, err := os.Stat(there); return err == nil })
		cancel()
	}()
	p := shell("trap '' TERM; touch " + there + "; while :; do sleep 60; done")
	p.Timeout, p.Grace = time.Minute, time.Minute
	if got := Run(ctx, p); got.OK || got.Late || !got.Killed || got.Detail != "stopped" || got.Took > 30*time.Second {
		t.Errorf("got %+v", got)
	}
}

// TestProgramFlood: a gigabyte of output neither blocks the program nor stays
// in memory, and input that nobody reads blocks nobody.
func TestProgramFlood(t *testing.T) {
	t.Parallel()
	size := 1 << 30
	if testing.Short() {
		size = 64 << 20
	}
	p := shell(fmt.Sprintf("head -c %d /dev/zero; echo; echo done; exit 3", size))
	p.Timeout, p.Input = time.Minute, make([]byte, 1<<20)
	if got := Run(t.Context(), p); got.Detail != "exit 3: done" {
		t.Errorf("got %+v", got)
	}
}

func TestLastLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "",
		"\n\n":                    "",
		"one":                     "one",
		"one\ntwo\n":              "two",
		"one\n \t\n":              "one",
		"one\nsee it for usage\n": "one",
		"one\n\x1b[31mred\xff\n":  "[31mred",
	} {
		for _, r := range []interface{ Read([]byte) (int, error) }{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			if got := lastLine(r, "for usage"); got != want {
				t.Errorf("%q: got %q, want %q", text, got, want)
			}
		}
	}
}
