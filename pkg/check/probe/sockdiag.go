package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Of a struct inet_diag_msg, see linux/inet_diag.h:
//
//	0 family, state, timer, retrans | 4 sport, dport | 8 src[16] | 24 dst[16] | 40 … | 72 attributes
const (
	diagPort    = 4
	diagPeer    = 6
	diagSource  = 8
	diagTarget  = 24
	diagLength  = 72
	diagV6Only  = 11 // INET_DIAG_SKV6ONLY, an attribute of one byte
	diagRequest = 56 // length of struct inet_diag_req_v2

	stateUnconnected = 7  // TCP_CLOSE: of a UDP socket that takes from anybody
	stateListen      = 10 // TCP_LISTEN
)

// listener is a socket that somebody must have open in this network namespace.
type listener struct {
	udp  bool
	addr netip.Addr // not valid = any
	port uint16
}

// listenersOf reads what a spec asks for.
func listenersOf(tcp, udp string) ([]listener, error) {
	var list []listener
	for i, text := range []string{tcp, udp} {
		if text == "" {
			continue
		}
		l := listener{udp: i == 1}
		port, any := strings.CutPrefix(text, ":")
		if any {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("%s is no address to listen on", text)
			}
			l.port = uint16(n)
		} else {
			ap, err := netip.ParseAddrPort(text)
			if err != nil {
				return nil, fmt.Errorf("%s is no address to listen on", text)
			}
			l.addr, l.port = ap.Addr().Unmap(), ap.Port()
		}
		list = append(list, l)
	}
	return list, nil
}

// String names the socket for messages: "TCP port 443".
func (l listener) String() string {
	protocol := "TCP"
	if l.udp {
		protocol = "UDP"
	}
	if l.addr.IsValid() {
		return protocol + " " + netip.AddrPortFrom(l.addr, l.port).String()
	}
	return fmt.Sprintf("%s port %d", protocol, l.port)
}

// open asks the kernel whether the socket exists.
func (l listener) open() (bool, error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if found, err := l.dump(family); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// dump asks for one family. Only listening sockets are listed, however many
// connections there are.
func (l listener) dump(family byte) (bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return false, fmt.Errorf("list sockets: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return false, fmt.Errorf("list sockets: %w", err)
	}
	if err := unix.Sendto(fd, l.request(family), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("list sockets: %w", err)
	}
	found, buf := false, make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("list sockets: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return false, fmt.Errorf("list sockets: %w", err)
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return found, nil
			case unix.NLMSG_ERROR:
				return false, fmt.Errorf("list sockets: %w", netlinkError(m.Data))
			default:
				found = found || l.is(m.Data)
			}
		}
	}
}

// request is a netlink message with a struct inet_diag_req_v2.
func (l listener) request(family byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagRequest)
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := b[unix.SizeofNlMsghdr:]
	body[0], body[1] = family, unix.IPPROTO_TCP
	states := uint32(1 << stateListen)
	if l.udp {
		body[1], states = unix.IPPROTO_UDP, 1<<stateUnconnected
	}
	native.PutUint32(body[4:], states)
	return b
}

// is reports whether a struct inet_diag_msg describes the socket: bound to the
// port, and to the address or to all of them.
func (l listener) is(msg []byte) bool {
	if len(msg) < diagLength || binary.BigEndian.Uint16(msg[diagPort:]) != l.port {
		return false
	}
	if !l.addr.IsValid() {
		return true
	}
	bound := netip.AddrFrom4([4]byte(msg[diagSource:]))
	if msg[0] == unix.AF_INET6 {
		bound = netip.AddrFrom16([16]byte(msg[diagSource:])).Unmap()
	}
	switch {
	case bound == l.addr:
		return true
	case !bound.IsUnspecified():
		return false
	case bound.Is4():
		return l.addr.Is4()
	default:
		return l.addr.Is6() || !onlyV6(msg[diagLength:])
	}
}

// onlyV6 looks for the mark of an IPv6 socket that takes no IPv4.
func onlyV6(attributes []byte) bool {
	for len(attributes) >= unix.SizeofNlAttr {
		size, kind := int(native.Uint16(attributes)), native.Uint16(attributes[2:])
		if size < unix.SizeofNlAttr || size > len(attributes) {
			return false
		}
		if kind == diagV6Only && size > unix.SizeofNlAttr {
			return attributes[unix.SizeofNlAttr] != 0
		}
		attributes = attributes[min((size+3)&^3, len(attributes)):]
	}
	return false
}

// netlinkError reads a struct nlmsgerr.
func netlinkError(data []byte) error {
	if len(data) < 4 {
		return errors.New("an answer that is cut")
	}
	return unix.Errno(-int32(native.Uint32(data)))
}

// closings calls news when it has begun to listen, and whenever a socket on the
// port that has no peer was closed, until ctx ends. Connections that end are
// sorted out by the kernel.
func (l listener) closings(ctx context.Context, news func()) error {
	conn, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG, "sock_diag", nil)
	if err != nil {
		return fmt.Errorf("watch sockets: %w", err)
	}
	defer func() { _ = conn.Close() }()
	filter, err := bpf.Assemble(l.filter())
	if err != nil {
		return fmt.Errorf("watch sockets: %w", err)
	}
	if err := conn.SetBPF(filter); err != nil {
		return fmt.Errorf("watch sockets: %w", err)
	}
	if err := conn.Bind(&unix.SockaddrNetlink{}); err != nil {
		return fmt.Errorf("watch sockets: %w", err)
	}
	groups := []int{unix.SKNLGRP_INET_TCP_DESTROY, unix.SKNLGRP_INET6_TCP_DESTROY}
	if l.udp {
		groups = []int{unix.SKNLGRP_INET_UDP_DESTROY, unix.SKNLGRP_INET6_UDP_DESTROY}
	}
	for _, group := range groups {
		if err := conn.SetsockoptInt(unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			return fmt.Errorf("watch sockets: %w", err)
		}
	}
	news()
	return receive(ctx, conn, func([]byte) { news() }, news)
}

// filter lets through what is on the port and has no peer. A connection that was
// reset has lost the port of its peer already, but not the address.
func (l listener) filter() []bpf.Instruction {
	const begin = unix.SizeofNlMsghdr
	load := func(at, size int) bpf.Instruction { return bpf.LoadAbsolute{Off: uint32(begin + at), Size: size} }
	program := []bpf.Instruction{
		load(diagPort, 2), bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(l.port), SkipTrue: 1}, bpf.RetConstant{Val: 0},
		load(diagPeer, 2), bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1}, bpf.RetConstant{Val: 0},
	}
	for word := diagTarget; word < diagTarget+16; word += 4 {
		program = append(program, load(word, 4), bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1}, bpf.RetConstant{Val: 0})
	}
	return append(program, bpf.RetConstant{Val: 1 << 16})
}

// receive hands over what a netlink socket tells until ctx ends or the socket
// fails; lost is called when some of it was thrown away.
func receive(ctx context.Context, conn *socket.Conn, take func([]byte), lost func()) error {
	buf := make([]byte, os.Getpagesize())
	for {
		n, from, err := conn.Recvfrom(ctx, buf, 0)
		switch sender, ok := from.(*unix.SockaddrNetlink); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			lost()
		case err != nil:
			return fmt.Errorf("receive from the kernel: %w", err)
		case ok && sender.Pid == 0: // not from another program
			take(buf[:n])
		}
	}
}
