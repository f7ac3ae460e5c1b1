package probe

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// garbage is the same in every run.
func garbage() []byte {
	b := make([]byte, 200<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

// trickle writes text a few bytes at a time, over and over, until the other side
// has enough.
func trickle(c io.Writer, head, text string) {
	tick := time.NewTicker(5 * ms)
	defer tick.Stop()
	for rest := head; ; rest = text {
		for _, b := range []byte(rest) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	}
}

// flood writes text until the other side has enough.
func flood(c io.Writer, head, text string) {
	chunk := bytes.Repeat([]byte(text), 1+4096/len(text))
	_, err := io.WriteString(c, head)
	for err == nil {
		_, err = c.Write(chunk)
	}
}

// hostile are the servers. Each closes its connection when the other side does,
// or right after its words.
var hostile = map[string]func(c net.Conn){
	"silent":      func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	"closing":     func(net.Conn) {},
	"resetting":   func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
	"garbage":     func(c net.Conn) { _, _ = c.Write(garbage()); _, _ = io.Copy(io.Discard, c) },
	"zeros":       func(c net.Conn) { flood(c, "", "\x00") },
	"trickling":   func(c net.Conn) { trickle(c, "HTTP/1.1 200 OK\r\n", "X-More: 1\r\n") },
	"slow body":   func(c net.Conn) { trickle(c, "HTTP/1.1 200 OK\r\n\r\n", "ok ") },
	"headers":     func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\n", "X-More: 1\r\n") },
	"long header": func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\nX-More: ", "x") },
	"long line":   func(c net.Conn) { flood(c, "HTTP/1.1 200 ", "OK") },
	"hints":       func(c net.Conn) { flood(c, "", "HTTP/1.1 103 Early Hints\r\n\r\n") },
	"body":        func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\n\r\n", "ok ") },
	"chunks":      func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nk\r\n") },
	"chunk":       func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "f") },
	"cut body":    func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok") },
	"length": func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\nok")
	},
	"banner": func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\x1b[2J\r\n") },
}

// endless are those whose answers never end by themselves, and only time does.
var endless = map[string]bool{"silent": true, "trickling": true, "slow body": true}

// TestHostile lets every probe meet every hostile server. It must end, with a
// short printable detail, and be good only where what it hears is good.
func TestHostile(t *testing.T) {
	testenv.Require(t)
	addresses := map[string]string{}
	for name, serve := range hostile {
		addresses[name] = listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
			defer func() { _ = c.Close() }()
			if name != "silent" {
				_, _ = c.Read(make([]byte, 4096)) // answer, so that no reset overtakes it
			}
			serve(c)
		})
	}
	anybody := check.Trust{Insecure: true}
	for kind, probe := range map[string]struct {
		spec func(address string) check.Spec
		want map[string]string // by server; * of all others, + in front of a good result
	}{
		"http": {
			func(a string) check.Spec { return check.HTTP{URL: "http://" + a, Method: "GET", Status: good} },
			map[string]string{
				"silent": "no answer within", "trickling": "no answer within", "slow body": "200 OK, but its body: no answer within",
				"closing": "the other side closed the connection", "resetting": "the other side reset the connection",
				"zeros": "more than 64 KiB of headers", "garbage": "malformed HTTP response", "banner": "SSH-2.0-OpenSSH_9.2",
				"headers": "more than 64 KiB of headers", "long header": "more than 64 KiB of headers", "long line": "more than 64 KiB of headers", "hints": "more than 64 KiB of headers",
				"body": "+200 OK", "chunks": "+200 OK", "chunk": "200 OK, but its body: header line too long",
				"cut body": "200 OK, but its body: the other side closed", "length": "Content-Length",
			},
		},
		"http body": {
			func(a string) check.Spec {
				return check.HTTP{URL: "http://" + a, Method: "GET", Status: good, Body: "fine"}
			},
			map[string]string{"body": `no "fine" in the first 1 MiB of its body`, "chunks": `no "fine" in the first 1 MiB`, "*": ""},
		},
		"https": {
			func(a string) check.Spec {
				return check.HTTP{URL: "https://" + a, Method: "GET", Status: good, Trust: anybody}
			},
			map[string]string{"silent": "TLS: no answer within", "closing": "TLS: the other side closed", "banner": `TLS: no TLS but "SSH-2"`, "*": "TLS: "},
		},
		"tls": {
			func(a string) check.Spec { return check.TLS{Address: a, Trust: anybody} },
			map[string]string{"silent": "no answer within", "trickling": `no TLS but "HTTP/"`, "resetting": "the other side reset", "*": "TLS with 127.0.0.1:"},
		},
		"tcp": {
			func(a string) check.Spec { return check.TCP{Address: a, Send: "hello\r\n", Text: "fine"} },
			map[string]string{
				"silent": `no "fine" from `, "closing": "the other side closed the connection", "zeros": "not in the first 16 KiB", "body": "not in the first 16 KiB, after \"HTTP/1.1 200 OK\"",
				"trickling": `no answer within 300ms, after "HTTP/1.1 200 OK"`, "banner": `the other side closed the connection, after "SSH-2.0-OpenSSH_9.2 [2J"`, "*": "",
			},
		},
		"tcp expression": {
			func(a string) check.Spec {
				return check.TCP{Address: a, Send: "hello\r\n", Regexp: regexp.MustCompile(`^SSH-2\.0`)}
			},
			map[string]string{"banner": `+answers "SSH-2.0-OpenSSH_9.2 [2J"`, "*": "no match of ^SSH-2"},
		},
		"grpc": {
			func(a string) check.Spec { return check.GRPC{Address: a} },
			map[string]string{"silent": "no answer within", "*": "gRPC 127.0.0.1:"},
		},
		"grpc tls": {
			func(a string) check.Spec { return check.GRPC{Address: a, TLS: true, Trust: anybody} },
			map[string]string{"zeros": `no TLS but "\x00\x00\x00\x00\x00"`, "silent": "TLS: no answer within", "*": "TLS: "},
		},
	} {
		for server, address := range addresses {
			t.Run(kind+" "+server, func(t *testing.T) {
				t.Parallel()
				want, ok := probe.want[server]
				if !ok {
					want = probe.want["*"]
				}
				timeout := 20 * time.Second
				if endless[server] {
					timeout = 300 * ms
				}
				meet(t, probe.spec(address), timeout, want)
			})
		}
	}
}

