package config

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
)

// hidden stands for a secret.
const hidden = "***"

// password is the one in a URL.
var password = regexp.MustCompile(`(://[^/@:\s]*:)[^/@\s]*@`)

// printed is one line of a configuration that is printed.
type printed struct {
	text   string
	filled bool // a default
}

// Text prints a configuration as TOML, as one file and without secrets. It may be
// used from many goroutines.
type Text struct {
	root      *node
	effective func() string
}

// newText prints the tree of a good configuration.
func newText(r Reader, root *node) *Text {
	return &Text{root, sync.OnceValue(func() string { return effective(r, root) })}
}

// Written is what the files say.
func (t *Text) Written() string { return whole(lines(t.root, false)) }

// Effective is the same with the default of every key that is not set, with
// [vip_defaults] as a part of each vip, and groups as parts of neighbors. A default to which the checker objects
// means nothing beside the rest, and is left out.
func (t *Text) Effective() string { return t.effective() }

// effective asks the checker until it has no objection.
func effective(r Reader, root *node) string {
	list := lines(root, true)
	for {
		l := &loader{fs: alone{r, whole(list)}, reporter: reporter{all: true}}
		_, _, problems := l.config(alone{}.name())
		wrong := map[int]bool{}
		for _, p := range problems.List {
			wrong[p.Line] = true
		}
		n := 0
		left := slices.DeleteFunc(slices.Clone(list), func(l printed) bool {
			n++
			return l.filled && wrong[n]
		})
		if len(left) == len(list) {
			return whole(list)
		}
		list = left
	}
}

// whole joins lines to a file.
func whole(list []printed) string {
	var b strings.Builder
	for _, l := range list {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

// alone is a reader with one file in front of those of another.
type alone struct {
	Reader
	text string
}

func (alone) name() string { return "effective.toml" }

// Open implements Reader.
func (a alone) Open(name string) (io.ReadCloser, error) {
	if name == a.name() {
		return io.NopCloser(strings.NewReader(a.text)), nil
	}
	return a.Reader.Open(name)
}

// lines prints a tree, table after table in the order of the table of keys.
func lines(root *node, effective bool) []printed {
	var list []printed
	for _, t := range layout() {
		for _, s := range t.sections(root, effective) {
			keys := s.lines(t.rows, effective)
			if s.node == nil && (len(keys) == 0 || t.needs()) {
				continue
			}
			if len(list) > 0 {
				list = append(list, printed{})
			}
			if name := s.header(); name != "" {
				list = append(list, printed{text: "[" + name + "]"})
			}
			list = append(list, keys...)
		}
	}
	return list
}

// block is the keys that stand under one header.
type block struct {
	pattern string // "", "node", "vip.*"
	rows    []*key
}

// layout sorts the rows of the table of keys into blocks, in their order.
func layout() []block {
	var blocks []block
	for i := range keyRows {
		row := &keyRows[i]
		if strings.Contains(row.path, "[]") {
			continue // printed with its list
		}
		pattern := blockOf(row.path)
		if pattern == "" && row.path == "include" {
			continue // what was included is printed
		}
		at := slices.IndexFunc(blocks, func(t block) bool { return t.pattern == pattern })
		if at < 0 {
			blocks, at = append(blocks, block{pattern: pattern}), len(blocks)
		}
		blocks[at].rows = append(blocks[at].rows, row)
	}
	return blocks
}

// blockOf is the pattern of the table under which a key is printed: the last one
// that has a name of the operator's choice, or else the first.
func blockOf(path string) string {
	if i := strings.LastIndex(path, "*."); i >= 0 {
		return path[:i+1]
	}
	first, _, nested := strings.Cut(path, ".")
	if !nested {
		return ""
	}
	return first
}

// sections finds the tables of a block in a tree.
func (t block) sections(root *node, effective bool) []section {
	if !strings.HasSuffix(t.pattern, ".*") {
		return []section{{node: find(root, parts(t.pattern)), pattern: t.pattern}}
	}
	var list []section
	if !effective {
		list = t.shared(root)
	}
	parent := find(root, parts(strings.TrimSuffix(t.pattern, ".*")))
	if parent == nil {
		return list
	}
	for _, name := range slices.Sorted(maps.Keys(parent.table)) {
		s := section{node: parent.table[name], pattern: t.pattern}
		switch {
		case !effective:
		case t.pattern == "vip.*":
			s.defaults = root.table["vip_defaults"]
		case t.pattern == "bgp.neighbor.*":
			s = grouped(root, s)
		}
		if s.node.isTable() {
			list = append(list, s)
		}
	}
	return list
}

// shared finds the tables whose keys hold for others of a block.
func (t block) shared(root *node) []section {
	var list []section
	switch t.pattern {
	case "vip.*":
		if n := root.table["vip_defaults"]; n != nil {
			list = append(list, section{node: n, pattern: t.pattern})
		}
	case "bgp.neighbor.*":
		if n := find(root, parts("bgp.group")); n != nil {
			for _, name := range slices.Sorted(maps.Keys(n.table)) {
				list = append(list, section{node: n.table[name], pattern: t.pattern})
			}
		}
	}
	return list
}

// needs reports whether a table of the block is an error when it is empty: then
// its absence says something.
func (t block) needs() bool {
	return slices.ContainsFunc(t.rows, func(row *key) bool { return row.none == required })
}

// parts are a path in its parts; "" has none.
func parts(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, ".")
}

// header is what stands in brackets above a section.
func (s section) header() string {
	if s.node != nil && len(s.node.path) > 0 {
		return toml.Key(s.node.path).String()
	}
	return s.pattern
}

// lines are the keys of a section and their values.
func (s section) lines(rows []*key, effective bool) []printed {
	var list []printed
	for _, row := range rows {
		if effective && row.path == "bgp.neighbor.*.group" {
			continue // its keys are those of the neighbor
		}
		name := strings.TrimPrefix(strings.TrimPrefix(row.path, s.pattern), ".")
		switch n := s.find(name); {
		case n != nil:
			list = append(list, printed{text: name + " = " + n.text(row.secret)})
		case effective && row.def != "":
			list = append(list, printed{text: name + " = " + row.def, filled: true})
		}
	}
	return list
}

// text is a value in TOML, on one line. Of a secret one only the shape is shown.
func (n *node) text(secret bool) string {
	if secret && n.value != nil {
		return quote(hidden)
	}
	switch v := n.value.(type) {
	case string:
		return quote(password.ReplaceAllString(v, "${1}"+hidden+"@"))
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case nil:
	default:
		return fmt.Sprint(v)
	}
	var list []string
	if n.isTable() {
		for _, name := range slices.Sorted(maps.Keys(n.table)) {
			list = append(list, toml.Key{name}.String()+" = "+n.table[name].text(secret))
		}
		return "{ " + strings.Join(list, ", ") + " }"
	}
	for _, element := range n.list {
		list = append(list, element.text(secret))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// quote writes a string as TOML has it.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
