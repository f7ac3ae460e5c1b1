package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScan: every key and value of a file has its place.
func TestScan(t *testing.T) {
	t.Parallel()
	const text = `# all forms of keys and values
a.b = 1 # one
"c \u0064" = 'x # y'
[ e . 'f.g' ]
h = [1, [ 2 ,3 ],
  # "remark"
  """m
\"""" ]
i={j="k",l.m={n=+inf}}
[[o]]
p = 1979-05-27 07:32:00
[o.q]
r = ''''s'''
[[o]]
p = '''
'''
`
	want := strings.TrimPrefix(`
a | a | a
a.b | b | 1
"c d" | "c \u0064" | 'x # y'
e | e | [ e . 'f.g' ]
e."f.g" | 'f.g' | [ e . 'f.g' ]
e."f.g".h | h | [1, [ 2 ,3 ],…
e."f.g".h[0] | 1 | 1
e."f.g".h[1] | [ 2 ,3 ] | [ 2 ,3 ]
e."f.g".h[1][0] | 2 | 2
e."f.g".h[1][1] | 3 | 3
e."f.g".h[2] | """m | """m…
e."f.g".i | i | {j="k",l.m={n=+inf}}
e."f.g".i.j | j | "k"
e."f.g".i.l | l | l
e."f.g".i.l.m | m | {n=+inf}
e."f.g".i.l.m.n | n | +inf
o | o | [[o]]
o[0] | [[o]] | [[o]]
o.p | p | 1979-05-27 07:32:00
o.q | q | [o.q]
o.q.r | r | ''''s'''
o[1] | [[o]] | [[o]]
o.p | p | '''…
`, "\n")
	f := &file{name: "x", text: text}
	values, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	root, twice := scan(f)
	if missing := attach(root, values); missing != "" || len(twice) > 0 {
		t.Errorf("missing %q, twice %v", missing, twice)
	}
	var b strings.Builder
	show(&b, root)
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func show(b *strings.Builder, n *node) {
	for _, child := range n.children() {
		showOne(b, child, child.String())
	}
}

func showOne(b *strings.Builder, n *node, name string) {
	key, _, _ := strings.Cut(n.file.text[n.key.start:n.key.end], "\n")
	fmt.Fprintf(b, "%s | %s | %s\n", name, key, n.raw())
	if n.isTable() {
		show(b, n)
		return
	}
	for i, element := range n.list {
		showOne(b, element, fmt.Sprintf("%s[%d]", name, i))
	}
}

// TestTwice: what the library overlooks is found by the scanner.
func TestTwice(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a.b = 1\na = 2\n", "a = { b.c = 1, b = 2 }\n"} {
		if _, twice := scan(&file{text: text}); len(twice) != 1 {
			t.Errorf("%q: found %d keys set twice, want 1", text, len(twice))
		}
	}
}

// FuzzPositions: in every text that the library accepts, every key and value
// has a place, and what stands at the place of a value decodes to that value.
func FuzzPositions(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 || strings.HasPrefix(text, "\ufeff") || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			return // cut or refused before it is parsed
		}
		file := &file{name: "x", text: text}
		root, twice := scan(file) // must end, whatever the text
		if tooDeep(text) >= 0 {
			return // refused before it is parsed
		}
		values, err := decode(text)
		if err != nil || len(twice) > 0 {
			return
		}
		if missing := attach(root, values); missing != "" {
			t.Fatalf("no place for %q in %q", missing, text)
		}
		verify(t, root, values)
	})
}

// verify compares the tree with the values, and each value with its text.
func verify(t *testing.T, n *node, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		if !slices.Equal(slices.Sorted(maps.Keys(n.table)), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("%s holds %v, want %v", n, n.table, want)
		}
		for name, child := range n.table {
			key := child.file.text[child.key.start:child.key.end]
			if unquote(key) != name {
				t.Fatalf("at the place of %q stands %q", name, key)
			}
			verify(t, child, want[name])
		}
	case []any:
		for i := range want {
			verify(t, n.list[i], want[i])
		}
	case []map[string]any:
		for i := range want {
			verify(t, n.list[i], want[i])
		}
	default:
		text := n.file.text[n.val.start:n.val.end]
		got, err := decode("x = " + text)
		if err != nil || !same(got["x"], want) {
			t.Fatalf("at the place of %s stands %q = %v, want %v (%v)", n, text, got["x"], want, err)
		}
	}
}

// same is equality, with NaN equal to itself.
func same(a, b any) bool { return reflect.DeepEqual(a, b) || fmt.Sprint(a) == fmt.Sprint(b) }

// seeds returns every TOML text of this package and the examples.
func seeds(tb testing.TB) []string {
	tb.Helper()
	texts := []string{firstPair, "a.b.'c'.\"d\" = [{e=1},[],{}]\n[[f]]\n[f.g]\nh=1e3\n[[f]]\ni=\"\"\"\\\n\"\"\"\"\"\"\n"}
	for _, pattern := range []string{"*.toml", "testdata/bad/*.toml", "testdata/bad/parts/*.toml", "../../examples/*.toml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			tb.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				tb.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	return texts
}
