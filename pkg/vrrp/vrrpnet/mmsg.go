package vrrpnet

import (
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
	at   int     // first message of the next call
	end  int     // the one after its last
	done int     // messages that the last call did
	err  error   // its error
	try  func(fd uintptr) bool
}

func newMessages(call uintptr, n int) *messages {
	m := &messages{call: call}
	m.try = m.attempt // once, for a method value is an allocation
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

// attempt makes the system call for messages at to end. It reports whether that
// was it: a reader that found nothing waits, a sender never does.
func (m *messages) attempt(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(m.call, fd, uintptr(unsafe.Pointer(&m.hdrs[m.at])), uintptr(m.end-m.at), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		m.done, m.err = int(n), nil
		if errno != 0 {
			m.done, m.err = 0, errno
		}
		return m.call == unix.SYS_SENDMMSG || errno != unix.EAGAIN
	}
}

// receive waits for at least one message and reports how many came.
func (m *messages) receive(rc syscall.RawConn) (int, error) {
	for i := range m.hdrs {
		h := &m.hdrs[i].hdr
		h.Namelen, h.Flags = nameLen, 0
		h.SetControllen(ctlLen)
	}
	m.at, m.end = 0, len(m.hdrs)
	if err := rc.Read(m.try); err != nil {
		return 0, err
	}
	if m.err != nil {
		return 0, os.NewSyscallError("recvmmsg", m.err)
	}
	return m.done, nil
}

// send hands messages at to end to the kernel without waiting. It reports how
// many of them left and, when that is not all, why the next one did not.
func (m *messages) send(rc syscall.RawConn, at, end int) (int, error) {
	m.at, m.end = at, end
	if err := rc.Write(m.try); err != nil {
		return 0, err
	}
	return m.done, m.err
}
