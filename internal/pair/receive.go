package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/pair"
)

const pollMost = 32 // batches that one Poll reads

// Run receives until the context ends and then returns nil. heard is called in
// the order of arrival, one call after the other; it must be quick, and may call
// Send and Set.
func (c *Channel) Run(ctx context.Context, heard func(Heard)) error {
	if err := c.socks.deadline(time.Time{}); err != nil {
		return fmt.Errorf("run pair channel: %w", err)
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The sockets know no context: a deadline in the past wakes their readers.
	woken := make(chan struct{})
	context.AfterFunc(running, func() {
		_ = c.socks.deadline(time.Unix(1, 0)) // closed: they are awake
		close(woken)
	})
	var readers sync.WaitGroup
	for _, s := range c.socks.all() {
		readers.Go(func() { cancel(c.receive(running, s, heard)) })
	}
	readers.Wait()
	<-woken
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("run pair channel: %w", context.Cause(running))
}

// receive hands on what comes in until the context ends.
func (c *Channel) receive(ctx context.Context, s *socket, heard func(Heard)) error {
	var failed error
	err := s.read.Read(func(fd uintptr) bool {
		failed = c.take(ctx, s, fd, math.MaxInt, heard)
		return failed != nil // else wait for more
	})
	if err != nil {
		return err
	}
	return failed
}

// Poll hands on what has come in already, in the caller's goroutine, as Run does,
// beside it if need be. It does not wait, and takes so much at most that a flood
// does not hold it up.
func (c *Channel) Poll(heard func(Heard)) error {
	var errs []error
	for _, s := range c.socks.all() {
		var failed error
		err := s.read.Control(func(fd uintptr) { failed = c.take(context.Background(), s, fd, pollMost, heard) })
		errs = append(errs, err, failed)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("poll pair channel: %w", err)
	}
	return nil
}

// take hands on what a socket holds, in at most that many batches.
func (c *Channel) take(ctx context.Context, s *socket, fd uintptr, batches int, heard func(Heard)) error {
	c.order.Lock()
	defer c.order.Unlock()
	for ; batches > 0 && ctx.Err() == nil; batches-- {
		n, err := s.got.Receive(fd)
		if err != nil {
			return err
		}
		for _, h := range c.judge(s, n) {
			heard(h)
		}
		if n < batch {
			break // that was all
		}
	}
	return ctx.Err()
}

// judge returns what is to be handed on of the n datagrams that were read, and
// answers those that ask for it. The list is valid until the next call.
func (c *Channel) judge(s *socket, n int) []Heard {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.heard = c.heard[:0]
	for i := range n {
		from := s.got.Source(i)
		c.count.received++
		if s.got.Cut(i) {
			c.refuse(c.peerAt(from), pair.CauseOversized)
			continue
		}
		c.open(now, s, from, s.bufs[i][:s.got.Size(i)])
	}
	c.flush()
	return c.heard
}

// open looks at one datagram.
func (c *Channel) open(now time.Time, s *socket, from netip.Addr, datagram []byte) {
	h, payload, err := c.key.Open(datagram)
	if err != nil {
		c.unopened(from, err)
		return
	}
	p := c.peer(h.From)
	if p == nil {
		cause := pair.CausePeer
		if h.From == c.node {
			cause = pair.CauseReflected
		}
		c.refuse(nil, cause)
		return
	}
	r := p.session.Receive(now, h, from)
	if r.Answer {
		c.answer(p, p.session.Answer(now, h), s, from)
	}
	if r.Cause != "" {
		c.refuse(p, r.Cause)
		return
	}
	p.received(from)
	p.count.version = 0
	if r.Opened {
		p.seq, p.whole = 0, false
		c.log.Info("peer proved itself", "peer", p.name, "address", from)
		c.queue(p, p.session.Next(now, pair.TypeHello), nil)
	}
	c.message(now, p, h, payload, from, r)
}

// message takes what is news of a message that counts.
func (c *Channel) message(now time.Time, p *peer, h pair.Header, payload []byte, from netip.Addr, r pair.Receipt) {
	news := Heard{Peer: p.name, Boot: h.Boot, Path: from, Age: r.Age}
	told := false
	switch {
	case r.Repeated || h.Type == pair.TypeHello:
	case h.Type == pair.TypeAsk || h.Type == pair.TypeAnswer:
		news.Type, news.Votes = h.Type, bytes.Clone(payload)
	case h.Type != pair.TypeState:
		c.refuse(p, pair.CauseType)
	default:
		var cause pair.Cause
		if news.State, news.Whole, cause = p.take(h.Boot, payload); cause != "" {
			c.refuse(p, cause)
		}
		told = cause == ""
	}
	if !told {
		if w := p.path(from); w != nil && now.Sub(w.said) < quiet && !r.Opened && news.Type == 0 {
			return
		}
		news.State, news.Whole = pair.State{Seq: p.seq}, p.whole
	}
	if w := p.path(from); w != nil {
		w.said = now
	}
	news.State.Node = p.name
	c.heard = append(c.heard, news)
}

// take reads one part of a State.
func (p *peer) take(boot uint64, payload []byte) (s pair.State, whole bool, cause pair.Cause) {
	part, err := pair.ParsePart(payload)
	if err != nil {
		return s, false, pair.CauseMalformed
	}
	s, whole, ok := p.inbox.Add(boot, part)
	if !ok {
		return s, false, pair.CauseStale
	}
	p.seq, p.whole = s.Seq, whole
	return s, whole, ""
}

// unopened counts a datagram that could not be opened, for the peer that sealed
// it, or whose address it came from.
func (c *Channel) unopened(from netip.Addr, err error) {
	refusal, ok := errors.AsType[*pair.Refusal](err)
	if !ok {
		return
	}
	p := c.peer(refusal.From)
	if p == nil {
		p = c.peerAt(from)
	} else if refusal.Cause == pair.CauseVersion && p.count.version != refusal.Version {
		p.count.version = refusal.Version
		c.heard = append(c.heard, Heard{Peer: p.name, Path: from, Version: refusal.Version})
	}
	c.refuse(p, refusal.Cause)
}

// peerAt returns the peer that has an address, nil when none has.
func (c *Channel) peerAt(a netip.Addr) *peer {
	for _, p := range c.peers {
		if p.path(a) != nil {
			return p
		}
	}
	return nil
}

// refuse counts a datagram that is not believed; p is nil when it is nobody's.
func (c *Channel) refuse(p *peer, cause pair.Cause) {
	c.count.refused[cause]++
	if p != nil {
		p.count.refused[cause]++
	}
}
