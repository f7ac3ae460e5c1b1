package mmsg

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestBatch sends three datagrams with one call and receives them with another one,
// of both families; what is longer than its room is cut, and no call waits.
func TestBatch(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"127.0.0.1", "::1"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			in, out := listen(t, at), listen(t, at)
			to := in.LocalAddr().(*net.UDPAddr).AddrPort()
			texts := []string{"one", "2", strings.Repeat("three", 9)}
			send := New(Send, 1)
			send.Grow(len(texts))
			for i, text := range texts {
				send.SetBuffer(i, []byte(text))
				send.SetDestination(i, to)
			}
			rc, err := out.SyscallConn()
			must(t, err)
			if n, err := send.Send(rc, 0, send.Len()); n != len(texts) || err != nil {
				t.Fatalf("sent %d: %v", n, err)
			}

			got, bufs := New(Receive, 4), [4][16]byte{}
			for i := range bufs {
				got.SetBuffer(i, bufs[i][:])
			}
			rc, err = in.SyscallConn()
			must(t, err)
			must(t, in.SetReadDeadline(time.Now().Add(10*time.Second)))
			n := 0
			for n < len(texts) {
				var more int
				must(t, rc.Read(func(fd uintptr) bool {
					more, err = got.Receive(fd)
					return more > 0 || err != nil
				}))
				must(t, err)
				for i := range more {
					want := texts[n]
					if text := string(bufs[i][:got.Size(i)]); text != want[:min(len(want), 16)] || got.Cut(i) != (len(want) > 16) {
						t.Errorf("received %q, cut %v, want %q", text, got.Cut(i), want)
					}
					if from := got.Source(i); from != netip.MustParseAddr(at) {
						t.Errorf("from %s", from)
					}
					n++
				}
			}
			must(t, rc.Control(func(fd uintptr) {
				if n, err := got.Receive(fd); n != 0 || err != nil {
					t.Errorf("received %d more: %v", n, err)
				}
			}))
		})
	}
}

// TestSendClosed: a closed socket is an error.
func TestSendClosed(t *testing.T) {
	t.Parallel()
	out := listen(t, "127.0.0.1")
	rc, err := out.SyscallConn()
	must(t, err)
	must(t, out.Close())
	b := New(Send, 1)
	b.SetBuffer(0, []byte("x"))
	b.SetDestination(0, netip.MustParseAddrPort("127.0.0.1:9"))
	if n, err := b.Send(rc, 0, 1); n != 0 || err == nil {
		t.Errorf("sent %d: %v", n, err)
	}
}

func listen(t *testing.T, at string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(at)})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
