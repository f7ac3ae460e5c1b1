package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestText reads back what is printed of every example, as it was written and
// effective: neither changes anything, and the effective one has no defaults
// left to fill in.
func TestText(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, name := range append(files, referenceFile) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		original := parse(t, string(text))
		for what, printed := range map[string]string{"written": original.Text.Written(), "effective": original.Text.Effective()} {
			again := parse(t, printed)
			changes := slices.DeleteFunc(Diff(original, again), func(line string) bool {
				return strings.Contains(line, ": headers.") // secrets do not come back
			})
			if len(changes) > 0 {
				t.Errorf("%s: %s changes %q\n%s", name, what, changes, printed)
			}
			if again.Text.Effective() != original.Text.Effective() {
				t.Errorf("%s: the effective one of %s differs (-original +again)\n%s", name, what, cmp.Diff(original.Text.Effective(), again.Text.Effective()))
			}
		}
	}
}

// TestTextInFull compares one small file with both of its forms.
func TestTextInFull(t *testing.T) {
	t.Parallel()
	config := parse(t, `
[vip_defaults]
advert_interval = "200ms"
garp.repeat = 3
[vip."a.b"]
addresses = [ # two
  "192.0.2.1/24", '192.0.2.2/24',
]
vrid = 7
interface = "eth0"
track = { up = -20 }
[check.up]
type = "exec"
command = ["/bin/curl", "https://anna:secret@example.net/x\"y"]
`)
	want := `[vip_defaults]
advert_interval = "200ms"
garp.repeat = 3

[vip."a.b"]
interface = "eth0"
vrid = 7
addresses = ["192.0.2.1/24", "192.0.2.2/24"]
track = { up = -20 }

[check.up]
type = "exec"
command = ["/bin/curl", "https://anna:***@example.net/x\"y"]
`
	if diff := cmp.Diff(want, config.Text.Written()); diff != "" {
		t.Errorf("written (-want +got)\n%s", diff)
	}
	for _, line := range []string{"advert_interval = \"200ms\"", "garp.repeat = 3", "garp.interval = \"1ms\"", "priority = 100", "rise = 2", "startup_delay = \"0s\""} {
		if !strings.Contains("\n"+config.Text.Effective(), "\n"+line+"\n") {
			t.Errorf("the effective one has no line %q:\n%s", line, config.Text.Effective())
		}
	}
	for _, word := range []string{"vip_defaults", "secret", "exists"} {
		if strings.Contains(config.Text.Effective(), word) {
			t.Errorf("the effective one has %q:\n%s", word, config.Text.Effective())
		}
	}
}

// TestSecret shows the shape of a secret value, and nothing of it.
func TestSecret(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"a"`:                    `"***"`,
		`7`:                      `"***"`,
		`["a", "b"]`:             `["***", "***"]`,
		`{ x = "a", y = ["b"] }`: `{ x = "***", y = ["***"] }`,
	} {
		values, err := decode("key = " + text)
		if err != nil {
			t.Fatal(err)
		}
		root, _ := scan(&file{name: "x", text: "key = " + text})
		attach(root, values)
		s := section{node: root}
		if got := s.lines([]*key{{path: "key", secret: true}}, true); len(got) != 1 || got[0].text != "key = "+want {
			t.Errorf("%s is printed as %+v, want %s", text, got, want)
		}
	}
}
