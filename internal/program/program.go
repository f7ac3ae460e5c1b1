package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainTime is for output that someone holds open after the end.
const drainTime = 50 * time.Millisecond

// Program is a program of the operator's.
type Program struct {
	Command []string // program and arguments: an absolute path, or a name to be found in [SearchPath]
	User    string   // by name or number, "" = ourselves
	Env     []string // beside PATH and LANG
	Input   []byte   // its standard input; nil = it has none
	Dull    string   // lines of output that end in it say nothing
	// Bare gives it no capability, not even as root, and no way to new ones. Else
	// it has none of vipd's, and one that runs as root has root's own.
	Bare bool
	// Timeout is after what its process group gets SIGTERM, and Grace later SIGKILL.
	// 0 = it may run until the context ends, which kills it at once.
	Timeout time.Duration
	Grace   time.Duration
}

// Ended is how a Program ended.
type Ended struct {
	OK     bool          // exit code 0, in time
	Exit   int           // exit code; -1 = it did not get to one
	Late   bool          // not done within its timeout
	Killed bool          // the context ended first
	Detail string        // one line for a human: "exit 1: no route to host"
	Last   string        // the last line that it printed, cut to what is fit to read; "" = none
	Took   time.Duration // until it was gone, killed or not
}

// Run runs a program to its end, or kills it when ctx ends, with whatever
// descends from it. It gets no shell, a minimal environment, / as its directory
// and a process group of its own; what it leaves in that group is killed. The
// last line of its output that says something becomes part of the detail; all of
// it is read, and nothing else is kept, so that nothing it prints can block it or
// fill our memory.
func Run(ctx context.Context, p Program) Ended {
	begin := time.Now()
	end := run(ctx, p)
	end.Took = time.Since(begin)
	return end
}

func run(ctx context.Context, p Program) Ended {
	cmd, err := command(p)
	if err != nil {
		return Ended{Exit: -1, Detail: err.Error()}
	}
	child, files, err := startProgram(cmd, p)
	if err != nil {
		return Ended{Exit: -1, Detail: err.Error()}
	}
	defer files.close()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		_, _ = files.in.Write(p.Input) // it need not read it
		_ = files.in.Close()
	}()
	line := make(chan string, 1)
	go func() { line <- lastLine(files.out, p.Dull) }()
	late, killed := child.within(ctx, p.Timeout, p.Grace)
	_ = files.in.SetWriteDeadline(time.Now()) // fails only if it is closed, as the next one
	_ = files.out.SetReadDeadline(time.Now().Add(drainTime))
	<-fed
	return ended(cmd.ProcessState, late, killed, p.Timeout, <-line)
}

// ends are our ends of a program's standard input, nil = it has none, and output.
type ends struct{ in, out *os.File }

func (e ends) close() {
	_ = e.in.Close() // nothing is lost with either
	_ = e.out.Close()
}

// startProgram starts cmd with pipes for its input and output.
func startProgram(cmd *exec.Cmd, p Program) (*process, ends, error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, ends{}, fmt.Errorf("open a pipe: %w", err)
	}
	var inR, inW *os.File
	if p.Input != nil {
		if inR, inW, err = os.Pipe(); err != nil {
			_, _ = outR.Close(), outW.Close()
			return nil, ends{}, fmt.Errorf("open a pipe: %w", err)
		}
		cmd.Stdin = inR
	}
	cmd.Stdout, cmd.Stderr = outW, outW
	prepare := dropAmbient
	if p.Bare {
		prepare = func() error { return disarm(cmd.SysProcAttr.Credential != nil) }
	}
	child, err := start(cmd, prepare)
	_, _ = inR.Close(), outW.Close() // the child has its own copies; ours would hide the end of its output
	if err != nil {
		ends{inW, outR}.close()
		return nil, ends{}, errors.New(startError(cmd, err))
	}
	return child, ends{inW, outR}, nil
}

// within waits for the end of a program, asks it to end when the timeout is
// over, and kills it grace later, or when ctx ends. It kills what is left and
// reaps the program.
func (p *process) within(ctx context.Context, timeout, grace time.Duration) (late, killed bool) {
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	over := limit.C
	if timeout == 0 {
		over = nil
	}
	select {
	case <-p.exited:
		return false, p.wait(context.Background())
	case <-ctx.Done():
		return false, p.wait(ctx)
	case <-over:
	}
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGTERM) // it is not reaped, so the group is its own still
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	p.wait(ctx)
	return true, false
}

// ended puts the end of a program into words.
func ended(state *os.ProcessState, late, killed bool, within time.Duration, line string) Ended {
	end := Ended{OK: state.Success() && !late, Exit: state.ExitCode(), Late: late, Killed: killed, Last: line}
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
