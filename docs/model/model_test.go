package model_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vipd/vipd/testenv"
)

// run is one search through a model.
type run struct {
	model string
	with  []string // defined, "NAME" or "NAME=value"
	depth int      // 0 = all of it
	found bool     // the search finds an error, and must
}

// runs is what README.md lists. A mutant is searched no further than needed.
var runs = []run{
	{model: "votes"},
	{model: "votes", with: []string{"EPOCHS", "STARTS=0"}},
	{model: "votes", with: []string{"EPOCHS"}, found: true},
	{model: "votes", with: []string{"NO_SITOUT"}, found: true},
	{model: "votes", with: []string{"NO_MARGIN", "STARTS=0"}, depth: 200, found: true},
	{model: "votes", with: []string{"REVIVE", "STARTS=0"}, found: true},
	{model: "votes", with: []string{"RELEASE_EARLY", "STARTS=0"}, found: true},
	{model: "vacancy", with: []string{"ROOM=1", "CHANGES=3"}},
	{model: "vacancy", with: []string{"ROOM=2", "CHANGES=1"}},
	{model: "vacancy", with: []string{"NO_ACK"}, found: true},
	{model: "vacancy", with: []string{"NO_RECHECK"}, found: true},
	{model: "vacancy", with: []string{"QUIET"}, found: true},
	{model: "handover"},
	{model: "handover", with: []string{"NO_DEADLINE"}, found: true},
	{model: "handover", with: []string{"REVIVE"}, found: true},
	{model: "fence"},
	{model: "fence", with: []string{"UNVERIFIED"}, found: true},
	{model: "fence", with: []string{"NO_DELAY"}, found: true},
	{model: "fence", with: []string{"BLIND"}, found: true},
	{model: "fence", with: []string{"ISOLATED"}, found: true},
	{model: "fence", with: []string{"STALE"}, found: true},
}

func (r run) String() string { return strings.Join(append([]string{r.model}, r.with...), ",") }

func TestModels(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(program); err != nil {
			testenv.Missing(t, "spin", err)
		}
	}
	for _, r := range runs {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			out := search(t, r)
			switch found := strings.Contains(out, "assertion violated"); {
			case found != r.found:
				t.Errorf("an error was found: %v, want %v\n%s", found, r.found, out)
			case !found && (!strings.Contains(out, "errors: 0") || incomplete.MatchString(out)):
				t.Errorf("the search did not come to its end:\n%s", out)
			}
			t.Log(states.FindString(out))
		})
	}
}

var (
	incomplete = regexp.MustCompile("search depth too small|Search not completed|out of memory|memory bound")
	states     = regexp.MustCompile(`\d+ states, stored`)
)

// search builds the checker of a model and lets it look for an error.
func search(t *testing.T, r run) string {
	t.Helper()
	model, err := filepath.Abs(r.model + ".pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	do := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		return string(out)
	}
	generate := []string{"-a"}
	for _, name := range r.with {
		generate = append(generate, "-D"+name)
	}
	do("spin", append(generate, model)...)
	do("gcc", "-O1", "-w", "-DSAFETY", "-DMEMLIM=2048", "-o", "pan", "pan.c")
	// -E: a way through a model may come to an end anywhere.
	limit := []string{"-E", "-m1000000"}
	if r.depth > 0 {
		limit = []string{"-E", fmt.Sprintf("-m%d", r.depth)}
	}
	return do("./pan", limit...)
}

// TestMutants sees to it that each mutant that a model names is looked for.
func TestMutants(t *testing.T) {
	t.Parallel()
	models, err := filepath.Glob("*.pml")
	if err != nil || len(models) == 0 {
		t.Fatalf("no models: %v", err)
	}
	mutant := regexp.MustCompile(`(?m)^ \*   ([A-Z_]+)  `)
	for _, file := range models {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		model := strings.TrimSuffix(file, ".pml")
		checked := func(name string) bool {
			return slices.ContainsFunc(runs, func(r run) bool {
				return r.model == model && r.found == (name != "") && (name == "" || slices.Contains(r.with, name))
			})
		}
		names := mutant.FindAllStringSubmatch(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no mutant", file)
		}
		for _, name := range names {
			if !checked(name[1]) {
				t.Errorf("%s: mutant %s is not checked", file, name[1])
			}
		}
		if !checked("") {
			t.Errorf("%s is not checked without a mutant", file)
		}
	}
}
