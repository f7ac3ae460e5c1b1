package probe

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// secured makes handshakes with a certificate, and waits for the end of each
// connection.
func secured(t testing.TB, cert tls.Certificate, change func(*tls.Config)) (address string) {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	if change != nil {
		change(cfg)
	}
	return listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		defer func() { _ = c.Close() }()
		_, _ = io.Copy(io.Discard, tls.Server(c, cfg))
	})
}

func TestTLS(t *testing.T) {
	testenv.Require(t)
	const day = 24 * time.Hour
	a, other := newAuthority(t), newAuthority(t)
	expired, soon, late := secured(t, a.certificate(t, -time.Minute), nil), secured(t, a.certificate(t, 60*time.Hour), nil), secured(t, a.certificate(t, 100*day+time.Hour), nil)
	outlived := secured(t, a.certificate(t, 1000*day), nil) // the authority lasts 416 days only
	old := secured(t, a.certificate(t, 100*day), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 })
	tls12 := secured(t, a.certificate(t, 100*day+time.Hour), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	trust, anybody := check.Trust{CAFile: a.file, ServerName: "www.example.net"}, check.Trust{Insecure: true}
	for _, tt := range []struct {
		name string
		spec check.TLS
		ok   bool
		want string // expression
	}{
		{"good", check.TLS{Address: late, Trust: trust}, true, `^TLS 1\.3, certificate ends in 100d, on 20\d\d-\d\d-\d\d$`},
		{"by its address", check.TLS{Address: late, Trust: check.Trust{CAFile: a.file}}, true, `^TLS 1\.3, `},
		{"TLS 1.2", check.TLS{Address: tls12, Trust: trust, Source: "127.0.0.4"}, true, `^TLS 1\.2, certificate ends in 100d`},
		{"old TLS", check.TLS{Address: old, Trust: trust}, false, `: the server refuses: protocol version not supported$`},
		{"far from the warning", check.TLS{Address: late, Trust: trust, WarnBelow: 99 * day, FailBelow: day}, true, `^TLS 1\.3, `},
		{"warning", check.TLS{Address: late, Trust: trust, WarnBelow: 101 * day, FailBelow: day}, true, `^warning: certificate ends in 100d, on [\d-]+: less than 101d$`},
		{"failure", check.TLS{Address: soon, Trust: trust, WarnBelow: 30 * day, FailBelow: 3 * day}, false, `^certificate ends in 2d, on [\d-]+: less than 3d$`},
		{"the authority ends first", check.TLS{Address: outlived, Trust: trust}, true, `certificate ends in 416d`},
		{"own certificate of anybody", check.TLS{Address: outlived, Trust: anybody}, true, `certificate ends in 1000d|certificate ends in 999d`},
		{"expired", check.TLS{Address: expired, Trust: trust}, false, `^TLS with 127\.0\.0\.1:\d+: certificate has expired or is not yet valid: `},
		{"expired of anybody", check.TLS{Address: expired, Trust: anybody}, false, `^certificate ended on 20\d\d-\d\d-\d\d$`},
		{"wrong host", check.TLS{Address: late, Trust: check.Trust{CAFile: a.file, ServerName: "mail.example.net"}}, false, `: certificate is valid for www\.example\.net, not mail\.example\.net$`},
		{"wrong authority", check.TLS{Address: late, Trust: check.Trust{CAFile: other.file, ServerName: "www.example.net"}}, false, `: certificate signed by unknown authority`},
		{"authorities of the system", check.TLS{Address: late, Trust: check.Trust{ServerName: "www.example.net"}}, false, `: certificate signed by unknown authority`},
		{"no authority", check.TLS{Address: late, Trust: check.Trust{CAFile: empty}}, false, `: read .*empty\.pem: no certificate in it$`},
		{"nobody's name", check.TLS{Address: "unix:/nonexistent"}, false, `^connect to unix:/nonexistent: no such file or directory$`},
		{"refused", check.TLS{Address: "127.0.0.1:1"}, false, `^connect to 127\.0\.0\.1:1: connection refused$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Once(t.Context(), config(tt.spec, 10*time.Second), Settings{})
			if got.OK != tt.ok || !regexp.MustCompile(tt.want).MatchString(got.Detail) {
				t.Errorf("got %v %q, want %v %s", got.OK, got.Detail, tt.ok, tt.want)
			}
		})
	}
}

// A self-signed certificate is good where it is its own authority.
func TestTLSSelfSigned(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	address := secured(t, tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}, nil)
	for trust, ok := range map[check.Trust]bool{{}: false, {Insecure: true}: true} {
		got := Once(t.Context(), config(check.TLS{Address: address, Trust: trust}, 10*time.Second), Settings{})
		if got.OK != ok {
			t.Errorf("%+v: got %v %q", trust, got.OK, got.Detail)
		}
	}
}

// The service sees the whole handshake and an orderly end.
func TestTLSClosesOrderly(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{a.certificate(t, 1000*time.Hour)}}
	ended := make(chan error, 1)
	address := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		defer func() { _ = c.Close() }()
		_, err := tls.Server(c, cfg).Read(make([]byte, 1))
		ended <- err
	})
	for range 50 {
		got := Once(t.Context(), config(check.TLS{Address: address, Trust: check.Trust{CAFile: a.file}}, 10*time.Second), Settings{})
		if !got.OK {
			t.Fatalf("got %q", got.Detail)
		}
		if err := <-ended; !errors.Is(err, io.EOF) { // not io.ErrUnexpectedEOF: it was told
			t.Fatalf("the service saw: %v", err)
		}
	}
}

// A file of authorities is read again once it has changed, and only then.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	cache := poolCache{pools: map[string]cachedPool{}}
	a, b := newAuthority(t), newAuthority(t)
	first, err := cache.read(a.file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := cache.read(a.file); err != nil || again != first {
		t.Errorf("read again although nothing changed (%v)", err)
	}
	pem, err := os.ReadFile(b.file)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.WriteFile(a.file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(a.file, later, later); err != nil {
		t.Fatal(err)
	}
	second, err := cache.read(a.file)
	want, _ := cache.read(b.file)
	if err != nil || second.Equal(first) || !second.Equal(want) {
		t.Errorf("not what the file holds now (%v)", err)
	}
	if err := os.Truncate(a.file, maxCAFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.read(a.file); err == nil {
		t.Error("read a giant")
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "90s", 2 * time.Minute: "2m", 119 * time.Minute: "119m", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 9000 * time.Hour: "375d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
