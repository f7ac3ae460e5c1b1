package config

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblemsJSON(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"good": {firstPair, `{"schema":"vipd.check-config/v1","file":"vipd.toml","errors":0,"warnings":0,"problems":[]}`},
		"one": {
			"[vip.web]\nintreface = \"é\"\nvrid = 51\naddresses = [\"192.0.2.10\"]",
			`{"schema":"vipd.check-config/v1","file":"vipd.toml","errors":1,"warnings":0,"problems":[` +
				`{"file":"vipd.toml","line":2,"column":1,"length":9,"severity":"error",` +
				"\"message\":\"unknown key `intreface` in [vip.web]\",\"hint\":\"did you mean `interface`?\"," +
				`"excerpt":"intreface = \"é\""}]}`,
		},
		"no place": {
			"\x00",
			`{"schema":"vipd.check-config/v1","file":"vipd.toml","errors":1,"warnings":0,"problems":[` +
				`{"file":"vipd.toml","severity":"error","message":"holds NUL bytes: this is a binary file"}]}`,
		},
	} {
		_, problems := Load(memory{"vipd.toml": test.text}, "vipd.toml")
		got, err := json.Marshal(problems)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// TestColor: colours add to the text and change nothing in it.
func TestColor(t *testing.T) {
	t.Parallel()
	_, problems := Load(memory{"vipd.toml": "[vip.web]\nvrid = 0\nadvert_interval = \"10ms\"\n"}, "vipd.toml")
	var b bytes.Buffer
	if err := problems.Format(&b, true); err != nil {
		t.Fatal(err)
	}
	colors := []string{colorBold, colorRed, colorYellow, colorGreen, colorOff}
	text := b.String()
	for _, c := range colors {
		if !strings.Contains(text, c) {
			t.Errorf("no %q in it", c)
		}
		text = strings.ReplaceAll(text, c, "")
	}
	if diff := cmp.Diff(formatted(t, problems), text); diff != "" {
		t.Errorf("(-without +with colours)\n%s", diff)
	}
}

// TestExcerpt: long lines are cut around the mistake, columns count characters,
// and nothing that a terminal would obey gets through.
func TestExcerpt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 300)
	for name, test := range map[string]struct {
		line   string
		column int
		want   string
		caret  int
	}{
		"short":    {"\tvrid = 1\x1b[31m", 8, " vrid = 1\ufffd[31m", 8},
		"start":    {long, 3, strings.Repeat("ä", 120) + "…", 3},
		"middle":   {long, 150, "…" + strings.Repeat("ä", 120) + "…", 41},
		"end":      {long, 299, "…" + strings.Repeat("ä", 41), 41},
		"behind":   {"ab", 7, "ab", 2},
		"nowhere":  {"", 0, "", 0},
		"not utf8": {"a\xffb", 2, "a\ufffdb", 2},
	} {
		text, caret := excerpt(test.line, test.column)
		if text != test.want || caret != test.caret {
			t.Errorf("%s: %q, %d; want %q, %d", name, text, caret, test.want, test.caret)
		}
	}
}
