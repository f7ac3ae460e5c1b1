package control_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/vipd/vipd/internal/control"
)

// TestMetrics compares vipd's own metrics with a golden file, and lints the
// whole page as promtool does.
func TestMetrics(t *testing.T) {
	t.Parallel()
	late := control.NewLateness()
	late.Observe(300 * time.Microsecond)
	late.Observe(-time.Second)
	client, _, _ := serve(t, pair(), control.Options{Lateness: late})
	status, _, page := request(t, client, "GET", "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, page)
	}
	problems, err := promlint.New(bytes.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	var own []string
	for line := range strings.Lines(string(page)) {
		if strings.Contains(line, "vipd_") && !strings.HasPrefix(line, "vipd_build_info") {
			own = append(own, line)
		}
	}
	golden(t, "metrics.txt", strings.Join(own, ""))
	for _, name := range []string{"vipd_build_info{", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(string(page), "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

// TestMetricsOverTCP serves the metrics and nothing else.
func TestMetricsOverTCP(t *testing.T) {
	t.Parallel()
	_, srv, _ := serve(t, pair(), control.Options{MetricsListen: "127.0.0.1:0"})
	for path, want := range map[string]int{"/metrics": 200, "/v1/status": 404, "/": 404, "/v1/drain": 404} {
		res, err := http.Get("http://" + srv.MetricsAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != want {
			t.Errorf("%s: status %d, %v, want %d", path, res.StatusCode, err, want)
		}
		if want == 200 && !strings.Contains(string(body), "vipd_vip_state{") {
			t.Errorf("%s: no state", path)
		}
	}
}

// TestRecordTypes compares the types that events can be filtered by with those
// that the engine has.
func TestRecordTypes(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/engine/action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "RecordType" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Error(err)
			}
			want = append(want, text)
		}
		return true
	})
	got := control.RecordTypes()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("-engine +control:\n%s", diff)
	}
}
