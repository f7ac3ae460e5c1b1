package keepalived

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// expander turns files into the lines that keepalived acts on.
type expander struct {
	source
	host   string // what @ is compared with
	params map[string]string
	dir    string // of the file that is being read
	out    []line
	steps  int // lines that were looked at, also those that come to nothing
	notes  func(at place, subject string, v Verdict, note string)
}

// files reads a file and what it includes.
func (e *expander) file(name string, depth int) error {
	lines, err := e.read(name)
	if err != nil {
		return err
	}
	outer := e.dir
	e.dir = path.Dir(name)
	defer func() { e.dir = outer }()
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if l.text == "" {
			e.out = append(e.out, l)
			continue
		}
		// A backslash at the end goes on: in a definition with a line, elsewhere on the same one.
		separator := " "
		if isDefinition(l.text) {
			separator = "\n"
		}
		for strings.HasSuffix(strings.TrimRight(l.text, " \t"), `\`) {
			l.text = strings.TrimSuffix(strings.TrimRight(l.text, " \t"), `\`)
			if i++; i == len(lines) {
				break
			}
			l.text += separator + lines[i].text
		}
		if words, err := split(l.text); err == nil && len(words) > 1 && slices.Contains(includeWords, words[0].text) {
			if err := e.include(l, words[1].text, depth); err != nil {
				return err
			}
			continue
		}
		if err := e.line(l, 0); err != nil {
			return err
		}
	}
	return nil
}

// includeWords are include and its variants, which differ in what is an error.
var includeWords = []string{"include", "includer", "includem", "includew", "includeb", "includea"}

// include reads the files of one include line.
func (e *expander) include(l line, pattern string, depth int) error {
	subject := strings.TrimSpace(l.text)
	if depth == maxDepth {
		return fmt.Errorf("%s: more than %d files within each other", l.place, maxDepth)
	}
	found, err := e.glob(e.resolve(e.dir, pattern))
	if err != nil {
		return fmt.Errorf("%s: %w", l.place, err)
	}
	if len(found) == 0 {
		e.notes(l.place, subject, Changed, "no such file: nothing to read")
		return nil
	}
	for _, name := range found {
		if err := e.file(name, depth+1); err != nil {
			return fmt.Errorf("%s: %w", l.place, err)
		}
	}
	files := "a file"
	if len(found) != 1 {
		files = fmt.Sprintf("%d files", len(found))
	}
	e.notes(l.place, subject, Converted, files+" read, part of this one from now on")
	return nil
}

var (
	definition = regexp.MustCompile(`(?s)^\s*\$([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	condition  = regexp.MustCompile(`(?s)^\s*@(\^?)([^\s]*)(?:\s+(.*))?$`)
	reference  = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(\s[^}]*)?\}|\$([A-Za-z_][A-Za-z0-9_]*)(\s|$)`)
)

// isDefinition reports whether a line defines a parameter, under a condition or
// not.
func isDefinition(text string) bool {
	if m := condition.FindStringSubmatch(text); m != nil {
		text = m[3]
	}
	return definition.MatchString(text)
}

// line expands one line and appends what comes of it.
func (e *expander) line(l line, depth int) error {
	if depth > maxDepth*maxDepth {
		return fmt.Errorf("%s: parameters refer to each other without an end", l.place)
	}
	if e.steps++; e.steps > maxLines {
		return fmt.Errorf("%s: more than %d lines come of it", l.place, maxLines)
	}
	if m := condition.FindStringSubmatch(l.text); m != nil {
		met := (m[2] == e.host) != (m[1] == "^")
		if !met {
			e.notes(l.place, strings.TrimSpace(l.text), Converted, "for another host than "+e.host+": left out")
			return nil
		}
		l.text = m[3]
		return e.line(l, depth+1)
	}
	if m := definition.FindStringSubmatch(l.text); m != nil {
		e.params[m[1]] = strings.TrimPrefix(strings.TrimSpace(m[2]), "\n")
		e.notes(l.place, "$"+m[1]+"=", Converted, "put in where it is used")
		return nil
	}
	if rest, values, ok, err := sequence(l.text); err != nil {
		return fmt.Errorf("%s: %w", l.place, err)
	} else if ok {
		for _, set := range values {
			for name, value := range set {
				e.params[name] = value
			}
			if err := e.line(line{place: l.place, text: rest}, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	text, changed, err := e.substitute(l)
	if err != nil {
		return err
	}
	if !changed {
		if strings.TrimSpace(text) != "" {
			e.out = append(e.out, line{place: l.place, text: text})
		}
		return nil
	}
	for _, part := range strings.Split(text, "\n") {
		if err := e.line(line{place: l.place, text: part}, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// substitute puts in the first parameter of a line that is known.
func (e *expander) substitute(l line) (text string, changed bool, err error) {
	for _, m := range reference.FindAllStringSubmatchIndex(l.text, -1) {
		name, end := "", m[1]
		if m[2] >= 0 {
			name = l.text[m[2]:m[3]]
		} else {
			name, end = l.text[m[6]:m[7]], m[7]
		}
		value, ok := e.params[name]
		switch {
		case ok:
		case name == "_PWD":
			value = path.Join("/", e.dir)
		case name == "_INSTANCE":
			value = e.host
		case name == "_RANDOM":
			return "", false, fmt.Errorf("%s: ${_RANDOM} is another number each time: write the number that you want", l.place)
		default:
			continue
		}
		return l.text[:m[0]] + value + l.text[end:], true, nil
	}
	return strings.NewReplacer("${_HASH}", "#", "${_BANG}", "!").Replace(l.text), false, nil
}

// cause is the part of an error of the file system that its name does not
// repeat.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
