package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socketMode = 0o660
	pathLimit  = 107 // bytes of a unix socket's path, without the final NUL
)

// socket is a unix listener that takes its file with it when it closes, but
// never a file that another process has put there since.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	gone sync.Once
}

// listenSocket listens at path. The directory is made when it is missing. A
// socket that an earlier run left is replaced; one on which somebody answers,
// or a file that is no socket, is an error. At no time is the socket open to
// more than its owner and group.
func listenSocket(path string) (*socket, error) {
	if len(path) > pathLimit {
		return nil, fmt.Errorf("listen on %s: the path has %d bytes, a socket's may have %d", path, len(path), pathLimit)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the control socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	conf := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		// The kernel gives the file the mode of the unbound socket, less the umask.
		if cerr := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), socketMode) }); cerr != nil {
			return cerr
		}
		return err
	}}
	l, err := conf.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket: %w", err)
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	s := &socket{UnixListener: ul, path: path}
	if err := os.Chmod(path, socketMode); err != nil { // what the umask took
		_ = ul.Close()
		return nil, fmt.Errorf("set the mode of the control socket: %w", err)
	}
	if s.file, err = os.Lstat(path); err != nil {
		_ = ul.Close()
		return nil, fmt.Errorf("look at the control socket: %w", err)
	}
	return s, nil
}

// removeStale removes a socket on which nobody answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for an earlier control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen on %s: a file that is no socket is in the way", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("listen on %s: another vipd answers there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen on %s: somebody may be there: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove an earlier control socket: %w", err)
	}
	return nil
}

// Close implements net.Listener and removes the file when it is still ours.
func (s *socket) Close() error {
	s.gone.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
			_ = os.Remove(s.path) // the directory may be gone already
		}
	})
	return s.UnixListener.Close()
}
