package control

import (
	"net"
	"testing"
	"time"
)

// closing is a connection that says when its descriptor is about to be freed.
type closing struct {
	net.Conn
	now func()
}

func (c closing) Close() error {
	c.now()
	return c.Conn.Close()
}

// TestPlaceOutlivesDescriptor: a place at the gate is free when the descriptor
// is, not before, or a crowd that comes and goes would have more descriptors open
// than there are places.
func TestPlaceOutlivesDescriptor(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	g := newGate(nil, 1, time.Hour)
	places := func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.conns)
	}
	during := -1
	c := &gateConn{gate: g, born: time.Now(), Conn: closing{ours, func() { during = places() }}}
	if !g.admit(c) {
		t.Fatal("not admitted")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if during != 1 || places() != 0 {
		t.Errorf("%d places taken while it closed, %d afterwards; want 1, 0", during, places())
	}
}
