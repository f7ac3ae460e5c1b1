package keepalived

import (
	"io/fs"
	"path"
	"strings"
)

// Convert reads the file of that name in a file system whose root is that of the
// host, with all that it includes, and converts it for one host: the word that
// lines with @ are compared with. The error says why it cannot be read: a file
// that is missing, a block that is not closed.
func Convert(fsys fs.FS, name, host string) (*Result, error) {
	c := &converter{}
	e := &expander{source: source{fsys: fsys, root: path.Dir(name)}, host: host, params: map[string]string{}, notes: c.notes}
	if err := e.file(name, 0); err != nil {
		return nil, err
	}
	c.files = e.order
	statements, err := parse(e.out)
	if err != nil {
		return nil, err
	}
	c.all(statements)
	return &Result{
		TOML: c.toml(path.Base(name)), Leftover: c.leftover.String(),
		VIPs: len(c.vips), Groups: len(c.groups), Checks: len(c.used()),
		Findings: c.sorted(), Secrets: c.secrets,
	}, nil
}

// converter builds the model, and notes what became of each statement.
type converter struct {
	vipd
	files    []string
	findings []Finding
	leftover strings.Builder
	programs []*statement // that are run as the default user
	secrets  []Secret
	named    map[string]string // names of secrets by their values
}

// row says what becomes of a keyword: either the verdict and the note are always
// the same, or apply converts it and notes what is worth it; a line without a
// note of its own is converted.
type row[T any] struct {
	verdict Verdict
	note    string
	apply   func(*converter, T, *statement)
}

// table holds the keywords of one kind of block. T is what they are about.
type table[T any] map[string]row[T]

// does is a row with a conversion.
func does[T any](apply func(*converter, T, *statement)) row[T] {
	return row[T]{apply: apply}
}

// alike adds keywords that have a verdict and a note in common.
func (t table[T]) alike(v Verdict, note string, names ...string) table[T] {
	for _, name := range names {
		t[name] = row[T]{verdict: v, note: note}
	}
	return t
}

// walk looks up the statements of a block in its table.
func walk[T any](c *converter, t table[T], block []*statement, target T) {
	for _, s := range block {
		r, known := t[s.name()]
		switch {
		case !known:
			c.unknown(s)
		case r.apply == nil:
			c.note(s, r.verdict, "%s", r.note)
		default:
			before := len(c.findings)
			r.apply(c, target, s)
			if len(c.findings) == before {
				c.note(s, Converted, "")
			}
		}
	}
}

// unknown refuses what keepalived's manual does not name here.
func (c *converter) unknown(s *statement) {
	if strings.HasPrefix(s.name(), "include") {
		c.note(s, Refused, "keepalived does not read an include with a condition or a parameter: name the file itself")
		return
	}
	c.note(s, Refused, "keepalived has no such keyword here, and ignores it: is it a typo?")
}

// keep puts a block that is refused as a whole into the leftover.
func (c *converter) keep(s *statement) {
	c.leftover.WriteString("# " + s.String() + "\n")
	s.write(&c.leftover, "")
	c.leftover.WriteByte('\n')
}

// all converts the statements at the top of the file: what others refer to
// comes first.
func (c *converter) all(statements []*statement) {
	c.header(statements)
	for _, stage := range []table[struct{}]{globals, definitions, instances, groups, rest} {
		var now []*statement
		for _, s := range statements {
			if _, ok := stage[s.name()]; ok {
				now = append(now, s)
			}
		}
		walk(c, stage, now, struct{}{})
	}
	for _, s := range statements {
		if !topKeyword(s.name()) {
			c.unknown(s)
		}
	}
	c.finish()
}

// topKeyword reports whether a word stands at the top of a file.
func topKeyword(name string) bool {
	for _, stage := range []table[struct{}]{globals, definitions, instances, groups, rest} {
		if _, ok := stage[name]; ok {
			return true
		}
	}
	return false
}

// header takes the comment at the top of the file, which is about all of it.
func (c *converter) header(statements []*statement) {
	if len(statements) > 0 && statements[0].name() == "global_defs" {
		c.comments = statements[0].comments
	}
}

// flag reads an optional boolean: a keyword alone means yes.
func (c *converter) flag(s *statement) bool {
	switch strings.ToLower(s.word(1)) {
	case "", "on", "true", "yes":
		return true
	case "off", "false", "no":
		return false
	}
	c.note(s, Changed, "%q is neither on nor off: keepalived takes it as on", s.word(1))
	return true
}
