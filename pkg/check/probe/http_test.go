package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

var good = []check.StatusRange{{From: 200, To: 299}}

// service is what the servers of these tests do.
func service() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all is ok\n") })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) })
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if r.TLS != nil {
			name = r.TLS.ServerName
		}
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = fmt.Fprintf(w, "%s %s %s host=%s sni=%s probe=%s agent=%s from=%s length=%d", r.Method, r.URL, r.Proto, r.Host, name,
			r.Header.Get("X-Probe"), r.UserAgent(), from, r.ContentLength)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("url"))
		w.WriteHeader(http.StatusFound)
	})
	return mux
}

// quiet is a server of TLS or none, with its certificate for www.example.net.
func quiet(t testing.TB, handler http.Handler, a *authority, protocols ...string) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if a == nil {
		s.Start()
	} else {
		for _, p := range protocols {
			s.EnableHTTP2 = s.EnableHTTP2 || p == "h2"
		}
		s.TLS = &tls.Config{Certificates: []tls.Certificate{a.certificate(t, 1000*time.Hour)}}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s
}

// onSocket serves HTTP on a Unix socket.
func onSocket(t testing.TB, handler http.Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	return path
}

func TestHTTP(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	plain, one, two := quiet(t, service(), nil).URL, quiet(t, service(), &a).URL, quiet(t, service(), &a, "h2").URL
	socket := onSocket(t, service())
	t.Setenv("http_proxy", "http://192.0.2.1:3128") // nobody may ask it
	trust := check.Trust{CAFile: a.file}
	named := check.Trust{CAFile: a.file, ServerName: "www.example.net"}
	for _, tt := range []struct {
		name string
		spec check.HTTP
		ok   bool
		want string // what the detail ends with
	}{
		{"plain", check.HTTP{URL: plain + "/ok"}, true, "GET " + plain + "/ok: 200 OK"},
		{"no body", check.HTTP{URL: plain + "/empty"}, true, "204 No Content"},
		{"down", check.HTTP{URL: plain + "/down"}, false, "/down: 503 Service Unavailable"},
		{"down is good", check.HTTP{URL: plain + "/down", Status: []check.StatusRange{{From: 200, To: 200}, {From: 500, To: 599}}}, true, "503 Service Unavailable"},
		{"after early hints", check.HTTP{URL: plain + "/early"}, true, "200 OK"},
		{"body", check.HTTP{URL: plain + "/ok", Body: "ok", Regexp: regexp.MustCompile(`^all\b`)}, true, "200 OK"},
		{"no such text", check.HTTP{URL: plain + "/ok", Body: "fine"}, false, `200 OK, but no "fine" in its body: "all is ok"`},
		{"no match", check.HTTP{URL: plain + "/ok", Body: "ok", Regexp: regexp.MustCompile(`^ok`)}, false, `200 OK, but no "ok" and match of ^ok in its body: "all is ok"`},
		{"empty body", check.HTTP{URL: plain + "/empty", Regexp: regexp.MustCompile("ok")}, false, "but no match of ok in its empty body"},
		{"HEAD", check.HTTP{URL: plain + "/ok", Method: "HEAD"}, true, "HEAD " + plain + "/ok: 200 OK"},
		{"POST", check.HTTP{URL: plain + "/echo", Method: "POST", Body: "POST /echo HTTP/1.1 host=127.0.0.1:"}, true, "200 OK"},
		{"headers", check.HTTP{
			URL: plain + "/echo?a=b", Host: "www.example.net:81", Headers: map[string]string{"X-Probe": "lb1", "user-agent": "Monitor/1"},
			Source: "127.0.0.3",
			Body:   "GET /echo?a=b HTTP/1.1 host=www.example.net:81 sni= probe=lb1 agent=Monitor/1 from=127.0.0.3 length=0",
		}, true, "200 OK"},
		{"source of another family", check.HTTP{URL: plain, Source: "::1"}, false, "no suitable address found"},
		{"TLS", check.HTTP{URL: one + "/echo", Trust: trust, Body: "HTTP/1.1 host=127.0.0.1:"}, true, "200 OK"},
		{"TLS by Host", check.HTTP{URL: one + "/echo", Trust: trust, Host: "www.example.net", Body: "host=www.example.net sni=www.example.net"}, true, "200 OK"},
		{"TLS by name", check.HTTP{URL: one + "/echo", Trust: named, Host: "other.example.net", Body: "host=other.example.net sni=www.example.net"}, true, "200 OK"},
		{"TLS of another host", check.HTTP{URL: one + "/ok", Trust: trust, Host: "other.example.net"}, false, "TLS: certificate is valid for www.example.net, not other.example.net"},
		{"TLS of strangers", check.HTTP{URL: one + "/ok"}, false, "TLS: certificate signed by unknown authority"},
		{"TLS of anybody", check.HTTP{URL: one + "/ok", Trust: check.Trust{Insecure: true}, Host: "other.example.net"}, true, "200 OK"},
		{"HTTP/2", check.HTTP{URL: two + "/echo", Trust: named, Host: "www.example.net", Body: "HTTP/2.0 host=www.example.net sni=www.example.net"}, true, "200 OK (HTTP/2)"},
		{"HTTP/2 down", check.HTTP{URL: two + "/down", Trust: trust}, false, "503 Service Unavailable (HTTP/2)"},
		{"HTTP/2 after early hints", check.HTTP{URL: two + "/early", Trust: trust}, true, "200 OK (HTTP/2)"},
		{"HTTP/2 HEAD", check.HTTP{URL: two + "/ok", Trust: trust, Method: "HEAD"}, true, "200 OK (HTTP/2)"},
		{"socket", check.HTTP{URL: "http://localhost/echo", Socket: socket, Body: "GET /echo HTTP/1.1 host=localhost "}, true, "GET unix:" + socket + ":/echo: 200 OK"},
		{"no socket", check.HTTP{URL: "http://localhost/", Socket: "/nonexistent"}, false, "GET unix:/nonexistent:/: connect to unix:/nonexistent: no such file or directory"},
		{"TLS asked in plain", check.HTTP{URL: strings.Replace(one, "https", "http", 1) + "/ok"}, false, "400 Bad Request"},
		{"plain asked by TLS", check.HTTP{URL: strings.Replace(plain, "http", "https", 1) + "/ok"}, false, `TLS: no TLS but "HTTP/"`},
		{"refused", check.HTTP{URL: "http://127.0.0.1:1/"}, false, "GET http://127.0.0.1:1/: connect to 127.0.0.1:1: connection refused"},
		{"IPv6 refused", check.HTTP{URL: "https://[::1]/"}, false, "connect to [::1]:443: connection refused"},
		{"no URL", check.HTTP{URL: "/ok"}, false, "/ok is not a URL"},
		{"no authorities", check.HTTP{URL: one + "/ok", Trust: check.Trust{CAFile: "/nonexistent"}}, false, "TLS: read /nonexistent: no such file or directory"},
		{"authorities in a directory", check.HTTP{URL: one + "/ok", Trust: check.Trust{CAFile: "/"}}, false, "TLS: read /: not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantHTTP(t, tt.spec, tt.ok, tt.want) })
	}
}

func wantHTTP(t *testing.T, spec check.HTTP, ok bool, want string) {
	t.Helper()
	if spec.Method == "" {
		spec.Method = "GET"
	}
	if spec.Status == nil {
		spec.Status = good
	}
	got := Once(t.Context(), config(spec, 10*time.Second), Settings{})
	if got.OK != ok || !strings.HasSuffix(got.Detail, want) {
		t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, ok, want)
	}
	if got.Took <= 0 {
		t.Errorf("took %v", got.Took)
	}
}

