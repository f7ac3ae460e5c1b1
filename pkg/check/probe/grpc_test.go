package probe

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	health1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// healthy is the server of the gRPC library; without service it has no health.
func healthy(t testing.TB, network, address string, service bool, options ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	if service {
		h := health.NewServer()
		h.SetServingStatus("shop.Orders", health1.HealthCheckResponse_SERVING)
		h.SetServingStatus("shop.Search", health1.HealthCheckResponse_NOT_SERVING)
		h.SetServingStatus("shop.New", health1.HealthCheckResponse_SERVICE_UNKNOWN)
		health1.RegisterHealthServer(s, h)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-ended })
	return l.Addr().String()
}

func TestGRPC(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	cert := a.certificate(t, 1000*time.Hour)
	plain, bare := healthy(t, "tcp", "127.0.0.1:0", true), healthy(t, "tcp", "127.0.0.1:0", false)
	secure := healthy(t, "tcp", "127.0.0.1:0", true, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	socket := "unix:" + healthy(t, "unix", filepath.Join(t.TempDir(), "orders.sock"), true)
	web, webTLS := quiet(t, service(), nil).Listener.Addr().String(), quiet(t, service(), &a).Listener.Addr().String()
	webTwo := quiet(t, service(), &a, "h2").Listener.Addr().String()
	tunnel := secured(t, cert, nil)
	trust := check.Trust{CAFile: a.file, ServerName: "www.example.net"}
	for _, tt := range []struct {
		name string
		spec check.GRPC
		ok   bool
		want string // * stands for the address
	}{
		{"server", check.GRPC{Address: plain}, true, "gRPC *: SERVING"},
		{"service", check.GRPC{Address: plain, Service: "shop.Orders", Source: "127.0.0.5"}, true, "gRPC * shop.Orders: SERVING"},
		{"not serving", check.GRPC{Address: plain, Service: "shop.Search"}, false, "gRPC * shop.Search: NOT_SERVING"},
		{"unknown", check.GRPC{Address: plain, Service: "shop.New"}, false, "gRPC * shop.New: SERVICE_UNKNOWN"},
		{"no such service", check.GRPC{Address: plain, Service: "shop.Ordres"}, false, "gRPC * shop.Ordres: no such service"},
		{"no health service", check.GRPC{Address: bare}, false, "gRPC *: the server has no health service"},
		{"socket", check.GRPC{Address: socket, Service: "shop.Orders"}, true, "gRPC * shop.Orders: SERVING"},
		{"TLS", check.GRPC{Address: secure, TLS: true, Trust: trust, Service: "shop.Orders"}, true, "gRPC * shop.Orders: SERVING"},
		{"TLS by address", check.GRPC{Address: secure, TLS: true, Trust: check.Trust{CAFile: a.file}}, true, "gRPC *: SERVING"},
		{"TLS of strangers", check.GRPC{Address: secure, TLS: true}, false, "gRPC *: TLS: certificate signed by unknown authority"},
		{"TLS without HTTP/2", check.GRPC{Address: webTLS, TLS: true, Trust: trust}, false, "gRPC *: TLS: the server refuses: no application protocol"},
		{"TLS without protocols", check.GRPC{Address: tunnel, TLS: true, Trust: trust}, false, "gRPC *: the server does not offer HTTP/2"},
		{"TLS of a web server", check.GRPC{Address: webTwo, TLS: true, Trust: trust}, false, "gRPC *: not a gRPC server: it answers 404 Not Found, text/plain; charset=utf-8"},
		{"web server", check.GRPC{Address: web}, false, "gRPC *: "},
		{"refused", check.GRPC{Address: "127.0.0.1:1"}, false, "connect to *: connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Once(t.Context(), config(tt.spec, 10*time.Second), Settings{})
			if want := strings.ReplaceAll(tt.want, "*", tt.spec.Address); got.OK != tt.ok || !strings.HasPrefix(got.Detail, want) {
				t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, tt.ok, want)
			}
		})
	}
}

// What servers may answer that are none, or broken ones.
func TestGRPCAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body          string
		head, trailer http.Header
		status        uint64
		want          string // of the error
	}{
		"serving":          {"\x00\x00\x00\x00\x02\x08\x01", nil, http.Header{"Grpc-Status": {"0"}}, 1, ""},
		"unknown field":    {"\x00\x00\x00\x00\x05\x12\x01x\x08\x02", nil, http.Header{"Grpc-Status": {"0"}}, 2, ""},
		"default":          {"\x00\x00\x00\x00\x00", nil, http.Header{"Grpc-Status": {"0"}}, 0, ""},
		"no message":       {"", nil, http.Header{"Grpc-Status": {"0"}}, 0, "the answer is not one plain message"},
		"compressed":       {"\x01\x00\x00\x00\x02\x08\x01", nil, http.Header{"Grpc-Status": {"0"}}, 0, "the answer is not one plain message"},
		"cut":              {"\x00\x00\x00\x00\x03\x08\x01", nil, http.Header{"Grpc-Status": {"0"}}, 0, "the answer is not one plain message"},
		"claims 4 GiB":     {"\x00\xff\xff\xff\xff\x08\x01", nil, http.Header{"Grpc-Status": {"0"}}, 0, "the answer is not one plain message"},
		"garbled tag":      {"\x00\x00\x00\x00\x01\xff", nil, http.Header{"Grpc-Status": {"0"}}, 0, "the message is garbled"},
		"garbled value":    {"\x00\x00\x00\x00\x02\x08\xff", nil, http.Header{"Grpc-Status": {"0"}}, 0, "the message is garbled"},
		"garbled length":   {"\x00\x00\x00\x00\x02\x12\x7f", nil, http.Header{"Grpc-Status": {"0"}}, 0, "the message is garbled"},
		"no status":        {"\x00\x00\x00\x00\x02\x08\x01", nil, nil, 0, "an answer without a gRPC status"},
		"status in head":   {"", http.Header{"Grpc-Status": {"12"}}, nil, 0, "the server has no health service"},
		"denied":           {"", nil, http.Header{"Grpc-Status": {"7"}, "Grpc-Message": {"not%20you%0a"}}, 0, "gRPC status 7: not you"},
		"strange":          {"", nil, http.Header{"Grpc-Status": {"\x1b[2J"}}, 0, "gRPC status [2J: no message"},
		"giant":            {strings.Repeat("x", maxGRPC+1), nil, http.Header{"Grpc-Status": {"0"}}, 0, "an answer of more than 4096 bytes"},
		"another protocol": {"", http.Header{"Content-Type": {"text/html"}}, nil, 0, "not a gRPC server: it answers 200 OK, text/html"},
	} {
		head := http.Header{"Content-Type": {"application/grpc"}}
		for k, v := range tt.head {
			head[k] = v
		}
		got, err := readHealth(&http.Response{StatusCode: 200, Status: "200 OK", Header: head, Trailer: tt.trailer, Body: io.NopCloser(strings.NewReader(tt.body))})
		said := ""
		if err != nil {
			said = err.Error()
		}
		if got != tt.status || said != tt.want {
			t.Errorf("%s: got %d %q, want %d %q", name, got, said, tt.status, tt.want)
		}
	}
}
