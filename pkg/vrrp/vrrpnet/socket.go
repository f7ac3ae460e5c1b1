package vrrpnet

import (
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
)

const (
	trafficClass = 0xc0    // network control (RFC 4594, CS6)
	priority     = 7       // TC_PRIO_CONTROL: the first band of the queueing discipline
	rcvBuffer    = 8 << 20 // bytes: some thousand adverts that come while we do not run
)

// option is one socket option with an integer value.
type option struct {
	name            string
	level, opt, val int
}

// common are the options of every socket of a family.
func common(family4 bool) []option {
	prio := option{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, priority}
	if family4 {
		return []option{
			{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, trafficClass},
			prio, // after IP_TOS, which sets it too
			{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, vrrp.HopLimit},
			{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, vrrp.HopLimit},
			{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		}
	}
	return []option{
		{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass},
		prio,
		{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, vrrp.HopLimit},
		{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, vrrp.HopLimit},
		{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
	}
}

// open opens a raw socket of the family with the common options and more.
func open(family4 bool, more ...option) (*socket.Conn, error) {
	domain := unix.AF_INET6
	if family4 {
		domain = unix.AF_INET
	}
	s, err := socket.Socket(domain, unix.SOCK_RAW, vrrp.Protocol, "vrrp", nil)
	if err != nil {
		return nil, fmt.Errorf("open raw socket: %w", err)
	}
	for _, o := range append(common(family4), more...) {
		if err := s.SetsockoptInt(o.level, o.opt, o.val); err != nil {
			_ = s.Close() // the first error says more
			return nil, fmt.Errorf("set %s to %d: %w", o.name, o.val, err)
		}
	}
	return s, nil
}

// openBound opens the socket that receives and sends on one interface.
func openBound(index int, family4 bool) (*socket.Conn, error) {
	more := []option{{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index}}
	if family4 {
		more = append(more, option{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1})
	} else {
		more = append(more,
			option{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			option{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1})
	}
	s, err := open(family4, more...)
	if err != nil {
		return nil, err
	}
	if err := prepare(s, index, family4); err != nil {
		_ = s.Close() // the first error says more
		return nil, err
	}
	return s, nil
}

// prepare enlarges the receive buffer and joins the VRRP group.
func prepare(s *socket.Conn, index int, family4 bool) error {
	if s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, rcvBuffer) != nil {
		// Not root of the machine: as much as net.core.rmem_max allows.
		if err := s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVBUF, rcvBuffer); err != nil {
			return fmt.Errorf("set SO_RCVBUF to %d: %w", rcvBuffer, err)
		}
	}
	rc, err := s.SyscallConn()
	if err != nil {
		return err
	}
	cerr := rc.Control(func(fd uintptr) {
		if family4 {
			err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
				&unix.IPMreqn{Multiaddr: vrrp.Group4.As4(), Ifindex: int32(index)})
		} else {
			err = unix.SetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
				&unix.IPv6Mreq{Multiaddr: vrrp.Group6.As16(), Interface: uint32(index)})
		}
	})
	if cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("join group %v: %w", group(family4), os.NewSyscallError("setsockopt", err))
	}
	return nil
}

// openVirtual opens the socket that only sends, out of the devices of virtual
// MACs. Over IPv6 the source is an address of the interface below, which the
// kernel would not let a packet out of another device have (IPV6_FREEBIND).
func openVirtual(family4 bool) (*socket.Conn, error) {
	var more []option
	if !family4 {
		more = append(more, option{"IPV6_FREEBIND", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1})
	}
	s, err := open(family4, more...)
	if err != nil {
		return nil, err
	}
	nothing, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err == nil {
		err = s.SetBPF(nothing)
	}
	if err != nil {
		_ = s.Close() // the first error says more
		return nil, fmt.Errorf("receive nothing on the sending socket: %w", err)
	}
	return s, nil
}

func group(family4 bool) netip.Addr {
	if family4 {
		return vrrp.Group4
	}
	return vrrp.Group6
}

// links hears of every change of a link and looks indexes up, in the network
// namespace in which it was opened.
type links struct {
	sock *socket.Conn
	mu   sync.Mutex
}

func openLinks() (*links, error) {
	s, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, "links", nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	if err := s.Bind(&unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		_ = s.Close() // the first error says more
		return nil, fmt.Errorf("listen to link events: %w", err)
	}
	return &links{sock: s}, nil
}

// index finds the index of the interface of that name by binding to it, which
// means nothing to a netlink socket. The usual ways may wait: SIOCGIFINDEX loads
// a kernel module for a name that does not exist, and netlink waits for whoever
// is changing links just now.
func (l *links) index(name string) (int, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ { // the kernel would take it to mean none, or cut it
		return 0, fmt.Errorf("find interface %q: %w", name, unix.ENODEV)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.sock.SetsockoptString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name); err != nil {
		return 0, fmt.Errorf("find interface %s: %w", name, err)
	}
	n, err := l.sock.GetsockoptInt(unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX)
	if err != nil {
		return 0, fmt.Errorf("find interface %s: %w", name, err)
	}
	return n, nil
}
