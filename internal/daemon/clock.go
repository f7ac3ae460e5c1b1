package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clock says when a time has come. It is a timerfd read through the network
// poller: a time.Timer is late by half a millisecond in the middle, since the
// runtime rounds its sleeps up to whole milliseconds; this is late by some tens
// of microseconds.
//
// Its system calls are raw ones, as none of them waits: before an ordinary call
// an idle Go runtime wakes a thread that watches for slow ones, and threads that
// wake are what a daemon costs that does nothing else.
type clock struct {
	file *os.File
	raw  syscall.RawConn
	due  time.Time // armed for, zero when it is not running
}

func newClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	c := &clock{file: os.NewFile(uintptr(fd), "timerfd")}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		return nil, fmt.Errorf("create timer: %w", errors.Join(err, c.file.Close()))
	}
	return c, nil
}

// arm asks for a wake-up at due, or leaves an earlier one in place: waking too
// early costs less than arming the timer anew for every packet. The zero time
// asks for nothing.
func (c *clock) arm(now, due time.Time) error {
	if due.IsZero() || !c.due.IsZero() && !due.Before(c.due) {
		return nil
	}
	c.due = due
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(due.Sub(now).Nanoseconds(), 1))}
	var errno syscall.Errno
	if err := c.raw.Control(func(fd uintptr) {
		_, _, errno = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	}); err != nil {
		return fmt.Errorf("arm timer: %w", err)
	}
	if errno != 0 {
		return fmt.Errorf("arm timer: %w", errno)
	}
	return nil
}

// fired says that the wake-up came, early or late.
func (c *clock) fired() { c.due = time.Time{} }

// Run calls fire after the armed time until ctx ends.
func (c *clock) Run(ctx context.Context, fire func()) error {
	stop := context.AfterFunc(ctx, func() { _ = c.file.Close() }) // ends the wait below
	defer stop()
	var count uint64
	var errno syscall.Errno
	err := c.raw.Read(func(fd uintptr) bool {
		_, _, errno = unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
		if errno == 0 {
			fire()
		}
		return errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR // else wait for the next
	})
	switch {
	case ctx.Err() != nil || errors.Is(err, os.ErrClosed):
		return nil
	case err != nil:
		return fmt.Errorf("read timer: %w", err)
	default:
		return fmt.Errorf("read timer: %w", errno)
	}
}
