package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/pkg/check"
)

const (
	maxValue  = 253                   // weights go from its negative to it
	maxNumber = 64                    // bytes of a file that holds one number
	settled   = 50 * time.Millisecond // how long a file may hold half of what is being written
)

// File looks whether a file exists, and for what it says when that is its value;
// links are followed. What cannot be looked at is bad in either sense, since
// nobody knows.
func File(_ context.Context, f check.File, _ Settings) Result { return seeFile(f).result() }

func seeFile(f check.File) Seen {
	if f.Path == "" {
		return Seen{Detail: "no path to look at"}
	}
	_, err := os.Stat(f.Path)
	switch {
	case err == nil && f.Value:
		return seeValue(f.Path)
	case err == nil:
		return Seen{OK: !f.Absent, Detail: f.Path + " exists"}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return Seen{OK: f.Absent, Detail: f.Path + " does not exist"}
	default:
		return Seen{Detail: "look at " + f.Path + ": " + cause(err)}
	}
}

// seeValue reads the weight that a file holds.
func seeValue(path string) Seen {
	n, err := readNumber(path)
	if err != nil {
		return Seen{Detail: err.Error()}
	}
	if n < -maxValue || n > maxValue {
		return Seen{Detail: fmt.Sprintf("%s holds %d, outside -%d to %d", path, n, maxValue, maxValue)}
	}
	return Seen{OK: true, Detail: fmt.Sprintf("%s holds %d", path, n), Weight: &n}
}

// readNumber reads a file that holds one whole number, and names it in errors.
func readNumber(path string) (int, error) {
	// What is no file might never answer; not to wait is all that saves us then.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, errors.New(path + " does not exist")
	case err != nil:
		return 0, fmt.Errorf("read %s: %s", path, cause(err))
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, errors.New(path + " is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxNumber+1))
	if err != nil {
		return 0, fmt.Errorf("read %s: %s", path, cause(err))
	}
	word := strings.TrimSpace(string(text))
	if word == "" {
		return 0, errors.New(path + " is empty")
	}
	n, err := strconv.Atoi(word)
	if err != nil || len(text) > maxNumber {
		return 0, fmt.Errorf("%s holds %q, not a whole number", path, program.Printable(text[:min(len(text), 20)]))
	}
	return n, nil
}

// watchFile watches a file: by inotify, and by looking every now and then, for
// what inotify does not tell (other hosts on a network file system, mounts).
func watchFile(ctx context.Context, f check.File, sc scene) {
	t := newTrail(sc.log)
	var last Seen
	look := func() Seen {
		t.follow(f.Path, f.Value)
		return seeFile(f)
	}
	for {
		s, ended := sc.patiently(ctx, look, t.close)
		if ended && f.Value && last.OK && !s.OK { // perhaps it is being written
			t.wait(ctx, settled)
			s, ended = sc.patiently(ctx, look, t.close)
		}
		if !ended {
			return
		}
		sc.see(s)
		last = s
		t.wait(ctx, sc.every)
		if ctx.Err() != nil {
			t.close()
			return
		}
	}
}

// patiently runs a look that the kernel may keep from ending (a hung file
// system), tells of it when that happens, and waits for the end. It reports
// false when ctx ended before the look did; then what the look used is closed
// after it.
func (sc scene) patiently(ctx context.Context, look func() Seen, closing func()) (s Seen, ended bool) {
	done := make(chan Seen, 1)
	go func() { done <- look() }()
	late := time.NewTimer(sc.every + overtime)
	defer late.Stop()
	for {
		select {
		case s := <-done:
			return s, true
		case <-late.C:
			sc.see(Seen{Detail: fmt.Sprintf("hangs in the kernel, not done within %v", sc.every)})
		case <-ctx.Done():
			go func() { <-done; closing() }()
			return Seen{}, false
		}
	}
}

// cause is the innermost text of an error: what the kernel said.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
