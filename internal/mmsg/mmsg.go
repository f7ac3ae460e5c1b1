// Package mmsg sends and receives many datagrams with one system call that never
// waits.
//
// golang.org/x/net offers both calls too, but looks up the zone of every link-local
// source by a netlink dump of all interfaces now and then, in whatever network
// namespace the thread is in: nothing to wait for between two adverts.
package mmsg

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Room for what comes or goes with a message, in octets.
const (
	NameLen    = unix.SizeofSockaddrInet6
	ControlLen = 128 // IPV6_PKTINFO and IPV6_HOPLIMIT need 64
)

// Call is a system call.
type Call uintptr

// The calls.
const (
	Receive Call = unix.SYS_RECVMMSG
	Send    Call = unix.SYS_SENDMMSG
)

// header is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type header struct {
	unix.Msghdr
	n uint32 // octets received or sent
}

// Batch is an array of messages with room for addresses and control data. The octets
// of a message are the caller's, see SetBuffer.
type Batch struct {
	call     Call
	headers  []header
	iovs     []unix.Iovec
	names    [][NameLen]byte
	controls [][ControlLen]byte
}

// New makes a Batch of n messages.
func New(call Call, n int) *Batch {
	b := &Batch{call: call}
	b.Grow(n)
	return b
}

// Len is how many messages there is room for.
func (b *Batch) Len() int { return len(b.headers) }

// Grow makes room for n messages, and forgets those that it had. The headers point
// into the other arrays, so all of them are made together.
func (b *Batch) Grow(n int) {
	b.headers = make([]header, n)
	b.iovs = make([]unix.Iovec, n)
	b.names = make([][NameLen]byte, n)
	b.controls = make([][ControlLen]byte, n)
	for i := range b.headers {
		h := &b.headers[i]
		h.Name, h.Iov = &b.names[i][0], &b.iovs[i]
		h.SetIovlen(1)
	}
}

// SetBuffer says where the octets of message i are, or go: 1 or more.
func (b *Batch) SetBuffer(i int, octets []byte) {
	b.iovs[i].Base = &octets[0]
	b.iovs[i].SetLen(len(octets))
}

// Size is how many octets of message i were received.
func (b *Batch) Size(i int) int { return int(b.headers[i].n) }

// Cut reports whether message i had more octets than there was room for.
func (b *Batch) Cut(i int) bool { return b.headers[i].Flags&unix.MSG_TRUNC != 0 }

// Control returns the control data that came with message i.
func (b *Batch) Control(i int) []byte { return b.controls[i][:b.headers[i].Controllen] }

// SetControl has n octets of control data go with message i, and returns the room
// for them.
func (b *Batch) SetControl(i, n int) []byte {
	h, room := &b.headers[i], b.controls[i][:n]
	h.Control = nil
	if n > 0 {
		h.Control = &room[0]
	}
	h.SetControllen(n)
	return room
}

// Source returns the address that message i came from.
func (b *Batch) Source(i int) netip.Addr {
	name := &b.names[i]
	if binary.NativeEndian.Uint16(name[:]) == unix.AF_INET {
		return netip.AddrFrom4([4]byte(name[4:])) // sin_addr
	}
	return netip.AddrFrom16([16]byte(name[8:])) // sin6_addr
}

// SetDestination says where message i goes: struct sockaddr_in, sockaddr_in6. The
// interface of a link-local address is a matter of control data, or of the socket.
func (b *Batch) SetDestination(i int, to netip.AddrPort) {
	h, name := &b.headers[i], b.names[i][:]
	clear(name)
	binary.BigEndian.PutUint16(name[2:], to.Port())
	if to.Addr().Is4() {
		four := to.Addr().As4()
		h.Namelen = unix.SizeofSockaddrInet4
		binary.NativeEndian.PutUint16(name, unix.AF_INET)
		copy(name[4:], four[:])
		return
	}
	sixteen := to.Addr().As16()
	h.Namelen = unix.SizeofSockaddrInet6
	binary.NativeEndian.PutUint16(name, unix.AF_INET6)
	copy(name[8:], sixteen[:])
}

// Receive reads what has come in and reports how many messages that is.
func (b *Batch) Receive(fd uintptr) (int, error) {
	for i := range b.headers {
		h := &b.headers[i]
		h.Namelen, h.Flags = NameLen, 0
		h.Control = &b.controls[i][0]
		h.SetControllen(ControlLen)
	}
	n, err := b.do(fd, 0, len(b.headers))
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return 0, os.NewSyscallError("recvmmsg", err)
	}
	return n, nil
}

// Send hands messages at to end to the kernel. It reports how many of them left
// and, when that is not all, why the next one did not.
func (b *Batch) Send(rc syscall.RawConn, at, end int) (n int, err error) {
	if closed := rc.Control(func(fd uintptr) { n, err = b.do(fd, at, end) }); closed != nil {
		return 0, closed
	}
	return n, err
}

// do makes the system call for messages at to end. It reports how many of them
// it did and, when there is one, the error of the next. It never waits.
//
// It is a raw call: before an ordinary one the Go runtime wakes a thread that
// watches for calls that take long, which costs more than the call itself, and
// MSG_DONTWAIT makes sure that this one does not (decision 0005).
func (b *Batch) do(fd uintptr, at, end int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(uintptr(b.call), fd, uintptr(unsafe.Pointer(&b.headers[at])), uintptr(end-at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
