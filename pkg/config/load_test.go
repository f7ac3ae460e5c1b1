package config

import (
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// FuzzLoad: no file crashes it or makes it hang, every problem points into a
// file, and a configuration that comes out keeps what the engine relies on.
func FuzzLoad(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text, "[vip.web]\npriority = 150\n")
	}
	f.Add("include = [\"b.toml\"]\n", "include = [\"a.toml\", \"*\"]\n")
	f.Fuzz(func(t *testing.T, first, second string) {
		files := memory{"a.toml": first, "b.toml": second}
		c, problems := Load(files, "a.toml")
		if (c == nil) != (problems.Errors() > 0) {
			t.Fatalf("config %v with %d errors", c != nil, problems.Errors())
		}
		for _, p := range problems.List {
			verifyProblem(t, p, files)
		}
		if err := problems.Format(io.Discard, true); err != nil {
			t.Fatal(err)
		}
		if _, err := problems.MarshalJSON(); err != nil {
			t.Fatal(err)
		}
		if c != nil {
			verifyConfig(t, c.Engine)
			if lines := Diff(c, c); len(lines) > 0 {
				t.Fatalf("differs from itself: %v", lines)
			}
		}
	})
}

func verifyProblem(t *testing.T, p Problem, files memory) {
	t.Helper()
	if p.Message == "" || !printableText(p.Message+p.Hint+p.Excerpt) {
		t.Fatalf("message %q, hint %q, excerpt %q", p.Message, p.Hint, p.Excerpt)
	}
	text, ok := files[p.File]
	if !ok || p.Line == 0 {
		return // a file as a whole
	}
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	if p.Line > len(lines) {
		t.Fatalf("line %d of %d", p.Line, len(lines))
	}
	if width := utf8.RuneCountInString(lines[p.Line-1]); p.Column < 1 || p.Column > width+1 || p.Length < 1 || p.Column+p.Length > width+2 {
		t.Fatalf("column %d, length %d in a line of %d: %s", p.Column, p.Length, width, p.Message)
	}
	if p.caret > utf8.RuneCountInString(p.Excerpt) {
		t.Fatalf("caret at %d of %q", p.caret, p.Excerpt)
	}
}

func printableText(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) && r != utf8.RuneError {
			return false
		}
	}
	return true
}

func verifyConfig(t *testing.T, c engine.Config) {
	t.Helper()
	for name, v := range c.VIPs {
		switch {
		case v.Interface == "", v.VRID == 0, v.Priority == 0, v.Version < 2, v.Version > 3, len(v.Addresses) == 0,
			v.Interval < centisecond, v.Interval%centisecond != 0, v.GARP.Repeat < 1, len(v.GARP.Bursts) == 0,
			v.Version == 2 && !v.Family4():
			t.Fatalf("vip %s: %+v", name, v)
		}
		for k := range v.Track {
			if _, ok := c.Checks[k]; !ok {
				t.Fatalf("vip %s tracks %s, which is not there", name, k)
			}
		}
		for k, w := range v.Track {
			if w == (check.Weight{}) {
				t.Fatalf("vip %s: no weight for %s", name, k)
			}
		}
	}
	for name, members := range c.Groups {
		for _, m := range members {
			if _, ok := c.VIPs[m]; !ok {
				t.Fatalf("group %s has %s, which is not there", name, m)
			}
		}
	}
	for name, k := range c.Checks {
		if g, ok := k.Spec.(check.Group); ok {
			if len(g.Members) == 0 || g.Need < 1 || g.Need > len(g.Members) {
				t.Fatalf("check %s: %+v", name, k)
			}
			continue
		}
		if k.Spec == nil || k.Interval < centisecond || k.Timeout < 1 || k.Timeout > k.Interval || k.Rise < 1 || k.Fall < 1 {
			t.Fatalf("check %s: %+v", name, k)
		}
		if exec, ok := k.Spec.(check.Exec); ok && (len(exec.Command) == 0 || exec.Command[0] == "") {
			t.Fatalf("check %s: %+v", name, k)
		}
	}
}
