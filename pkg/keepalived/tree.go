package keepalived

import (
	"fmt"
	"strings"
)

// statement is a keyword with its words, and the block that it opens.
type statement struct {
	place
	words    []string // at least one
	block    []*statement
	opened   bool     // has a block, if only an empty one
	comments []string // that stand right above it
	order    int      // among all statements
}

// name is the keyword.
func (s *statement) name() string { return s.words[0] }

// word returns the n-th word, "" when there is none.
func (s *statement) word(n int) string {
	if n < len(s.words) {
		return s.words[n]
	}
	return ""
}

// subject is the statement in a report: without its block, and without secrets.
func (s *statement) subject() string {
	text := strings.Join(s.hidden(), " ")
	if s.opened {
		text += " {…}"
	}
	return text
}

// hidden are its words without secrets.
func (s *statement) hidden() []string {
	switch s.name() {
	case "auth_pass", "password", "key":
		return []string{s.name(), "***"}
	}
	return s.words
}

// find returns the last statement of the block with this keyword: of a keyword
// that stands twice keepalived takes the last one.
func (s *statement) find(name string) *statement {
	var found *statement
	for _, child := range s.block {
		if child.name() == name {
			found = child
		}
	}
	return found
}

// values are the words in a block, such as the names in a group, line by line,
// and behind the keyword when there is no block.
func (s *statement) values() []string {
	if !s.opened {
		return s.words[1:]
	}
	var all []string
	for _, child := range s.block {
		all = append(all, child.words...)
	}
	return all
}

// write prints the statement as keepalived reads it, without secrets.
func (s *statement) write(b *strings.Builder, indent string) {
	b.WriteString(indent)
	for i, w := range s.hidden() {
		if i > 0 {
			b.WriteByte(' ')
		}
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\!#{}") {
			w = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(w) + `"`
		}
		b.WriteString(w)
	}
	if !s.opened {
		b.WriteByte('\n')
		return
	}
	b.WriteString(" {\n")
	for _, child := range s.block {
		child.write(b, indent+"    ")
	}
	b.WriteString(indent + "}\n")
}

// parse joins lines to statements.
func parse(lines []line) ([]*statement, error) {
	root := &statement{}
	stack := []*statement{root}
	var comments []string
	order := 0
	for _, l := range lines {
		if l.text == "" {
			if l.comment == "" {
				comments = nil // an empty line: the comment is not about what follows
			} else {
				comments = append(comments, l.comment)
			}
			continue
		}
		words, err := split(l.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.place, err)
		}
		var now *statement
		for _, w := range braced(words) {
			top := stack[len(stack)-1]
			switch {
			case w.text == "{" && !w.quoted:
				if now == nil && len(top.block) > 0 {
					now = top.block[len(top.block)-1]
				}
				if now == nil || now.opened {
					return nil, fmt.Errorf("%s: a block without a keyword", l.place)
				}
				now.opened = true
				stack = append(stack, now)
				now = nil
			case w.text == "}" && !w.quoted:
				if len(stack) == 1 {
					return nil, fmt.Errorf("%s: a block is closed that was never opened", l.place)
				}
				stack, now = stack[:len(stack)-1], nil
			case now == nil:
				order++
				now = &statement{place: l.place, words: []string{w.text}, comments: comments, order: order}
				comments = nil
				top.block = append(top.block, now)
			default:
				now.words = append(now.words, w.text)
			}
		}
	}
	if len(stack) > 1 {
		return nil, fmt.Errorf("%s: the block of %s is never closed", stack[len(stack)-1].place, stack[len(stack)-1].name())
	}
	return root.block, nil
}

// braced takes a brace off the end of a word, as in `group{`.
func braced(words []word) []word {
	var out []word
	for i, w := range words {
		text, found := strings.CutSuffix(w.text, "{")
		if found && text != "" && !w.quoted && i == len(words)-1 {
			out = append(out, word{text: text}, word{text: "{"})
			continue
		}
		out = append(out, w)
	}
	return out
}
