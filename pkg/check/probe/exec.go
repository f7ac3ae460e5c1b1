package probe

import (
	"context"
	"fmt"

	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/pkg/check"
)

// Exec runs a program, as [program.Run] does; exit code 0 is good. The program
// gets no input, no capabilities and no way to new ones (not even as root). When
// ctx ends first, it is killed, and whatever descends from it. Its last line of
// output that says something becomes the detail.
func Exec(ctx context.Context, e check.Exec, s Settings) Result {
	user := e.User
	if user == "" {
		user = s.User
	}
	end := program.Run(ctx, program.Program{Command: e.Command, User: user, Env: []string{"VIPD_CHECK=" + s.Check}, Bare: true})
	if end.Killed && end.Exit < 0 {
		end.Detail = fmt.Sprintf("killed, not done within %v", limit(ctx))
		if end.Last != "" {
			end.Detail += ": " + end.Last
		}
	}
	return Result{OK: end.OK, Detail: end.Detail}
}
