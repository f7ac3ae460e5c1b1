package check

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// HTTP makes a request and looks at the answer.
type HTTP struct {
	URL       string            // http:// or https://
	Socket    string            // Unix socket to ask instead of the host in URL, "" = none
	Source    string            // local address, "" = any
	Method    string            // GET, HEAD, OPTIONS or POST; no body is sent
	Host      string            // host header and, without Trust.ServerName, that name too; "" = of URL
	Headers   map[string]string // more of them
	Redirects int               // how many are followed, 0 or more
	Trust     Trust             // with https

	Status []StatusRange  // any of these is good
	Body   string         // must be in the body, "" = anything
	Regexp *regexp.Regexp // must match the body, nil = anything
}

// Type implements [Spec].
func (HTTP) Type() string { return "http" }

// socketURL is what URL begins with when Socket is set.
const socketURL = "http://localhost"

// Target is the URL as an operator writes it: that of a socket is
// unix:/run/app.sock:/healthz.
func (h HTTP) Target() string {
	if h.Socket == "" {
		return h.URL
	}
	return "unix:" + h.Socket + ":" + strings.TrimPrefix(h.URL, socketURL)
}

// SplitTarget is the inverse of [HTTP.Target]: the URL to ask and the socket to
// ask it on, "" for none. A socket without a path behind it is asked for /.
func SplitTarget(target string) (url, socket string) {
	rest, ok := strings.CutPrefix(target, "unix:")
	if !ok {
		return target, ""
	}
	socket, path, found := strings.Cut(rest, ":")
	if !found {
		path = "/"
	}
	return socketURL + path, socket
}

// StatusRange is a range of status codes of HTTP, both ends included, 100–599.
type StatusRange struct{ From, To int }

// String is the range as an operator writes it: 200 or 200-299.
func (r StatusRange) String() string {
	if r.From == r.To {
		return strconv.Itoa(r.From)
	}
	return strconv.Itoa(r.From) + "-" + strconv.Itoa(r.To)
}

// GoodStatus reports whether a status code is one of those that are good.
func (h HTTP) GoodStatus(code int) bool {
	return slices.ContainsFunc(h.Status, func(r StatusRange) bool { return r.From <= code && code <= r.To })
}
