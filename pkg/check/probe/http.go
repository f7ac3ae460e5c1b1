package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

const (
	maxHead = 64 << 10 // bytes of an answer before its body
	maxBody = 1 << 20  // bytes of a body that are read
)

// HTTP makes a request on a connection of its own, without any proxy, and looks
// at the answer. The body is read to its end, or as far as maxBody: a service
// that begins to answer and then hangs is not well.
func HTTP(ctx context.Context, h check.HTTP, _ Settings) Result {
	start := time.Now()
	step, err := firstHop(h)
	if err != nil {
		return Result{Detail: err.Error()}
	}
	name := h.Method + " " + h.Target()
	for followed := 0; ; followed++ {
		a, err := step.ask(ctx, h)
		if err != nil {
			return Result{Detail: fmt.Sprintf("%s: %v", name, err)}
		}
		if a.location == "" || h.Redirects == 0 {
			ok, said := a.judge(h)
			return Result{OK: ok, Detail: name + ": " + said, Took: a.at.Sub(start)}
		}
		if followed == h.Redirects {
			return Result{Detail: fmt.Sprintf("%s: redirected more than %d times, at last to %s", name, h.Redirects, excerpt([]byte(a.location)))}
		}
		if err := step.follow(a); err != nil {
			return Result{Detail: fmt.Sprintf("%s: redirected: %v", name, err)}
		}
		name = step.method + " " + excerpt([]byte(step.url.Redacted()))
	}
}

// hop is one request of a chain of redirects.
type hop struct {
	method  string
	url     *url.URL
	host    string            // header of that name, "" = of url
	name    string            // whom the certificate must be of
	machine string            // to connect to: a host, or unix:/path
	headers map[string]string // more of them
}

func firstHop(h check.HTTP) (*hop, error) {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s is not a URL", excerpt([]byte(h.URL)))
	}
	s := &hop{method: h.Method, url: u, host: h.Host, machine: u.Hostname(), headers: h.Headers}
	if h.Socket != "" {
		s.machine = socketPrefix + h.Socket
	}
	s.name = either(h.Trust.ServerName, s.hostname())
	return s, nil
}

// hostname is the host that the server believes to be.
func (s *hop) hostname() string {
	if s.host == "" {
		return s.url.Hostname()
	}
	return (&url.URL{Host: s.host}).Hostname()
}

// follow makes s the hop that an answer redirects to. A redirect to the name
// that was asked stays on the machine that was asked, since that one is being
// checked, wherever the name leads. Another host does not get our headers: one
// of them may be a password.
func (s *hop) follow(a answer) error {
	to, err := s.url.Parse(a.location)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return fmt.Errorf("%s is not a URL to follow", excerpt([]byte(a.location)))
	}
	to.User = nil
	if to.Host != s.url.Host { // else the same header as before
		if to.Hostname() != s.hostname() {
			s.machine, s.name, s.headers = to.Hostname(), to.Hostname(), nil
		}
		s.host = ""
	}
	if s.method != http.MethodHead && a.status != http.StatusTemporaryRedirect && a.status != http.StatusPermanentRedirect {
		s.method = http.MethodGet
	}
	s.url = to
	return nil
}

// address is where to connect to.
func (s *hop) address() string {
	port := s.url.Port()
	switch {
	case isSocket(s.machine):
		return s.machine
	case port == "" && s.url.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return net.JoinHostPort(s.machine, port)
}

// answer is what is known of a response, once its connection is closed.
type answer struct {
	status   int
	line     string // "200 OK", or "200" over HTTP/2
	proto    string
	location string // of a redirect
	body     []byte // only if something is expected of it
	at       time.Time
}

// ask makes the request of one hop.
func (s *hop) ask(ctx context.Context, h check.HTTP) (answer, error) {
	within := limit(ctx)
	conn, hangUp, err := dial(ctx, s.address(), h.Source)
	if err != nil {
		return answer{}, err
	}
	defer hangUp()
	if s.url.Scheme == "https" {
		trust := h.Trust
		trust.ServerName = s.name
		if conn, err = handshake(ctx, conn, trust, "h2", "http/1.1"); err != nil {
			return answer{}, fmt.Errorf("TLS: %w", err)
		}
	}
	resp, err := exchange(ctx, conn, s.request(ctx))
	if err != nil {
		return answer{}, errors.New(explain(err, within))
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, line: resp.Status, proto: resp.Proto, at: time.Now()}
	if redirects(a.status) {
		a.location = resp.Header.Get("Location")
	}
	if !h.GoodStatus(a.status) {
		return a, nil
	}
	if a.body, err = readBody(resp.Body, h.Body != "" || h.Regexp != nil); err != nil {
		return answer{}, fmt.Errorf("%s, but its body: %s", excerpt([]byte(a.line)), explain(err, within))
	}
	a.at = time.Now()
	if resp.ProtoMajor == 1 {
		farewell(ctx, conn)
	}
	return a, nil
}

func (s *hop) request(ctx context.Context) *http.Request {
	req := (&http.Request{
		Method: s.method,
		URL:    s.url,
		Host:   s.host,
		Header: http.Header{"User-Agent": {"vipd"}, "Accept": {"*/*"}},
		Close:  true,
	}).WithContext(ctx)
	for name, value := range s.headers {
		req.Header.Set(name, value)
	}
	return req
}

// readBody reads a body to its end or as far as maxBody, and keeps it if asked.
func readBody(body io.Reader, keep bool) ([]byte, error) {
	body = io.LimitReader(body, maxBody)
	if keep {
		return io.ReadAll(body)
	}
	_, err := io.Copy(io.Discard, body)
	return nil, err
}

// judge says whether an answer is what is expected.
func (a answer) judge(h check.HTTP) (ok bool, said string) {
	said = excerpt([]byte(a.line))
	if a.proto == "HTTP/2.0" {
		said += " (HTTP/2)"
	}
	switch {
	case !h.GoodStatus(a.status) && a.location != "":
		return false, fmt.Sprintf("%s, redirects to %s", said, excerpt([]byte(a.location)))
	case !h.GoodStatus(a.status):
		return false, said
	case holds(a.body, h.Body, h.Regexp):
		return true, said
	case len(a.body) == 0:
		return false, fmt.Sprintf("%s, but no %s in its empty body", said, wanted(h.Body, h.Regexp))
	case len(a.body) == maxBody:
		return false, fmt.Sprintf("%s, but no %s in the first %d MiB of its body", said, wanted(h.Body, h.Regexp), maxBody>>20)
	}
	return false, fmt.Sprintf("%s, but no %s in its body: %q", said, wanted(h.Body, h.Regexp), excerpt(a.body))
}

// redirects reports whether a status sends the client elsewhere.
func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}
