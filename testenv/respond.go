package testenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// A probe is 16 bytes; its answer is the same 16 bytes and the host's name.
//
//	0        4        8                16
//	+--------+--------+----------------+-----------
//	| "vprb" | prober | sequence       | name
//	+--------+--------+----------------+-----------
const (
	probeMagic = 0x76707262
	probeLen   = 16
)

// Responder is the service of a [Host]: it answers probes on every address that
// the host has, from the address that was probed, with the host's name. It
// lives apart from the program under test, as a real service does.
type Responder struct {
	name  string
	conns []*net.UDPConn
	wg    sync.WaitGroup
	count atomic.Uint64

	mu   sync.Mutex
	late []time.Time
}

// lateRead is how long a probe may wait for a responder before that counts as one
// that was not scheduled.
const lateRead = 5 * time.Millisecond

// Respond starts a responder on a UDP port, over IPv4 and, where the kernel has
// it, IPv6.
func (h *Host) Respond(port uint16) (*Responder, error) {
	r := &Responder{name: h.Name}
	err := h.NS.Do(func() error {
		for _, network := range []string{"udp4", "udp6"} {
			c, err := net.ListenUDP(network, &net.UDPAddr{Port: int(port)})
			if network == "udp6" && err != nil && len(r.conns) == 1 {
				return nil // a kernel without IPv6
			}
			if err != nil {
				return err
			}
			r.conns = append(r.conns, c)
		}
		return nil
	})
	if err == nil {
		err = ipv4.NewPacketConn(r.conns[0]).SetControlMessage(ipv4.FlagDst, true)
	}
	if err == nil && len(r.conns) == 2 {
		err = ipv6.NewPacketConn(r.conns[1]).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("respond on port %d of %s: %w", port, h.Name, err), r.Close())
	}
	for _, c := range r.conns {
		if err := stamped(c); err != nil {
			return nil, errors.Join(fmt.Errorf("respond on port %d of %s: %w", port, h.Name, err), r.Close())
		}
	}
	r.wg.Go(func() { r.serve(r.conns[0], source4) })
	if len(r.conns) == 2 {
		r.wg.Go(func() { r.serve(r.conns[1], source6) })
	}
	h.lab.onClose(r.Close)
	return r, nil
}

// stamped has the kernel tell when each datagram came, and keep those that come
// while the responder is not run.
func stamped(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		roomy(int(fd))
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	return errors.Join(err, failed)
}

func (r *Responder) serve(c *net.UDPConn, source func(oob []byte) []byte) {
	buf, oob := make([]byte, 256), make([]byte, 256)
	for {
		n, oobn, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != probeLen || binary.BigEndian.Uint32(buf) != probeMagic {
			continue
		}
		if came := stamp(oob[:oobn]); time.Since(came) > lateRead {
			r.mu.Lock()
			r.late = append(r.late, came)
			r.mu.Unlock()
		}
		answer := append(buf[:probeLen:probeLen], r.name...)
		if _, _, err := c.WriteMsgUDPAddrPort(answer, source(oob[:oobn]), from); err == nil {
			r.count.Add(1) // an error means that the address has left the host meanwhile
		}
	}
}

// source4 asks for the probed address as the source of the answer.
func source4(oob []byte) []byte {
	var cm ipv4.ControlMessage
	if cm.Parse(oob) != nil {
		return nil
	}
	return (&ipv4.ControlMessage{Src: cm.Dst}).Marshal()
}

func source6(oob []byte) []byte {
	var cm ipv6.ControlMessage
	if cm.Parse(oob) != nil {
		return nil
	}
	out := ipv6.ControlMessage{Src: cm.Dst}
	if cm.Dst.IsLinkLocalUnicast() {
		out.IfIndex = cm.IfIndex
	}
	return out.Marshal()
}

// Late is when probes came that waited more than 5 ms until the machine let the
// responder run. Where the address left the host meanwhile, their loss is not that
// of the program under test.
func (r *Responder) Late() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.late)
}

// Answered is how many probes the host has answered so far.
func (r *Responder) Answered() int { return int(r.count.Load()) }

// Close ends the responder: the service of this host is dead, the host is not.
func (r *Responder) Close() error {
	for _, c := range r.conns {
		_ = c.Close() // closed before
	}
	r.wg.Wait()
	return nil
}
