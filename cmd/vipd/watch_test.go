package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/pkg/engine"
)

// terminalOf makes a terminal of 40 lines and 120 columns: what a user sees and
// types, and what a program has.
func terminalOf(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { _ = user.Close() })
	fd := int(user.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}); err != nil {
		t.Fatal(err)
	}
	return user, program
}

// seen collects what a terminal shows.
type seen struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

// watchTerminal reads all that a program writes.
func watchTerminal(user io.Reader) *seen {
	s := &seen{more: make(chan struct{}, 1)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := user.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// until waits for a pattern in what comes after an earlier one, and returns
// where it ends.
func (s *seen) until(t *testing.T, from int, pattern string) int {
	t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		text := s.text.String()
		s.mu.Unlock()
		if at := re.FindStringIndex(text[from:]); at != nil {
			return from + at[1]
		}
		select {
		case <-s.more:
		case <-late:
			t.Fatalf("%s never appears in %q", pattern, text[from:])
		}
	}
}

// TestWatchTerminal takes the screen, obeys the keys, shows events at once and
// changed cells in reverse video, and leaves the terminal as it was.
func TestWatchTerminal(t *testing.T) {
	for name, end := range map[string]func(user io.Writer, cancel func()){
		"key":    func(user io.Writer, _ func()) { _, _ = io.WriteString(user, "q") },
		"ctrl-c": func(user io.Writer, _ func()) { _, _ = io.WriteString(user, "\x03") },
		"signal": func(_ io.Writer, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			user, program := terminalOf(t)
			before, err := term.GetState(int(program.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			d := &controltest.Daemon{Doc: controltest.Pair()}
			d.Record(controltest.History()...)
			socket := filepath.Join(t.TempDir(), "s")
			srv := control.New(d, control.Options{Socket: socket})
			if err := srv.Listen(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- srv.Run(ctx) }()
			defer func() { cancel(); <-served }()

			t.Setenv("TERM", "xterm")
			t.Setenv("NO_COLOR", "")
			a := &app{tui: newTUI(program, io.Discard)}
			a.in = program
			root := a.root()
			root.SetArgs([]string{"--socket", socket, "watch", "--interval", "1m"})
			inner, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			ended := make(chan error, 1)
			screen := watchTerminal(user)
			go func() { ended <- root.ExecuteContext(inner) }()

			at := screen.until(t, 0, `\x1b\[\?1049h`)
			at = screen.until(t, at, `14:02:11.340  vrrp_transition`)
			_, _ = io.WriteString(user, "w")
			at = screen.until(t, at, `192.0.2.11/24 2001:db8::10/64`)
			_, _ = io.WriteString(user, "e")
			at = screen.until(t, at, `\x1b\[H\x1b\[33m14:02:08.113`)
			_, _ = io.WriteString(user, "e")
			at = screen.until(t, at, `\x1b\[Hlb1  vipd`)
			if _, err := d.Do(t.Context(), engine.Drain{Names: []string{"mail"}, Actor: engine.Actor{Name: "anna"}}); err != nil {
				t.Fatal(err)
			}
			at = screen.until(t, at, `\x1b\[7mDRAINED\x1b\[0m`)
			at = screen.until(t, at, `mail drained by anna`)
			end(user, interrupt)
			screen.until(t, at, `\x1b\[\?1049l`)
			if err := <-ended; err != nil {
				t.Errorf("watch: %v", err)
			}
			after, err := term.GetState(int(program.Fd()))
			if err != nil || *after != *before {
				t.Errorf("the terminal is %+v, was %+v (%v)", after, before, err)
			}
		})
	}
}

// TestFit cuts to the lines that a terminal has, and not at all elsewhere.
func TestFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lines int
		want  string
	}{{0, "a\nb\nc\n"}, {4, "a\nb\nc\n"}, {3, "a\nb\n"}, {1, "a\n"}, {-5, "a\nb\nc\n"}} {
		if got := fit("a\nb\nc\n", c.lines); got != c.want {
			t.Errorf("%d lines: %q, want %q", c.lines, got, c.want)
		}
	}
}
