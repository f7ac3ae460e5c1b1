package agent

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/pkg/fence"
)

// grace is between SIGTERM at the timeout and SIGKILL. It is less than what
// pkg/fence leaves between the shots of two hosts.
const grace = time.Second

// runProgram runs a program that speaks the fence-agents API.
func runProgram(ctx context.Context, a fence.RunAgent, d Device, user string) fence.Ended {
	end := program.Run(ctx, program.Program{
		Command: []string{d.Agent}, User: user, Bare: true, Input: input(a, d), Timeout: a.Timeout, Grace: grace,
		Dull: "Please use '-h' for usage", // follows what they complain of
	})
	return fence.Ended{Exit: end.Exit, Late: end.Late, Detail: detail(a.Verb, end)}
}

// input is what the agent reads: one option a line. The last one of a name counts,
// so ours come last.
func input(a fence.RunAgent, d Device) []byte {
	var b strings.Builder
	for _, o := range append(d.Options[:len(d.Options):len(d.Options)], d.Secrets...) {
		fmt.Fprintf(&b, "%s=%s\n", o.Name, o.Value)
	}
	fmt.Fprintf(&b, "nodename=%s\naction=%s\n", a.Peer, a.Verb)
	return []byte(b.String())
}

// The exit codes of the agents' library that say more than that it failed.
var meanings = map[int]string{
	2: "bad options", 3: "login denied", 4: "connection lost", 5: "timed out", 6: "not on in time", 7: "not off in time",
	8: "status unknown", 9: "status unknown", 10: "no password", 11: "not permitted", 12: "no such machine",
}

// logged is what the agents' library puts before what it says.
var logged = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+: (Failed: )?`)

// detail puts the end of an agent into words.
func detail(v fence.Verb, end program.Ended) string {
	meaning := meanings[end.Exit]
	if end.Exit == 2 && v == fence.VerbStatus {
		meaning = "off"
	}
	switch {
	case end.Late || end.Killed || end.Exit < 0:
		return end.Detail
	case meaning != "":
		meaning = ", " + meaning
	}
	s := fmt.Sprintf("exit %d%s", end.Exit, meaning)
	if last := logged.ReplaceAllString(end.Last, ""); last != "" {
		s += ": " + last
	}
	return s
}
