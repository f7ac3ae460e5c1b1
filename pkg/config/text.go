package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/vipd/vipd/pkg/check"
)

// hidden stands for a secret.
const hidden = "***"

// password is the one in a URL.
var password = regexp.MustCompile(`(://[^/@:\s]*:)[^/@\s]*@`)

// written prints a checked tree as one file, without what must not be shown. When
// it is effective, every key that is not set has its default, and [vip_defaults]
// has become part of each vip.
func written(root *node, effective bool) string {
	var b strings.Builder
	for _, t := range layout() {
		for _, s := range t.sections(root, effective) {
			lines := s.lines(t.rows, effective)
			if len(lines) == 0 && s.node == nil {
				continue
			}
			if name := s.header(); name != "" {
				fmt.Fprintf(&b, "\n[%s]\n", name)
			}
			for _, line := range lines {
				b.WriteString(line + "\n")
			}
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
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
		list := []section{{node: find(root, parts(t.pattern)), pattern: t.pattern}}
		return list
	}
	parent := find(root, parts(strings.TrimSuffix(t.pattern, ".*")))
	if parent == nil {
		return nil
	}
	var list []section
	for _, name := range slices.Sorted(maps.Keys(parent.table)) {
		n := parent.table[name]
		if !n.isTable() {
			continue
		}
		s := section{node: n, pattern: t.pattern}
		if effective && t.pattern == "vip.*" {
			s.defaults = root.table["vip_defaults"]
		}
		list = append(list, s)
	}
	if !effective && t.pattern == "vip.*" && root.table["vip_defaults"] != nil {
		list = append([]section{{node: root.table["vip_defaults"], pattern: t.pattern}}, list...)
	}
	return list
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
func (s section) lines(rows []*key, effective bool) []string {
	var lines []string
	for _, row := range rows {
		name := strings.TrimPrefix(strings.TrimPrefix(row.path, s.pattern), ".")
		switch n := s.find(name); {
		case n != nil:
			lines = append(lines, name+" = "+n.text(row.secret))
		case effective && row.def != "" && s.takes(row, name):
			lines = append(lines, name+" = "+row.def)
		}
	}
	return lines
}

// takes reports whether the default of a key means something in a section: a
// check has only the keys of its type, or those of a group.
func (s section) takes(row *key, name string) bool {
	if slices.ContainsFunc(row.moot, func(other string) bool { return s.find(other) != nil }) {
		return false
	}
	if s.pattern != "check.*" {
		return true
	}
	if isGroup(s) {
		return slices.Contains(groupKeys, name)
	}
	kind := ""
	if n := s.find("type"); n != nil {
		kind, _ = n.value.(string)
	}
	watched := check.IsWatched(check.Specs()[kind])
	return (len(row.only) == 0 || slices.Contains(row.only, kind)) && !(watched && row.polled)
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
