package probe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
)

// Program is an operator's program that is not a check: what runs checks runs it
// as well, in the same way.
type Program struct {
	Command []string      // program and arguments: an absolute path
	User    string        // by name or number, "" = ourselves
	Env     []string      // beside PATH and LANG
	Input   []byte        // its standard input
	Timeout time.Duration // after this, more than 0, its process group gets SIGTERM
	Grace   time.Duration // and, this much later, SIGKILL
}

// Ended is how a Program ended.
type Ended struct {
	OK     bool          // exit code 0, in time
	Late   bool          // not done within its timeout
	Killed bool          // the context ended first
	Detail string        // one line for a human: "exit 1: no route to host"
	Took   time.Duration // until it was gone, killed or not
}

// RunProgram runs a program to its end, without capabilities of vipd's (one that
// runs as root has root's own), or kills it when ctx ends. What it leaves
// in its process group is killed. The last line of its output becomes part of
// the detail; all of it is read, and nothing else is kept.
func RunProgram(ctx context.Context, p Program) Ended {
	begin := time.Now()
	end := runProgram(ctx, p)
	end.Took = time.Since(begin)
	return end
}

func runProgram(ctx context.Context, p Program) Ended {
	cmd, err := command(check.Exec{Command: p.Command, User: p.User}, Settings{})
	if err != nil {
		return Ended{Detail: err.Error()}
	}
	cmd.Env = append([]string{"PATH=" + searchPath, "LANG=C.UTF-8"}, p.Env...)
	child, files, err := startProgram(cmd)
	if err != nil {
		return Ended{Detail: err.Error()}
	}
	defer files.close()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		_, _ = files.in.Write(p.Input) // it need not read it
		_ = files.in.Close()
	}()
	line := make(chan string, 1)
	go func() { line <- lastLine(files.out) }()
	late, killed := child.within(ctx, p.Timeout, p.Grace)
	_ = files.in.SetWriteDeadline(time.Now()) // fails only if it is closed, as the next one
	_ = files.out.SetReadDeadline(time.Now().Add(drainTime))
	<-fed
	return ended(cmd.ProcessState, late, killed, p.Timeout, <-line)
}

// ends are our ends of a program's standard input and output.
type ends struct{ in, out *os.File }

func (e ends) close() {
	_ = e.in.Close() // nothing is lost with either
	_ = e.out.Close()
}

// startProgram starts cmd with pipes for its input and output.
func startProgram(cmd *exec.Cmd) (*process, ends, error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, ends{}, fmt.Errorf("open a pipe: %s", cause(err))
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		_, _ = outR.Close(), outW.Close()
		return nil, ends{}, fmt.Errorf("open a pipe: %s", cause(err))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, outW
	child, err := start(cmd, dropAmbient)
	_, _ = inR.Close(), outW.Close() // the child has its own copies
	if err != nil {
		ends{inW, outR}.close()
		return nil, ends{}, fmt.Errorf("%s", startError(cmd, err))
	}
	return child, ends{inW, outR}, nil
}

// within waits for the end of a program as [process.wait] does, and asks it to
// end when the timeout is over, grace before it is killed.
func (p *process) within(ctx context.Context, timeout, grace time.Duration) (late, killed bool) {
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-ctx.Done():
		killed = true
	case <-limit.C:
		late = true
		_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGTERM) // it is not reaped, so the group is its own still
		limit.Reset(grace)
		select {
		case <-p.exited:
		case <-ctx.Done():
		case <-limit.C:
		}
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	p.wait(over)
	return late, killed
}

// ended puts the end of a program into words.
func ended(state *os.ProcessState, late, killed bool, within time.Duration, line string) Ended {
	end := Ended{OK: state.Success() && !late, Late: late, Killed: killed}
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case late:
		end.Detail = fmt.Sprintf("killed, not done within %v", within)
	case killed:
		end.Detail = "stopped"
	case status.Signaled():
		end.Detail = "killed by " + unix.SignalName(status.Signal())
	default:
		end.Detail = fmt.Sprintf("exit %d", state.ExitCode())
	}
	if line != "" {
		end.Detail += ": " + line
	}
	return end
}
