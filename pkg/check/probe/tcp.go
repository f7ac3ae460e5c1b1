package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

const (
	farewellTime  = 50 * time.Millisecond // for the other side to close, after we did
	farewellBytes = 64 << 10              // of its words that we listen to meanwhile
)

// TCP connects to an address and closes the connection again, in the orderly
// way that leaves no error in the log of the service.
func TCP(ctx context.Context, t check.TCP, _ Settings) Result {
	within, start := limit(ctx), time.Now()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	if t.Source != "" {
		source, err := netip.ParseAddr(t.Source)
		if err != nil {
			return Result{Detail: fmt.Sprintf("source %s is not an address", t.Source)}
		}
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", t.Address)
	took := time.Since(start)
	if err != nil {
		why := cause(err)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			why = fmt.Sprintf("no answer within %v", within)
		}
		return Result{Detail: fmt.Sprintf("connect to %s: %s", t.Address, why), Took: took}
	}
	if conn.LocalAddr().String() == conn.RemoteAddr().String() {
		// Without a listener, a socket can meet itself on a local port.
		_ = conn.Close()
		return Result{Detail: fmt.Sprintf("connect to %s: nobody listens", t.Address), Took: took}
	}
	farewell(ctx, conn)
	return Result{OK: true, Detail: "connected to " + t.Address, Took: took}
}

// farewell closes conn after the other side did, or shortly later. Closing
// before that makes the kernel answer its last words, a banner for example,
// with a reset. The verdict is certain by now, so errors mean nothing.
func farewell(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	tcp, ok := conn.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil {
		return
	}
	until := time.Now().Add(farewellTime)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	if tcp.SetReadDeadline(until) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(tcp, farewellBytes))
	}
}
