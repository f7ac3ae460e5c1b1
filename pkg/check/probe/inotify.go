package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dirNews is what can change where a path through a directory leads to.
	dirNews = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	// fileNews is what can change what a file holds. Writing counts when it is
	// over.
	fileNews = unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

	maxLinks = 40 // as many symbolic links as the kernel follows
)

// native is the byte order of what the kernel writes for this host alone.
var native = binary.NativeEndian

// trail watches every place that decides what a path leads to: each directory
// in which one of its names is looked up, those behind symbolic links included.
// A directory that is missing is waited for in the one above it. It is used by
// one goroutine at a time.
type trail struct {
	file  *os.File                  // of inotify; nil = the kernel gave none
	names map[int32]map[string]bool // by watch: the names that matter there; nil = everything does
	buf   [4096]byte
}

func newTrail(log *slog.Logger) *trail {
	t := &trail{names: map[int32]map[string]bool{}}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		log.Warn("changes of files are seen by looking only", "error", os.NewSyscallError("inotify_init", err))
		return t
	}
	t.file = os.NewFile(uintptr(fd), "inotify")
	return t
}

func (t *trail) close() {
	if t.file != nil {
		_ = t.file.Close() // only read from
	}
}

// follow watches what decides about path from now on, and what the file holds
// when content matters. What cannot be watched is left to the next look.
func (t *trail) follow(path string, content bool) {
	if t.file == nil {
		return
	}
	names := map[int32]map[string]bool{}
	watch := func(dir string, mask uint32, name string) {
		wd, err := t.add(dir, mask)
		switch {
		case err != nil:
		case name == "":
			names[wd] = nil
		case names[wd] == nil:
			names[wd] = map[string]bool{name: true}
		default:
			names[wd][name] = true
		}
	}
	end := walk(path, func(dir, name string) { watch(dir, dirNews, name) })
	if content && end != "" {
		watch(end, fileNews, "")
	}
	for wd := range t.names {
		if _, stays := names[wd]; !stays {
			t.remove(wd)
		}
	}
	t.names = names
}

func (t *trail) add(path string, mask uint32) (wd int32, err error) {
	raw, err := t.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		var n int
		n, err = unix.InotifyAddWatch(int(fd), path, mask)
		wd = int32(n)
	})
	return wd, errors.Join(controlErr, err)
}

func (t *trail) remove(wd int32) {
	if raw, err := t.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_, _ = unix.InotifyRmWatch(int(fd), uint32(wd)) // it is gone by itself when the directory is
		})
	}
}

// walk calls visit for each directory in which a name of path is looked up,
// before it is, and returns the path without symbolic links, or "" when it
// leads nowhere.
func walk(path string, visit func(dir, name string)) (end string) {
	dir, rest := "/", strings.Split(filepath.Clean(path), "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		visit(dir, name)
		here := filepath.Join(dir, name)
		info, err := os.Lstat(here)
		if err != nil {
			return ""
		}
		if info.Mode()&os.ModeSymlink == 0 {
			dir = here
			continue
		}
		target, err := os.Readlink(here)
		if links++; err != nil || links > maxLinks {
			return ""
		}
		if filepath.IsAbs(target) {
			dir = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return dir
}

// wait returns when something that matters has changed, after most at the
// latest, or when ctx ends.
func (t *trail) wait(ctx context.Context, most time.Duration) {
	until := time.Now().Add(most)
	for t.file != nil && ctx.Err() == nil {
		news, err := t.read(ctx, until)
		switch {
		case news, errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil: // not what an inotify descriptor does
			t.close()
			t.file = nil
		}
	}
	pause(ctx, time.Until(until))
}

// read takes what inotify has to tell, and reports whether that matters.
func (t *trail) read(ctx context.Context, until time.Time) (news bool, err error) {
	if err := t.file.SetReadDeadline(until); err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = t.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err := t.file.Read(t.buf[:])
	if err != nil {
		return false, err
	}
	return t.matters(t.buf[:n]), nil
}

// matters reports whether one of the events is about something on the trail.
func (t *trail) matters(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent { // wd, mask, cookie, length of the name, the name
		wd, mask := int32(native.Uint32(events)), native.Uint32(events[4:])
		size := unix.SizeofInotifyEvent + int(native.Uint32(events[12:]))
		if size > len(events) {
			return true // the kernel does not cut them; look rather than miss one
		}
		name := strings.TrimRight(string(events[unix.SizeofInotifyEvent:size]), "\x00")
		names, ours := t.names[wd]
		if mask&unix.IN_Q_OVERFLOW != 0 || ours && (name == "" || names == nil || names[name]) {
			return true
		}
		events = events[size:]
	}
	return false
}

// pause waits for a while, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
