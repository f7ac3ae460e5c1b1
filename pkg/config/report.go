package config

import (
	"slices"
	"unicode/utf8"
)

// maxProblems is how many errors, and how many warnings, are kept: a file of
// another format can be wrong in a hundred thousand places.
const maxProblems = 100

// reporter collects problems.
type reporter struct {
	problems []Problem
	all      bool // keep all problems
	kept     map[Severity]int
	dropped  map[Severity]int
}

// report adds a problem at a place of a file, unless it is there already: what
// is wrong in [vip_defaults] is found again for every VIP.
func (r *reporter) report(f *file, at span, severity Severity, message, hint string) {
	if r.kept[severity] == maxProblems && !r.all {
		if r.dropped == nil {
			r.dropped = map[Severity]int{}
		}
		r.dropped[severity]++
		return
	}
	p := Problem{File: f.name, Severity: severity, Message: printable(message), Hint: printable(hint)}
	at.start = min(max(at.start, 0), len(f.text)) // the library may point outside
	for at.start > 0 && at.start < len(f.text) && !utf8.RuneStart(f.text[at.start]) {
		at.start-- // or into a character
	}
	var line string
	p.Line, p.Column, line = f.place(at.start)
	p.Excerpt, p.caret = excerpt(line, p.Column-1)
	end := min(max(at.end, at.start), len(f.text))
	length := utf8.RuneCountInString(f.text[at.start:end])
	p.Length = max(1, min(length, utf8.RuneCountInString(line)-p.Column+1))
	if slices.Contains(r.problems, p) {
		return
	}
	r.keep(p)
}

// reportFile adds a problem with a file as a whole: at the include that names
// it, or without a place when nothing does.
func (r *reporter) reportFile(f *file, from *node, err error) {
	if from != nil {
		r.atValue(from, Error, "include "+f.name+": "+err.Error(), "")
		return
	}
	r.keep(Problem{File: f.name, Severity: Error, Message: printable(err.Error())})
}

func (r *reporter) keep(p Problem) {
	if r.kept == nil {
		r.kept = map[Severity]int{}
	}
	r.kept[p.Severity]++
	r.problems = append(r.problems, p)
}

// atKey and atValue add a problem with the key, or with the value, of n.
func (r *reporter) atKey(n *node, severity Severity, message, hint string) {
	r.report(n.file, n.key, severity, message, hint)
}

func (r *reporter) atValue(n *node, severity Severity, message, hint string) {
	r.report(n.file, n.val, severity, message, hint)
}

// wrong adds an error about the value of n, which is named first.
func (r *reporter) wrong(n *node, what, hint string) {
	r.atValue(n, Error, n.String()+": "+what, hint)
}

// result sorts the problems by place; the files keep the order in which they
// were read.
func (r *reporter) result(name string, files []*file) *Problems {
	order := map[string]int{}
	for _, f := range files {
		order[f.name] = f.order
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if a.File != b.File {
			return order[a.File] - order[b.File]
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	for _, s := range []Severity{Error, Warning} {
		if n := r.dropped[s]; n > 0 {
			r.problems = append(r.problems, Problem{File: name, Severity: s, Message: plural(n, "more "+string(s))})
		}
	}
	return &Problems{File: name, List: r.problems}
}
