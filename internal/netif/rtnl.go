package netif

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
	// batchSize is how many requests go to the kernel in one system call. Every
	// one of them may be answered with an error, and all of these have to fit
	// into the default receive buffer (208 KiB, about 0.8 KiB each).
	batchSize = 100

	// replyTimeout ends the wait for an answer that will not come. The kernel
	// answers within the system call that asks, so it never does in practice.
	replyTimeout = 5 * time.Second

	receiveBuffer = 64 << 10 // one datagram of a dump is at most 32 KiB
)

var errNoReply = errors.New("no reply from the kernel")

// rtnl is a netlink route socket for requests, used by one goroutine.
type rtnl struct {
	fd  int
	seq uint32
	buf []byte
}

func openRTNL() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	c := &rtnl{fd: fd, buf: make([]byte, receiveBuffer)}
	if err := c.setup(); err != nil {
		c.close()
		return nil, fmt.Errorf("set up netlink socket: %w", err)
	}
	return c, nil
}

func (c *rtnl) setup() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	tv := unix.NsecToTimeval(int64(replyTimeout))
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return err
	}
	// CAP_ACK keeps errors short, EXT_ACK adds the kernel's own words to them,
	// and STRICT_CHK makes it apply the filters of a dump.
	for _, opt := range []int{unix.NETLINK_CAP_ACK, unix.NETLINK_EXT_ACK, unix.NETLINK_GET_STRICT_CHK} {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, opt, 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *rtnl) close() { _ = unix.Close(c.fd) } // nothing is written that could be lost

// request makes a message of the given type from a fixed header and attributes.
func request(kind, flags int, data ...nl.NetlinkRequestData) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Data = data
	return req
}

// all sends requests that change something, many in one system call, and gives
// back one error (or nil) for each. The kernel carries them out in order and
// does not stop at an error.
func (c *rtnl) all(reqs []*nl.NetlinkRequest) []error {
	errs := make([]error, len(reqs))
	for start := 0; start < len(reqs); start += batchSize {
		end := min(start+batchSize, len(reqs))
		if err := c.batch(reqs[start:end], errs[start:end]); err != nil {
			for i := start; i < end; i++ {
				if errs[i] == nil {
					errs[i] = err
				}
			}
		}
	}
	return errs
}

// one sends one request that changes something.
func (c *rtnl) one(req *nl.NetlinkRequest) error {
	return c.all([]*nl.NetlinkRequest{req})[0]
}

// batch sends reqs in one system call. Only the last asks for an
// acknowledgement: errors are answered in any case.
func (c *rtnl) batch(reqs []*nl.NetlinkRequest, errs []error) error {
	first := c.seq + 1
	var out []byte
	for i, req := range reqs {
		c.seq++
		req.Seq = c.seq
		if i == len(reqs)-1 {
			req.Flags |= unix.NLM_F_ACK
		}
		out = append(out, req.Serialize()...)
	}
	if err := c.send(out); err != nil {
		return err
	}
	for {
		msgs, err := c.receive()
		if err != nil {
			return err
		}
		for _, m := range msgs {
			i := int(m.Header.Seq - first)
			if m.Header.Type != unix.NLMSG_ERROR || i < 0 || i >= len(reqs) {
				continue // a late answer to a request that was given up
			}
			errs[i] = kernelError(m)
			if i == len(reqs)-1 {
				return nil
			}
		}
	}
}

// ask sends one request for information and calls each with every message of
// the answer, which is valid during the call. errInterrupted means that a list may have gaps or repetitions.
func (c *rtnl) ask(req *nl.NetlinkRequest, each func(body []byte)) error {
	c.seq++
	req.Seq = c.seq
	if err := c.send(req.Serialize()); err != nil {
		return err
	}
	var disturbed error
	for {
		msgs, err := c.receive()
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if m.Header.Seq != req.Seq {
				continue
			}
			if m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
				disturbed = errInterrupted
			}
			if m.Header.Type == unix.NLMSG_ERROR || m.Header.Type == unix.NLMSG_DONE {
				return errors.Join(kernelError(m), disturbed)
			}
			each(m.Data)
			if m.Header.Flags&unix.NLM_F_MULTI == 0 {
				return nil
			}
		}
	}
}

// errInterrupted says that what was being listed changed meanwhile.
var errInterrupted = errors.New("list interrupted by a change")

func (c *rtnl) send(b []byte) error {
	for {
		err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if err != unix.EINTR {
			return err
		}
	}
}

func (c *rtnl) receive() ([]syscall.NetlinkMessage, error) {
	for {
		n, from, err := unix.Recvfrom(c.fd, c.buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return nil, errNoReply
		case err != nil:
			return nil, err
		}
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != nl.PidKernel {
			continue // another process can send to us; only the kernel is believed
		}
		return syscall.ParseNetlinkMessage(c.buf[:n])
	}
}

// kernelError is the error of an NLMSG_ERROR or NLMSG_DONE message, nil for an
// acknowledgement, with the kernel's explanation when there is one.
func kernelError(m syscall.NetlinkMessage) error {
	if len(m.Data) < 4 {
		return nil
	}
	errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data))) // small negative number
	if errno == 0 {
		return nil
	}
	const short = 4 + unix.SizeofNlMsghdr // the request's header follows the number
	if m.Header.Type == unix.NLMSG_ERROR && m.Header.Flags&unix.NLM_F_ACK_TLVS != 0 && len(m.Data) > short {
		for _, a := range attributes(m.Data[short:]) {
			if a.kind == nl.NLMSGERR_ATTR_MSG {
				return fmt.Errorf("%w (%s)", errno, unix.ByteSliceToString(a.data))
			}
		}
	}
	return errno
}

// attribute is one route attribute; data points into the message.
type attribute struct {
	kind uint16
	data []byte
}

// attributes splits b; what is malformed at the end is left out.
func attributes(b []byte) []attribute {
	var out []attribute
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return out
		}
		const kindMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		out = append(out, attribute{binary.NativeEndian.Uint16(b[2:]) & kindMask, b[unix.SizeofRtAttr:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return out
}
