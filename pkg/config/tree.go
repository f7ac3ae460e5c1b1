package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// node is one key of a file: where it stands and what it holds. The tree of
// nodes has the same shape as the values that the TOML library gives, which
// knows no places.
type node struct {
	name   string
	path   []string // from the root; elements of a list share the path of the list
	file   *file
	key    span             // the last part of the key; of an element, the element
	val    span             // the value, or the header of a table
	table  map[string]*node // of a table
	list   []*node          // of an array, or of an array of tables
	inline bool             // a table written as { … }: a value, never merged
	value  any              // as TOML has it: string, int64, float64, bool, time.Time; nil for tables and arrays
	parsed any              // as we have it, set by the checker; nil = absent or wrong
	meant  string           // of an unknown key, the one that its hint names
}

// attach puts the values that the library decoded into the tree that scan made,
// and returns the path of a value that has no place in it, "" when all have one.
func attach(n *node, value any) string {
	missing := ""
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			child := n.table[name]
			if child == nil {
				missing = n.name + "." + name
				continue
			}
			missing = either(missing, attach(child, v[name]))
		}
	case []any:
		missing = attachList(n, len(v), func(i int) any { return v[i] })
	case []map[string]any:
		missing = attachList(n, len(v), func(i int) any { return v[i] })
	default:
		n.value = v
	}
	return missing
}

func attachList(n *node, length int, at func(i int) any) string {
	if len(n.list) != length {
		return n.name
	}
	missing := ""
	for i, element := range n.list {
		missing = either(missing, attach(element, at(i)))
	}
	return missing
}

// isTable and isList tell what a node holds; neither is true of a plain value.
func (n *node) isTable() bool { return n.table != nil }
func (n *node) isList() bool  { return n.table == nil && n.value == nil }

// String is the full name of the key, as in "vip.web.vrid".
func (n *node) String() string { return toml.Key(n.path).String() }

// raw is the value as it is written, cut to one short line.
func (n *node) raw() string {
	text, rest, more := strings.Cut(n.file.text[n.val.start:n.val.end], "\n")
	runes := []rune(strings.TrimRight(text, "\r"))
	if more = more && rest != ""; more || len(runes) > 40 {
		return string(runes[:min(len(runes), 40)]) + "…"
	}
	return string(runes)
}

// children returns the keys of a table in the order of their places.
func (n *node) children() []*node {
	list := make([]*node, 0, len(n.table))
	for _, child := range n.table {
		list = append(list, child)
	}
	slices.SortFunc(list, func(a, b *node) int {
		if a.file != b.file {
			return a.file.order - b.file.order
		}
		return a.key.start - b.key.start
	})
	return list
}

// unquote gives the text of a key as written: bare, "…" or '…'.
func unquote(key string) string {
	switch {
	case len(key) < 2:
		return key
	case key[0] == '\'':
		return key[1 : len(key)-1]
	case key[0] != '"':
		return key
	}
	var b strings.Builder
	for rest := key[1 : len(key)-1]; rest != ""; {
		if strings.HasPrefix(rest, `\e`) { // TOML has it, Go has not
			b.WriteByte('\x1b')
			rest = rest[2:]
			continue
		}
		if digits, ok := strings.CutPrefix(rest, `\x`); ok && len(digits) >= 2 { // a rune in TOML, a byte in Go
			r, _ := strconv.ParseUint(digits[:2], 16, 8)
			b.WriteRune(rune(r))
			rest = digits[2:]
			continue
		}
		r, _, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			return key
		}
		b.WriteRune(r)
		rest = tail
	}
	return b.String()
}

func extend(path []string, name string) []string { return append(slices.Clip(path), name) }

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
