package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vipd/vipd/pkg/engine/whatif"
)

// tries is how often a read is sent to a daemon that hangs up.
const tries = 5

// maxDocument bounds what a client reads of one document.
const maxDocument = 64 << 20

// Client asks a daemon. Every call opens a connection of its own and ends with
// its context. Errors are an [UnreachableError], a [Problem], or one for which
// errors.Is says context.DeadlineExceeded or context.Canceled.
type Client struct {
	Socket string // path

	// Trace, when set, is told about every request that was answered.
	Trace func(method, path string, status int, took time.Duration)
}

// UnreachableError says that no daemon answers on a socket.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	var en syscall.Errno
	switch {
	case errors.Is(e.Err, syscall.ENOENT):
		return fmt.Sprintf("no daemon: %s does not exist", e.Socket)
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no daemon: nobody answers on %s", e.Socket)
	case errors.As(e.Err, &en):
		return fmt.Sprintf("no daemon: connect to %s: %v", e.Socket, en)
	}
	return fmt.Sprintf("no daemon: talk to %s: %v", e.Socket, e.Err)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Status asks for everything.
func (c Client) Status(ctx context.Context) (StatusDocument, error) {
	var doc StatusDocument
	err := c.get(ctx, PathStatus(), &doc)
	doc.Status.Node = doc.Node.Name // the object took its place in JSON
	return doc, err
}

// VIP asks for one VIP.
func (c Client) VIP(ctx context.Context, name string) (VIPDocument, error) {
	var doc VIPDocument
	return doc, c.get(ctx, PathVIP(name), &doc)
}

// WhyVIP asks for the explanation of a VIP.
func (c Client) WhyVIP(ctx context.Context, name string) (Explanation, error) {
	var doc Explanation
	return doc, c.get(ctx, PathWhyVIP(name), &doc)
}

// WhyCheck asks for the explanation of a check.
func (c Client) WhyCheck(ctx context.Context, name string) (Explanation, error) {
	var doc Explanation
	return doc, c.get(ctx, PathWhyCheck(name), &doc)
}

// WhatIf asks what would happen: see whatif.Parse.
func (c Client) WhatIf(ctx context.Context, words []string) (whatif.Answer, error) {
	var doc whatif.Answer
	return doc, c.get(ctx, PathWhatIf(words), &doc)
}

// Checks asks for all checks.
func (c Client) Checks(ctx context.Context) (ChecksDocument, error) {
	var doc ChecksDocument
	return doc, c.get(ctx, PathChecks(), &doc)
}

// PathFences is the path of the fences.
func PathFences() string { return "/v1/fences" }

// Fences reads how peers are cut off, and what became of it.
func (c Client) Fences(ctx context.Context) (FencesDocument, error) {
	var doc FencesDocument
	return doc, c.get(ctx, PathFences(), &doc)
}

// ConfirmFence states that a peer is off.
func (c Client) ConfirmFence(ctx context.Context, peer string) (AnswerDocument, error) {
	var doc AnswerDocument
	return doc, c.post(ctx, PathFences()+"/"+url.PathEscape(peer)+"/confirm", nil, &doc)
}

// TestFence has a fence device read now.
func (c Client) TestFence(ctx context.Context, device string) (FenceTest, error) {
	var doc FenceTest
	return doc, c.post(ctx, "/v1/fence/test/"+url.PathEscape(device), nil, &doc)
}

// RunCheck has one probe made now.
func (c Client) RunCheck(ctx context.Context, name string) (CheckResult, error) {
	var doc CheckResult
	return doc, c.post(ctx, "/v1/checks/"+url.PathEscape(name)+"/run", nil, &doc)
}

// Drain takes VIPs out of service.
func (c Client) Drain(ctx context.Context, req DrainRequest) (AnswerDocument, error) {
	var doc AnswerDocument
	return doc, c.post(ctx, "/v1/drain", req, &doc)
}

// Undrain puts VIPs, all when there is no name, back into service.
func (c Client) Undrain(ctx context.Context, names []string) (AnswerDocument, error) {
	var doc AnswerDocument
	return doc, c.post(ctx, "/v1/undrain", DrainRequest{Names: names}, &doc)
}

// Failover gives a VIP to a peer.
func (c Client) Failover(ctx context.Context, name string) (AnswerDocument, error) {
	var doc AnswerDocument
	return doc, c.post(ctx, "/v1/vips/"+url.PathEscape(name)+"/failover", nil, &doc)
}

// Drill has a peer take a VIP, on purpose, and take it back.
func (c Client) Drill(ctx context.Context, name string, req DrillRequest) (DrillDocument, error) {
	var doc DrillDocument
	return doc, c.post(ctx, "/v1/vips/"+url.PathEscape(name)+"/drill", req, &doc)
}

