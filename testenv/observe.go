package testenv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// keptFrames is how many frames an observer keeps before it forgets the oldest.
const keptFrames = 1 << 18

// control is the kernel filter that passes ARP, neighbour solicitations and
// advertisements, and VRRP over both families, and keeps a client's probes away.
var control = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 10},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: 2},
	bpf.LoadAbsolute{Off: 14 + 9, Size: 1}, // IPv4 protocol
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoVRRP, SkipTrue: 7, SkipFalse: 6},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipFalse: 5},
	bpf.LoadAbsolute{Off: 14 + 6, Size: 1}, // IPv6 next header
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoVRRP, SkipTrue: 4},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ICMPV6, SkipFalse: 2},
	bpf.LoadAbsolute{Off: 14 + 40, Size: 1}, // ICMPv6 type
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeNS, SkipTrue: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeNA, SkipFalse: 1},
	bpf.RetConstant{Val: 1 << 18},
	bpf.RetConstant{Val: 0},
}

// Observer is a tap on one interface: it keeps what the kernel sends and
// receives there, with the kernel's times.
type Observer struct {
	fd int
	wg sync.WaitGroup

	mu      sync.Mutex
	frames  []Frame
	grown   chan struct{} // closed and replaced at each frame
	dropped int           // forgotten
	lost    int           // never delivered by the kernel
	over    bool
}

// Observe taps an interface of the host for ARP, ND and VRRP. [Frame.Out] is
// what the host sends. A tap does not survive [Host.DeleteLink].
func (h *Host) Observe(dev string) (*Observer, error) { return h.lab.tap(h.NS, dev, control) }

// ObserveAll taps an interface of the host for every frame.
func (h *Host) ObserveAll(dev string) (*Observer, error) { return h.lab.tap(h.NS, dev, nil) }

// ObservePort taps the switch's end of the host's cable for ARP, ND and VRRP:
// what the host sends is seen even while it is cut off, what is sent to it only
// if it arrives. [Frame.Out] is what goes to the host.
func (h *Host) ObservePort(dev string) (*Observer, error) {
	for _, k := range h.cables() {
		if k.dev == dev {
			return h.lab.tap(h.lab.sw, k.port, control)
		}
	}
	return nil, fmt.Errorf("observe the port of %s: %w", dev, os.ErrNotExist)
}

func (l *Lab) tap(ns *NS, dev string, filter []bpf.Instruction) (*Observer, error) {
	o := &Observer{grown: make(chan struct{})}
	err := ns.Do(func() error {
		var err error
		o.fd, err = packetSocket(dev, filter)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("observe %s: %w", dev, err)
	}
	o.wg.Go(o.read)
	l.onClose(o.Close)
	return o, nil
}

// packetSocket opens a raw socket that receives what passes the filter on dev,
// both ways, with times.
func packetSocket(dev string, filter []bpf.Instruction) (fd int, err error) {
	ifi, err := net.InterfaceByName(dev)
	if err != nil {
		return -1, err
	}
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}()
	if filter != nil {
		raw, err := bpf.Assemble(filter)
		if err != nil {
			return -1, err
		}
		prog := make([]unix.SockFilter, len(raw))
		for i, r := range raw {
			prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
		}
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
		if err != nil {
			return -1, err
		}
	}
	wait := unix.NsecToTimeval(receiveTimeout.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait))
	if err != nil {
		return -1, err
	}
	roomy(fd)
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
}

// roomy gives a socket a receive buffer in which packets wait while the machine
// does not run who reads it. The default one holds 256 probes less what the kernel
// still counts of those that were read: a fifth of a second.
func roomy(fd int) {
	const bytes = 16 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes) // as much as an ordinary user may have
	}
}

func (o *Observer) read() {
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	for {
		n, oobn, _, from, err := unix.Recvmsg(o.fd, buf, oob, 0)
		if err != nil {
			o.mu.Lock()
			over := o.over
			o.mu.Unlock()
			if over {
				return
			}
			continue
		}
		sa, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		f := ParseFrame(append([]byte(nil), buf[:n]...))
		f.Time, f.Out = stamp(oob[:oobn]), sa.Pkttype == unix.PACKET_OUTGOING
		o.add(f)
	}
}

func (o *Observer) add(f Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.frames) >= 2*keptFrames {
		o.dropped += keptFrames
		o.frames = append([]Frame(nil), o.frames[keptFrames:]...)
	}
	o.frames = append(o.frames, f)
	close(o.grown)
	o.grown = make(chan struct{})
}

// Frames is everything seen so far, in order.
func (o *Observer) Frames() []Frame { return o.Since(time.Time{}) }

// Since is what was seen at or after t.
func (o *Observer) Since(t time.Time) []Frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Frame
	for _, f := range o.frames {
		if !f.Time.Before(t) {
			out = append(out, f)
		}
	}
	return out
}

// WaitFor returns the first frame that match accepts, among those seen already
// and those to come. To wait for what follows an event, let match compare
// [Frame.Time].
func (o *Observer) WaitFor(ctx context.Context, match func(Frame) bool) (Frame, error) {
	for seen := 0; ; {
		o.mu.Lock()
		news, gone, grown := o.frames, o.dropped, o.grown
		o.mu.Unlock()
		for _, f := range news[min(len(news), max(0, seen-gone)):] {
			if match(f) {
				return f, nil
			}
		}
		seen = gone + len(news)
		select {
		case <-grown:
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("wait for a frame: %w", ctx.Err())
		}
	}
}

// Dropped is how many frames were seen but not kept: too old, or too many for
// the kernel's buffer.
func (o *Observer) Dropped() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		if s, err := unix.GetsockoptTpacketStats(o.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			o.lost += int(s.Drops) // reading resets it
		}
	}
	return o.dropped + o.lost
}

// Close ends the tap; its frames can still be read. A second call does nothing.
func (o *Observer) Close() error {
	o.mu.Lock()
	first := !o.over
	o.over = true
	o.mu.Unlock()
	o.wg.Wait()
	if !first {
		return nil
	}
	return unix.Close(o.fd)
}

// WritePCAP writes the frames seen so far as a capture file with nanoseconds,
// for Wireshark or tcpdump.
func (o *Observer) WritePCAP(w io.Writer) error {
	head := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d) // nanosecond magic
	head = binary.LittleEndian.AppendUint16(head, 2)          // version 2.4
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)              // UTC, no accuracy told
	head = binary.LittleEndian.AppendUint32(head, 1<<16) // longest frame
	head = binary.LittleEndian.AppendUint32(head, 1)     // Ethernet
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	for _, f := range o.Frames() {
		rec := binary.LittleEndian.AppendUint32(nil, uint32(f.Time.Unix()))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(f.Time.Nanosecond()))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(f.Data)))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(f.Data)))
		if _, err := w.Write(append(rec, f.Data...)); err != nil {
			return fmt.Errorf("write capture: %w", err)
		}
	}
	return nil
}