func TestHTTPRedirects(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	plain, secure := quiet(t, service(), nil).URL, quiet(t, service(), &a, "h2").URL
	_, securePort, _ := net.SplitHostPort(strings.TrimPrefix(secure, "https://"))
	socket := onSocket(t, service())
	probe := map[string]string{"X-Probe": "secret"}
	for _, tt := range []struct {
		name string
		spec check.HTTP
		ok   bool
		want string
	}{
		{"not followed", check.HTTP{URL: plain + "/loop"}, false, "GET " + plain + "/loop: 302 Found, redirects to /loop"},
		{"good as it is", check.HTTP{URL: plain + "/loop", Status: []check.StatusRange{{From: 302, To: 302}}}, true, "302 Found"},
		{"for ever", check.HTTP{URL: plain + "/loop", Redirects: 3}, false, "redirected more than 3 times, at last to /loop"},
		{"relative", check.HTTP{URL: plain + "/to?url=echo", Redirects: 1, Headers: probe, Host: "www.example.net", Body: "host=www.example.net sni= probe=secret"},
			true, "GET " + plain + "/echo: 200 OK"},
		{"once more than asked", check.HTTP{URL: plain + "/to?url=" + "/to%3Furl=/ok", Redirects: 1}, false, "redirected more than 1 times, at last to /ok"},
		{"to another host", check.HTTP{
			URL: plain + "/to?url=" + strings.Replace(plain, "127.0.0.1", "127.0.0.2", 1) + "/echo", Redirects: 1, Headers: probe, Host: "www.example.net",
			Body: "host=127.0.0.2:",
		}, false, "connect to 127.0.0.2" + strings.TrimPrefix(plain, "http://127.0.0.1") + ": connection refused"},
		{"to another server gives no headers away", check.HTTP{
			URL: plain + "/to?url=" + secure + "/echo", Redirects: 1, Headers: probe, Host: "www.example.net", Trust: check.Trust{CAFile: a.file, ServerName: "other.example.net"},
			Body: "host=127.0.0.1:" + securePort + " sni= probe= ",
		}, true, "200 OK (HTTP/2)"},
		{"to the same site stays on the machine", check.HTTP{
			URL: plain + "/to?url=https://www.example.net:" + securePort + "/echo", Redirects: 1, Headers: probe, Host: "www.example.net", Trust: check.Trust{CAFile: a.file},
			Body: "host=www.example.net:" + securePort + " sni=www.example.net probe=secret",
		}, true, "200 OK (HTTP/2)"},
		{"on a socket", check.HTTP{URL: "http://localhost/to?url=/echo", Socket: socket, Redirects: 1, Body: "host=localhost"}, true, "200 OK"},
		{"from POST to GET", check.HTTP{URL: plain + "/to?url=/echo", Method: "POST", Redirects: 1, Body: "GET /echo"}, true, "200 OK"},
		{"to a file", check.HTTP{URL: plain + "/to?url=file:///etc/passwd", Redirects: 1}, false, "redirected: file:///etc/passwd is not a URL to follow"},
		{"to nowhere", check.HTTP{URL: plain + "/to?url=http://", Redirects: 1}, false, "redirected: http:// is not a URL to follow"},
		{"with a password", check.HTTP{URL: plain + "/to?url=http://u:pw@127.0.0.1:1/", Redirects: 1}, false, "GET http://127.0.0.1:1/: connect to 127.0.0.1:1: connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantHTTP(t, tt.spec, tt.ok, tt.want) })
	}
}

// A probe that is called off ends at once, wherever it is.
func TestHTTPCalledOff(t *testing.T) {
	testenv.Require(t)
	asked := make(chan struct{})
	over := make(chan struct{})
	s := quiet(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-over
	}), nil)
	defer close(over)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan Result, 1)
	go func() {
		ended <- Once(ctx, config(check.HTTP{URL: s.URL, Method: "GET", Status: good}, time.Hour), Settings{})
	}()
	<-asked
	cancel()
	select {
	case got := <-ended:
		if got.OK {
			t.Errorf("got %v", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}
