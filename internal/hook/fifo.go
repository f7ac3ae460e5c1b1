package hook

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// errNotFIFO says what is wrong with a path.
var errNotFIFO = errors.New("not a FIFO")

// linesMost bounds what waits for a FIFO whose file system hangs.
const linesMost = 1024

// fifo is one FIFO, for any number of VIPs and groups. It is kept open, so that
// a reader does not find its end after each line.
type fifo struct {
	path    string
	waiting []string // needs Runner.mu
	busy    bool     // needs Runner.mu
	fd      int      // -1 = not open; of whoever serves it
	failure string   // that was logged last
}

// write hands a line to the goroutine of a FIFO. It needs mu.
func (r *Runner) write(path, line string) {
	f := r.fifos[path]
	if f == nil {
		f = &fifo{path: path, fd: -1}
		r.fifos[path] = f
	}
	if len(f.waiting) == linesMost {
		f.waiting = f.waiting[1:]
		r.counters.count(FIFO, Dropped, 0)
	}
	f.waiting = append(f.waiting, line)
	if !f.busy {
		f.busy = true
		r.start(func(context.Context) { r.serveFIFO(f) })
	}
}

// serveFIFO writes what waits.
func (r *Runner) serveFIFO(f *fifo) {
	for {
		r.mu.Lock()
		if len(f.waiting) == 0 {
			f.busy = false
			r.mu.Unlock()
			return
		}
		line := f.waiting[0]
		f.waiting = f.waiting[1:]
		r.mu.Unlock()

		result, err := f.put(line)
		failure := ""
		if result == Failed {
			failure = err.Error()
		}
		if failure != "" && failure != f.failure {
			r.log.Warn("notify_fifo not written", "path", f.path, "error", failure)
		}
		f.failure = failure
		if line != "" {
			r.mu.Lock()
			r.counters.count(FIFO, result, 0)
			r.mu.Unlock()
		}
	}
}

// put writes one line, if somebody reads; an empty one makes the FIFO and no
// more. It never waits for a reader.
func (f *fifo) put(line string) (Result, error) {
	if f.fd >= 0 && f.replaced() {
		f.close()
	}
	for again := f.fd >= 0; ; again = false {
		if err := f.open(); err != nil {
			if errors.Is(err, unix.ENXIO) {
				return Dropped, nil // nobody has it open
			}
			return Failed, err
		}
		_, err := unix.Write(f.fd, []byte(line)) // whole or not at all: it is shorter than PIPE_BUF
		switch {
		case err == nil:
			return OK, nil
		case errors.Is(err, unix.EAGAIN):
			return Dropped, nil // the reader does not read
		case errors.Is(err, unix.EINTR):
			continue
		}
		f.close()
		if !again { // the reader went away just now; a new one may be there
			return Dropped, nil
		}
	}
}

// open opens the FIFO unless it is open, and makes it when there is nothing.
func (f *fifo) open() error {
	if f.fd >= 0 {
		return nil
	}
	const flags = unix.O_WRONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOFOLLOW
	fd, err := unix.Open(f.path, flags, 0)
	if errors.Is(err, unix.ENOENT) {
		if err := unix.Mkfifo(f.path, 0o640); err != nil {
			return fmt.Errorf("make it: %w", err)
		}
		fd, err = unix.Open(f.path, flags, 0)
	}
	if err != nil {
		return fmt.Errorf("open it: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		_ = unix.Close(fd)
		return errNotFIFO
	}
	f.fd = fd
	return nil
}

// replaced reports whether the path is not the open FIFO any more.
func (f *fifo) replaced() bool {
	var open, named unix.Stat_t
	if unix.Fstat(f.fd, &open) != nil || unix.Lstat(f.path, &named) != nil {
		return true
	}
	return open.Dev != named.Dev || open.Ino != named.Ino
}

func (f *fifo) close() {
	_ = unix.Close(f.fd) // nothing is buffered here
	f.fd = -1
}

// closeFIFOs closes what is open, when nobody serves it any more.
func (r *Runner) closeFIFOs() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.fifos {
		if f.fd >= 0 {
			f.close()
		}
	}
}
