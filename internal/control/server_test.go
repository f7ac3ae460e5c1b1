package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/pkg/engine"
)

// wantProblem checks a problem in full.
func wantProblem(t *testing.T, err error, typ, detail, hint string) {
	t.Helper()
	var p *control.Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v (%T), want a problem", err, err)
	}
	if p.Type != typ || p.Detail != detail || p.Hint != hint {
		t.Errorf("problem\n %s\n %q\n %q\nwant\n %s\n %q\n %q", p.Type, p.Detail, p.Hint, typ, detail, hint)
	}
}

// anna is somebody who is in no group that matters.
func anna(*net.UnixConn) (control.Peer, error) { return control.Peer{UID: 4004, GID: 4004}, nil }

// root may do everything.
func root(*net.UnixConn) (control.Peer, error) { return control.Peer{}, nil }

// serve runs a server for the test and returns a client for it, and what ends
// the server and waits for that.
func serve(t *testing.T, d *controltest.Daemon, opts control.Options) (control.Client, *control.Server, func() error) {
	t.Helper()
	if opts.Socket == "" {
		opts.Socket = filepath.Join(t.TempDir(), "run", "vipd.sock")
	}
	if opts.Peer == nil {
		opts.Peer = root
	}
	srv := control.New(d, opts)
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return control.Client{Socket: opts.Socket}, srv, stop
}

// pair is a daemon with a status and a history.
func pair() *controltest.Daemon {
	d := &controltest.Daemon{Doc: controltest.Pair()}
	d.Record(controltest.History()...)
	return d
}

// anycast is a daemon with anycast services.
func anycast() *controltest.Daemon { return &controltest.Daemon{Doc: controltest.Anycast()} }

// soon bounds a test's requests.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestDocuments compares every document that can be read with its golden file:
// fields may be added to these, never removed or retyped.
func TestDocuments(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, pair(), control.Options{})
	for name, path := range map[string]string{
		"status":    control.PathStatus(),
		"vips":      "/v1/vips",
		"vip":       control.PathVIP("mail"),
		"check":     "/v1/checks/api",
		"ready":     "/readyz",
		"why":       control.PathWhyVIP("mail"),
		"why-check": control.PathWhyCheck("api"),
		"checks":    control.PathChecks(),
		"what-if":   control.PathWhatIf([]string{"link", "eth0", "down"}),
		"health":    "/healthz",
	} {
		raw, err := client.Raw(soon(t), path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		golden(t, filepath.Join("json", name+".json"), indent(t, raw))
	}
	var lines strings.Builder
	if err := client.Events(soon(t), control.EventQuery{}, func(line []byte) error {
		fmt.Fprintf(&lines, "%s\n", line)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	golden(t, "json/events.jsonl", lines.String())
}

// indent makes JSON readable.
func indent(t *testing.T, raw []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

// TestChangedDocuments does the same for the answers to changes, and for the
// problems.
func TestChangedDocuments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refuse string
		method string
		path   string
		body   string
		status int
	}{
		"drain":            {"", "POST", "/v1/drain", `{"names":["web"],"reason":"x","for":"2h","wait":true}`, 200},
		"undrain":          {"", "POST", "/v1/undrain", ``, 200},
		"failover":         {"", "POST", "/v1/vips/web/failover", `{}`, 200},
		"reload":           {"", "POST", "/v1/reload", ``, 200},
		"reload-dry":       {"", "POST", "/v1/reload", `{"dry_run":true}`, 200},
		"check-run":        {"", "POST", "/v1/checks/api/run", ``, 200},
		"problem-refused":  {"no peer is fit", "POST", "/v1/vips/web/failover", ``, 409},
		"problem-no-vip":   {"", "POST", "/v1/drain", `{"names":["wbe"]}`, 404},
		"problem-no-path":  {"", "GET", "/v2/status", ``, 404},
		"problem-method":   {"", "POST", "/v1/status", ``, 405},
		"problem-events":   {"", "POST", "/v1/events", ``, 405},
		"problem-double":   {"", "GET", "/v1//status", ``, 404},
		"problem-slash":    {"", "GET", "/v1/status/", ``, 404},
		"problem-root":     {"", "GET", "/", ``, 404},
		"problem-delete":   {"", "DELETE", "/metrics", ``, 405},
		"problem-effect":   {"", "GET", "/v1/config?effective=yes", ``, 400},
		"problem-config":   {"", "GET", "/v1/config?secrets=1", ``, 400},
		"problem-no-check": {"", "POST", "/v1/checks/x/run", ``, 404},
		"problem-for":      {"", "POST", "/v1/drain", `{"for":"-2h"}`, 400},
		"problem-reason":   {"", "POST", "/v1/drain", `{"reason":"a\nb"}`, 400},
		"problem-key":      {"", "POST", "/v1/drain", `{"name":"web"}`, 400},
		"problem-tail":     {"", "POST", "/v1/drain", `{} {}`, 400},
		"problem-undrain":  {"", "POST", "/v1/undrain", `{"for":"2h"}`, 400},
		"problem-type":     {"", "GET", "/v1/events?type=vip", ``, 400},
		"problem-since":    {"", "GET", "/v1/events?since=yesterday", ``, 400},
		"problem-query":    {"", "GET", "/v1/events?from=1h", ``, 400},
		"problem-what-if":  {"", "GET", "/v1/what-if?q=link+eth0+sideways", ``, 400},
		"problem-no-link":  {"", "GET", "/v1/what-if?q=link+eth7+down", ``, 404},
		"problem-no-q":     {"", "GET", "/v1/what-if?question=drain", ``, 400},
		"problem-long-q":   {"", "GET", "/v1/what-if?q=drain+" + strings.Repeat("x+", 3000), ``, 400},
		"problem-follow":   {"", "GET", "/v1/events?follow=maybe", ``, 400},
		"problem-large":    {"", "POST", "/v1/drain", `{"reason":"` + strings.Repeat("x", 70000) + `"}`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := pair()
			d.Refuse = c.refuse
			d.Reloads = control.ReloadResult{Hash: "77aa", Changes: []string{"vip.web.priority: 150 -> 140"}}
			d.Probes = map[string]control.CheckResult{"api": {OK: true, Detail: "exit 0", Took: 3 * time.Millisecond}}
			client, _, _ := serve(t, d, control.Options{Metrics: scrape})
			status, kind, raw := request(t, client, c.method, c.path, c.body)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			want := "application/json"
			if status >= 400 {
				want = "application/problem+json"
			}
			if kind != want {
				t.Errorf("content type %q, want %q", kind, want)
			}
			golden(t, filepath.Join("json", name+".json"), indent(t, raw))
		})
	}
}

