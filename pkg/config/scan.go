package config

import "strings"

// span is a piece of a file, in bytes.
type span struct{ start, end int }

// scanner finds the places of all keys and values of a TOML file that the
// library has accepted. It knows only as much of the grammar as that needs.
type scanner struct {
	file  *file
	text  string
	pos   int
	twice []*node // keys set again: the library overlooks some
}

// scan returns the tree of a file, without values, and the keys that are set
// twice. On a text that is not TOML the tree makes no sense, but it ends.
func scan(f *file) (root *node, twice []*node) {
	s := &scanner{file: f, text: f.text}
	root = &node{file: f, table: map[string]*node{}}
	current := root
	for s.blank(true); s.pos < len(s.text); s.blank(true) {
		before := s.pos
		if s.text[s.pos] == '[' {
			current = s.header(root)
		} else {
			s.assign(current)
		}
		if s.pos == before {
			s.pos++ // not TOML
		}
	}
	return root, s.twice
}

// header reads "[a.b]" or "[[a.b]]" and returns the table that it opens.
func (s *scanner) header(root *node) *node {
	start := s.pos
	array := strings.HasPrefix(s.text[s.pos:], "[[")
	s.pos++
	if array {
		s.pos++
	}
	parts, spans := s.keys()
	s.skip("]")
	if array {
		s.skip("]")
	}
	whole := span{start, s.pos}
	at := root
	for i, part := range parts {
		at = s.descend(at, part, spans[i], whole)
		if i == len(parts)-1 && array {
			element := &node{name: at.name, path: at.path, file: s.file, key: whole, val: whole, table: map[string]*node{}}
			at.list = append(at.list, element)
			at.table = nil
			return element
		}
		if len(at.list) > 0 {
			at = at.list[len(at.list)-1]
		}
	}
	at.val = whole
	return at
}

// assign reads "a.b = value" into the table at.
func (s *scanner) assign(at *node) {
	parts, spans := s.keys()
	if len(parts) == 0 {
		return
	}
	last := len(parts) - 1
	for i, part := range parts[:last] {
		at = s.descend(at, part, spans[i], spans[i])
	}
	s.blank(false)
	s.skip("=")
	s.blank(false)
	n := &node{name: parts[last], path: extend(at.path, parts[last]), file: s.file, key: spans[last]}
	s.read(n)
	switch {
	case at.table == nil || at.table[n.name] != nil:
		s.twice = append(s.twice, n)
	default:
		at.table[n.name] = n
	}
}

// descend returns the table called name in at, and makes it when it is new.
func (s *scanner) descend(at *node, name string, key, val span) *node {
	n := at.table[name]
	if n == nil {
		n = &node{name: name, path: extend(at.path, name), file: s.file, key: key, val: val, table: map[string]*node{}}
		if at.table != nil {
			at.table[name] = n
		}
	}
	return n
}

// read reads a value into n.
func (s *scanner) read(n *node) {
	n.val.start = s.pos
	switch {
	case s.at("["):
		s.items("]", func() {
			element := &node{name: n.name, path: n.path, file: s.file}
			s.read(element)
			element.key = element.val
			n.list = append(n.list, element)
		})
	case s.at("{"):
		n.inline, n.table = true, map[string]*node{}
		s.items("}", func() { s.assign(n) })
	case s.at(`"`), s.at(`'`):
		s.quoted()
	default:
		if i := strings.IndexAny(s.text[s.pos:], ",]}#\r\n"); i >= 0 {
			s.pos += i
		} else {
			s.pos = len(s.text)
		}
		s.pos = n.val.start + len(strings.TrimRight(s.text[n.val.start:s.pos], " \t"))
	}
	n.val.end = s.pos
}

// items calls item at the start of each element up to the closing bracket.
func (s *scanner) items(end string, item func()) {
	s.pos++
	for s.blank(true); s.pos < len(s.text) && !s.at(end); s.blank(true) {
		before := s.pos
		item()
		s.blank(true)
		s.skip(",")
		if s.pos == before {
			s.pos++ // not TOML
		}
	}
	s.skip(end)
}

// keys reads a dotted key: its parts, and where each stands.
func (s *scanner) keys() (parts []string, spans []span) {
	for {
		s.blank(false)
		start := s.pos
		if s.at(`"`) || s.at(`'`) {
			s.quoted()
		} else {
			for s.pos < len(s.text) && !strings.ContainsRune(" \t\r\n.=]}[{,#\"'", rune(s.text[s.pos])) {
				s.pos++
			}
		}
		if s.pos == start {
			return parts, spans
		}
		parts = append(parts, unquote(s.text[start:s.pos]))
		spans = append(spans, span{start, s.pos})
		s.blank(false)
		if !s.at(".") {
			return parts, spans
		}
		s.pos++
	}
}

// quoted skips a string of any of the four forms.
func (s *scanner) quoted() {
	quote := s.text[s.pos : s.pos+1]
	end := quote
	if s.at(quote + quote + quote) {
		end = quote + quote + quote
	}
	s.pos += len(end)
	for s.pos < len(s.text) && !s.at(end) {
		if quote == `"` && s.at(`\`) {
			s.pos++
		}
		s.pos++
	}
	s.pos = min(s.pos+len(end), len(s.text))
	for range 2 { // up to two quotes may stand before the closing three
		if len(end) == 3 {
			s.skip(quote)
		}
	}
}

// blank skips spaces and, across lines, newlines and comments.
func (s *scanner) blank(lines bool) {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			s.pos++
		case lines && c == '#':
			if i := strings.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
				s.pos += i
			} else {
				s.pos = len(s.text)
			}
		default:
			return
		}
	}
}

func (s *scanner) at(word string) bool { return strings.HasPrefix(s.text[s.pos:], word) }

func (s *scanner) skip(word string) {
	if s.at(word) {
		s.pos += len(word)
	}
}
