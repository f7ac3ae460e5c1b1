package pair

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/vipd/vipd/internal/mmsg"
	"github.com/vipd/vipd/pkg/pair"
)

// Send tells s to every peer on every path, now. It never waits: what the kernel
// does not take at once is counted as unsent, and the next State says it again.
func (c *Channel) Send(s *pair.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if err := c.parts.Encode(s); err != nil {
		c.count.unsent++
		c.log.Debug("state not sent", "error", err) // names that no configuration has
		return
	}
	for _, p := range c.peers {
		for i := range c.parts.Len() {
			c.queue(p, p.session.Next(now, pair.TypeState), c.parts.At(i))
		}
	}
	c.flush()
}

// Vote sends a message about votes to one peer on every path, now, or not at all:
// t is pair.TypeAsk or pair.TypeAnswer, and the payload has up to pair.MaxPayload
// octets. It never waits.
func (c *Channel) Vote(peer string, t pair.Type, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peer(peer)
	if p == nil || len(payload) > pair.MaxPayload {
		c.count.unsent++
		return
	}
	c.queue(p, p.session.Next(time.Now(), t), payload)
	c.flush()
}

// queue seals a message and puts it into line for every path of a peer.
func (c *Channel) queue(p *peer, h pair.Header, payload []byte) {
	for _, s := range c.socks.all() {
		start := -1
		for _, w := range p.paths {
			if c.socks.of(w.to.Addr()) != s {
				continue
			}
			if start < 0 {
				start = c.seal(s, h, payload)
			}
			s.sending.add(start, w.to, w)
		}
	}
	for _, w := range p.paths {
		if c.socks.of(w.to.Addr()) == nil {
			w.unsent, w.err = w.unsent+1, syscall.EAFNOSUPPORT
			c.count.unsent++
		}
	}
}

// answer seals a message and puts it into line for one address.
func (c *Channel) answer(p *peer, h pair.Header, s *socket, to netip.Addr) {
	w := p.path(to)
	port := c.listen.Port()
	switch {
	case w != nil:
		port = w.to.Port()
	case len(p.paths) > 0:
		port = p.paths[0].to.Port()
	}
	s.sending.add(c.seal(s, h, nil), netip.AddrPortFrom(to, port), w)
}

// seal appends a sealed message to what a socket sends, and returns where it is.
func (c *Channel) seal(s *socket, h pair.Header, payload []byte) (start int) {
	start = len(s.sending.buf)
	buf, err := c.key.Seal(s.sending.buf, h, payload)
	if err != nil { // names and payloads fit: Set and Encode saw to that
		c.log.Error("message not sealed", "error", err)
	}
	s.sending.buf = buf
	return start
}

// flush sends what is in line. After a datagram that fails it goes on with the
// next one, so it makes one system call per family, and two more per failure.
func (c *Channel) flush() {
	for _, s := range c.socks.all() {
		out := &s.sending
		out.fill()
		for at := 0; at < len(out.queued); {
			n, err := out.msgs.Send(s.write, at, len(out.queued))
			for _, q := range out.queued[at : at+n] {
				c.count.sent++
				if q.path != nil {
					q.path.sent, q.path.err = q.path.sent+1, nil
				}
			}
			if at += n; err == nil {
				continue
			}
			c.count.unsent++
			if q := out.queued[at]; q.path != nil {
				q.path.unsent, q.path.err = q.path.unsent+1, err
			}
			at++
		}
		out.buf, out.queued = out.buf[:0], out.queued[:0]
	}
}

// sender is the memory that datagrams are sent from.
type sender struct {
	msgs   *mmsg.Batch
	buf    []byte // the datagrams, one after the other
	queued []queued
}

type queued struct {
	start int // where its datagram is in buf; it ends where the next other one starts
	to    netip.AddrPort
	path  *path // nil = none that is configured
}

func (s *sender) add(start int, to netip.AddrPort, w *path) {
	s.queued = append(s.queued, queued{start, to, w})
}

// fill points the headers at what is in line, now that buf stays where it is.
func (s *sender) fill() {
	if len(s.queued) > s.msgs.Len() {
		s.msgs.Grow(len(s.queued))
	}
	end := len(s.buf)
	for i := len(s.queued) - 1; i >= 0; i-- {
		q := &s.queued[i]
		if i+1 < len(s.queued) && s.queued[i+1].start != q.start {
			end = s.queued[i+1].start
		}
		s.msgs.SetBuffer(i, s.buf[q.start:end])
		s.msgs.SetDestination(i, q.to)
	}
}
