package control_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vipd/vipd/internal/control"
)

// daemonOf is a client of a daemon of another release, which answers everything like that.
func daemonOf(t *testing.T, status int, body string) control.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "vipd.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return control.Client{Socket: socket}
}

// TestOtherRelease: what a daemon of another release answers is read where the schema is
// known, and is a problem that says so where it is not.
func TestOtherRelease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		body       string
		text, hint string // "" = it is read
	}{
		"older":          {200, `{"schema":"vipd.status/v1"}`, "", ""},
		"newer":          {200, `{"schema":"vipd.status/v1","new":[{"a":1}],"node":{"name":"lb1","new":1},"vips":[{"name":"web","new":"x"}]}`, "", ""},
		"new schema":     {200, `{"schema":"vipd.status/v2"}`, `the daemon answers /v1/status with "vipd.status/v2", which this program does not know`, "two releases"},
		"no schema":      {200, `{}`, `with ""`, "two releases"},
		"no JSON":        {200, `OK`, "read the answer to /v1/status", ""},
		"no path":        {404, `{"schema":"vipd.problem/v1","type":"vipd:not-found","status":404,"detail":"no such path: /v1/status"}`, "no such path", "two releases"},
		"no vip":         {404, `{"schema":"vipd.problem/v1","type":"vipd:not-found","status":404,"detail":"no vip is named \"x\"","hint":"there is web"}`, "no vip", "there is web"},
		"new request":    {400, `{"schema":"vipd.problem/v1","type":"vipd:bad-request","status":400,"detail":"the body is not what this path takes: json: unknown field \"new\""}`, "unknown field", "two releases"},
		"method":         {405, `{"schema":"vipd.problem/v1","type":"vipd:method","status":405,"detail":"/v1/status takes no GET"}`, "takes no GET", "two releases"},
		"another server": {404, `<html>`, "answered 404", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := daemonOf(t, c.status, c.body).Status(context.Background())
			if c.text == "" {
				if err != nil || name == "newer" && (doc.Node.Name != "lb1" || doc.VIPs[0].Name != "web") {
					t.Errorf("%+v, %v", doc, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("error %v, want %q", err, c.text)
			}
			p, _ := errors.AsType[*control.Problem](err)
			if (p == nil) != (c.hint == "") || p != nil && !strings.Contains(p.Hint, c.hint) {
				t.Errorf("problem %+v, want the hint %q", p, c.hint)
			}
		})
	}
}

// TestRawOfOtherRelease: JSON of a schema that is not known here is handed on as it is.
func TestRawOfOtherRelease(t *testing.T) {
	t.Parallel()
	const text = `{"schema":"vipd.status/v2"}`
	if raw, err := daemonOf(t, 200, text).Raw(context.Background(), control.PathStatus()); err != nil || string(raw) != text {
		t.Errorf("%s, %v", raw, err)
	}
}
