package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// maxLine is how many bytes of output are kept.
const maxLine = 512

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
// in it and does not end in dull, at most maxLine bytes of it, as one printable line.
func lastLine(r io.Reader, dull string) (last string) {
	buf := make([]byte, maxLine+4096)
	begun := 0 // bytes of the line that has not ended yet
	for {
		n, err := r.Read(buf[begun:])
		text := buf[:begun+n]
		if end := bytes.LastIndexByte(text, '\n'); end >= 0 {
			if line := useful(text[:end], dull); line != "" {
				last = line
			}
			text = text[:copy(buf, text[end+1:])]
		}
		begun = min(len(text), maxLine)
		if err != nil {
			if line := useful(text, dull); line != "" {
				last = line
			}
			return last
		}
	}
}

// useful is the last line of text that is not blank, and does not end in dull.
func useful(text []byte, dull string) string {
	for len(text) > 0 {
		begin := bytes.LastIndexByte(text, '\n') + 1
		if line := Printable(text[begin:min(len(text), begin+maxLine)]); line != "" && (dull == "" || !strings.HasSuffix(line, dull)) {
			return line
		}
		text = text[:max(begin-1, 0)]
	}
	return ""
}

// Printable makes text safe for a terminal, a log line and JSON.
func Printable(b []byte) string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), ""))
	return strings.TrimSpace(s)
}

// cause is the innermost error: the rest of the chain repeats what we say.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
