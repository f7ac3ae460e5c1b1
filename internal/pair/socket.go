package pair

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/mmsg"
	"github.com/vipd/vipd/pkg/pair"
)

const (
	trafficClass = 0xc0    // network control (RFC 4594, CS6)
	priority     = 7       // TC_PRIO_CONTROL: the first band of the queueing discipline
	buffer       = 4 << 20 // octets: some thousand messages that come while we do not run, or leave at once
	batch        = 32      // datagrams read at once
)

// socket is the channel in one family.
type socket struct {
	in, out     *os.File
	read, write syscall.RawConn
	got         *mmsg.Batch // what was read last
	bufs        [batch][pair.MaxDatagram]byte
	sending     sender
}

// sockets are those of both families; nil = the channel does not use it.
type sockets struct{ v4, v6 *socket }

func (s *sockets) all() []*socket {
	var list []*socket
	for _, one := range []*socket{s.v4, s.v6} {
		if one != nil {
			list = append(list, one)
		}
	}
	return list
}

// of returns the socket that reaches an address, nil when there is none.
func (s *sockets) of(a netip.Addr) *socket {
	if a.Is4() {
		return s.v4
	}
	return s.v6
}

// openSockets listens on an address, or, on the unspecified IPv6 address, on all
// of both families; a host without IPv6 does without it.
func openSockets(listen netip.AddrPort) (*sockets, error) {
	s := &sockets{}
	var err error
	if listen.Addr().Is4() {
		s.v4, err = openSocket(listen)
		return s, err
	}
	if s.v6, err = openSocket(listen); err != nil && !(listen.Addr().IsUnspecified() && errors.Is(err, unix.EAFNOSUPPORT)) {
		return nil, err
	}
	if listen.Addr().IsUnspecified() {
		if s.v4, err = openSocket(netip.AddrPortFrom(netip.IPv4Unspecified(), listen.Port())); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *sockets) close() error {
	var errs []error
	for _, one := range s.all() {
		errs = append(errs, one.in.Close(), one.out.Close())
	}
	return errors.Join(errs...)
}

// deadline wakes up who reads, when it is in the past.
func (s *sockets) deadline(t time.Time) error {
	var errs []error
	for _, one := range s.all() {
		errs = append(errs, one.in.SetReadDeadline(t))
	}
	return errors.Join(errs...)
}

func openSocket(listen netip.AddrPort) (*socket, error) {
	s := &socket{got: mmsg.New(mmsg.Receive, batch), sending: sender{msgs: mmsg.New(mmsg.Send, batch)}}
	for i := range s.bufs {
		s.got.SetBuffer(i, s.bufs[i][:])
	}
	var err error
	if s.in, err = open(listen, unix.SOCK_NONBLOCK, false); err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", listen, err)
	}
	if s.out, err = open(netip.AddrPortFrom(listen.Addr(), 0), 0, true); err != nil {
		return nil, errors.Join(fmt.Errorf("send from UDP %s: %w", listen.Addr(), err), s.in.Close())
	}
	s.read, err = s.in.SyscallConn()
	if err == nil {
		s.write, err = s.out.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(err, s.in.Close(), s.out.Close())
	}
	return s, nil
}

// option is one socket option with an integer value.
type option struct {
	name            string
	level, opt, val int
}

// options are those of every socket of a family. A path with a small MTU gets
// fragments, whatever somebody told the kernel about it (PMTUDISC_OMIT); and the
// address may be one that the host does not have yet (FREEBIND).
func options(family4 bool) []option {
	prio := option{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, priority}
	if family4 {
		return []option{
			{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, trafficClass},
			prio, // after IP_TOS, which sets it too
			{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT},
			{"IP_FREEBIND", unix.IPPROTO_IP, unix.IP_FREEBIND, 1},
		}
	}
	return []option{
		{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass},
		prio,
		{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT},
		{"IPV6_FREEBIND", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1},
	}
}

// open opens a UDP socket at an address. A deaf one receives nothing.
func open(at netip.AddrPort, flags int, deaf bool) (*os.File, error) {
	domain := unix.AF_INET6
	var name unix.Sockaddr = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if at.Addr().Is4() {
		domain, name = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|flags, unix.IPPROTO_UDP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "pair") // unless it is non-blocking, the poller is left out
	if err := prepare(fd, at.Addr().Is4(), deaf); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := unix.Bind(fd, name); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), f.Close())
	}
	return f, nil
}

func prepare(fd int, family4, deaf bool) error {
	for _, o := range options(family4) {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.val); err != nil {
			return fmt.Errorf("set %s to %d: %w", o.name, o.val, os.NewSyscallError("setsockopt", err))
		}
	}
	force, plain, name := unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, "SO_RCVBUF"
	if deaf {
		force, plain, name = unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, "SO_SNDBUF"
		if err := deafen(fd); err != nil {
			return err
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, buffer) != nil {
		// Not root of the machine: as much as net.core.rmem_max, wmem_max allow.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, buffer); err != nil {
			return fmt.Errorf("set %s to %d: %w", name, buffer, os.NewSyscallError("setsockopt", err))
		}
	}
	return nil
}

// deafen makes a socket receive nothing.
func deafen(fd int) error {
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
