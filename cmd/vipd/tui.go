package main

// The rules for everything that vipd prints as a command (the daemon logs):
//
//   - What was asked for goes to stdout. Everything else, which is talk, goes to
//     stderr, so that a pipe never holds a word of it.
//   - Errors are one line, `vipd: error: ` and what happened: verb, object,
//     cause; lower case, no full stop. When there is something to type next, a
//     second line says so: `vipd: hint: `. Both appear even with --quiet.
//   - Success is silent, or one line that says what is different now.
//   - Tables are for people: aligned with spaces, upper-case headings, times as
//     "3m ago". JSON is for programs: whole documents with a schema, times in
//     RFC 3339. Nobody should parse a table.
//   - What is wrong comes after the table, worst first, each line with a `!`.
//   - Colours only on a terminal, never with NO_COLOR, --no-color or TERM=dumb,
//     and never as the only sign of anything.
//   - No prompt, no spinner, no progress bar.
//   - Text that came from elsewhere (what a check printed, a drain's reason) is
//     cleaned of control characters before it reaches a terminal.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// tui is where a command prints.
type tui struct {
	in       *os.File // for keys
	out, err io.Writer
	noColor  bool
	quiet    bool
	verbose  bool

	color    bool     // of stdout
	errColor bool     // of stderr
	width    int      // of stdout in columns, 0 = not a terminal, or endless
	changes  *changes // what to make stand out, nil = nothing
}

// newTUI prints to two writers, which may be terminals.
func newTUI(stdout, stderr io.Writer) tui { return tui{in: os.Stdin, out: stdout, err: stderr} }

// settle looks at the terminal, once the flags are known.
func (t *tui) settle() {
	wanted := !t.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if _, ok := terminal(t.err); ok {
		t.errColor = wanted
	}
	fd, ok := terminal(t.out)
	if !ok {
		return
	}
	t.color = wanted
	if w, _, err := term.GetSize(fd); err == nil {
		t.width = w
	}
}

// terminal reports whether w is a terminal, and its descriptor.
func terminal(w io.Writer) (fd int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}

// say prints what was asked for.
func (t *tui) say(format string, args ...any) {
	_, _ = fmt.Fprintln(t.out, clean(fmt.Sprintf(format, args...)))
}

// talk prints one line beside it.
func (t *tui) talk(line string) { _, _ = fmt.Fprintln(t.err, clean(line)) }

// note is talk that can be turned off.
func (t *tui) note(format string, args ...any) {
	if !t.quiet {
		t.talk("vipd: " + fmt.Sprintf(format, args...))
	}
}

// error says what happened.
func (t *tui) error(err error) { t.talk("vipd: error: " + err.Error()) }

// hint says what to type next, if there is something.
func (t *tui) hint(text string) {
	if text != "" {
		t.talk("vipd: hint: " + text)
	}
}

// printJSON prints a document: indented for a person, as it came for a program.
func (t *tui) printJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if t.width > 0 {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return fmt.Errorf("read the daemon's JSON: %w", err)
		}
		raw = b.Bytes()
	}
	_, err := fmt.Fprintf(t.out, "%s\n", raw)
	return err
}

// encodeJSON prints a document of our own.
func (t *tui) encodeJSON(doc any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return t.printJSON(b.Bytes())
}

// clean replaces control characters, other than line feeds.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || r == unicode.ReplacementChar) {
			return '?'
		}
		return r
	}, text)
}

// style is how a cell stands out on a terminal.
type style string

// The styles, as SGR parameters.
const (
	plain  style = ""
	bold   style = "1"
	red    style = "1;31"
	green  style = "32"
	yellow style = "33"
	turned style = "7" // reverse video
)

// paint styles a text that has been cleaned already.
func (t *tui) paint(s style, text string) string {
	if !t.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
