package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keptOutput is how much of a process's output is kept: its end.
const keptOutput = 1 << 20

// Process is a program under test that runs on a [Host], in a process group of
// its own. When its first process ends, however that happens, what is left of
// the group is killed.
type Process struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
	err  error // valid once done is closed

	mu     sync.Mutex
	reaped bool // the process id is no longer ours
}

// Start starts cmd on the host and captures its output where cmd does not send
// it elsewhere. Its working directory is [Host.Dir] unless cmd names one.
func (h *Host) Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, out: newOutput(), done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.out
	}
	if cmd.Dir == "" {
		cmd.Dir = h.dir
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = time.Second // for a grandchild that left the group and keeps the pipe
	if err := h.NS.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", cmd.Path, h.Name, err)
	}
	go p.reap()
	h.lab.onClose(func() error { p.Kill(); return nil })
	return p, nil
}

// reap waits for the first process and kills the rest of its group while its
// process id still names that group.
func (p *Process) reap() {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // at least the dead one is in it
	p.reaped = true
	p.mu.Unlock()
	p.err = p.cmd.Wait()
	p.out.end()
	close(p.done)
}

// Pid is the process id of the first process, which is also its group's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends sig to the first process only. The error is [os.ErrProcessDone]
// when it has ended.
func (p *Process) Signal(sig syscall.Signal) error { return p.kill(p.Pid(), sig) }

// SignalGroup sends sig to the whole process group at once: SIGSTOP freezes,
// SIGKILL crashes a program that has child processes.
func (p *Process) SignalGroup(sig syscall.Signal) error { return p.kill(-p.Pid(), sig) }

func (p *Process) kill(pid int, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	if err := unix.Kill(pid, sig); err != nil {
		return fmt.Errorf("send %v to %d: %w", sig, pid, err)
	}
	return nil
}

// Kill ends the process group with SIGKILL and returns when the first process
// is gone. It does nothing when that has ended before.
func (p *Process) Kill() {
	_ = p.SignalGroup(syscall.SIGKILL) // it may have ended just now
	<-p.done
}

// Wait returns when the process has ended and its output is complete: nil after
// exit code 0, an [*exec.ExitError] otherwise, or the context's error.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", p.cmd.Path, ctx.Err())
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output is what the process has written to standard output and error so far:
// the last MiB of it.
func (p *Process) Output() string { return p.out.String() }

// WaitOutput returns when the output contains text. The error, which holds the
// end of the output, says that the process ended or the context did.
func (p *Process) WaitOutput(ctx context.Context, text string) error {
	for {
		seen, grown, ended := p.out.state(text)
		if seen {
			return nil
		}
		if ended {
			return fmt.Errorf("wait for %q: the program ended; its output ends with:\n%s", text, p.out.last(2000))
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("wait for %q: %w; the output ends with:\n%s", text, ctx.Err(), p.out.last(2000))
		}
	}
}

// Run runs a command on the host to its end and returns its output.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	p, err := h.Start(cmd)
	if err != nil {
		return "", err
	}
	<-p.done
	if p.err != nil {
		return p.Output(), fmt.Errorf("run %s %s on %s: %w: %s", name, strings.Join(args, " "), h.Name, p.err, p.out.last(500))
	}
	return p.Output(), nil
}

// output keeps the end of what is written to it.
type output struct {
	mu    sync.Mutex
	buf   []byte
	ended bool
	grown chan struct{} // closed and replaced at each write
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, b...)
	if n := len(o.buf); n > 2*keptOutput {
		o.buf = append([]byte(nil), o.buf[n-keptOutput:]...)
	}
	close(o.grown)
	o.grown = make(chan struct{})
	return len(b), nil
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	close(o.grown)
	o.grown = make(chan struct{})
}

func (o *output) state(text string) (seen bool, grown <-chan struct{}, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(string(o.buf), text), o.grown, o.ended
}

func (o *output) last(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf[max(0, len(o.buf)-keptOutput):])
}
