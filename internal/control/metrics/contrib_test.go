package metrics_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vipd/vipd/testenv"
)

// What is made for these metrics.
const (
	rulesFile     = "../../../contrib/prometheus/vipd.rules.yml"
	rulesTestFile = "../../../contrib/prometheus/vipd.rules.test.yml"
	dashboardFile = "../../../contrib/grafana/vipd.json"
)

// promtool runs a check of Prometheus' own tool.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		testenv.Missing(t, "promtool", err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestPromtool has the exposition, the rules and their tests checked.
func TestPromtool(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stdin string
		args  []string
	}{
		"metrics":    {page(t, pair()), []string{"check", "metrics"}},
		"rules":      {"", []string{"check", "rules", rulesFile}},
		"rules-test": {"", []string{"test", "rules", rulesTestFile}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			promtool(t, c.stdin, c.args...)
		})
	}
}

// read reads a file.
func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// existing fails for the names of metrics in a text that no page has.
func existing(t *testing.T, where, text string) {
	t.Helper()
	printed := metricsOf(page(t, pair()))
	names := regexp.MustCompile(`\bvipd_[a-z0-9_]+`).FindAllString(text, -1)
	if len(names) == 0 {
		t.Errorf("%s names no metric", where)
	}
	for _, name := range names {
		if _, ok := printed[name]; ok {
			continue
		}
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if printed[base].kind != "histogram" {
			t.Errorf("%s names %s, which does not exist", where, name)
		}
	}
}

// TestRules: every alert uses metrics that exist, has a runbook of its own in
// docs/operations.md, and is seen to fire and to keep quiet.
func TestRules(t *testing.T) {
	t.Parallel()
	rules := read(t, rulesFile)
	existing(t, rulesFile, regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(rules, ""))
	tests := read(t, rulesTestFile)
	operations := read(t, "../../../docs/operations.md")
	alerts := map[string]bool{}
	for _, block := range strings.Split(rules, "- alert: ")[1:] {
		alert, _, _ := strings.Cut(block, "\n")
		alerts[alert] = true
		for what, want := range map[string]string{
			"a summary":  "\n          summary: ",
			"a severity": "labels: {severity: ",
			"a runbook":  "\n          runbook: docs/operations.md#" + strings.ToLower(alert) + "\n",
		} {
			if !strings.Contains(block, want) {
				t.Errorf("%s has no %s: %q", alert, what, want)
			}
		}
		_, section, ok := strings.Cut(operations, "\n### "+alert+"\n\n")
		if section, _, _ = strings.Cut(section, "\n#"); !ok || len(section) < 60 {
			t.Errorf("docs/operations.md says nothing about %s", alert)
		}
		fires := "alertname: " + alert + "\n        exp_alerts:\n          - exp_labels: "
		quiet := "alertname: " + alert + "\n        exp_alerts: []\n"
		if !strings.Contains(tests, fires) || !strings.Contains(tests, quiet) {
			t.Errorf("%s is not tested to fire and to keep quiet", alert)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Vipd\w+)$`).FindAllStringSubmatch(operations, -1) {
		if !alerts[m[1]] {
			t.Errorf("docs/operations.md explains %s, which is no alert", m[1])
		}
	}
}

// TestDashboard parses the dashboard. Each panel asks for metrics that exist,
// by labels that they have, and lies where no other does.
func TestDashboard(t *testing.T) {
	t.Parallel()
	raw := read(t, dashboardFile)
	var board struct {
		Panels []struct {
			ID      int    `json:"id"`
			Type    string `json:"type"`
			Title   string `json:"title"`
			GridPos struct{ X, Y, W, H int }
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(raw), &board); err != nil {
		t.Fatal(err)
	}
	existing(t, dashboardFile, raw)
	if len(board.Panels) < 20 {
		t.Errorf("%d panels", len(board.Panels))
	}
	ids, places := map[int]bool{}, map[[2]int]string{}
	selector := regexp.MustCompile(`(vipd_[a-z0-9_]+)\{([^}]*)\}`)
	printed := metricsOf(page(t, pair()))
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %q at %d,%d", p.Title, other, x, y)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, m := range selector.FindAllStringSubmatch(target.Expr, -1) {
				has := strings.Split(printed[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], "")].labels, ", ")
				for _, l := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(m[2], -1) {
					if l[1] != "instance" && !slices.Contains(has, l[1]) {
						t.Errorf("%s: %s has no label %s, only %s", p.Title, m[1], l[1], has)
					}
				}
			}
		}
	}
	used := map[string]bool{}
	for _, name := range regexp.MustCompile(`\bvipd_[a-z0-9_]+`).FindAllString(raw, -1) {
		used[name] = true
	}
	if n := len(slices.Collect(maps.Keys(used))); n < 20 {
		t.Errorf("only %d metrics are shown", n)
	}
}
