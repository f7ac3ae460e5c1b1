package config

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	referenceFile = "reference.toml"
	manualFile    = "../../docs/man/vipd.toml.5"
)

// facts is what the reference and the manual must say about a key, word for
// word: its values, its default and the standard's name.
func (k *key) facts() string {
	s := "Values: " + k.kind.allowed() + "."
	switch {
	case k.def != "":
		s += " Default: " + k.def + "."
	case k.none == required:
		s += " Required."
	default:
		s += " Without it: " + k.none + "."
	}
	if k.rfc != "" {
		s += " Standard: " + k.rfc + "."
	}
	return s
}

// comment is the comment above a key in the reference.
func (k *key) comment() []string {
	facts := k.facts()
	if len(k.also) > 0 {
		facts += " Elsewhere: " + strings.Join(k.also, ", ") + "."
	}
	var lines []string
	for _, text := range []string{k.doc, facts} {
		line := "#"
		for _, word := range strings.Fields(text) {
			if len([]rune(line))+1+len([]rune(word)) > 80 {
				lines = append(lines, line)
				line = "#"
			}
			line += " " + word
		}
		lines = append(lines, line)
	}
	return lines
}

// patterns returns the first node of every pattern of keys in a tree.
func patterns(n *node, pattern string, found map[string]*node) {
	for _, child := range n.children() {
		path := match(pattern, child.name)
		if row := rowOf()[path]; row != nil {
			if found[path] == nil && child.path[0] != "vip_defaults" {
				found[path] = child
			}
			if r, ok := row.kind.(rows); ok {
				for _, element := range child.list {
					patterns(element, r.pattern, found)
				}
			}
			continue
		}
		patterns(child, path, found)
	}
}

func allPatterns() []string { return slices.Sorted(maps.Keys(rowOf())) }

// TestReference: reference.toml is good, holds every key once at least, and says
// above each what the table of keys says.
func TestReference(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		text = []byte(withComments(t, string(text)))
		if err := os.WriteFile(referenceFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	parse(t, string(text))
	found := references(t, string(text))
	if diff := cmp.Diff(allPatterns(), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("keys (-code +reference)\n%s", diff)
	}
	for path, n := range found {
		want := strings.Join(rowOf()[path].comment(), "\n") + "\n"
		start := strings.LastIndexByte(n.file.text[:n.key.start], '\n') + 1
		if before := n.file.text[:start]; !strings.HasSuffix(before, "\n"+want) {
			t.Errorf("%s: the comment above it is not\n%s", path, want)
		}
	}
}

func references(t *testing.T, text string) map[string]*node {
	t.Helper()
	values, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := scan(&file{name: referenceFile, text: text})
	attach(root, values)
	found := map[string]*node{}
	patterns(root, "", found)
	return found
}

// withComments writes the comments anew above the first key of each pattern.
func withComments(t *testing.T, text string) string {
	t.Helper()
	rowAt := map[int]*key{}
	for path, n := range references(t, text) {
		line, _, _ := n.file.place(n.key.start)
		rowAt[line] = rowOf()[path]
	}
	var out []string
	for i, line := range strings.Split(text, "\n") {
		if row := rowAt[i+1]; row != nil {
			for len(out) > 0 && strings.HasPrefix(out[len(out)-1], "#") {
				out = out[:len(out)-1]
			}
			if last := out[len(out)-1]; last != "" && !strings.HasPrefix(last, "[") {
				out = append(out, "")
			}
			out = append(out, row.comment()...)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

var (
	manualTable = regexp.MustCompile(`^\.Ss (?:The top of the file|\[+([\w.]+)\]+.*)$`)
	manualKey   = regexp.MustCompile(`^\.It Cm (\S+)(?: |$)`)
)

// manualItems returns what vipd.toml(5) says about each key.
func manualItems(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(manualFile)
	if err != nil {
		t.Fatal(err)
	}
	items := map[string]string{}
	table, path := "", ""
	plain := strings.NewReplacer(`\(en`, "–", `\&`, "", `\e`, `\`)
	for _, line := range strings.Split(string(text), "\n") {
		if m := manualTable.FindStringSubmatch(line); m != nil {
			table, path = strings.ReplaceAll(m[1], "NAME", "*"), ""
			if table == "vip.*.routes" {
				table += "[]"
			}
			continue
		}
		if m := manualKey.FindStringSubmatch(line); m != nil {
			path = strings.TrimPrefix(table+"."+m[1], ".")
			items[path] = " "
			continue
		}
		if strings.HasPrefix(line, ".El") || strings.HasPrefix(line, ".S") {
			path = ""
		}
		if path != "" && !strings.HasPrefix(line, ".") {
			items[path] += plain.Replace(line) + " "
		}
	}
	return items
}

// TestManual: vipd.toml(5) has the same keys, and the same facts about each.
func TestManual(t *testing.T) {
	t.Parallel()
	items := manualItems(t)
	if diff := cmp.Diff(allPatterns(), slices.Sorted(maps.Keys(items))); diff != "" {
		t.Errorf("keys (-code +manual)\n%s", diff)
	}
	for path, text := range items {
		if row := rowOf()[path]; row != nil && !strings.Contains(text, " "+row.facts()+" ") {
			t.Errorf("%s: the manual lacks\n%s\nin\n%s", path, row.facts(), text)
		}
	}
}

// TestTable: the table of keys agrees with itself.
func TestTable(t *testing.T) {
	t.Parallel()
	if len(rowOf()) != len(keyRows) {
		t.Error("a key has two rows")
	}
	for _, row := range keyRows {
		parent, name := split(row.path)
		if tableOf()[parent] == nil {
			t.Errorf("%s: there is no table %s", row.path, parent)
		}
		if (row.def == "") == (row.none == "") {
			t.Errorf("%s: needs either a default or what happens without", row.path)
		}
		if (row.def != "") != (defaultOf(row.path) != nil) {
			t.Errorf("%s: its default %s is not one of %s", row.path, row.def, row.kind.allowed())
		}
		if !strings.HasSuffix(row.doc, ".") || slices.Contains(row.also, name) {
			t.Errorf("%s: incomplete or wrong words: %q, %v", row.path, row.doc, row.also)
		}
		for _, word := range row.also {
			if meant, hint := unknownHint(&node{name: word}, parent); hint == "" || meant != name {
				t.Errorf("%s: %q in its table leads to %q", row.path, word, hint)
			}
		}
	}
}

// TestExamples: every example is good and causes no warning.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*.toml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d examples, want 7 or more (%v)", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, problems := Load(memory{name: string(text)}, name); len(problems.List) > 0 {
			t.Errorf("%s", formatted(t, problems))
		}
	}
}
