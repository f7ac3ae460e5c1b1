package probe

import (
	"bufio"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// listen serves connections in goroutines until the test ends.
func listen(t testing.TB, network, address string, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l, serve)
	return l.Addr().String()
}

// accept serves the connections of a listener until the test ends.
func accept(t testing.TB, l net.Listener, serve func(net.Conn)) {
	t.Helper()
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			go serve(conn)
		}
	}()
}

func TestTCP(t *testing.T) {
	testenv.Require(t)
	closing := func(c net.Conn) { _ = c.Close() }
	v4 := listen(t, "tcp", "127.0.0.1:0", closing)
	v6 := listen(t, "tcp", "[::1]:0", closing)
	for _, tt := range []struct {
		name string
		spec check.TCP
		ok   bool
		want string // * stands for the address
	}{
		{"IPv4", check.TCP{Address: v4}, true, "connected to *"},
		{"IPv6", check.TCP{Address: v6}, true, "connected to *"},
		{"with a source", check.TCP{Address: v4, Source: "127.0.0.2"}, true, "connected to *"},
		{"refused", check.TCP{Address: "127.0.0.1:1"}, false, "connect to *: connection refused"},
		{"no route", check.TCP{Address: "192.0.2.1:80"}, false, "connect to *: network is unreachable"},
		{"source that is not ours", check.TCP{Address: v4, Source: "192.0.2.9"}, false, "connect to *: cannot assign requested address"},
		{"source of another family", check.TCP{Address: v4, Source: "::1"}, false, "connect to *: "},
		{"source is a word", check.TCP{Address: v4, Source: "eth0"}, false, "source eth0 is not an address"},
		{"no port", check.TCP{Address: "127.0.0.1"}, false, "connect to *: address 127.0.0.1: missing port in address"},
		{"port out of range", check.TCP{Address: "127.0.0.1:70000"}, false, "connect to *: address 70000: invalid port"},
		{"empty", check.TCP{}, false, "connect to *: missing address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Once(t.Context(), config(tt.spec, 10*time.Second), Settings{})
			if want := strings.ReplaceAll(tt.want, "*", tt.spec.Address); got.OK != tt.ok || !strings.HasPrefix(got.Detail, want) {
				t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, tt.ok, want)
			}
		})
	}
}

// A listener whose queue is full lets connections wait: a hung service.
func TestTCPTimeout(t *testing.T) {
	testenv.Require(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 9999, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	spec := check.TCP{Address: "127.0.0.1:9999"}
	filler, err := net.Dial("tcp", spec.Address) // takes the only place
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = filler.Close() }()
	start := time.Now()
	got := Once(t.Context(), config(spec, 150*ms), Settings{})
	if want := "connect to 127.0.0.1:9999: no answer within 150ms"; got.OK || got.Detail != want {
		t.Errorf("got %v %q, want %q", got.OK, got.Detail, want)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// A service with a banner sees an orderly end, not a reset.
func TestTCPClosesOrderly(t *testing.T) {
	testenv.Require(t)
	ended := make(chan error, 1)
	addr := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "220 mail.example.net ESMTP\r\n"); err != nil {
			ended <- err
			return
		}
		_, err := io.Copy(io.Discard, c)
		if err == nil {
			_, err = io.WriteString(c, "221 bye\r\n")
		}
		ended <- err
	})
	for range 50 {
		got := Once(t.Context(), config(check.TCP{Address: addr}, 10*time.Second), Settings{})
		if !got.OK {
			t.Fatalf("got %q", got.Detail)
		}
		if err := <-ended; err != nil {
			t.Fatalf("the service saw: %v", err)
		}
	}
}

// A service that never closes its side does not hold the probe.
func TestTCPSilentService(t *testing.T) {
	testenv.Require(t)
	over := make(chan struct{})
	addr := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		<-over
		_ = c.Close()
	})
	defer close(over)
	start := time.Now()
	got := Once(t.Context(), config(check.TCP{Address: addr}, time.Minute), Settings{})
	if !got.OK || got.Took > farewellTime && got.Took >= time.Since(start) {
		t.Errorf("got %v %q took %v", got.OK, got.Detail, got.Took)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("held for %v", took)
	}
}

// A greeting is waited for, and an answer to what is sent.
func TestTCPExpect(t *testing.T) {
	testenv.Require(t)
	redis := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		if line, _ := bufio.NewReader(c).ReadString('\n'); line == "PING\r\n" {
			_, _ = io.WriteString(c, "+PONG\r\n")
			_, _ = io.Copy(io.Discard, c)
		}
	}
	plain := listen(t, "tcp", "127.0.0.1:0", redis)
	socket := "unix:" + listen(t, "unix", filepath.Join(t.TempDir(), "redis.sock"), redis)
	mail := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		for _, part := range []string{"22", "0 mail.example", ".net ESMTP\r\n"} {
			_, _ = io.WriteString(c, part)
		}
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	})
	for _, tt := range []struct {
		name string
		spec check.TCP
		ok   bool
		want string // * stands for the address
	}{
		{"answer", check.TCP{Address: plain, Send: "PING\r\n", Text: "+PONG"}, true, `* answers "+PONG"`},
		{"answer on a socket", check.TCP{Address: socket, Send: "PING\r\n", Text: "+PONG"}, true, `* answers "+PONG"`},
		{"matching answer", check.TCP{Address: plain, Send: "PING\r\n", Regexp: regexp.MustCompile(`^\+PONG\r\n$`)}, true, `* answers "+PONG"`},
		{"other answer", check.TCP{Address: plain, Send: "QUIT\r\n", Text: "+OK"}, false, `no "+OK" from *: the other side closed the connection`},
		{"greeting in parts", check.TCP{Address: mail, Regexp: regexp.MustCompile(`^220 .*ESMTP`)}, true, `* answers "220 mail.example.net ESMTP"`},
		{"both in parts", check.TCP{Address: mail, Text: "ESMTP", Regexp: regexp.MustCompile(`^220 `)}, true, `* answers "220 mail.example.net ESMTP"`},
		{"only sends", check.TCP{Address: plain, Send: "QUIT\r\n"}, true, "connected to *"},
		{"socket", check.TCP{Address: socket}, true, "connected to *"},
		{"no socket", check.TCP{Address: "unix:/nonexistent"}, false, "connect to *: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Once(t.Context(), config(tt.spec, 10*time.Second), Settings{})
			if want := strings.ReplaceAll(tt.want, "*", tt.spec.Address); got.OK != tt.ok || got.Detail != want {
				t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, tt.ok, want)
			}
		})
	}
}
