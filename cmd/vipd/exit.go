package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
)

// The exit codes, as in vipd(8).
const (
	exitDone        = 0
	exitFailed      = 1 // also a plain "no"
	exitUsage       = 2
	exitUnreachable = 3
	exitConfig      = 4
	exitPermission  = 5
	exitRefused     = 6
	exitTimeout     = 7
)

// problemExits maps types of problems that the daemon reports to exit codes.
var problemExits = map[string]int{
	control.ProblemRequest:      exitUsage,
	control.ProblemConfig:       exitConfig,
	control.ProblemNotPermitted: exitPermission,
	control.ProblemRefused:      exitRefused,
	control.ProblemTimeout:      exitTimeout,
}

// usageError is wrong usage that is found only after the flags are read.
type usageError struct {
	error
	hint string // "" = the help of the command
}

// errNo is a plain "no", which needs no message: exit code 1.
var errNo = errors.New("no")

// errConfig says that a configuration is invalid, which has been told already.
var errConfig = errors.New("configuration invalid")

// finish prints the error of a command, if any, with what to do about it, and returns the
// exit code.
func (a *app) finish(cmd *cobra.Command, err error) int {
	var (
		said        nagios
		problem     *control.Problem
		unreachable *control.UnreachableError
		usage       usageError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errNo):
		return exitFailed
	case errors.Is(err, errConfig):
		return exitConfig
	case errors.As(err, &said):
		return int(said)
	case !a.started, errors.As(err, &usage):
		a.settle()
		a.error(err)
		a.hint(cmp.Or(usage.hint, cmd.CommandPath()+" --help"))
		if cmd.Name() == "health" {
			return int(nagiosUnknown)
		}
		return exitUsage
	case errors.As(err, &problem):
		for _, line := range problem.Problems {
			a.talk(line)
		}
		a.error(err)
		a.hint(problem.Hint)
		if code, ok := problemExits[problem.Type]; ok {
			return code
		}
		return exitFailed
	case errors.As(err, &unreachable):
		a.error(err)
		a.hint("is it running? systemctl status vipd, or name its socket with --socket")
		return exitUnreachable
	case errors.Is(err, context.DeadlineExceeded):
		a.error(errors.New("timed out waiting for the daemon; what was asked for may still happen"))
		a.hint("vipd status, or more time with --timeout")
		return exitTimeout
	case errors.Is(err, context.Canceled):
		a.error(errors.New("interrupted; what was asked for may still happen"))
		return exitFailed
	default:
		a.error(err)
		return exitFailed
	}
}
