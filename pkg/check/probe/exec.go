package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
)

const (
	maxLine   = 512                   // bytes of output that are kept
	drainTime = 50 * time.Millisecond // for output that someone holds open after the end
)

// Exec runs a program; exit code 0 is good. The program gets no shell, no input,
// no capabilities and no way to new ones (not even as root), a minimal
// environment, / as its directory and a process group of its own. When it ends,
// everything left in that group is killed; when ctx ends first, whatever
// descends from it. Its last line of output that says something becomes the
// detail; the rest is read and thrown away, so that nothing it prints can block
// it or fill our memory.
func Exec(ctx context.Context, e check.Exec, s Settings) Result {
	cmd, err := command(e, s)
	if err != nil {
		return Result{Detail: err.Error()}
	}
	within := limit(ctx)
	r, w, err := os.Pipe()
	if err != nil {
		return Result{Detail: "open a pipe: " + cause(err)}
	}
	defer func() { _ = r.Close() }()
	cmd.Stdout, cmd.Stderr = w, w
	child, err := start(cmd, func() error { return disarm(cmd.SysProcAttr.Credential != nil) })
	_ = w.Close() // the child has its own copy; ours would hide the end of its output
	if err != nil {
		return Result{Detail: startError(cmd, err)}
	}
	line := make(chan string, 1)
	go func() { line <- lastLine(r) }()
	killed := child.wait(ctx)
	_ = r.SetReadDeadline(time.Now().Add(drainTime)) // fails only if r is closed
	return verdict(cmd.ProcessState, killed, within, <-line)
}

// verdict puts the end of a program into words.
func verdict(state *os.ProcessState, killed bool, within time.Duration, line string) Result {
	status, _ := state.Sys().(syscall.WaitStatus)
	var end string
	switch {
	case killed && status.Signaled():
		end = fmt.Sprintf("killed, not done within %v", within)
	case status.Signaled():
		end = "killed by " + unix.SignalName(status.Signal())
	default:
		end = fmt.Sprintf("exit %d", state.ExitCode())
	}
	if line != "" {
		end += ": " + line
	}
	return Result{OK: state.Success(), Detail: end}
}

// startError puts a failure to start into words that name what to repair.
func startError(cmd *exec.Cmd, err error) string {
	why := cause(err)
	switch info, statErr := os.Stat(cmd.Path); {
	case errors.Is(err, unix.ENOENT) && statErr == nil:
		why = "the interpreter in its first line is missing"
	case errors.Is(err, unix.ENOENT):
		why = "no such program"
	case errors.Is(err, unix.EACCES) && statErr == nil && (info.IsDir() || info.Mode()&0o111 == 0):
		why = "not executable"
	case errors.Is(err, unix.ENOEXEC):
		why = "not a program, and no #! line either"
	}
	if c := cmd.SysProcAttr.Credential; c != nil {
		return fmt.Sprintf("start %s as uid %d: %s", cmd.Path, c.Uid, why)
	}
	return fmt.Sprintf("start %s: %s", cmd.Path, why)
}

// lastLine reads r to its end and returns the last line with something to read
// in it, at most maxLine bytes of it, as one printable line.
func lastLine(r io.Reader) (last string) {
	buf := make([]byte, maxLine+4096)
	begun := 0 // bytes of the line that has not ended yet
	for {
		n, err := r.Read(buf[begun:])
		text := buf[:begun+n]
		if end := bytes.LastIndexByte(text, '\n'); end >= 0 {
			if line := useful(text[:end]); line != "" {
				last = line
			}
			text = text[:copy(buf, text[end+1:])]
		}
		begun = min(len(text), maxLine)
		if err != nil {
			if line := useful(text); line != "" {
				last = line
			}
			return last
		}
	}
}

// useful is the last line of text that is not blank.
func useful(text []byte) string {
	for len(text) > 0 {
		begin := bytes.LastIndexByte(text, '\n') + 1
		if line := printable(text[begin:min(len(text), begin+maxLine)]); line != "" {
			return line
		}
		text = text[:max(begin-1, 0)]
	}
	return ""
}

// printable makes text safe for a terminal, a log line and JSON.
func printable(b []byte) string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), ""))
	return strings.TrimSpace(s)
}