// request makes a request without the client, as curl does.
func request(t *testing.T, c control.Client, method, path, body string) (status int, kind string, raw []byte) {
	t.Helper()
	h := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", c.Socket) },
	}}
	req, err := http.NewRequestWithContext(soon(t), method, "http://vipd"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := h.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err = io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), raw
}

// TestStatusRoundTrip reads back what was written.
func TestStatusRoundTrip(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, pair(), control.Options{})
	got, err := client.Status(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	want := controltest.Pair()
	want.Schema = "vipd.status/v1"
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestDrainReachesEngine carries who asked, and everything they said.
func TestDrainReachesEngine(t *testing.T) {
	t.Parallel()
	d := pair()
	client, _, _ := serve(t, d, control.Options{Peer: func(*net.UnixConn) (control.Peer, error) {
		return control.Peer{PID: 77, UID: 4004, GID: 4005, Groups: []uint32{4242}}, nil
	}, AdminGroup: "4242"})
	if _, err := client.Drain(soon(t), control.DrainRequest{Names: []string{"web"}, Reason: "CHG-1201", For: "2h"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Undrain(soon(t), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Failover(soon(t), "web"); err != nil {
		t.Fatal(err)
	}
	caller := engine.Actor{Name: "uid 4004", Process: engine.Process{PID: 77, UID: 4004, GID: 4005}}
	want := []engine.Event{
		engine.Drain{Names: []string{"web"}, Actor: caller, Reason: "CHG-1201", For: 2 * time.Hour},
		engine.Undrain{Actor: caller},
		engine.Failover{Name: "web", Actor: caller},
	}
	if diff := cmp.Diff(want, d.Events()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestNotPermitted lets anyone read, and names the group that may change things.
func TestNotPermitted(t *testing.T) {
	t.Parallel()
	for group, want := range map[string][2]string{
		"4242": {"uid 4004 may look, but not change things: that takes membership of group 4242", "log in again after: usermod -aG 4242 USER"},
		"":     {"uid 4004 may look, but not change things: only root may", "ask root, or have control.admin_group set"},
		"no-such-group-here": {"uid 4004 may look, but not change things: that takes membership of group no-such-group-here",
			"log in again after: usermod -aG no-such-group-here USER"},
	} {
		d := pair()
		client, _, _ := serve(t, d, control.Options{Peer: anna, AdminGroup: group})
		if _, err := client.Status(soon(t)); err != nil {
			t.Errorf("status: %v", err)
		}
		_, err := client.Drain(soon(t), control.DrainRequest{})
		wantProblem(t, err, control.ProblemNotPermitted, want[0], want[1])
		for _, change := range []func() error{
			func() error { _, err := client.Undrain(soon(t), nil); return err },
			func() error { _, err := client.Failover(soon(t), "web"); return err },
			func() error { _, err := client.Reload(soon(t), control.ReloadRequest{}); return err },
			func() error { _, err := client.RunCheck(soon(t), "api"); return err },
		} {
			wantProblem(t, change(), control.ProblemNotPermitted, want[0], want[1])
		}
		if n := len(d.Events()); n != 0 {
			t.Errorf("%d events reached the engine", n)
		}
	}
}

// TestKernelSaysWhoCalls uses the real credentials: a process may always change
// what its own uid runs.
func TestKernelSaysWhoCalls(t *testing.T) {
	t.Parallel()
	d := pair()
	opts := control.Options{Socket: filepath.Join(t.TempDir(), "s"), Peer: nil}
	srv := control.New(d, opts)
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if _, err := (control.Client{Socket: opts.Socket}).Failover(soon(t), "web"); err != nil {
		t.Fatal(err)
	}
	want := engine.Process{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if ev := d.Events()[0].(engine.Failover); ev.Actor.Process != want || !strings.Contains(ev.Actor.Name, fmt.Sprintf("uid %d", want.UID)) {
		t.Errorf("actor %q, process %+v, want %+v", ev.Actor.Name, ev.Actor.Process, want)
	}
}

// TestReloadInvalid carries every problem.
func TestReloadInvalid(t *testing.T) {
	t.Parallel()
	d := pair()
	d.Reloads = control.ReloadResult{Problems: []string{"vipd.toml:6:8: error: x", "vipd.toml:7:1: error: y"}}
	client, _, _ := serve(t, d, control.Options{})
	_, err := client.Reload(soon(t), control.ReloadRequest{})
	wantProblem(t, err, control.ProblemConfig, "the configuration has 2 problems; what ran before still runs", "vipd check-config")
	var p *control.Problem
	if errors.As(err, &p); len(p.Problems) != 2 {
		t.Errorf("problems %q", p.Problems)
	}
}

// TestMuteDaemon says 503 when the loop does not answer.
func TestMuteDaemon(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, &controltest.Daemon{Mute: errors.New("the loop hangs")}, control.Options{})
	for _, path := range []string{"/v1/status", "/healthz", "/readyz", "/v1/vips", "/v1/checks/api", "/v1/events", "/v1/vips/web", "/v1/checks"} {
		_, err := client.Raw(soon(t), path)
		wantProblem(t, err, control.ProblemUnavailable, "the daemon does not say its status: the loop hangs", "")
	}
}

// TestDrainWait answers only when nothing is held, and a client that gives up
// is told so.
func TestDrainWait(t *testing.T) {
	t.Parallel()
	d := pair()
	d.Stay = true
	client, _, _ := serve(t, d, control.Options{})
	ctx, cancel := context.WithTimeout(soon(t), 150*time.Millisecond)
	defer cancel()
	_, err := client.Drain(ctx, control.DrainRequest{Names: []string{"web"}, Wait: true})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a timeout", err)
	}
	if _, err := client.Drain(soon(t), control.DrainRequest{Names: []string{"mail"}, Wait: true}); err != nil {
		t.Errorf("mail is not held: %v", err)
	}
}
