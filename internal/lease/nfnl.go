package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// sendBuffer is asked for, so that every batch goes in one system call; an
	// unprivileged user gets less (net.core.wmem_max) and batches are cut.
	sendBuffer    = 16 << 20
	receiveBuffer = 64 << 10 // one datagram of a dump is at most 32 KiB

	// replyTimeout ends the wait for an answer that will not come. The kernel
	// answers within the system call that asks, so it never does in practice.
	replyTimeout = 5 * time.Second

	genMsgLen = 4 // struct nfgenmsg
)

// nfnl is a netlink socket for nftables requests, used under Table's mutex. Its
// port owns the table.
type nfnl struct {
	fd    int
	port  uint32
	seq   uint32
	limit int // bytes that fit into one system call
	buf   []byte
}

func openNfnl() (*nfnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	c := &nfnl{fd: fd, buf: make([]byte, receiveBuffer)}
	if err := c.setup(); err != nil {
		c.close()
		return nil, fmt.Errorf("set up nftables socket: %w", err)
	}
	return c, nil
}

func (c *nfnl) setup() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		return err
	}
	c.port = name.(*unix.SockaddrNetlink).Pid
	tv := unix.NsecToTimeval(int64(replyTimeout))
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1); err != nil { // short errors
		return err
	}
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) // as much as is allowed
	}
	size, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	c.limit = size / 2 // the kernel's own headers count too
	return err
}

func (c *nfnl) close() { _ = unix.Close(c.fd) } // nothing is written that could be lost

// message is one request.
type message struct {
	data []byte // with the netlink header; sequence number and port are still 0
	what string // verb and object, for its error
}

// batch is what the kernel does as a whole or not at all.
type batch struct {
	table    string
	messages []message
}

func (b *batch) empty() bool { return len(b.messages) == 0 }

func (b *batch) add(what string, kind, flags uint16, attrs ...*nl.RtAttr) {
	b.messages = append(b.messages, message{newMessage(nftType(kind), flags, 0, attrs...), what})
}

func nftType(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

func newMessage(kind, flags, resource uint16, attrs ...*nl.RtAttr) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, 256)
	b = append(b, unix.NFPROTO_NETDEV, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, resource)
	for _, a := range attrs {
		b = append(b, a.Serialize()...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_REQUEST)
	return b
}

// do carries a batch out. One that is larger than the socket takes is cut in
// pieces: errBroken says that an earlier piece is in force.
func (c *nfnl) do(b *batch) error {
	rest := b.messages
	for cut := false; len(rest) > 0; cut = true {
		n, size := 0, 0
		for n < len(rest) && (n == 0 || size+len(rest[n].data) < c.limit) {
			size += len(rest[n].data)
			n++
		}
		if err := c.transact(rest[:n]); err != nil {
			if cut {
				return errors.Join(err, errBroken)
			}
			return err
		}
		rest = rest[n:]
	}
	return nil
}

var errBroken = errors.New("carried out in part")

// transact sends one transaction. Only its last message asks for an
// acknowledgement: errors are answered in any case.
func (c *nfnl) transact(msgs []message) error {
	first := c.seq + 1
	var out []byte
	put := func(m []byte) {
		c.seq++
		binary.NativeEndian.PutUint32(m[8:], c.seq)
		out = append(out, m...)
	}
	put(newMessage(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.NFNL_SUBSYS_NFTABLES))
	for i, m := range msgs {
		if i == len(msgs)-1 {
			binary.NativeEndian.PutUint16(m.data[6:], binary.NativeEndian.Uint16(m.data[6:])|unix.NLM_F_ACK)
		}
		put(m.data)
	}
	last := c.seq
	put(newMessage(unix.NFNL_MSG_BATCH_END, 0, unix.NFNL_SUBSYS_NFTABLES))
	if err := c.send(out); err != nil {
		return fmt.Errorf("%s: %w", msgs[0].what, err)
	}
	return c.answers(msgs, first, last)
}

