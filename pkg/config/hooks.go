package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Hooks are the programs that are told what becomes of a VIP or sync group.
type Hooks struct {
	Notify        []string      // program and arguments; none = no program
	NotifyTimeout time.Duration // 100ms–1h
	Coalesce      bool          // of the changes that wait, only the newest is told
	NotifyFIFO    string        // absolute path, "" = none
	BeforeHold    []string      // program and arguments, of a VIP only; none = no program
}

// hooks reads those of a VIP or sync group.
func (b *builder) hooks(s section) Hooks {
	return Hooks{
		Notify:        get[[]string](s, "notify"),
		NotifyTimeout: get[time.Duration](s, "notify_timeout"),
		Coalesce:      get[bool](s, "notify_coalesce"),
		NotifyFIFO:    get[string](s, "notify_fifo"),
		BeforeHold:    get[[]string](s, "before_hold"),
	}
}

// told reports whether there is anything to tell changes to.
func (h Hooks) told() bool { return len(h.Notify) > 0 || h.NotifyFIFO != "" }

// command is a program, or a list of a program and its arguments; its value is a
// []string.
type command struct{}

func (command) allowed() string {
	return "an absolute path, or a list of one and arguments"
}

func (k command) parse(r *reporter, n *node) (any, bool) {
	var argv []string
	program := n
	switch {
	case n.isList():
		values, ok := list{argument}.parse(r, n)
		if !ok {
			return nil, false
		}
		for _, v := range values.([]any) {
			argv = append(argv, v.(string))
		}
		if len(argv) == 0 {
			r.wrong(n, "the list is empty", "")
			return nil, false
		}
		program = n.list[0]
	default:
		text, ok := r.text(n, k.allowed())
		if !ok {
			return nil, false
		}
		argv = []string{text}
	}
	hint := "there is no shell and no PATH"
	if fields := strings.Fields(argv[0]); program == n && len(fields) > 1 {
		hint = fmt.Sprintf("write arguments as a list: `%s = [%s]`", n.name, quoteFields(argv[0]))
		r.wrong(n, n.raw()+" holds a space", hint)
		return nil, false
	}
	if err := plain(argv[0]); err != nil {
		r.wrong(program, fmt.Sprintf("%s %v", program.raw(), err), "")
		return nil, false
	}
	if !path.IsAbs(argv[0]) {
		r.wrong(program, program.raw()+" is not an absolute path", hint)
		return nil, false
	}
	return argv, true
}

// hookRules looks at the programs of hooks.
func (b *builder) hookRules() {
	for _, s := range slices.Concat(b.vips(), b.sections("sync")) {
		for _, name := range []string{"notify", "before_hold"} {
			n := s.find(name)
			if n == nil || n.parsed == nil {
				continue
			}
			at := n
			if n.isList() {
				at = n.list[0]
			}
			b.programRule(at, n.parsed.([]string)[0])
		}
	}
}

// programRule looks at a program that n names, as it is on this host. It may
// still come; what others may write, they let vipd run.
func (b *builder) programRule(n *node, program string) {
	switch writable, err := b.reader.Program(program); {
	case writable != "":
		b.wrong(n, writable+" is writable by others", "chmod o-w "+writable)
	case err != nil:
		b.atValue(n, Warning, fmt.Sprintf("%s: %s: %v", n, program, cause(err)), "")
	}
}
