package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/program"
)

// socketPrefix marks an address as the path of a Unix socket.
const socketPrefix = "unix:"

// isSocket reports whether an address is that of a Unix socket.
func isSocket(address string) bool { return strings.HasPrefix(address, socketPrefix) }

const (
	farewellTime  = 50 * time.Millisecond // for the other side to close, after we did
	farewellBytes = 64 << 10              // of its words that we listen to meanwhile
)

// dial connects to host:port, or to unix:/path, from a local address if source
// names one. Reading and writing end with ctx; the caller calls hangUp.
func dial(ctx context.Context, address, source string) (conn net.Conn, hangUp func(), err error) {
	dialer := net.Dialer{KeepAlive: -1}
	if source != "" {
		addr, err := netip.ParseAddr(source)
		if err != nil {
			return nil, nil, fmt.Errorf("source %s is not an address", source)
		}
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))
	}
	network, within := "tcp", limit(ctx)
	path, local := strings.CutPrefix(address, socketPrefix)
	if local {
		network = "unix"
	}
	conn, err = dialer.DialContext(ctx, network, path)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %s", address, explain(err, within))
	}
	if !local && conn.LocalAddr().String() == conn.RemoteAddr().String() {
		// Without a listener, a socket can meet itself on a local port.
		_ = conn.Close()
		return nil, nil, fmt.Errorf("connect to %s: nobody listens", address)
	}
	return conn, bind(ctx, conn), nil
}

// bind makes reading and writing end with ctx, until hangUp closes conn.
func bind(ctx context.Context, conn interface {
	SetDeadline(time.Time) error
	Close() error
}) (hangUp func()) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails only if conn is closed, as all else then
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		stop()
		_ = conn.Close()
	}
}

// farewell tells the other side that we are done, and waits shortly for it to
// close. Closing before that makes the kernel answer its last words, a banner
// for example, with a reset. The verdict is certain by now, so errors mean
// nothing. It is for good results: a bad one does not wait.
func farewell(ctx context.Context, conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		_ = secure.CloseWrite() // has a deadline of its own
		conn = secure.NetConn()
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	until := time.Now().Add(farewellTime)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	if conn.SetReadDeadline(until) == nil {
		_, _ = io.CopyN(io.Discard, conn, farewellBytes)
	}
}

// explain puts an error of a connection into words; within is the time that
// there was when it began.
func explain(err error, within time.Duration) string {
	switch {
	case isTimeout(err):
		return fmt.Sprintf("no answer within %v", within)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the other side closed the connection"
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return "the other side reset the connection"
	}
	return excerpt([]byte(cause(err)))
}

func isTimeout(err error) bool {
	timeout := net.Error(nil)
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// maxExcerpt is how many bytes of a stranger's words go into a detail.
const maxExcerpt = 120

// excerpt is the first line of b that is not blank, as a short printable one.
func excerpt(b []byte) string {
	b = bytes.TrimLeft(b, " \t\r\n")
	more := ""
	if end := bytes.IndexByte(b, '\n'); end >= 0 {
		b = b[:end]
	}
	if len(b) > maxExcerpt {
		b, more = b[:maxExcerpt], "…"
	}
	return program.Printable(b) + more
}
