package keepalived

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vipd/vipd/pkg/config"
)

// convert converts one file.
func convert(t *testing.T, text string) *Result {
	t.Helper()
	r, err := Convert(fstest.MapFS{"keepalived.conf": {Data: []byte(text)}}, "keepalived.conf", "lb1")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEveryLine: the report names every line of the corpus that says something,
// unless the block around it is refused or changed as a whole.
func TestEveryLine(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		in := fstest.MapFS{}
		for _, f := range ar.Files {
			in[f.Name] = &fstest.MapFile{Data: f.Data}
		}
		host := hostOf(t, ar.Comment)
		r, err := Convert(in, "keepalived.conf", host)
		if err != nil {
			t.Fatal(err)
		}
		e := &expander{source: source{fsys: in, root: "."}, host: host, params: map[string]string{}, notes: func(place, string, Verdict, string) {}}
		if err := e.file("keepalived.conf", 0); err != nil {
			t.Fatal(err)
		}
		statements, err := parse(e.out)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			named(t, name, r, s)
		}
	}
}

// named checks that the report names a statement, or all that is in its block.
func named(t *testing.T, corpus string, r *Result, s *statement) {
	t.Helper()
	i := slices.IndexFunc(r.Findings, func(f Finding) bool {
		return f.File == s.file && f.Line == s.line && f.Text == s.subject()
	})
	switch {
	case i >= 0 && (r.Findings[i].Verdict != Converted || !s.opened):
		return
	case i < 0 && len(s.block) == 0:
		t.Errorf("%s: the report does not name %s: %s", corpus, s.place, s.subject())
		return
	}
	if i >= 0 && (s.name() == "group" || s.name() == "interfaces") {
		return // a list of names
	}
	for _, child := range s.block {
		named(t, corpus, r, child)
	}
}

