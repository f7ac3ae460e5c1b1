package keepalived

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vipd/vipd/pkg/config"
)

var update = flag.Bool("update", false, "rewrite what the corpus expects from what comes out now")

// TestCorpus converts configurations as people have them. Each file of the
// corpus holds one, and below it what it becomes.
func TestCorpus(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(names) < 20 {
		t.Fatalf("the corpus has %d files (%v), want 20 at least", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want := fstest.MapFS{}, map[string]string{}
			for _, f := range ar.Files {
				if strings.HasPrefix(f.Name, "want.") {
					want[f.Name] = string(f.Data)
					continue
				}
				in["etc/keepalived/"+f.Name] = &fstest.MapFile{Data: f.Data}
			}
			got := converted(t, in, hostOf(t, ar.Comment))
			if *update {
				rewrite(t, name, ar, got)
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("converted otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

// hostOf reads the line "host NAME" above the files.
func hostOf(t *testing.T, comment []byte) string {
	t.Helper()
	for _, l := range strings.Split(string(comment), "\n") {
		if name, ok := strings.CutPrefix(l, "host "); ok {
			return name
		}
	}
	t.Fatal("the file does not say for which host")
	return ""
}

// converted is what becomes of the files, and must be a valid configuration.
func converted(t *testing.T, in fs.FS, host string) map[string]string {
	t.Helper()
	r, err := Convert(in, "etc/keepalived/keepalived.conf", host)
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := config.Load(memory(r.TOML), "vipd.toml"); problems.Errors() > 0 {
		var b bytes.Buffer
		if err := problems.Format(&b, false); err != nil {
			t.Fatal(err)
		}
		t.Errorf("the result is not valid:\n%s\n%s", b.String(), r.TOML)
	}
	var report strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&report, "%-22s %-9s %s", f.At(), f.Verdict, f.Text)
		if f.Note != "" {
			report.WriteString(": " + f.Note)
		}
		report.WriteByte('\n')
	}
	got := map[string]string{"want.toml": r.TOML, "want.report": report.String()}
	if r.Leftover != "" {
		got["want.leftover"] = r.Leftover
	}
	return got
}

func rewrite(t *testing.T, name string, ar *txtar.Archive, got map[string]string) {
	t.Helper()
	var kept []txtar.File
	for _, f := range ar.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			kept = append(kept, f)
		}
	}
	for _, part := range []string{"want.toml", "want.report", "want.leftover"} {
		if text, ok := got[part]; ok {
			kept = append(kept, txtar.File{Name: part, Data: []byte(text)})
		}
	}
	ar.Files = kept
	if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

// memory is one file that config can read, on a host without programs.
type memory string

func (m memory) Open(string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(m))), nil
}
func (memory) Glob(string) ([]string, error)  { return nil, nil }
func (memory) Program(string) (string, error) { return "", nil }
func (memory) Secret(name string) (string, error) {
	switch {
	case strings.Contains(name, "-password"):
		return "password", nil
	case strings.Contains(name, "-key-"):
		return strings.Repeat("k", 32), nil
	}
	return "", errors.New("no such secret")
}
