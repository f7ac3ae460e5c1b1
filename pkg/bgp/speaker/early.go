package speaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"syscall"
	"time"
	"unsafe"

	"github.com/osrg/gobgp/v4/pkg/server"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/bgp"
)

// The library waits 1.5 to 2 s before it connects to a neighbor for the first time.
// We connect meanwhile, and hand over what a listening socket of its own would have
// brought.
const (
	earlyFor   = 1400 * time.Millisecond // then the library connects itself
	earlyEvery = 100 * time.Millisecond  // while the neighbor refuses
	earlyWord  = 200 * time.Millisecond  // in which a neighbor says something, or closes what it did not want
)

// doorOf puts a channel where the library takes accepted connections from, before it
// runs. There is no other way in than its private field; without that the result
// is nil, and the library connects when it wants to.
func doorOf(s *server.BgpServer) chan net.Conn {
	field := reflect.ValueOf(s).Elem().FieldByName("acceptCh")
	if field.Kind() != reflect.Chan || field.Type() != reflect.TypeFor[chan net.Conn]() {
		return nil
	}
	door := (*chan net.Conn)(unsafe.Pointer(field.UnsafeAddr())) // of the type that was checked
	if *door == nil {
		*door = make(chan net.Conn, 32)
	}
	return *door
}

// arrival is a connection that was made early.
type arrival struct {
	neighbor string
	address  netip.Addr
	conn     net.Conn
}

// early connects to a neighbor whose peer the library has just made ready, unless it
// did so within the time between two attempts.
func (s *speaker) early(n *neighbor) {
	if n.Passive || s.library.door == nil || n.cancelEarly != nil || time.Since(n.arrived) < max(n.ConnectRetry, time.Second) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), earlyFor)
	n.cancelEarly = cancel
	a := arrival{neighbor: n.name, address: n.address}
	d := dialer(n.Neighbor, s.config.LocalAS, n.address)
	go func() {
		defer cancel()
		if a.conn = d.persist(ctx, n.address); a.conn == nil {
			return
		}
		select {
		case s.arrivals <- a:
		case <-ctx.Done():
			_ = a.conn.Close() // nobody wants it
		}
	}()
}

// handOver gives an early connection to the library, if its peer still waits for one.
func (s *speaker) handOver(a arrival) {
	n := s.neighbors[a.neighbor]
	if n == nil || n.address != a.address || n.session.State != bgp.ActiveOpen || s.library == nil {
		_ = a.conn.Close() // it was too late
		return
	}
	n.arrived, n.note, n.noted = time.Now(), unanswered, time.Now()
	select {
	case s.library.door <- a.conn:
	default:
		_ = a.conn.Close() // more at once than any number of neighbors makes
	}
}

// earlyDialer connects as the library does.
type earlyDialer struct{ net.Dialer }

// dialer sets what both sides must agree on before the first packet: the password and
// the TTL.
func dialer(n bgp.Neighbor, localAS uint32, address netip.Addr) earlyDialer {
	ttl, least := 0, 0
	switch {
	case n.TTLSecurity > 0:
		ttl, least = 255, 256-min(n.TTLSecurity, 255)
	case n.RemoteAS == 0 || n.Internal(localAS):
	case n.Multihop > 1:
		ttl = min(n.Multihop, 255)
	default:
		ttl = 1
	}
	d := earlyDialer{net.Dialer{KeepAlive: -1, Timeout: earlyFor}}
	if n.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(n.Source, 0))
	}
	d.Control = func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(setTTL(int(fd), address, ttl, least), setPassword(int(fd), address, n.Password))
		})
		return errors.Join(err, failed)
	}
	return d
}

// persist connects until the neighbor takes it, or the context ends: then the result
// is nil. A neighbor that has just lost a session may close what it takes at once, for
// about a second.
func (d earlyDialer) persist(ctx context.Context, address netip.Addr) net.Conn {
	to := netip.AddrPortFrom(address, 179).String()
	for {
		conn, err := d.DialContext(ctx, "tcp", to)
		switch {
		case err != nil:
		case stays(conn):
			return conn
		default:
			_ = conn.Close() // the other side did so
		}
		select {
		case <-time.After(earlyEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// stays reports whether the other side says something, or at least does not close the
// connection.
func stays(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil || conn.SetReadDeadline(time.Now().Add(earlyWord)) != nil {
		return false
	}
	got, failed := 1, error(nil)
	err = raw.Read(func(fd uintptr) bool {
		got, _, failed = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
		return !errors.Is(failed, unix.EAGAIN)
	})
	silent := err != nil // until the deadline
	return conn.SetReadDeadline(time.Time{}) == nil && (silent || failed == nil && got > 0)
}

func setTTL(fd int, address netip.Addr, ttl, least int) error {
	level, name, nameLeast := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_MINTTL
	if address.Is6() {
		level, name, nameLeast = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_MINHOPCOUNT
	}
	for _, o := range []struct{ name, value int }{{name, ttl}, {nameLeast, least}} {
		if o.value == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, level, o.name, o.value); err != nil {
			return fmt.Errorf("set the TTL of a connection to %s: %w", address, err)
		}
	}
	return nil
}
