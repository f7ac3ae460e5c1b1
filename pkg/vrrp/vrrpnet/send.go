package vrrpnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/mmsg"
	"github.com/vipd/vipd/pkg/vrrp"
)

// Outgoing is one advert to send.
type Outgoing struct {
	Device   string       // of the virtual MAC, a macvlan; "" = the interface itself. Unicast always leaves from the interface
	Source   netip.Addr   // an address of the interface; never chosen by the kernel
	Peers    []netip.Addr // unicast; none = the VRRP group
	Advert   vrrp.Advert
	Checksum vrrp.Checksum

	// Err is set by Send: why the advert did not leave, or did not leave to one
	// of the peers; nil when all went well.
	Err error
}

// Send gives adverts to the kernel and sets the Err of each. It never waits: a
// full send buffer, too, is an error of that advert ([syscall.EAGAIN],
// [syscall.ENOBUFS]), as is a link that is down ([syscall.ENETUNREACH],
// [syscall.ENETDOWN]), an interface that is gone ([syscall.ENODEV]) or a source
// that the host does not have ([syscall.EINVAL], over IPv4 also
// [syscall.ENETUNREACH]). One that fails does not keep the others back. Send
// returns the first of the errors.
func (c *Conn) Send(adverts []Outgoing) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.reset()
	c.outVirtual.reset()
	now := time.Now()
	for i := range adverts {
		adverts[i].Err = c.queue(i, &adverts[i], now)
	}
	c.flush(c.out, adverts)
	c.flush(c.outVirtual, adverts)
	for i := range adverts {
		if adverts[i].Err != nil {
			return adverts[i].Err
		}
	}
	return nil
}

// queue adds the packets of advert i to those that flush sends.
func (c *Conn) queue(i int, o *Outgoing, now time.Time) error {
	s, index, signer := c.out, c.index, c.signers[o.Advert.VRID]
	if o.Device != "" && len(o.Peers) == 0 {
		var err error
		if index, err = c.links.index(o.Device); err != nil {
			return c.unsent(o, err)
		}
		s = c.outVirtual
	}
	if len(o.Peers) == 0 {
		if err := s.add(i, index, group(c.family4), o, signer, now); err != nil {
			return c.unsent(o, err)
		}
	}
	for _, peer := range o.Peers {
		if err := s.add(i, index, peer, o, signer, now); err != nil {
			return c.unsent(o, err)
		}
	}
	return nil
}

func (c *Conn) unsent(o *Outgoing, err error) error {
	c.count.unsent.Add(1)
	return fmt.Errorf("send advert of VRID %d on %s: %w", o.Advert.VRID, c.name, err)
}

// flush sends what was queued. After a packet that fails it goes on with the
// next one, so it makes one system call, and two more per failure.
func (c *Conn) flush(s *sender, adverts []Outgoing) {
	s.fill()
	for at := 0; at < len(s.queued); {
		n, err := s.msgs.Send(s.rc, at, len(s.queued))
		c.count.sent.Add(uint64(n))
		if at += n; err == nil {
			continue
		}
		o := &adverts[s.queued[at].advert]
		if err = c.unsent(o, err); o.Err == nil {
			o.Err = err
		}
		at++
	}
}

// sender is the memory that packets are sent from.
type sender struct {
	rc       syscall.RawConn
	family4  bool
	msgs     *mmsg.Batch
	template []byte // control message, in which source and index change
	buf      []byte // the VRRP messages, one after the other
	queued   []queued
}

type queued struct {
	advert int // which one of the batch
	start  int // where its message is in buf
	index  int // out of which interface
	source netip.Addr
	dest   netip.Addr
}

func newSender(rc syscall.RawConn, family4 bool) *sender {
	s := &sender{rc: rc, family4: family4, msgs: mmsg.New(mmsg.Send, batch)}
	if family4 {
		s.template = unix.PktInfo4(&unix.Inet4Pktinfo{})
	} else {
		s.template = unix.PktInfo6(&unix.Inet6Pktinfo{})
	}
	return s
}

func (s *sender) reset() { s.buf, s.queued = s.buf[:0], s.queued[:0] }

// add queues one packet with advert i, authenticated when there is a signer.
func (s *sender) add(i, index int, dest netip.Addr, o *Outgoing, signer *vrrp.Signer, now time.Time) error {
	if o.Source.Is4() != s.family4 {
		return fmt.Errorf("source %v is of the other family", o.Source)
	}
	start := len(s.buf)
	buf, err := o.Advert.AppendTo(s.buf, o.Source, dest, o.Checksum)
	if err != nil {
		return err
	}
	if signer != nil {
		buf = signer.Sign(buf, start, o.Source, dest, now)
	}
	s.buf = buf
	s.queued = append(s.queued, queued{i, start, index, o.Source, dest})
	return nil
}

// fill points the headers at what was queued, now that buf stays where it is.
func (s *sender) fill() {
	if len(s.queued) > s.msgs.Len() {
		s.msgs.Grow(len(s.queued))
	}
	end := len(s.buf)
	for i := len(s.queued) - 1; i >= 0; i-- {
		q := &s.queued[i]
		s.msgs.SetBuffer(i, s.buf[q.start:end])
		end = q.start
		s.address(i, q)
	}
}

// address writes the destination and the control message with the source and the
// interface of packet i.
func (s *sender) address(i int, q *queued) {
	s.msgs.SetDestination(i, netip.AddrPortFrom(q.dest, 0))
	ctl := s.msgs.SetControl(i, len(s.template))
	copy(ctl, s.template)
	info := ctl[unix.CmsgLen(0):]
	if s.family4 {
		src := q.source.As4()
		binary.NativeEndian.PutUint32(info, uint32(q.index)) // ipi_ifindex
		copy(info[4:], src[:])                               // ipi_spec_dst
		return
	}
	src := q.source.As16()
	copy(info, src[:])                                        // ipi6_addr
	binary.NativeEndian.PutUint32(info[16:], uint32(q.index)) // ipi6_ifindex
}
