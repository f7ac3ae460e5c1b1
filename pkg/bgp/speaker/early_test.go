package speaker

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/vipd/vipd/pkg/bgp"
)

// The library has the field that early connections are put into. If an upgrade takes
// it away, sessions come back 1.5 to 2 s later, and somebody should know.
func TestDoor(t *testing.T) {
	t.Parallel()
	s := server.NewBgpServer(server.LoggerOption(slog.New(slog.DiscardHandler), nil))
	door := doorOf(s)
	if door == nil {
		t.Fatal("the library takes no connections from us")
	}
	if doorOf(s) != door {
		t.Error("another channel the second time")
	}
}

func TestStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		does func(net.Conn) error
		want bool
	}{
		{"speaks", func(c net.Conn) error { _, err := c.Write([]byte{255}); return err }, true},
		{"is silent", func(net.Conn) error { return nil }, true},
		{"closes", func(c net.Conn) error { return c.Close() }, false},
		{"resets", func(c net.Conn) error { return errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			other, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			if err := c.does(other); err != nil {
				t.Fatal(err)
			}
			if got := stays(conn); got != c.want {
				t.Fatalf("stays: %v, want %v", got, c.want)
			}
			if !c.want {
				return
			}
			if _, err := other.Write([]byte{254}); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 1)
			if _, err := io.ReadFull(conn, first); err != nil {
				t.Fatalf("what it said cannot be read any more: %v", err)
			}
		})
	}
}

// What comes too late, or for a peer that waits for nothing, is closed.
func TestHandOver(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		name    string
		arrival arrival
		state   bgp.SessionState
		want    bool
	}{
		{"waits", arrival{neighbor: "tor", address: address}, bgp.ActiveOpen, true},
		{"has one already", arrival{neighbor: "tor", address: address}, bgp.OpenSent, false},
		{"has another address", arrival{neighbor: "tor", address: address.Next()}, bgp.ActiveOpen, false},
		{"is gone", arrival{neighbor: "other", address: address}, bgp.ActiveOpen, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			door := make(chan net.Conn, 1)
			s := newSpeaker(slog.New(slog.DiscardHandler), func(bgp.Session) {})
			s.library = &library{door: door}
			n := &neighbor{name: "tor", address: address, session: bgp.Session{State: c.state}}
			s.neighbors["tor"] = n
			ours, theirs := net.Pipe()
			defer func() { _ = theirs.Close() }()
			c.arrival.conn = ours
			s.handOver(c.arrival)
			if got := len(door) == 1; got != c.want {
				t.Fatalf("handed over: %v, want %v", got, c.want)
			}
			if c.want {
				if n.note != unanswered || time.Since(n.arrived) > time.Minute {
					t.Errorf("it is not remembered: %q, %v", n.note, n.arrived)
				}
				_ = ours.Close()
			}
			if _, err := theirs.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("it is open still: %v", err)
			}
		})
	}
}
