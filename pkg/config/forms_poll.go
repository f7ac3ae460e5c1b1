package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/pkg/check"
)

// socketPrefix marks the path of a Unix socket where an address may stand.
const socketPrefix = "unix:"

// checkURL is for what a check of type http asks for.
func checkURL(s string) error {
	if rest, ok := strings.CutPrefix(s, socketPrefix); ok {
		socket, target, found := strings.Cut(rest, ":")
		if err := checkSocket(socket); err != nil {
			return err
		}
		if found && !strings.HasPrefix(target, "/") {
			return errors.New("must have a path behind the socket: unix:/run/app.sock:/healthz")
		}
		s, _ = check.SplitTarget(s)
	}
	u, err := url.Parse(s)
	switch cause := (*url.Error)(nil); {
	case errors.As(err, &cause):
		return fmt.Errorf("is not a URL: %w", cause.Err)
	case err != nil:
		return fmt.Errorf("is not a URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with http://, https:// or unix:/")
	case u.Hostname() == "":
		return errors.New("names no host")
	case u.User != nil:
		return errors.New("holds a user: status and logs would show the password")
	case u.Fragment != "":
		return errors.New("holds a fragment, which no server sees")
	case u.Port() != "":
		return checkPort(u.Port())
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("has a colon, but no port")
	}
	return nil
}

// checkHost is for Host headers: a host, or host:port.
func checkHost(s string) error {
	u, err := url.Parse("http://" + s)
	switch {
	case err != nil || u.Host != s || u.Hostname() == "" || strings.HasSuffix(s, ":"):
		return errors.New("is not a host, or host:port")
	case u.Port() != "":
		return checkPort(u.Port())
	}
	return nil
}

// checkServerName is for names of certificates.
func checkServerName(s string) error {
	if strings.ContainsAny(s, "/ []*@") || strings.Count(s, ":") == 1 {
		return errors.New("is not a name of a host: no port and no brackets here")
	}
	return nil
}

// statusRanges are codes of HTTP; the value is a []check.StatusRange.
type statusRanges struct{}

func (statusRanges) allowed() string { return `codes and ranges of them: "200-299,304"` }

func (k statusRanges) parse(r *reporter, n *node) (any, bool) {
	text, ok := n.value.(string)
	if code, isNumber := n.value.(int64); isNumber {
		text, ok = strconv.FormatInt(code, 10), true
	}
	if !ok {
		r.mismatch(n, k.allowed(), "")
		return nil, false
	}
	var list []check.StatusRange
	for _, part := range strings.Split(text, ",") {
		status, err := parseRange(strings.TrimSpace(part))
		if err != nil {
			r.wrong(n, err.Error(), `write codes and ranges: "200-299,304"`)
			return nil, false
		}
		list = append(list, status)
	}
	return list, true
}

// parseRange reads 200 or 200-299.
func parseRange(s string) (check.StatusRange, error) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	from, err := parseStatus(low)
	if err != nil {
		return check.StatusRange{}, err
	}
	to, err := parseStatus(high)
	switch {
	case err != nil:
		return check.StatusRange{}, err
	case from > to:
		return check.StatusRange{}, fmt.Errorf("%s is a range from high to low", s)
	}
	return check.StatusRange{From: from, To: to}, nil
}

func parseStatus(s string) (int, error) {
	code, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a status code", s)
	case code < 100 || code > 599:
		return 0, fmt.Errorf("%d is outside 100–599", code)
	}
	return code, nil
}

// expression is a regular expression; its value is a *regexp.Regexp.
type expression struct{}

func (expression) allowed() string { return "a regular expression in the syntax RE2" }

func (k expression) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	if s == "" {
		r.wrong(n, n.raw()+" is empty", "")
		return nil, false
	}
	re, err := regexp.Compile(s)
	if bad := (*syntax.Error)(nil); errors.As(err, &bad) {
		hint := ""
		if bad.Code == syntax.ErrInvalidPerlOp || bad.Code == syntax.ErrInvalidEscape {
			hint = "RE2 has no look-around and no back-references: https://github.com/google/re2/wiki/Syntax"
		}
		r.wrong(n, fmt.Sprintf("%s is not a regular expression: %s in `%s`", n.raw(), bad.Code, bad.Expr), hint)
		return nil, false
	}
	return re, err == nil
}

// headers is a table of headers of HTTP; its value is a map[string]string.
type headers struct{}

func (headers) allowed() string { return "a table of names and strings" }

// ownHeaders are those that vipd writes itself, and what to use instead.
var ownHeaders = map[string]string{
	"host":              "use the key `host`",
	"connection":        "",
	"content-length":    "",
	"transfer-encoding": "",
	"upgrade":           "",
	"te":                "",
}

func (k headers) parse(r *reporter, n *node) (any, bool) {
	if !n.isTable() {
		r.mismatch(n, k.allowed(), fmt.Sprintf("write `%s = { X-Probe = \"vipd\" }`", n.name))
		return nil, false
	}
	m, good := map[string]string{}, true
	for _, child := range n.children() {
		value, ok := k.header(r, child)
		good = good && ok
		m[child.name] = value
	}
	return m, good
}

func (headers) header(r *reporter, n *node) (string, bool) {
	hint, own := ownHeaders[strings.ToLower(n.name)]
	switch {
	case own:
		r.atKey(n, Error, n.String()+": vipd writes this header itself", hint)
		return "", false
	case n.name == "" || strings.ContainsFunc(n.name, notInToken):
		r.atKey(n, Error, fmt.Sprintf("%s: %q is not the name of a header", n, n.name), "")
		return "", false
	}
	s, ok := r.text(n, "a string")
	if !ok {
		return "", false
	}
	if s != "" { // an empty header is one as well
		if err := plain(s); err != nil {
			r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), "")
			return "", false
		}
	}
	return s, true
}

// notInToken reports whether a rune cannot be in the name of a header (RFC 9110,
// 5.6.2).
func notInToken(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && !slices.Contains([]rune("!#$%&'*+-.^_`|~"), r)
}
