package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// What a terminal is told: another screen without a cursor on which lines that
// are too long are cut, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	keyPoll     = 100 // milliseconds until an end is noticed
)

// takeScreen makes the terminal ours. What it returns gives it back as it was.
func (w *watch) takeScreen() (restore func(), err error) {
	var state *term.State
	in := int(w.in.Fd())
	if term.IsTerminal(in) {
		if state, err = term.MakeRaw(in); err != nil {
			return nil, fmt.Errorf("take the terminal: %w", err)
		}
	}
	screen := w.screen
	_, _ = io.WriteString(screen, enterScreen)
	return func() {
		_, _ = io.WriteString(screen, leaveScreen)
		if state != nil {
			_ = term.Restore(in, state)
		}
	}, nil
}

// size asks the terminal how large it is.
func (w *watch) size(fd int) {
	w.height = 24
	if width, height, err := term.GetSize(fd); err == nil && height > 0 {
		w.width, w.height = width, height
	}
}

// readKeys hands over what is typed until ctx ends or nobody types any more.
func readKeys(ctx context.Context, fd int, keys chan<- byte) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	buf := make([]byte, 16)
	for ctx.Err() == nil {
		n, err := unix.Poll(poll, keyPoll)
		if n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			n, err = unix.Read(fd, buf)
		}
		if err != nil || n <= 0 {
			return nil // the terminal is gone; a signal says so as well
		}
		for _, k := range buf[:n] {
			select {
			case keys <- k:
			case <-ctx.Done():
			}
		}
	}
	return nil
}
