package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clock wakes the loop. It is a timerfd read through the network poller: a
// time.Timer is late by half a millisecond in the middle, since the runtime
// rounds its sleeps up to whole milliseconds; this is late by some tens of
// microseconds.
type clock struct {
	C    chan struct{} // holds a token after the armed time
	file *os.File
	due  time.Time // armed for, zero when it is not running
}

func newClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	return &clock{C: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "timerfd")}, nil
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
	raw, err := c.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("arm timer: %w", err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); err != nil {
		return fmt.Errorf("arm timer: %w", err)
	}
	if set != nil {
		return fmt.Errorf("arm timer: %w", set)
	}
	return nil
}

// fired says that the token was taken.
func (c *clock) fired() { c.due = time.Time{} }

// Run passes expiries on until ctx ends.
func (c *clock) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.file.Close() }) // ends the read below
	defer stop()
	buf := make([]byte, 8)
	for {
		if _, err := c.file.Read(buf); err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("read timer: %w", err)
		}
		select {
		case c.C <- struct{}{}:
		default: // the loop has not taken the last token yet
		}
	}
}
