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

// domain is the address family of a socket.
func domain(family4 bool) int {
	if family4 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// setAll sets options by set, which is setsockopt on some socket.
func setAll(set func(level, opt, val int) error, options []option) error {
	for _, o := range options {
		if err := set(o.level, o.opt, o.val); err != nil {
			return fmt.Errorf("set %s to %d: %w", o.name, o.val, err)
		}
	}
	return nil
}

// openBound opens the socket that receives on one interface.
func openBound(index int, family4 bool) (*socket.Conn, error) {
	s, err := socket.Socket(domain(family4), unix.SOCK_RAW, vrrp.Protocol, "vrrp", nil)
	if err != nil {
		return nil, fmt.Errorf("open raw socket: %w", err)
	}
	options := append(common(family4), boundTo(index))
	if family4 {
		options = append(options, option{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1})
	} else {
		options = append(options,
			option{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			option{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1})
	}
	if err = setAll(s.SetsockoptInt, options); err == nil {
		err = prepare(s, index, family4)
	}
	if err != nil {
		_ = s.Close() // the first error says more
		return nil, err
	}
	return s, nil
}

func boundTo(index int) option {
	return option{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index}
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

// openSending opens a socket that only sends: out of the interface with the
// index, or, for index 0, out of the devices of virtual MACs. Over IPv6 their
// source is an address of the interface below, which the kernel would not let a
// packet out of another device have (IPV6_FREEBIND).
//
// Go's poller must not know it. It would wake up for each packet that has left
// the host, which is more work than sending it; and we never wait to send.
func openSending(index int, family4 bool) (*os.File, error) {
	fd, err := unix.Socket(domain(family4), unix.SOCK_RAW|unix.SOCK_CLOEXEC, vrrp.Protocol)
	if err != nil {
		return nil, fmt.Errorf("open raw socket: %w", os.NewSyscallError("socket", err))
	}
	f := os.NewFile(uintptr(fd), "vrrp") // blocking, so that the poller is left out
	options := common(family4)
	switch {
	case index != 0:
		options = append(options, boundTo(index))
	case !family4:
		options = append(options, option{"IPV6_FREEBIND", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1})
	}
	err = setAll(func(level, opt, val int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, opt, val))
	}, options)
	if err == nil {
		err = deaf(fd)
	}
	if err != nil {
		_ = f.Close() // the first error says more
		return nil, err
	}
	return f, nil
}

// deaf makes a socket receive nothing.
func deaf(fd int) error {
	nothing, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return err
	}
	filter := unix.SockFilter{Code: nothing[0].Op, Jt: nothing[0].Jt, Jf: nothing[0].Jf, K: nothing[0].K}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &filter})
	if err != nil {
		return fmt.Errorf("receive nothing on the sending socket: %w", os.NewSyscallError("setsockopt", err))
	}
	return nil
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
