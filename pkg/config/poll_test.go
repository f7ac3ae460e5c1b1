package config

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
)

const trackedCheck = `
[vip.web]
interface = "eth0"
vrid      = 51
addresses = ["192.0.2.10/24"]
track     = ["api"]

[check.api]
`

var expressions = cmp.Comparer(func(a, b *regexp.Regexp) bool { return source(a) == source(b) })

func TestPollSpecs(t *testing.T) {
	t.Parallel()
	ok := []check.StatusRange{{From: 200, To: 299}}
	for name, tt := range map[string]struct {
		text string
		want check.Spec
	}{
		"http": {`type = "http"` + "\n" + `url = "http://[::1]:8080"`, check.HTTP{URL: "http://[::1]:8080", Method: "GET", Status: ok}},
		"http with all": {
			`
type = "http"
url = "https://192.0.2.1/a?b"
method = "OPTIONS"
host = "www.example.net:8443"
server_name = "example.net"
source = "192.0.2.2"
redirects = 10
insecure = true
[check.api.headers]
X-Probe = ""
Authorization = "Basic YTpi"
[check.api.expect]
status = " 204, 301-302 "
body = "a\nb"
regexp = '\d+'
`,
			check.HTTP{
				URL: "https://192.0.2.1/a?b", Method: "OPTIONS", Host: "www.example.net:8443", Source: "192.0.2.2", Redirects: 10,
				Trust:   check.Trust{ServerName: "example.net", Insecure: true},
				Headers: map[string]string{"X-Probe": "", "Authorization": "Basic YTpi"},
				Status:  []check.StatusRange{{From: 204, To: 204}, {From: 301, To: 302}},
				Body:    "a\nb", Regexp: regexp.MustCompile(`\d+`),
			},
		},
		"http with a number":       {`type = "http"` + "\n" + `url = "http://a"` + "\nexpect.status = 404", check.HTTP{URL: "http://a", Method: "GET", Status: []check.StatusRange{{From: 404, To: 404}}}},
		"http on a socket":         {`type = "http"` + "\n" + `url = "unix:/run/a.sock:/b?c"`, check.HTTP{URL: "http://localhost/b?c", Socket: "/run/a.sock", Method: "GET", Status: ok}},
		"http trusts after a hop":  {`type = "http"` + "\n" + `url = "http://a/"` + "\nredirects = 1\ninsecure = true", check.HTTP{URL: "http://a/", Method: "GET", Redirects: 1, Status: ok, Trust: check.Trust{Insecure: true}}},
		"tcp":                      {`type = "tcp"` + "\n" + `address = ":25"` + "\n" + `send = "QUIT\r\n"` + "\n" + `expect = { text = "220", regexp = "^2" }`, check.TCP{Address: "127.0.0.1:25", Send: "QUIT\r\n", Text: "220", Regexp: regexp.MustCompile("^2")}},
		"tcp on a socket":          {`type = "tcp"` + "\n" + `address = "unix:/run/a.sock"`, check.TCP{Address: "unix:/run/a.sock"}},
		"tls":                      {`type = "tls"` + "\nport = 443\n" + `ca_file = "/ca.pem"` + "\n" + `warn_below = "336h"` + "\n" + `fail_below = "24h"`, check.TLS{Address: "127.0.0.1:443", Trust: check.Trust{CAFile: "/ca.pem"}, WarnBelow: 336 * time.Hour, FailBelow: 24 * time.Hour}},
		"tls without a warning":    {`type = "tls"` + "\nport = 443\n" + `warn_below = "0s"` + "\n" + `fail_below = "24h"`, check.TLS{Address: "127.0.0.1:443", FailBelow: 24 * time.Hour}},
		"tls of anybody, a socket": {`type = "tls"` + "\n" + `address = "unix:/run/a.sock"` + "\ninsecure = true", check.TLS{Address: "unix:/run/a.sock", Trust: check.Trust{Insecure: true}}},
		"grpc":                     {`type = "grpc"` + "\n" + `address = "unix:/run/a.sock"` + "\n" + `service = "shop.Orders"`, check.GRPC{Address: "unix:/run/a.sock", Service: "shop.Orders"}},
		"grpc with TLS":            {`type = "grpc"` + "\nport = 1\ntls = true\n" + `server_name = "a"`, check.GRPC{Address: "127.0.0.1:1", TLS: true, Trust: check.Trust{ServerName: "a"}}},
	} {
		got := parse(t, trackedCheck+tt.text).Engine.Checks["api"].Spec
		if diff := cmp.Diff(tt.want, got, expressions); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// TestDiffPoll: every key of a check that changes is named, and no header's
// value is shown.
func TestDiffPoll(t *testing.T) {
	t.Parallel()
	diff := func(from, to string) string {
		return strings.Join(Diff(parse(t, trackedCheck+from), parse(t, trackedCheck+to)), "\n")
	}
	got := diff(`
type = "http"
url = "https://a/"
headers = { Authorization = "Basic YTpi", X-Probe = "1" }
expect = { body = "ok", status = 200 }
`, `
type = "http"
url = "unix:/run/a.sock:/b"
method = "POST"
host = "b"
redirects = 1
insecure = true
headers = { Authorization = "Basic YTpj", X-Probe = "1" }
expect = { regexp = "^ok$", status = "200,204" }
`)
	want := `check.api: expect.body: removed "ok"
check.api: expect.regexp: added ^ok$
check.api: expect.status: added 204
check.api: headers.Authorization changed
check.api: host: added b
check.api: insecure false -> true
check.api: method GET -> POST
check.api: redirects 0 -> 1
check.api: url https://a/ -> unix:/run/a.sock:/b`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("http (-want +got)\n%s", d)
	}
	got = diff("type = \"tcp\"\nport = 1\n", "type = \"tcp\"\nport = 1\nsend = \"a\\r\\n\"\nexpect = { text = \"b\", regexp = \"c\" }\nsource = \"127.0.0.1\"")
	want = "check.api: expect.regexp: added c\ncheck.api: expect.text: added \"b\"\ncheck.api: send: added \"a\\r\\n\"\ncheck.api: source: added 127.0.0.1"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tcp (-want +got)\n%s", d)
	}
	got = diff("type = \"tls\"\nport = 1", "type = \"tls\"\nport = 2\nwarn_below = \"48h\"\nfail_below = \"24h\"\nserver_name = \"a\"\nca_file = \"/b\"")
	want = "check.api: address 127.0.0.1:1 -> 127.0.0.1:2\ncheck.api: ca_file: added /b\ncheck.api: fail_below 0s -> 24h\ncheck.api: server_name: added a\ncheck.api: warn_below 0s -> 48h"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tls (-want +got)\n%s", d)
	}
	got = diff("type = \"grpc\"\nport = 1", "type = \"grpc\"\nport = 1\ntls = true\nservice = \"a\"")
	if d := cmp.Diff("check.api: service: added a\ncheck.api: tls false -> true", got); d != "" {
		t.Errorf("grpc (-want +got)\n%s", d)
	}
}
