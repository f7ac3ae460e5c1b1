package keepalived

import (
	"path"
	"slices"
	"strings"
)

// hookStates are the states that hooks are told, in keepalived's words.
var hookStates = []string{"MASTER", "BACKUP", "FAULT", "STOP"}

// notifyAlways takes the program that is run at every change, with the same
// arguments.
func (c *converter) notifyAlways(n *notify, s *statement) {
	if argv, ok := c.hook(s); ok {
		n.always = argv
	}
}

// notifyState takes the program for one state.
func (c *converter) notifyState(n *notify, state string, s *statement) {
	argv, ok := c.hook(s)
	if !ok {
		return
	}
	if n.states == nil {
		n.states = map[string][]string{}
	}
	n.states[state] = argv
	c.note(s, Changed, "in `notify`, where a shell runs it for %s", state)
}

// hook reads a program, and the user that shall run it.
func (c *converter) hook(s *statement) (argv []string, ok bool) {
	argv = arguments(s.word(1))
	if len(argv) == 0 || !path.IsAbs(argv[0]) {
		c.note(s, Refused, "%q is not an absolute path", s.word(1))
		return nil, false
	}
	switch user := s.word(2); {
	case user == "":
		c.programs = append(c.programs, s)
	case user != c.scriptUser:
		c.note(s, Changed, "runs as node.script_user, without capabilities, not as %s: what needs more is a unit of its own that reads notify_fifo", user)
	}
	return argv, true
}

// command is the one program that does the same: notify itself, or a shell that
// picks by state. keepalived runs the program for the state first.
func (n notify) command() []string {
	if len(n.states) == 0 {
		return n.always
	}
	var b strings.Builder
	b.WriteString("case $3 in\n")
	for _, state := range hookStates {
		if argv, ok := n.states[state]; ok {
			b.WriteString(state + ") " + shell(argv) + " ;;\n")
		}
	}
	b.WriteString("esac\n")
	if len(n.always) > 0 {
		b.WriteString("exec " + shell(n.always) + ` "$@"` + "\n")
	}
	return []string{"/bin/sh", "-c", b.String(), "notify"}
}

// shell writes a command as a shell reads it.
func shell(argv []string) string {
	quoted := slices.Clone(argv)
	for i, a := range quoted {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
			return !letter && !strings.ContainsRune("/._-+=:,@%", r)
		}) {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
