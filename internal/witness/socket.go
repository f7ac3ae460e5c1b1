package witness

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	trafficClass = 0xc0    // network control (RFC 4594, CS6)
	buffer       = 4 << 20 // octets: some thousand messages that come at once
	controlLen   = 64      // of IPV6_PKTINFO or IP_PKTINFO
)

// prepare sets the options of a UDP socket; local asks for the address that each
// datagram came to.
func prepare(network string, fd int, local bool) error {
	set := func(level, name, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
	}
	var errs []error
	if network == "udp4" {
		errs = append(errs, set(unix.IPPROTO_IP, unix.IP_TOS, trafficClass))
		if local {
			errs = append(errs, set(unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
		}
	} else {
		errs = append(errs, set(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass))
		if local {
			errs = append(errs, set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
		}
	}
	if local {
		errs = append(errs, set(unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)) // as much as net.core.rmem_max allows
	}
	return errors.Join(errs...)
}

// listen opens the socket of a server.
func listen(at netip.AddrPort) (*net.UDPConn, error) { return open(at, true) }

func open(at netip.AddrPort, local bool) (*net.UDPConn, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
		if at.Addr().IsUnspecified() {
			network = "udp" // both families
		}
	}
	cfg := net.ListenConfig{Control: func(network, _ string, rc syscall.RawConn) error {
		var failed error
		err := rc.Control(func(fd uintptr) { failed = prepare(network, int(fd), local) })
		return errors.Join(err, failed)
	}}
	host := at.Addr().String()
	if network == "udp" {
		host = ""
	}
	conn, err := cfg.ListenPacket(context.Background(), network, net.JoinHostPort(host, port(at)))
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// reply sends b to where a datagram came from, with the control message that it
// came with: from the address that it was sent to. The kernel chooses the
// interface, unless the address has no meaning elsewhere.
func reply(conn *net.UDPConn, b, control []byte, to netip.AddrPort) error {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return os.NewSyscallError("recvmsg", err)
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			if !to.Addr().IsLinkLocalUnicast() {
				clear(m.Data[16:20]) // ipi6_ifindex
			}
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			clear(m.Data[:4]) // ipi_ifindex
		}
	}
	_, _, err = conn.WriteMsgUDPAddrPort(b, control, to)
	return err
}

func cloned[K comparable, V any](m map[K]V) map[K]V { return maps.Clone(m) }
