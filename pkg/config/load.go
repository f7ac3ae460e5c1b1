package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// Reader gives the package its files. Names are those of the system, absolute
// or relative to wherever the reader starts.
type Reader interface {
	// Open opens a file for reading.
	Open(name string) (io.ReadCloser, error)
	// Glob returns the names that match a pattern as of path.Match, in any order.
	Glob(pattern string) ([]string, error)
	// Program looks at a program: what of its path anybody may write to, "" when
	// there is nothing, and why it cannot be run.
	Program(path string) (writable string, err error)
	// Secret returns what a file that only its owner may read holds: an absolute
	// path, or the bare name of a credential.
	Secret(name string) (string, error)
}

// Limits of what is read. They are far beyond any use and keep a wrong file, or
// a hostile one, from taking the host's time.
const (
	maxBytes   = 1 << 20 // of one file
	maxNesting = 32      // brackets within brackets, parts of one key
	maxFiles   = 256     // included by each other
	maxDepth   = 16      // files from the first one to the last included
)

// file is one file that was read.
type file struct {
	name  string
	text  string // without a byte order mark
	order int    // in which it was read
	lines []int  // offsets at which lines start
}

// place turns a byte offset into a line and a column, both from 1, and gives the
// line itself.
func (f *file) place(offset int) (line, column int, text string) {
	offset = min(max(offset, 0), len(f.text))
	if f.lines == nil {
		f.lines = []int{0}
		for i, c := range []byte(f.text) {
			if c == '\n' {
				f.lines = append(f.lines, i+1)
			}
		}
	}
	line, exact := slices.BinarySearch(f.lines, offset)
	if exact {
		line++
	}
	start, end := f.lines[line-1], len(f.text)
	if line < len(f.lines) {
		end = f.lines[line] - 1
	}
	return line, 1 + utf8.RuneCountInString(f.text[start:offset]), strings.TrimSuffix(f.text[start:end], "\r")
}

// read reads and parses one file; nil when it is not usable, which is reported.
func (l *loader) read(name string, from *node) *node {
	f := &file{name: name, order: len(l.files)}
	l.files = append(l.files, f)
	if err := l.readText(f); err != nil {
		l.reportFile(f, from, err)
		return nil
	}
	if at := tooDeep(f.text); at >= 0 {
		l.report(f, span{at, at + 1}, Error, fmt.Sprintf("nested deeper than %d levels", maxNesting), "")
		return nil
	}
	values, err := decode(f.text)
	root, twice := scan(f)
	if err != nil {
		l.reportSyntax(f, root, err)
		return nil
	}
	if len(twice) > 0 {
		for _, n := range twice {
			l.reportTwice(n, find(root, n.path))
		}
		return nil
	}
	if missing := attach(root, values); missing != "" {
		l.report(f, span{}, Error, "cannot find the place of "+missing, "write the key in another form, and report this")
		return nil
	}
	return root
}

// readText fills in the text of a file.
func (l *loader) readText(f *file) error {
	r, err := l.fs.Open(f.name)
	if err != nil {
		return cause(err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return cause(err)
	}
	if len(data) > maxBytes {
		return fmt.Errorf("larger than %d KiB: this is no configuration file", maxBytes>>10)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return errors.New("this is UTF-16: a configuration file must be UTF-8")
	}
	if strings.IndexByte(text, 0) >= 0 {
		return errors.New("holds NUL bytes: this is a binary file")
	}
	f.text = text
	return nil
}

// cause takes the operation and the name off an error of the file system: the
// problem names the file already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// decode parses TOML. A bug of the library is an error like any other: no file
// may end the daemon.
func decode(text string) (values map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the TOML library gave up: %v", r)
		}
	}()
	_, err = toml.Decode(text, &values)
	return values, err
}

// tooDeep returns the offset at which brackets or dots nest too deep, or -1. The
// library needs time that grows with the square of the nesting, and stack.
func tooDeep(text string) int {
	brackets, dots := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"', '\'':
			s := scanner{text: text, pos: i}
			s.quoted()
			i = s.pos - 1
		case '#':
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				return -1
			}
			i, dots = i+end, 0
		case '[', '{':
			brackets, dots = brackets+1, 0
		case ']', '}':
			brackets = max(0, brackets-1)
		case '.':
			dots++
		case '=', ',', '\n':
			dots = 0
		}
		if brackets > maxNesting || dots > maxNesting {
			return i
		}
	}
	return -1
}

// reportSyntax reports why the library refused a file.
func (l *loader) reportSyntax(f *file, root *node, err error) {
	pe, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		l.report(f, span{}, Error, err.Error(), "")
		return
	}
	at := span{pe.Position.Start, pe.Position.Start + pe.Position.Len}
	if strings.HasPrefix(pe.Message, "invalid UTF-8") {
		for at.start < len(f.text) { // the library points somewhere before it
			r, size := utf8.DecodeRuneInString(f.text[at.start:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at.start += size
		}
		at.end = at.start + 1
	}
	if m := alreadyDefined.FindStringSubmatch(pe.Message); m != nil {
		n := &node{file: f, key: at}
		l.reportTwice(n, lookup(root, m[1]))
		return
	}
	_, _, line := f.place(at.start)
	message, hint := explainSyntax(pe.Message, line)
	l.report(f, at, Error, message, hint)
}

var alreadyDefined = regexp.MustCompile(`^Key '(.*)' (?:has already been defined|was already created .*)\.$`)

// reportTwice reports a key that is set again; first is where it was, if known.
func (l *loader) reportTwice(again, first *node) {
	message, hint := "this key is already set", ""
	if first != nil {
		line, _, _ := first.file.place(first.key.start)
		message = fmt.Sprintf("%s is already set", first)
		if first.isTable() {
			message = fmt.Sprintf("[%s] is already defined", first)
		}
		hint = fmt.Sprintf("the first one is in line %d", line)
		if first.file != again.file {
			hint = fmt.Sprintf("the first one is %s:%d", first.file.name, line)
		}
	}
	l.report(again.file, again.key, Error, message, hint)
}

// find returns the node with a path, nil when there is none.
func find(n *node, path []string) *node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		n = n.table[name]
	}
	return n
}

// lookup returns the node with a full name, nil when there is none.
func lookup(n *node, name string) *node {
	for _, child := range n.children() {
		if child.String() == name {
			return child
		}
		if strings.HasPrefix(name, child.String()+".") {
			return lookup(child, name)
		}
	}
	return nil
}
