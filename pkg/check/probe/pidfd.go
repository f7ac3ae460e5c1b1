package probe

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// pidfd is a process that is watched: whatever becomes of its number, this is
// about the process that had it.
type pidfd struct {
	file  *os.File
	ended atomic.Bool
}

// openPidfd fails with [unix.ESRCH] when there is no such process.
func openPidfd(pid int) (*pidfd, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	return &pidfd{file: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// wait returns when the process has ended or the pidfd is closed.
func (p *pidfd) wait() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return // closed
	}
	// Go's poller wakes for a change only, so look before it waits.
	_ = raw.Read(func(fd uintptr) bool {
		if over(int(fd)) {
			p.ended.Store(true)
			return true
		}
		return false
	})
}

func (p *pidfd) close() { _ = p.file.Close() } // nothing is written to it

// over reports whether the process of a pidfd has ended: a zombie has.
func over(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0
		}
	}
}

// alive reports whether there is a process of that number that has not ended.
// It needs no right to look into /proc.
func alive(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return !over(fd)
}
