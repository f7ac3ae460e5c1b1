package probe

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// Benchmark measures one probe of each kind together with the server that it
// asks, on the loopback interface.
func Benchmark(b *testing.B) {
	testenv.Require(b)
	a := newAuthority(b)
	trust := check.Trust{CAFile: a.file}
	plain, one, two := quiet(b, service(), nil).URL, quiet(b, service(), &a).URL, quiet(b, service(), &a, "h2").URL
	echo := listen(b, "tcp", "127.0.0.1:0", func(c net.Conn) {
		defer func() { _ = c.Close() }()
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			_, _ = io.WriteString(c, line)
		}
	})
	web := func(url string) check.HTTP {
		return check.HTTP{URL: url + "/ok", Method: "GET", Status: good, Body: "ok", Trust: trust}
	}
	onSocket := check.HTTP{URL: "http://localhost/ok", Socket: onSocket(b, service()), Method: "GET", Status: good, Body: "ok"}
	for _, bb := range []struct {
		name string
		spec check.Spec
	}{
		{"tcp", check.TCP{Address: echo}},
		{"tcp expect", check.TCP{Address: echo, Send: "PING\r\n", Text: "PING"}},
		{"http", web(plain)},
		{"http socket", onSocket},
		{"https", web(one)},
		{"https HTTP2", web(two)},
		{"tls", check.TLS{Address: strings.TrimPrefix(one, "https://"), Trust: trust}},
		{"grpc", check.GRPC{Address: healthy(b, "tcp", "127.0.0.1:0", true), Service: "shop.Orders"}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			cfg := config(bb.spec, 10*time.Second)
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				if got := Once(b.Context(), cfg, Settings{}); !got.OK {
					b.Fatal(got.Detail)
				}
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used so far; a busy host does not
// change it much.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
