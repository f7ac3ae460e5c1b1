package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
)

// ICMP sends one echo request and waits for its reply: the one with our
// identifier, sequence number and payload. It needs a group in
// net.ipv4.ping_group_range or CAP_NET_RAW.
func ICMP(ctx context.Context, i check.ICMP, _ Settings) Result {
	within, start := limit(ctx), time.Now()
	e, err := newEcho(i)
	if err != nil {
		return Result{Detail: err.Error()}
	}
	defer bind(ctx, e.conn)()
	others, err := e.exchange()
	took := time.Since(start)
	if err == nil {
		return Result{OK: true, Detail: "reply from " + i.Target, Took: took}
	}
	why := fmt.Sprintf("no reply within %v", within)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		why = e.explain(err)
	}
	if others > 0 {
		why += fmt.Sprintf("; ignored %d replies to others", others)
	}
	return Result{Detail: fmt.Sprintf("echo to %s: %s", i.Target, why), Took: took}
}

// echo is one request and the socket for its reply.
type echo struct {
	conn *socket.Conn // connected to the target
	v4   bool
	raw  bool // it sees the replies to all on this host
	body icmp.Echo
}

func newEcho(i check.ICMP) (*echo, error) {
	target, err := netip.ParseAddr(i.Target)
	if err != nil {
		return nil, fmt.Errorf("target %s is not an address", i.Target)
	}
	e := &echo{v4: target.Is4()}
	if err := e.open(); err != nil {
		return nil, fmt.Errorf("echo to %s: %w", i.Target, err)
	}
	if err := e.connect(target, i); err != nil {
		_ = e.conn.Close()
		return nil, err
	}
	return e, nil
}

// open opens a ping socket, for which the kernel sorts out replies to others, or
// else a raw one.
func (e *echo) open() error {
	family, protocol := unix.AF_INET6, unix.IPPROTO_ICMPV6
	if e.v4 {
		family, protocol = unix.AF_INET, unix.IPPROTO_ICMP
	}
	var err error
	e.conn, err = socket.Socket(family, unix.SOCK_DGRAM, protocol, "ping", nil)
	if err == nil {
		return nil
	}
	e.raw = true
	e.conn, err = socket.Socket(family, unix.SOCK_RAW, protocol, "icmp", nil)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("not allowed: gid %d is not in net.ipv4.ping_group_range, and there is no CAP_NET_RAW", os.Getegid())
	}
	if err != nil {
		return fmt.Errorf("open a socket: %s", cause(err))
	}
	return nil
}

// connect ties the socket to both ends, so that nobody else is heard.
func (e *echo) connect(target netip.Addr, i check.ICMP) error {
	zone := uint32(0)
	if i.Interface != "" {
		link, err := net.InterfaceByName(i.Interface)
		if err == nil {
			zone = uint32(link.Index)
			err = e.conn.SetsockoptString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, i.Interface)
		}
		if err != nil {
			return fmt.Errorf("echo by %s: %s", i.Interface, cause(err))
		}
	}
	if i.Source != "" {
		source, err := netip.ParseAddr(i.Source)
		if err != nil || source.Is4() != e.v4 {
			return fmt.Errorf("source %s is not an address to reach %s from", i.Source, i.Target)
		}
		if err := e.conn.Bind(sockaddr(source, zone)); err != nil {
			return fmt.Errorf("echo from %s: %s", i.Source, cause(err))
		}
	}
	if err := e.options(); err != nil {
		return fmt.Errorf("echo to %s: %s", i.Target, cause(err))
	}
	if _, err := e.conn.Connect(context.Background(), sockaddr(target, zone)); err != nil { // does not wait
		return fmt.Errorf("echo to %s: %s", i.Target, cause(err))
	}
	return nil
}

// options asks for errors that routers report, and for echo replies only.
func (e *echo) options() error {
	if e.v4 {
		err := e.conn.SetsockoptInt(unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		if err == nil && e.raw {
			const icmpFilter = 1 // linux/icmp.h; a bit for each type that is not wanted
			err = e.conn.SetsockoptInt(unix.SOL_RAW, icmpFilter, ^(1 << ipv4.ICMPTypeEchoReply))
		}
		return err
	}
	err := e.conn.SetsockoptInt(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	if err == nil && e.raw {
		const icmp6Filter = 1 // linux/icmpv6.h
		var filter unix.ICMPv6Filter
		for n := range filter.Data {
			filter.Data[n] = ^uint32(0)
		}
		filter.Data[ipv6.ICMPTypeEchoReply/32] &^= 1 << (ipv6.ICMPTypeEchoReply % 32)
		err = e.conn.SetsockoptICMPv6Filter(unix.SOL_ICMPV6, icmp6Filter, &filter)
	}
	return err
}

// exchange sends the request and waits for its reply. It counts the replies that
// were for others.
func (e *echo) exchange() (others int, err error) {
	request, err := e.request()
	if err != nil {
		return 0, err
	}
	if _, err := e.conn.Write(request); err != nil {
		return 0, err
	}
	buf := make([]byte, 1500)
	for {
		n, err := e.conn.Read(buf)
		if err != nil {
			return others, err
		}
		if e.isReply(buf[:n]) {
			return others, nil
		}
		others++
	}
}

// request makes the request. The identifier of a ping socket is the kernel's.
func (e *echo) request() ([]byte, error) {
	e.body.Data = make([]byte, 32)
	_, _ = rand.Read(e.body.Data) // never fails
	e.body.ID, e.body.Seq = int(binary.BigEndian.Uint16(e.body.Data)), int(binary.BigEndian.Uint16(e.body.Data[2:]))
	if !e.raw {
		name, err := e.conn.Getsockname()
		if err != nil {
			return nil, err
		}
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			e.body.ID = name.Port
		case *unix.SockaddrInet6:
			e.body.ID = name.Port
		}
	}
	m := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &e.body}
	if e.v4 {
		m.Type = ipv4.ICMPTypeEcho
	}
	return m.Marshal(nil) // the kernel adds ICMPv6's checksum
}

// isReply reports whether a packet is the reply to our request.
func (e *echo) isReply(packet []byte) bool {
	protocol := unix.IPPROTO_ICMPV6
	if e.v4 {
		protocol = unix.IPPROTO_ICMP
		if e.raw { // with its IP header
			if len(packet) < 20 || len(packet) < int(packet[0]&15)*4 {
				return false
			}
			packet = packet[int(packet[0]&15)*4:]
		}
	}
	m, err := icmp.ParseMessage(protocol, packet)
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply {
		return false
	}
	reply, ok := m.Body.(*icmp.Echo)
	return ok && reply.ID == e.body.ID && reply.Seq == e.body.Seq && bytes.Equal(reply.Data, e.body.Data)
}

func sockaddr(a netip.Addr, zone uint32) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), ZoneId: zone}
}