// answers reads what the kernel has answered: all of it is there when sending
// returns.
func (c *nfnl) answers(msgs []message, first, last uint32) error {
	var failed error
	done := false
	for {
		list, err := c.receive(unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if failed == nil && !done {
				failed = errors.New("no answer from the kernel")
			}
			return failed
		case err != nil:
			return fmt.Errorf("receive nftables answer: %w", err)
		}
		for _, m := range list {
			i := m.Header.Seq - first // of the batch's messages, with its begin and end
			if m.Header.Type != unix.NLMSG_ERROR || i > last-first+1 {
				continue // a late answer to a request that was given up
			}
			if err := kernelError(m); err != nil && failed == nil {
				failed = err
				if i > 0 && int(i) <= len(msgs) {
					failed = fmt.Errorf("%s: %w", msgs[i-1].what, err)
				}
			}
			done = done || m.Header.Seq == last
		}
	}
}

// ask sends one request for information and calls each with the attributes of
// every message of the answer.
func (c *nfnl) ask(kind, flags uint16, each func(kind uint16, attrs []syscall.NetlinkRouteAttr), attrs ...*nl.RtAttr) error {
	req := newMessage(nftType(kind), flags, 0, attrs...)
	c.seq++
	binary.NativeEndian.PutUint32(req[8:], c.seq)
	if err := c.send(req); err != nil {
		return err
	}
	for {
		list, err := c.receive(0)
		if err != nil {
			return err
		}
		for _, m := range list {
			if m.Header.Seq != c.seq {
				continue
			}
			if m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
				return errInterrupted
			}
			if m.Header.Type == unix.NLMSG_ERROR || m.Header.Type == unix.NLMSG_DONE {
				return kernelError(m)
			}
			if len(m.Data) < genMsgLen {
				continue
			}
			a, err := nl.ParseRouteAttr(m.Data[genMsgLen:])
			if err != nil {
				return fmt.Errorf("parse nftables answer: %w", err)
			}
			each(m.Header.Type&0xff, a)
			if m.Header.Flags&unix.NLM_F_MULTI == 0 {
				return nil
			}
		}
	}
}

// errInterrupted says that what was being listed changed meanwhile.
var errInterrupted = errors.New("list interrupted by a change")

func (c *nfnl) send(b []byte) error {
	for {
		err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if err != unix.EINTR {
			return err
		}
	}
}

func (c *nfnl) receive(flags int) ([]syscall.NetlinkMessage, error) {
	for {
		n, from, err := unix.Recvfrom(c.fd, c.buf, flags)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != nl.PidKernel {
			continue // another process can send to us; only the kernel is believed
		}
		return syscall.ParseNetlinkMessage(c.buf[:n])
	}
}

// kernelError is the error of an NLMSG_ERROR or NLMSG_DONE message, nil for an
// acknowledgement.
func kernelError(m syscall.NetlinkMessage) error {
	if len(m.Data) < 4 {
		return nil
	}
	if errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data))); errno != 0 { // small negative number
		return errno
	}
	return nil
}

// Attributes: numbers are big endian, names end with a zero byte.

func text(kind int, s string) *nl.RtAttr { return nl.NewRtAttr(kind, nl.ZeroTerminated(s)) }

func raw(kind int, b []byte) *nl.RtAttr { return nl.NewRtAttr(kind, b) }

func num32(kind int, v uint32) *nl.RtAttr {
	return nl.NewRtAttr(kind, binary.BigEndian.AppendUint32(nil, v))
}

func millis(kind int, d time.Duration) *nl.RtAttr {
	return nl.NewRtAttr(kind, binary.BigEndian.AppendUint64(nil, uint64(d.Milliseconds()))) // positive
}

func nest(kind int, inner ...*nl.RtAttr) *nl.RtAttr {
	a := nl.NewRtAttr(kind|unix.NLA_F_NESTED, nil)
	for _, i := range inner {
		a.AddChild(i)
	}
	return a
}
