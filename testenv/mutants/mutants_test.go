package mutants

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv/variant"
)

// mutant is a way to break the product, and who finds that out.
type mutant struct {
	name  string
	edits []edit
	by    string // package, below the module's root
	run   string // its test
	seeds int    // of a simulation
	finds string // what the test says, a regular expression
}

// edit replaces a text that is there exactly once.
type edit struct{ file, old, new string }

// within is how long a mutant may live.
const within = time.Minute

// root is the module's root.
const root = "../.."

// TestMutants has each mutant found out, by the test that is meant to.
func TestMutants(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles the engine once for each mutant")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.caught(t)
		})
	}
}

func (m mutant) caught(t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tests")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay="+m.overlay(t), "-o", binary, "./"+m.by)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("it does not compile: %v\n%s", err, out)
	}
	args := []string{"-test.run", m.run}
	if m.seeds > 0 {
		args = append(args, "-seeds", strconv.Itoa(m.seeds), "-failing", "")
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	test := exec.CommandContext(ctx, binary, args...)
	test.Dir = filepath.Join(root, m.by)
	out, err := test.CombinedOutput()
	took := time.Since(began).Round(100 * time.Millisecond)
	switch finding := regexp.MustCompile(m.finds).FindString(string(out)); {
	case ctx.Err() != nil:
		t.Errorf("%s does not find it within %s", m.run, within)
	case err == nil:
		t.Errorf("%s passes\n%s", m.run, out)
	case !strings.Contains(string(out), "--- FAIL: "):
		t.Errorf("no test failed: %v\n%s", err, out)
	case finding == "":
		t.Errorf("it is found in another way than by %q:\n%s", m.finds, out)
	default:
		t.Logf("%s of %s finds it in %s: %s", m.run, m.by, took, finding)
	}
}

// overlay writes the files as they are to be, and returns what tells the compiler.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	var edits []variant.Edit
	for _, e := range m.edits {
		edits = append(edits, variant.Edit{File: e.file, Old: e.old, New: e.new})
	}
	file, err := variant.Overlay(root, t.TempDir(), edits)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
