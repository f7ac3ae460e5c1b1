package lease

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const loIndex = 1 // of lo, in every network namespace

// frames sends our frames on lo. It is used under a lock, and never blocks.
type frames struct {
	fd     int
	cookie [cookieLen]byte // of this process: a former one, hung, renews nothing of ours
	frame  [frameLen]byte
	to     unix.RawSockaddrLinklayer
}

func openFrames() (*frames, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // protocol 0 receives nothing
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	f := &frames{fd: fd}
	_, _ = rand.Read(f.cookie[:]) // never fails
	copy(f.frame[:], f.cookie[:])
	f.to = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: loIndex}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&f.to.Protocol))[:], frameType) // in network order
	return f, nil
}

func (f *frames) close() { _ = unix.Close(f.fd) } // nothing is written that could be lost

// say asks the rules for something, and reports whether they did it. The error
// says that the frame did not come to them.
//
// It is a raw call: before an ordinary one the Go runtime wakes a thread that
// watches for calls that take long. Nothing on lo's way out can wait.
func (f *frames) say(v verb, id uint32, timeout time.Duration) (bool, error) {
	if v == end {
		timeout = 0
	}
	binary.BigEndian.PutUint32(f.frame[wordAt:], uint32(v)|uint32(timeout.Milliseconds())) // below maxTimeout
	binary.NativeEndian.PutUint32(f.frame[idAt:], id)
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(f.fd), uintptr(unsafe.Pointer(&f.frame[0])), frameLen,
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&f.to)), unix.SizeofSockaddrLinklayer)
		switch errno {
		case unix.ENOBUFS: // dropped by the rule that did it
			return true, nil
		case 0: // no rule took it, and on lo nobody wants it
			return false, nil
		case unix.EINTR:
		default:
			return false, fmt.Errorf("send on lo: %w", errno)
		}
	}
}

func idBytes(id uint32) []byte { return binary.NativeEndian.AppendUint32(nil, id) }
