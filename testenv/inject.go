package testenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Injector sends raw Ethernet frames from an interface of a [Host], as fast as
// the kernel takes them: a hostile or broken neighbour.
type Injector struct {
	mu sync.Mutex
	fd int // -1 once closed
}

// Injector opens a sender on an interface of the host. Close it, or close the
// lab.
func (h *Host) Injector(dev string) (*Injector, error) {
	i := &Injector{fd: -1}
	err := h.NS.Do(func() error {
		ifi, err := net.InterfaceByName(dev)
		if err != nil {
			return err
		}
		// Protocol 0 receives nothing.
		if i.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(i.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inject on %s of %s: %w", dev, h.Name, err), i.Close())
	}
	h.lab.onClose(i.Close)
	return i, nil
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	_   uint32 // bytes sent, which the kernel fills in
}

// batch is how many frames one system call sends.
const batch = 64

// Send sends each frame once, in order, and returns how many the kernel took.
// It blocks while the interface's queue is full. Frames have 14 bytes at least.
func (i *Injector) Send(frames ...[]byte) (int, error) {
	for n, f := range frames {
		if len(f) < etherLen {
			return 0, fmt.Errorf("send frame %d: %d bytes are shorter than an Ethernet header", n, len(f))
		}
	}
	var msgs [batch]mmsghdr
	var iovs [batch]unix.Iovec
	sent := 0
	for sent < len(frames) {
		n := min(batch, len(frames)-sent)
		for k, f := range frames[sent : sent+n] {
			iovs[k].Base = &f[0]
			iovs[k].SetLen(len(f))
			msgs[k].hdr.Iov = &iovs[k]
			msgs[k].hdr.SetIovlen(1)
		}
		done, errno := i.sendmmsg(&msgs, n)
		switch errno {
		case 0:
			sent += done
		case unix.EINTR:
		case unix.ENOBUFS, unix.EAGAIN:
			runtime.Gosched()
		default:
			return sent, fmt.Errorf("send frame %d: %w", sent, errno)
		}
	}
	runtime.KeepAlive(frames)
	return sent, nil
}

func (i *Injector) sendmmsg(msgs *[batch]mmsghdr, n int) (sent int, errno syscall.Errno) {
	i.mu.Lock()
	defer i.mu.Unlock()
	done, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(i.fd), uintptr(unsafe.Pointer(msgs)), uintptr(n), 0, 0, 0)
	return int(done), errno
}

// Close ends the injector. A second call does nothing.
func (i *Injector) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fd < 0 {
		return nil
	}
	fd := i.fd
	i.fd = -1
	return unix.Close(fd)
}

// Packet is an IP packet in an Ethernet frame, to be sent with [Injector.Send].
// The family is that of Source.
type Packet struct {
	SourceMAC, DestinationMAC net.HardwareAddr // 6 bytes each
	Source, Destination       netip.Addr
	Protocol                  uint8
	HopLimit                  uint8
	Payload                   []byte // as it stands; nothing in it is filled in
}

// Marshal is the frame as bytes.
func (p Packet) Marshal() []byte {
	b := append(append([]byte(nil), p.DestinationMAC...), p.SourceMAC...)
	if p.Source.Is4() {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
		h := []byte{0x45, 0xc0, 0, 0, 0, 0, 0, 0, p.HopLimit, p.Protocol, 0, 0}
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(p.Payload)))
		h = append(append(h, p.Source.AsSlice()...), p.Destination.AsSlice()...)
		binary.BigEndian.PutUint16(h[10:], ^onesSum(h, 0))
		return append(append(b, h...), p.Payload...)
	}
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	b = binary.BigEndian.AppendUint32(b, 0x6c00_0000)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Payload)))
	b = append(b, p.Protocol, p.HopLimit)
	b = append(append(b, p.Source.AsSlice()...), p.Destination.AsSlice()...)
	return append(b, p.Payload...)
}