// TestWords splits lines as the manual of keepalived says.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string
	}{
		{`priority  100`, []string{"priority", "100"}},
		{`abcd" efg h jkl "mnop`, []string{"abcd efg h jkl mnop"}},
		{`abcd "efg h jkl" mnop`, []string{"abcd", "efg h jkl", "mnop"}},
		{`script "a 'b c'"`, []string{"script", "a 'b c'"}},
		{`x \"y\" \\ \x41 \101 \cA`, []string{"x", `"y"`, `\`, "A", "A", "\x01"}},
		{`x ""`, []string{"x", ""}},
		{"\t", nil},
	} {
		words, err := split(c.text)
		if err != nil {
			t.Errorf("split %q: %v", c.text, err)
		}
		var got []string
		for _, w := range words {
			got = append(got, w.text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("split %q (-want +got):\n%s", c.text, diff)
		}
	}
}

// TestExpand: conditions, parameters, sequences and lists become the lines that
// the manual of keepalived shows.
func TestExpand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"comments", "a # b\n! c\nd \"e#f\" !g\nh \\# i", []string{"a", `d "e#f"`, `h \# i`}},
		{"conditions", "@lb1 a\n@^lb1 b\n@lb2 c\n@^lb2 d", []string{"a", "d"}},
		{"recursive", "$BASE=10.2.${SUB}\n$SUB=0\n${BASE}.100/32\n$SUB=10\n${BASE}.100/32", []string{"10.2.0.100/32", "10.2.10.100/32"}},
		{"undefined", "script ${NOT} $HERE x", []string{"script ${NOT} $HERE x"}},
		{"bare", "$A=1\nx $A y $A", []string{"x 1 y 1"}},
		{"condition in a parameter", "$IF=@lb1\n$IF a\n$ELSE=@^lb1\n$ELSE b", []string{"a"}},
		{"predefined", "${_INSTANCE} ${_HASH}1 ${_BANG}", []string{"lb1 #1 !"}},
		{"several lines", "$X= \\\n a ${N} { \\\n b \\\n }\n$N=1\n$X\n$N=2\n$X", []string{"a 1 {", "b", "}", "a 2 {", "b", "}"}},
		{"continued", "a \\\n b", []string{"a   b"}},
		{"SEQ", "~SEQ(S, 0, 3) 10.0.${S}.1", []string{"10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1"}},
		{"SEQ down", "~SEQ(S, -2) x${S}", []string{"x-1", "x-2"}},
		{"SEQx", "~SEQx(S, 0x90, 0x10, 0xc0) fe80::20:${S}:1", []string{"fe80::20:90:1", "fe80::20:a0:1", "fe80::20:b0:1", "fe80::20:c0:1"}},
		{"SEQ in SEQ", "~SEQ(A,1,2) ~SEQ(B,5,4) ${A}.${B}", []string{"1.5", "1.4", "2.5", "2.4"}},
		{"LST", "~LST({IP, IP1}, {10,1},{20,4}) 192.168.${IP}.${IP1}", []string{"192.168.10.1", "192.168.20.4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := fstest.MapFS{"f": {Data: []byte(c.text)}}
			e := &expander{source: source{fsys: in, root: "."}, host: "lb1", params: map[string]string{}, notes: func(place, string, Verdict, string) {}}
			if err := e.file("f", 0); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range e.out {
				if l.text != "" {
					got = append(got, strings.TrimSpace(l.text))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("expanded otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnreadable: what cannot be read is one error that says where.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, want string
	}{
		{"never closed", "\nvrrp_instance A {\n", "keepalived.conf:2: the block of vrrp_instance is never closed"},
		{"never opened", "a\n}\n", "keepalived.conf:2: a block is closed that was never opened"},
		{"no keyword", "{\n}\n", "keepalived.conf:1: a block without a keyword"},
		{"quote", "script \"a\n", "keepalived.conf:1: a quote is not closed"},
		{"endless parameter", "$A=x ${A}\n${A}\n", "keepalived.conf:2: parameters refer to each other without an end"},
		{"endless include", "include keepalived.conf\n", strings.Repeat("keepalived.conf:1: ", 17) + "more than 16 files within each other"},
		{"random", "priority ${_RANDOM 1 9}\n", "keepalived.conf:1: ${_RANDOM} is another number each time: write the number that you want"},
		{"sequence", "~SEQ(A, 1, 0, 9) x\n", "keepalived.conf:1: ~SEQ: more than 20000 rounds"},
		{"many lines", "~SEQ(A, 1, 9000) ~SEQ(B, 1, 9000) x\n", "keepalived.conf:1: more than 20000 lines come of it"},
		{"many lines that come to nothing", "~SEQ(A, 1, 9000) ~SEQ(B, 1, 9000) @lb2 x\n", "keepalived.conf:1: more than 20000 lines come of it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Convert(fstest.MapFS{"keepalived.conf": {Data: []byte(c.text)}}, "keepalived.conf", "lb1")
			if fmt.Sprint(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := Convert(fstest.MapFS{}, "etc/keepalived/keepalived.conf", ""); fmt.Sprint(err) != "read keepalived.conf: file does not exist" {
		t.Errorf("a file that is missing: %v", err)
	}
}

// TestSecrets: a password is in no report and in no file.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const rest = "virtual_router_id 1\n virtual_ipaddress { 192.0.2.1 }\n"
	key := strings.Repeat("hunter2-", 4)
	for text, want := range map[string]int{
		"interface eth0\n" + rest + "authentication {\n auth_type PASS\n auth_pass hunter2\n }\n":               1,
		"interface eth0\n" + rest + "auth_hmac {\n key 1 " + key + "\n key 2 " + key + "x\n active_key 2\n }\n": 2,
		rest + "authentication {\n auth_type PASS\n auth_pass hunter2\n }\n":                                    0, // no interface: kept as a leftover
	} {
		r := convert(t, "vrrp_instance A {\n "+text+"}\n")
		if all := fmt.Sprint(r); strings.Contains(all, "hunter2") {
			t.Errorf("the secret is in the result: %s", all)
		}
		if len(r.Secrets) != want || want > 0 && r.Count(Refused) > 0 {
			t.Errorf("secrets %v, findings %v", r.Secrets, r.Findings)
		}
	}
}

// FuzzConvert: whatever is read ends in a result that the checker of the
// configuration can read, or in an error, and in the same one each time. It need
// not be valid: a user may be named that no host can have.
func FuzzConvert(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(ar.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Convert(fstest.MapFS{"keepalived.conf": {Data: []byte(text)}}, "keepalived.conf", "lb1")
		if err != nil {
			return
		}
		if again := convert(t, text); !cmp.Equal(r, again) {
			t.Error(cmp.Diff(r, again))
		}
		_, problems := config.Load(memory(r.TOML), "vipd.toml")
		for _, p := range problems.List {
			if strings.Contains(p.Message, "unknown key") || strings.Contains(p.Message, "expected") {
				t.Errorf("line %d: %s\n%s", p.Line, p.Message, r.TOML)
			}
		}
	})
}
