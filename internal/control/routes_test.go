package control_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
)

// scrape is a page of metrics.
var scrape = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "vipd_up 1\n") })

// TestRoutesInManual compares docs/control-api.md and vipd(8) with the routes,
// and calls every one of them.
func TestRoutesInManual(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/control-api.md")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/man/vipd.8")
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(GET|POST) (/[^`?]*)[^`]*` \\|.*\\| (read|change) \\|$").FindAllStringSubmatch(string(page), -1) {
		described = append(described, fmt.Sprintf("%s %s %v", m[1], m[2], m[3] == "change"))
	}
	described = slices.Compact(slices.Sorted(slices.Values(described)))
	d := anycast()
	controltest.Fencing(d)
	client, srv, _ := serve(t, d, control.Options{Metrics: scrape})
	routes := srv.Routes()
	slices.Sort(routes)
	if diff := cmp.Diff(routes, described); diff != "" {
		t.Errorf("routes (-code +docs/control-api.md)\n%s", diff)
	}
	inManual := strings.NewReplacer(" Ns Ar name Ns Li ", "{name}", " Ns Ar name", "{name}", ".Li ", "", ".It Li ", "").Replace(string(manual))
	for _, route := range routes {
		f := strings.Fields(route)
		if !regexp.MustCompile("(?m)^" + regexp.QuoteMeta(f[0]+" "+f[1]) + "([? ]|$)").MatchString(inManual) {
			t.Errorf("vipd(8) does not name %s %s", f[0], f[1])
		}
		path := strings.Replace(f[1], "checks/{name}", "checks/api", 1)
		path = strings.Replace(path, "vips/{name}", "vips/web", 1)
		path = strings.Replace(path, "anycast/{name}", "anycast/resolver", 1)
		path = strings.Replace(path, "neighbors/{name}", "neighbors/tor-a", 1)
		path = strings.Replace(path, "fences/{name}", "fences/lb2", 1)
		path = strings.Replace(path, "test/{name}", "test/lb2-pdu", 1)
		if status, _, _ := request(t, client, f[0], path, ""); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
			t.Errorf("%s %s: status %d", f[0], path, status)
		}
		if status, kind, _ := request(t, client, "PATCH", path, ""); status != http.StatusMethodNotAllowed || kind != "application/problem+json" {
			t.Errorf("PATCH %s: status %d, %s", path, status, kind)
		}
	}
	for _, typ := range control.ProblemTypes() {
		if !strings.Contains(string(page), "| `"+typ+"` |") {
			t.Errorf("docs/control-api.md does not name the problem %s", typ)
		}
	}
}

// TestMetricsOverTCP serves the metrics and nothing else.
func TestMetricsOverTCP(t *testing.T) {
	t.Parallel()
	_, srv, _ := serve(t, pair(), control.Options{MetricsListen: "127.0.0.1:0", Metrics: scrape})
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
		if want == 200 && string(body) != "vipd_up 1\n" {
			t.Errorf("%s: %q", path, body)
		}
		if want == 404 && res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", path, res.Header.Get("Content-Type"))
		}
	}
}

// TestConfig gives what is written and what is effective.
func TestConfig(t *testing.T) {
	t.Parallel()
	d := pair()
	d.Written, d.Effective = "a = 1\n", "a = 1\nb = 2\n"
	client, _, _ := serve(t, d, control.Options{})
	for path, want := range map[string]string{"/v1/config": d.Written, "/v1/config?effective=0": d.Written, "/v1/config?effective=1": d.Effective} {
		status, kind, raw := request(t, client, "GET", path, "")
		if status != 200 || kind != "application/toml" || string(raw) != want {
			t.Errorf("%s: %d %s %q, want %q", path, status, kind, raw, want)
		}
	}
}

// TestContentType takes JSON, and what says nothing, and no form of a browser.
func TestContentType(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, pair(), control.Options{})
	for kind, want := range map[string]string{
		"application/json":                  "200 OK",
		"application/json; charset=utf-8":   "200 OK",
		"":                                  "200 OK",
		"application/x-www-form-urlencoded": "415 Unsupported Media Type",
		"text/plain":                        "415 Unsupported Media Type",
		"///":                               "415 Unsupported Media Type",
	} {
		head := ""
		if kind != "" {
			head = "Content-Type: " + kind + "\r\n"
		}
		got := exchange(t, client, "POST /v1/undrain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+head+"Content-Length: 2\r\n\r\n{}")
		if !strings.HasPrefix(got, "HTTP/1.1 "+want+"\r\n") {
			t.Errorf("%q: %s, want %s", kind, got, want)
		}
		if strings.HasPrefix(want, "415") && !strings.Contains(got, "vipd:not-json") {
			t.Errorf("%q: no problem document: %s", kind, got)
		}
	}
}

// exchange sends bytes and returns all that comes back.
func exchange(t *testing.T, c control.Client, text string) string {
	t.Helper()
	conn, err := net.Dial("unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := soon(t).Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestNotReady says which VIP takes no part, and why.
func TestNotReady(t *testing.T) {
	t.Parallel()
	d := pair()
	d.Doc.VIPs[1].State, d.Doc.VIPs[1].Why = "FAULT", "interface eth0 is down"
	client, _, _ := serve(t, d, control.Options{})
	_, err := client.Raw(soon(t), "/readyz")
	wantProblem(t, err, control.ProblemUnavailable, "mail is FAULT: interface eth0 is down", "")
	if _, err := client.Raw(soon(t), "/healthz"); err != nil {
		t.Error(err)
	}
}

// TestResume goes on after the event that a client names, wherever ?since= is,
// and tells events apart by name.
func TestResume(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, pair(), control.Options{})
	for head, want := range map[string]string{
		"":                       "123",
		"Last-Event-ID: 2\r\n":   "3",
		"Last-Event-ID: 9\r\n":   "",
		"Last-Event-ID: two\r\n": "400",
	} {
		got := exchange(t, client, "GET /v1/events?since=2026-01-01T00:00:00Z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+head+"\r\n")
		if seqs := seqs(got); seqs != want && !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%q: events %q, want %q", head, seqs, want)
		}
	}
	for query, want := range map[string]string{"name=mail": "23", "name=api": "1", "name=mail,api&type=check": "1", "name=ai": ""} {
		got := exchange(t, client, "GET /v1/events?"+query+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if seqs := seqs(got); seqs != want {
			t.Errorf("%s: events %q, want %q", query, seqs, want)
		}
	}
}

// seqs are the numbers of the events in an answer.
func seqs(answer string) string {
	text := ""
	for _, m := range regexp.MustCompile(`"id":(\d+)`).FindAllStringSubmatch(answer, -1) {
		text += m[1]
	}
	return text
}
