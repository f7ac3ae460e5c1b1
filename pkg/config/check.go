package config

import (
	"fmt"
	"strings"
)

// checkTable looks every key of a table up in the table of keys: it must be
// known, and its value what its row says. What is good is left in parsed.
func (r *reporter) checkTable(n *node, pattern string) {
	for _, child := range n.children() {
		path := match(pattern, child.name)
		row, sub := rowOf()[path], tableOf()[path]
		switch {
		case row != nil:
			if v, ok := row.kind.parse(r, child); ok {
				child.parsed = v
			}
		case sub == nil:
			r.unknown(n, child, pattern)
		case !child.isTable():
			r.wrong(child, fmt.Sprintf("this is %s, must be a table", child.typeName()), tableHint(path))
		default:
			r.checkName(child, path)
			r.checkTable(child, path)
		}
	}
}

// match returns the pattern for a name in a table. [vip_defaults] has the keys
// of [vip.*], and [bgp.group.*] those of [bgp.neighbor.*].
func match(pattern, name string) string {
	path := name
	if pattern != "" {
		path = pattern + "." + name
	}
	if rest, ok := strings.CutPrefix(path, "vip_defaults."); ok {
		return "vip.*." + rest
	}
	if rest, ok := strings.CutPrefix(path, "bgp.group.*."); ok {
		return "bgp.neighbor.*." + rest
	}
	if tableOf()[pattern+".*"] != nil {
		return pattern + ".*"
	}
	return path
}

// checkName checks a name that the operator chose.
func (r *reporter) checkName(n *node, path string) {
	if !strings.HasSuffix(path, ".*") {
		return
	}
	if err := checkName(n.name); err != nil {
		r.atKey(n, Error, fmt.Sprintf("%s: %q %v", strings.TrimSuffix(path, ".*"), n.name, err), "")
	}
}

func (r *reporter) unknown(in, n *node, pattern string) {
	what := fmt.Sprintf("unknown key `%s` at the top of the file", n.name)
	switch {
	case len(in.path) > 0:
		what = fmt.Sprintf("unknown key `%s` in [%s]", n.name, in)
	case n.isTable() && !n.inline:
		what = fmt.Sprintf("unknown table [%s]", n)
	}
	var hint string
	if r.kept[Error] < maxProblems { // it takes a while to find
		n.meant, hint = unknownHint(n, pattern)
	}
	r.atKey(n, Error, what, hint)
}

// rows is a list of tables; its value is a []*node of those that are tables.
type rows struct{ pattern string }

func (rows) allowed() string { return "a list of tables" }

func (k rows) parse(r *reporter, n *node) (any, bool) {
	if !n.isList() {
		r.mismatch(n, "a list of tables", tableHint(k.pattern))
		return nil, false
	}
	var good []*node
	for _, element := range n.list {
		if element.isTable() {
			r.checkTable(element, k.pattern)
			good = append(good, element)
		} else {
			r.wrong(element, fmt.Sprintf("this is %s, must be a table", element.typeName()), tableHint(k.pattern))
		}
	}
	return good, true
}
