package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// testsOf returns the names of all tests, fuzz tests and scenarios of the tree.
func testsOf(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pattern, test := range map[string]string{"../pkg/engine/testdata/*.txt": "TestScenarios/", "../pkg/config/testdata/bad/*.toml": "TestBad/"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, f := range files {
			base := filepath.Base(f)
			names[test+strings.TrimSuffix(base, filepath.Ext(base))] = true
		}
	}
	return names
}

// named finds the names of tests in a page.
var named = regexp.MustCompile("`(?:[a-z]+\\.)?((?:Test|Fuzz)\\w+(?:/[\\w-]+)?)`")

// exist wants all tests to exist that a text names.
func exist(t *testing.T, text string) {
	t.Helper()
	tests := testsOf(t)
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		if !tests[m[1]] {
			t.Errorf("there is no test %s", m[1])
		}
	}
}

// TestGuarantees: every test that the page names exists, and each of its rows names one.
func TestGuarantees(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	exist(t, string(text))
	rows := regexp.MustCompile(`(?m)^\| [0-9].*$`).FindAllString(string(text), -1)
	if len(rows) < 25 {
		t.Errorf("there are %d rows", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), "|")
		if !named.MatchString(cells[len(cells)-1]) {
			t.Errorf("no test proves the row %s", row)
		}
	}
}

// TestConformance: every requirement from 1 to 46, and 50, has a row that names a
// test or says why there is none, and every test that is named exists.
func TestConformance(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	exist(t, string(text))
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \| ([^|]*)\|$`).FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = strings.TrimSpace(m[2])
	}
	for i := 1; i <= 50; i++ {
		if n := strconv.Itoa(i); (i <= 46 || i == 50) && len(rows[n]) < 10 {
			t.Errorf("row %s says %q", n, rows[n])
		}
	}
}
