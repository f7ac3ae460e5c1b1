package keepalived

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Limits of what is read. They are far beyond any pair, and keep a sequence in a
// sequence from taking the host's memory.
const (
	maxFiles = 256
	maxDepth = 16     // of includes, and of parameters within parameters
	maxLines = 20_000 // that are expanded
)

// place is where something stands.
type place struct {
	file string // as printed
	line int    // from 1
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// line is one line of configuration after comments were cut off.
type line struct {
	place
	text    string
	comment string // a line that is nothing but a comment: its text
}

// source reads files.
type source struct {
	fsys  fs.FS
	root  string // directory of the first file
	order []string
}

// read returns the lines of one file.
func (s *source) read(name string) ([]line, error) {
	if len(s.order) == maxFiles {
		return nil, fmt.Errorf("read %s: more than %d files", s.shown(name), maxFiles)
	}
	raw, err := fs.ReadFile(s.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.shown(name), cause(err))
	}
	s.order = append(s.order, s.shown(name))
	var out []line
	for i, text := range strings.Split(string(raw), "\n") {
		at := place{s.shown(name), i + 1}
		kept, comment := uncomment(strings.TrimSuffix(text, "\r"))
		if strings.TrimSpace(kept) == "" {
			out = append(out, line{place: at, comment: comment})
			continue
		}
		out = append(out, line{place: at, text: kept})
	}
	return out, nil
}

// shown is how a file is named to people: below the directory of the first one
// by its relative path.
func (s *source) shown(name string) string {
	if below, ok := strings.CutPrefix(name, s.root+"/"); ok {
		return below
	}
	if s.root == "." {
		return name
	}
	return "/" + name
}

// resolve turns the name in an include into one of the file system.
func (s *source) resolve(from, name string) string {
	if path.IsAbs(name) {
		return strings.TrimPrefix(path.Clean(name), "/")
	}
	return path.Join(from, name)
}

// glob returns the files that a pattern with * and {a,b} names.
func (s *source) glob(pattern string) ([]string, error) {
	var all []string
	for _, p := range braces(pattern) {
		found, err := fs.Glob(s.fsys, p)
		if err != nil {
			return nil, fmt.Errorf("include %s: %w", pattern, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// braces expands {a,b} as a shell does, nested ones too.
func braces(pattern string) []string {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		return []string{pattern}
	}
	depth, start := 0, open+1
	var parts []string
	for i := open; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '{':
			depth++
		case c == ',' && depth == 1:
			parts, start = append(parts, pattern[start:i]), i+1
		case c == '}' && depth == 1:
			var all []string
			for _, part := range append(parts, pattern[start:i]) {
				all = append(all, braces(pattern[:open]+part+pattern[i+1:])...)
			}
			return all
		case c == '}':
			depth--
		}
	}
	return []string{pattern}
}

// uncomment cuts off what follows ! or # outside of quotes, and returns the text
// of a comment that has the line for itself.
func uncomment(text string) (kept, comment string) {
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '!' || c == '#':
			if strings.TrimSpace(text[:i]) != "" {
				return text[:i], ""
			}
			return "", strings.TrimSpace(strings.TrimLeft(text[i:], "!# \t"))
		}
	}
	return text, ""
}