// Reload has the configuration read again, or, dry, only says what that would
// change.
func (c Client) Reload(ctx context.Context, req ReloadRequest) (ReloadResult, error) {
	var doc ReloadResult
	return doc, c.post(ctx, "/v1/reload", req, &doc)
}

// Confirm keeps what a reload has changed that would be taken back.
func (c Client) Confirm(ctx context.Context) (ReloadResult, error) {
	var doc ReloadResult
	return doc, c.post(ctx, "/v1/reload/confirm", nil, &doc)
}

// Diff says what a reload would change.
func (c Client) Diff(ctx context.Context) (ReloadResult, error) {
	var doc ReloadResult
	return doc, c.get(ctx, "/v1/diff", &doc)
}

// EventQuery says which events a client wants.
type EventQuery struct {
	Since  string   // as ?since= takes it: "1h", a time in RFC 3339, or a Seq; "" = all
	Types  []string // none = all
	Names  []string // of VIPs, checks or interfaces; none = all
	Follow bool     // go on until the context ends
}

// Events calls each with the JSON of one [Event] after the other. It returns
// nil when there are no more, or when the daemon ends a stream that follows.
func (c Client) Events(ctx context.Context, q EventQuery, each func(line []byte) error) error {
	values := url.Values{}
	if q.Since != "" {
		values.Set("since", q.Since)
	}
	if len(q.Types) > 0 {
		values.Set("type", strings.Join(q.Types, ","))
	}
	if len(q.Names) > 0 {
		values.Set("name", strings.Join(q.Names, ","))
	}
	if q.Follow {
		values.Set("follow", "1")
	}
	body, err := c.do(ctx, http.MethodGet, "/v1/events?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && err == nil {
			if err := each(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		return &UnreachableError{c.Socket, err}
	}
}

// Raw gives the document of a GET as the daemon wrote it, for those who want
// its JSON.
func (c Client) Raw(ctx context.Context, path string) (json.RawMessage, error) {
	return c.exchange(ctx, http.MethodGet, path, nil)
}

// The paths that can be read.

// PathStatus is the path of the status.
func PathStatus() string { return "/v1/status" }

// PathVIP is the path of one VIP.
func PathVIP(name string) string { return "/v1/vips/" + url.PathEscape(name) }

// PathWhyVIP is the path of the explanation of a VIP.
func PathWhyVIP(name string) string { return PathVIP(name) + "/why" }

// PathWhyCheck is the path of the explanation of a check.
func PathWhyCheck(name string) string { return PathChecks() + "/" + url.PathEscape(name) + "/why" }

// PathWhatIf is the path of a question.
func PathWhatIf(words []string) string {
	return "/v1/what-if?q=" + url.QueryEscape(strings.Join(words, " "))
}

// PathChecks is the path of all checks.
func PathChecks() string { return "/v1/checks" }

// get reads a document.
func (c Client) get(ctx context.Context, path string, into any) error {
	raw, err := c.exchange(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return Decode(raw, path, into)
}

// post changes something. A nil request is an empty body.
func (c Client) post(ctx context.Context, path string, req, into any) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	raw, err := c.exchange(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	return Decode(raw, path, into)
}

// exchange sends a request and reads the whole answer.
func (c Client) exchange(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Close() }()
	raw, err := io.ReadAll(io.LimitReader(answer, maxDocument))
	if err != nil {
		return nil, c.wrap(ctx, err)
	}
	return raw, nil
}

// do sends a request. A read that a crowded daemon cut off is sent again. It
// returns the body of a good answer, or the problem.
func (c Client) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	for try := 1; ; try++ {
		answer, err := c.once(ctx, method, path, body)
		var un *UnreachableError
		cut := errors.As(err, &un) && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED)
		if method != http.MethodGet || !cut || try == tries {
			return answer, err
		}
	}
}

// once sends a request once.
func (c Client) once(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, method, "http://vipd"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("form the request: %w", err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.Socket)
		},
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, c.wrap(ctx, err)
	}
	if c.Trace != nil {
		c.Trace(method, path, res.StatusCode, time.Since(start))
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxDocument))
	if err != nil {
		return nil, c.wrap(ctx, err)
	}
	p := new(Problem)
	if json.Unmarshal(raw, p) != nil || p.Type == "" {
		return nil, fmt.Errorf("ask for %s: the daemon answered %s", path, res.Status)
	}
	p.foreign()
	return nil, p
}

// wrap says what kind of failure it was.
func (c Client) wrap(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		p := problem(ProblemNotPermitted, fmt.Sprintf("you may not open %s", c.Socket))
		p.Hint = "be root" + socketGroup(c.Socket)
		return p
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return &UnreachableError{c.Socket, err}
}

// socketGroup names the group whose members may open a socket.
func socketGroup(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	gid := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	}
	return ", or a member of group " + gid
}
