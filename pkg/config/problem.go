package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity says whether a problem forbids the configuration.
type Severity string

// The severities of a problem.
const (
	Error   Severity = "error"   // the configuration is not usable
	Warning Severity = "warning" // it is, but will surprise somebody
)

// Problem is one mistake in a configuration file.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`   // from 1; 0 = the file as a whole
	Column   int      `json:"column,omitempty"` // in characters, from 1
	Length   int      `json:"length,omitempty"` // in characters, 1 or more, never beyond the line
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
	Excerpt  string   `json:"excerpt,omitempty"` // the line, cut to what fits on a screen

	caret int // characters in Excerpt before the mistake
}

// Problems is what was found in a configuration file and all that it includes,
// in the order in which the files were read.
type Problems struct {
	File string // as given to [Load]
	List []Problem
}

// Errors counts the problems that forbid the configuration.
func (p *Problems) Errors() int { return p.count(Error) }

// Warnings counts the problems that do not.
func (p *Problems) Warnings() int { return p.count(Warning) }

func (p *Problems) count(s Severity) int {
	n := 0
	for _, q := range p.List {
		if q.Severity == s {
			n++
		}
	}
	return n
}

// Summary is the line that closes a list of problems, without a program's name:
// "2 problems and 1 warning in vipd.toml". It is empty when there are none.
func (p *Problems) Summary() string {
	var parts []string
	if n := p.Errors(); n > 0 {
		parts = append(parts, plural(n, "problem"))
	}
	if n := p.Warnings(); n > 0 {
		parts = append(parts, plural(n, "warning"))
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, " and ") + " in " + p.File
}

// Err returns nil when the configuration is usable, and the first error with
// the number of the others when it is not.
func (p *Problems) Err() error {
	for _, q := range p.List {
		if q.Severity == Error {
			return fmt.Errorf("%s: %s (%s)", q.place(), q.Message, p.Summary())
		}
	}
	return nil
}

// MarshalJSON gives the document vipd.check-config/v1.
func (p *Problems) MarshalJSON() ([]byte, error) {
	list := p.List
	if list == nil {
		list = []Problem{}
	}
	return json.Marshal(struct {
		Schema   string    `json:"schema"`
		File     string    `json:"file"`
		Errors   int       `json:"errors"`
		Warnings int       `json:"warnings"`
		Problems []Problem `json:"problems"`
	}{"vipd.check-config/v1", p.File, p.Errors(), p.Warnings(), list})
}

// The colours of a terminal.
const (
	colorBold   = "\x1b[1m"
	colorRed    = "\x1b[1;31m"
	colorYellow = "\x1b[1;33m"
	colorGreen  = "\x1b[32m"
	colorOff    = "\x1b[0m"
)

// Format prints every problem for a human, and a last line that counts them. It
// prints nothing when there are none.
func (p *Problems) Format(w io.Writer, color bool) error {
	paint := func(code, s string) string {
		if !color || s == "" {
			return s
		}
		return code + s + colorOff
	}
	var b strings.Builder
	for _, q := range p.List {
		q.format(&b, paint)
	}
	if s := p.Summary(); s != "" {
		word := ""
		if p.Errors() > 0 {
			word = paint(colorRed, "error:") + " "
		}
		fmt.Fprintf(&b, "vipd: %s%s\n", word, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Problem) format(b *strings.Builder, paint func(code, s string) string) {
	code := colorRed
	if p.Severity == Warning {
		code = colorYellow
	}
	fmt.Fprintf(b, "%s: %s %s\n", paint(colorBold, p.place()), paint(code, string(p.Severity)+":"), p.Message)
	if p.Line > 0 {
		length := max(1, min(p.Length, utf8.RuneCountInString(p.Excerpt)-p.caret))
		mark := "^" + strings.Repeat("~", length-1)
		fmt.Fprintf(b, "%5d | %s\n", p.Line, p.Excerpt)
		fmt.Fprintf(b, "      | %s%s\n", strings.Repeat(" ", p.caret), paint(colorGreen, mark))
	}
	if p.Hint != "" {
		fmt.Fprintf(b, "      = help: %s\n", p.Hint)
	}
}

// place is "vipd.toml:6:8", or the name alone for a file as a whole.
func (p *Problem) place() string {
	if p.Line == 0 {
		return printable(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", printable(p.File), p.Line, p.Column)
}

// excerptWidth is how many characters of a line are shown, and excerptLead how
// many of them stand before the mistake when the line is longer.
const (
	excerptWidth = 120
	excerptLead  = 40
)

// excerpt cuts line to what fits on a screen, and says where in it the
// character at offset column (from 0) is.
func excerpt(line string, column int) (string, int) {
	runes := []rune(printable(line))
	column = min(column, len(runes))
	start := 0
	if len(runes) > excerptWidth && column > excerptLead {
		start = column - excerptLead
	}
	cut := runes[start:min(len(runes), start+excerptWidth)]
	prefix, suffix := "", ""
	if start > 0 {
		prefix = "…"
	}
	if start+len(cut) < len(runes) {
		suffix = "…"
	}
	return prefix + string(cut) + suffix, column - start + len([]rune(prefix))
}

// printable replaces what would not stay on its line or in its column on a
// terminal, one character for one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, s)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
