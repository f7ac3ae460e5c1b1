package pair

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes received or sent
}

// messages is an array of them with room for addresses.
type messages struct {
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	names [][unix.SizeofSockaddrInet6]byte

	call uintptr // SYS_RECVMMSG or SYS_SENDMMSG
}

// grow makes room for n messages. The headers point into the other arrays, so
// all of them are made together.
func (m *messages) grow(n int) {
	m.hdrs = make([]mmsghdr, n)
	m.iovs = make([]unix.Iovec, n)
	m.names = make([][unix.SizeofSockaddrInet6]byte, n)
	for i := range m.hdrs {
		h := &m.hdrs[i].hdr
		h.Name, h.Iov = &m.names[i][0], &m.iovs[i]
		h.SetIovlen(1)
	}
}

// do makes the system call for messages at to end. It reports how many of them
// it did and, when there is one, the error of the next. It never waits, which is
// why it is a raw call: before an ordinary one the Go runtime wakes a thread that
// watches for calls that take long (decision 0005).
func (m *messages) do(fd uintptr, at, end int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(m.call, fd, uintptr(unsafe.Pointer(&m.hdrs[at])), uintptr(end-at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// receive reads what has come in and reports how many messages that is.
func (m *messages) receive(fd uintptr) (int, error) {
	for i := range m.hdrs {
		h := &m.hdrs[i].hdr
		h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
	}
	n, err := m.do(fd, 0, len(m.hdrs))
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return 0, os.NewSyscallError("recvmmsg", err)
	}
	return n, nil
}

// send hands messages at to end to the kernel. It reports how many of them left
// and, when that is not all, why the next one did not.
func (m *messages) send(rc syscall.RawConn, at, end int) (n int, err error) {
	if closed := rc.Control(func(fd uintptr) { n, err = m.do(fd, at, end) }); closed != nil {
		return 0, closed
	}
	return n, err
}

// source returns the address that message i came from.
func (m *messages) source(i int) netip.Addr {
	name := &m.names[i]
	if binary.NativeEndian.Uint16(name[:]) == unix.AF_INET {
		return netip.AddrFrom4([4]byte(name[4:])) // sin_addr
	}
	return netip.AddrFrom16([16]byte(name[8:])) // sin6_addr
}

// address sets where message i goes: struct sockaddr_in, sockaddr_in6.
func (m *messages) address(i int, to netip.AddrPort) {
	name := m.names[i][:]
	clear(name)
	binary.BigEndian.PutUint16(name[2:], to.Port())
	if to.Addr().Is4() {
		four := to.Addr().As4()
		m.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet4
		binary.NativeEndian.PutUint16(name, unix.AF_INET)
		copy(name[4:], four[:])
		return
	}
	sixteen := to.Addr().As16()
	m.hdrs[i].hdr.Namelen = unix.SizeofSockaddrInet6
	binary.NativeEndian.PutUint16(name, unix.AF_INET6)
	copy(name[8:], sixteen[:])
}
