package variant

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOverlay: a program is compiled as the edits say, and the files stay as they are.
func TestOverlay(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example\n\ngo 1.26\n",
		"main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"one\", two) }\n",
		"two.go":  "package main\n\nconst two = \"two\"\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := Overlay(root, t.TempDir(), []Edit{
		{File: "main.go", Old: `"one"`, New: `"three"`}, {File: "main.go", Old: `"three",`, New: `"four",`}, {File: "two.go", Old: `"two"`, New: `"five"`},
	})
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", append([]string{"run"}, args...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := run("-overlay="+path, "."); got != "four five\n" {
		t.Errorf("the variant says %q", got)
	}
	if got := run("."); got != "one two\n" {
		t.Errorf("the program says %q", got)
	}
	for text, times := range map[string]string{"nowhere": "0 times", "main": "2 times"} {
		if _, err := Overlay(root, t.TempDir(), []Edit{{File: "main.go", Old: text}}); err == nil || !strings.Contains(err.Error(), times) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
