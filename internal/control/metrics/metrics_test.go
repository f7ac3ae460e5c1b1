package metrics_test

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/internal/control/metrics"
	"github.com/vipd/vipd/pkg/engine"
)

var update = flag.Bool("update", false, "rewrite testdata and the table of docs/metrics.md from what the code says now")

// page is what a scrape of the pair gets.
func page(t *testing.T, d *controltest.Daemon) string {
	t.Helper()
	timings := metrics.NewTimings()
	timings.Late(300 * time.Microsecond)
	timings.Late(-time.Second)
	timings.Failover(metrics.Detect, 3604*time.Millisecond)
	timings.Failover(metrics.Address, 700*time.Microsecond)
	timings.Handover(metrics.Taken, 1700*time.Microsecond)
	h, err := metrics.Page(d, timings)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// pair is the full status of a host.
func pair() *controltest.Daemon {
	d := &controltest.Daemon{Doc: controltest.Anycast()}
	d.Doc.Node.Watchdog = 12
	other := &controltest.Daemon{Doc: controltest.Pair()}
	controltest.Fencing(other)
	d.Doc.Fences = other.Doc.Fences
	controltest.Voting(other)
	d.Doc.VIPs[2].Votes, d.Doc.Node.Edge.Witnesses = other.Doc.VIPs[2].Votes, other.Doc.Node.Edge.Witnesses
	d.Doc.VIPs[0].Observed = &engine.ObservedStatus{Here: true, Begun: map[string]uint64{"holder": 1, "advert": 2},
		Differences: []engine.ObservedDifference{{Kind: "advert", Text: "this host advertises priority 100, not 150", Since: d.Doc.Now}}}
	f := &d.Doc.Fences[0]
	f.Proof, f.ProofRead = "lb2-pdu read off", d.Doc.Now.Add(-1500*time.Millisecond)
	return d
}

// TestMetrics compares vipd's own metrics with a golden file, and lints the
// whole page as promtool does.
func TestMetrics(t *testing.T) {
	t.Parallel()
	text := page(t, pair())
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	var own strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "vipd_") && !strings.HasPrefix(line, "vipd_build_info") {
			own.WriteString(line)
		}
	}
	golden(t, filepath.Join("testdata", "metrics.txt"), own.String())
	for _, name := range []string{"vipd_build_info{", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

// TestMute still serves what needs no answer of the loop, and says that there
// was none.
func TestMute(t *testing.T) {
	t.Parallel()
	text := page(t, &controltest.Daemon{Mute: errors.New("the loop hangs")})
	for _, line := range []string{"\nvipd_up 0\n", "\nvipd_timer_lateness_seconds_count 2\n", "\nprocess_open_fds "} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in:\n%s", line, text)
		}
	}
	if strings.Contains(text, "vipd_vip_") {
		t.Errorf("it says something about vips:\n%s", text)
	}
}

// TestObserving says nothing of VIPs as if this host had them.
func TestObserving(t *testing.T) {
	t.Parallel()
	d := pair()
	d.Doc.Node.Observing = true
	text := page(t, d)
	if !strings.Contains(text, "\nvipd_observing 1\n") || !strings.Contains(text, "\nvipd_observe_differs{kind=\"advert\"") {
		t.Errorf("it does not say that it observes:\n%s", text)
	}
	if strings.Contains(text, "vipd_vip_") {
		t.Errorf("it says something of vips:\n%s", text)
	}
}

// TestReady is 0 while a VIP takes no part in its election.
func TestReady(t *testing.T) {
	t.Parallel()
	d := pair()
	if text := page(t, d); !strings.Contains(text, "\nvipd_ready 0\n") {
		t.Error("ready although a service is withdrawn")
	}
	d.Doc = controltest.Pair()
	if text := page(t, d); !strings.Contains(text, "\nvipd_ready 1\n") {
		t.Error("not ready")
	}
	d.Doc.VIPs[0].State = "INIT"
	if text := page(t, d); !strings.Contains(text, "\nvipd_ready 0\n") {
		t.Error("ready")
	}
}

// metric is one metric as a page shows it.
type metric struct{ name, kind, labels, help string }

// metricsOf lists vipd's own metrics on a page, sorted.
func metricsOf(text string) map[string]metric {
	found := map[string]metric{}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (vipd_\w+) (.*)\n# TYPE \w+ (\w+)\n(.*)$`).FindAllStringSubmatch(text, -1) {
		var labels []string
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[4], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		found[m[1]] = metric{m[1], m[3], strings.Join(labels, ", "), m[2]}
	}
	return found
}

// inCode lists the metrics that the source of the package names.
func inCode(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "desc" || f.Name == "vipDesc") {
					if lit, ok := n.Args[0].(*ast.BasicLit); ok {
						text, _ := strconv.Unquote(lit.Value)
						names = append(names, map[string]string{"desc": "vipd_", "vipDesc": "vipd_vip_"}[f.Name]+text)
					}
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Name" {
					if lit, ok := n.Value.(*ast.BasicLit); ok {
						text, _ := strconv.Unquote(lit.Value)
						names = append(names, text)
					}
				}
			}
			return true
		})
	}
	slices.Sort(names)
	return names
}

// TestManual compares the table of docs/metrics.md with what the code prints,
// and that with what the code could print: the fixture shows every metric.
func TestManual(t *testing.T) {
	t.Parallel()
	printed := metricsOf(page(t, pair()))
	if diff := gocmp.Diff(inCode(t), slices.Sorted(maps.Keys(printed))); diff != "" {
		t.Errorf("metrics (-code +page)\n%s", diff)
	}
	const file = "../../../docs/metrics.md"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, m := range slices.SortedFunc(maps.Values(printed), func(a, b metric) int { return cmp.Compare(a.name, b.name) }) {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, m.help)
	}
	const head = "| --- | --- | --- | --- |\n"
	before, rest, ok := strings.Cut(string(raw), head)
	rows := regexp.MustCompile(`^(\|.*\n)*`).FindString(rest)
	if !ok {
		t.Fatal("docs/metrics.md has no table")
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+head+table.String()+rest[len(rows):]), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(table.String(), rows); diff != "" {
		t.Errorf("docs/metrics.md (-code +page), -update rewrites it:\n%s", diff)
	}
}

// golden compares a text with a file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s (-want +got), -update rewrites it:\n%s", file, gocmp.Diff(string(want), got))
	}
}