// meet probes a server that may be silent or never done.
func meet(t *testing.T, spec check.Spec, timeout time.Duration, want string) {
	t.Helper()
	want, ok := strings.CutPrefix(want, "+")
	start := time.Now()
	got := Once(t.Context(), config(spec, timeout), Settings{})
	if took := time.Since(start); took > timeout+10*time.Second {
		t.Errorf("took %v", took)
	}
	t.Logf("%v %s", got.OK, got.Detail)
	if got.OK != ok || !strings.Contains(got.Detail, want) || got.Detail == "" || len(got.Detail) > 2*maxExcerpt+100 {
		t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, ok, want)
	}
	if i := strings.IndexFunc(got.Detail, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("not printable: %q", got.Detail)
	}
}

// TestHostileHTTP2 does the same with servers that speak TLS and promise HTTP/2.
func TestHostileHTTP2(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{a.certificate(t, 1000*time.Hour)}, NextProtos: []string{"h2"}}
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for name, tt := range map[string]struct {
		serve      func(net.Conn)
		http, grpc string // what is said, "" where it depends on who is faster
	}{
		"silent":    {hostile["silent"], "no answer within", "no answer within"},
		"closing":   {hostile["closing"], "", ""},
		"garbage":   {hostile["garbage"], "http2: ", "http2: "},
		"zeros":     {hostile["zeros"], "", ""},
		"trickling": {func(c net.Conn) { trickle(c, settings, settings) }, "no answer within", "no answer within"},
		"settings":  {func(c net.Conn) { flood(c, settings, settings) }, "", ""},
		"pings": {func(c net.Conn) {
			flood(c, settings, "\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh")
		}, "", ""},
		"going away": {func(c net.Conn) {
			_, _ = io.WriteString(c, settings+"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02")
			_, _ = io.Copy(io.Discard, c)
		}, "", ""},
		"giant frame": {func(c net.Conn) { flood(c, settings+"\xff\xff\xff\x00\x00\x00\x00\x00\x01", "x") }, "", ""},
		"headers": {func(c net.Conn) {
			flood(c, settings+"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x88", "\x00\x00\x05\x09\x00\x00\x00\x00\x01\x40\x01x\x01y")
		}, "", ""},
		"HTTP/1": {hostile["body"], "http2: ", "http2: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
				defer func() { _ = c.Close() }()
				secure := tls.Server(c, cfg)
				if secure.Handshake() == nil {
					tt.serve(secure)
				}
			})
			trust := check.Trust{CAFile: a.file}
			meet(t, check.HTTP{URL: "https://" + address, Method: "GET", Status: good, Trust: trust}, 500*ms, tt.http)
			meet(t, check.GRPC{Address: address, TLS: true, Trust: trust}, 500*ms, tt.grpc)
		})
	}
}

