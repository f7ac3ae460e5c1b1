package vrrpnet

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2). golang.org/x/net
// offers both calls too, but looks up the zone of every link-local source by a
// netlink dump of all interfaces now and then, in whatever network namespace
// the thread is in: nothing to wait for between two adverts.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes received or sent
}

const (
	nameLen = unix.SizeofSockaddrInet6
	ctlLen  = 128 // IPV6_PKTINFO and IPV6_HOPLIMIT need 64
)

// messages is an array of them with room for addresses and control data.
type messages struct {
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	names [][nameLen]byte
	ctls  [][ctlLen]byte

	call uintptr // SYS_RECVMMSG or SYS_SENDMMSG
}

func newMessages(call uintptr, n int) *messages {
	m := &messages{call: call}
	m.grow(n)
	return m
}

// grow makes room for n messages. The headers point into the other arrays, so
// all of them are made together.
func (m *messages) grow(n int) {
	m.hdrs = make([]mmsghdr, n)
	m.iovs = make([]unix.Iovec, n)
	m.names = make([][nameLen]byte, n)
	m.ctls = make([][ctlLen]byte, n)
	for i := range m.hdrs {
		h := &m.hdrs[i].hdr
		h.Name = &m.names[i][0]
		h.Iov = &m.iovs[i]
		h.SetIovlen(1)
		h.Control = &m.ctls[i][0]
	}
}

// do makes the system call for messages at to end. It reports how many of them
// it did and, when there is one, the error of the next. It never waits.
//
// It is a raw call: before an ordinary one the Go runtime wakes a thread that
// watches for calls that take long, which costs more than the call itself, and
// MSG_DONTWAIT makes sure that this one does not.
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
		h.Namelen, h.Flags = nameLen, 0
		h.SetControllen(ctlLen)
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
