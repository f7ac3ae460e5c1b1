package control

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gate is a listener that keeps the number of its connections bounded, and
// itself usable. When it is full, a newcomer takes the place of the oldest
// connection for which nothing is being done just now: one that is idle, that
// has sent nothing, that sends its request too slowly or reads its answer too
// slowly. Each has at least grace to get its request through, so that a crowd
// cannot push out an honest client.
type gate struct {
	net.Listener
	max   int
	grace time.Duration

	mu    sync.Mutex
	conns []*gateConn // oldest first
	freed chan struct{}
	done  chan struct{}
	end   sync.Once
}

// gateConn is a connection that counts.
type gateConn struct {
	net.Conn
	gate *gate
	born time.Time
	busy atomic.Int32 // requests being served
	gone sync.Once
}

// newGate bounds the connections of l to most.
func newGate(l net.Listener, most int, grace time.Duration) *gate {
	return &gate{Listener: l, max: most, grace: grace, freed: make(chan struct{}, 1), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	gc := &gateConn{Conn: c, gate: g, born: time.Now()}
	if !g.admit(gc) {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return gc, nil
}

// admit waits for a place. It reports false when the gate was closed meanwhile.
func (g *gate) admit(c *gateConn) bool {
	for {
		ok, victim, wait := g.place(c, time.Now())
		if ok {
			return true
		}
		if victim != nil {
			_ = victim.Close()
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-g.freed:
		case <-timer.C:
		case <-g.done:
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// place gives c a place when there is one. Otherwise it names the connection
// that has to make room, or the time after which there may be one.
func (g *gate) place(c *gateConn, now time.Time) (ok bool, victim *gateConn, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.conns) < g.max {
		g.conns = append(g.conns, c)
		return true, nil, 0
	}
	for _, other := range g.conns {
		if other.busy.Load() > 0 {
			continue
		}
		if age := now.Sub(other.born); age < g.grace {
			return false, nil, g.grace - age
		}
		return false, other, 0
	}
	return false, nil, g.grace
}

// Close implements net.Listener.
func (g *gate) Close() error {
	g.end.Do(func() { close(g.done) })
	return g.Listener.Close()
}

// Close implements net.Conn and frees the place, but not before the descriptor
// is free: the place is what bounds those.
func (c *gateConn) Close() error {
	err := c.Conn.Close()
	c.gone.Do(func() { c.gate.free(c) })
	return err
}

// free takes a connection off the list.
func (g *gate) free(c *gateConn) {
	g.mu.Lock()
	for i, other := range g.conns {
		if other == c {
			g.conns = append(g.conns[:i], g.conns[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	select {
	case g.freed <- struct{}{}:
	default: // the waiter knows already
	}
}

// hungUp reports whether the other end is closed, whatever was sent before.
func (c *gateConn) hungUp() bool {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	poll := []unix.PollFd{{Events: unix.POLLRDHUP}}
	if raw.Control(func(fd uintptr) { poll[0].Fd = int32(fd); _, err = unix.Poll(poll, 0) }) != nil {
		return true
	}
	return err == nil && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}