// Servers that speak HTTP/2 well, and too much.
func TestHostileHTTP2Answers(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-More", strings.Repeat("x", 1<<20))
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/body", func(w http.ResponseWriter, _ *http.Request) { flood(w, "", "ok ") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc(healthCheck, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentTypeGRPC)
		flood(w, "", "\x00\x00\x00\x00\x02\x08\x01")
	})
	s := quiet(t, mux, &a, "h2")
	trust := check.Trust{CAFile: a.file}
	for path, want := range map[string]string{
		"/headers": "connection error: COMPRESSION_ERROR", "/body": "+200 OK (HTTP/2)", "/slow": "200 OK, but its body: no answer within 300ms",
	} {
		spec := check.HTTP{URL: s.URL + path, Method: "GET", Status: good, Trust: trust}
		if path == "/slow" {
			meet(t, spec, 300*ms, want)
			continue
		}
		meet(t, spec, 20*time.Second, want)
	}
	meet(t, check.GRPC{Address: s.Listener.Addr().String(), TLS: true, Trust: trust}, 20*time.Second, "an answer of more than 4096 bytes")
}

// TestNothingLeft counts what is there after many probes of all kinds, good and
// bad ones.
func TestNothingLeft(t *testing.T) {
	testenv.Require(t)
	a := newAuthority(t)
	trust := check.Trust{CAFile: a.file}
	plain, secure := quiet(t, service(), nil).URL, quiet(t, service(), &a, "h2").URL
	orders := healthy(t, "tcp", "127.0.0.1:0", true)
	silent := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { hostile["silent"](c); _ = c.Close() })
	noise := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { hostile["garbage"](c); _ = c.Close() })
	web := func(url string, t check.Trust) check.Spec {
		return check.HTTP{URL: url, Method: "GET", Status: good, Trust: t, Redirects: 2}
	}
	specs := []check.Spec{
		web(plain+"/ok", check.Trust{}), web(plain+"/down", check.Trust{}), web(plain+"/loop", check.Trust{}), web(secure+"/ok", trust), web(secure+"/ok", check.Trust{}), web("http://"+silent, trust), web("https://"+silent, trust), web("http://"+noise, trust), web("https://"+noise, trust),
		check.TLS{Address: strings.TrimPrefix(secure, "https://"), Trust: trust}, check.TLS{Address: silent}, check.TLS{Address: noise},
		check.GRPC{Address: orders}, check.GRPC{Address: orders, Service: "none"}, check.GRPC{Address: silent}, check.GRPC{Address: noise},
		check.TCP{Address: silent}, check.TCP{Address: silent, Text: "ok"}, check.TCP{Address: noise, Text: "ok"}, check.TCP{Address: "127.0.0.1:1"},
	}
	run := func(times int) {
		for range times {
			for _, spec := range specs {
				Once(t.Context(), config(spec, 5*ms), Settings{})
			}
		}
	}
	run(2)
	goroutines, descriptors := atRest(t, 0, 0)
	run(50)
	atRest(t, goroutines, descriptors)
}

// atRest waits until no more goroutines and descriptors are there than allowed,
// 0 for whatever is there once the numbers stay as they are.
func atRest(t *testing.T, goroutines, descriptors int) (int, int) {
	t.Helper()
	var g, d int
	same := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(10 * ms) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		switch now := runtime.NumGoroutine(); {
		case goroutines > 0 && now <= goroutines && len(entries) <= descriptors:
			return now, len(entries)
		case now == g && len(entries) == d:
			same++
		default:
			same, g, d = 0, now, len(entries)
		}
		if goroutines == 0 && same == 20 {
			return g, d
		}
	}
	stacks := make([]byte, 64<<10)
	t.Fatalf("%d goroutines and %d descriptors, were %d and %d\n%s", g, d, goroutines, descriptors, stacks[:runtime.Stack(stacks, true)])
	return 0, 0
}
