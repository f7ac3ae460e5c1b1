package probe

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/vipd/vipd/pkg/check"
)

// File looks whether a file exists; links are followed. What cannot be looked
// at is bad in either sense, since nobody knows.
func File(_ context.Context, f check.File, _ Settings) Result {
	if f.Path == "" {
		return Result{Detail: "no path to look at"}
	}
	_, err := os.Stat(f.Path)
	switch {
	case err == nil:
		return Result{OK: !f.Absent, Detail: f.Path + " exists"}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return Result{OK: f.Absent, Detail: f.Path + " does not exist"}
	default:
		return Result{Detail: "look at " + f.Path + ": " + cause(err)}
	}
}

// cause is the innermost text of an error: what the kernel said.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
