package pair

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

// AgeUnknown is the age of a message of which nothing is known but that it is not
// older than the process that got it.
const AgeUnknown = time.Duration(math.MaxInt64)

// Bounds of a session.
const (
	marksLen     = 64                    // own sendings whose time is remembered
	formerLen    = 4                     // processes of the peer's that were replaced
	rivalAfter   = time.Second           // silence after which one of those may come back
	answersMost  = 8                     // answers at once …
	answersEvery = 10 * time.Millisecond // … and one more each
)

// Session decides which messages of one peer are new. It never looks at a clock
// of the peer's, and at its own only to tell ages, so no step of a clock matters.
//
// Each datagram that a host sends is a challenge: only who has received it can
// echo its number (docs/decisions/0010). A process of the peer's is believed from
// its first message on that echoes one which was sent since the last such proof.
// From there on each of its numbers counts once, whichever path it came by. What
// the process before it sent proves nothing any more: it echoes older numbers. If
// that one lives on, by a mistake, the newer one is believed until it is silent.
//
//	          echo proves it                  echo of another one proves it
//	nobody ------------------> this process -------------------------------> that process
type Session struct {
	self, peer string
	boot       uint64 // own

	seq   uint64 // of the newest own datagram
	marks [marksLen]mark
	next  int // in marks

	theirs uint64 // the process that is believed; 0 = none
	window window
	since  uint64 // its number that proved it
	proved uint64 // own number that an echo had to reach then
	floor  uint64 // own number that an echo has to reach to prove another process
	heard  time.Time
	former [formerLen]uint64
	over   int // in former

	paths   []*path
	answers int
	refill  time.Time
}

// mark says when own datagrams from a number on were sent.
type mark struct {
	seq uint64
	at  time.Time
}

type path struct {
	address    netip.Addr
	configured bool
	newest     uint64    // number that came by it
	heard      time.Time // when; zero = not yet
}

// NewSession begins a session of the process with that boot number, on the host
// self, with the host peer. boot is random and not 0.
func NewSession(self, peer string, boot uint64) *Session {
	return &Session{self: self, peer: peer, boot: boot, floor: 1, answers: answersMost}
}

// SetPaths says which addresses the peer has. What is known of those that stay is
// kept.
func (s *Session) SetPaths(addresses []netip.Addr) {
	for _, p := range s.paths {
		p.configured = slices.Contains(addresses, p.address)
	}
	for _, a := range addresses {
		if s.path(a) == nil {
			s.paths = append(s.paths, &path{address: a, configured: true})
		}
	}
	s.paths = slices.DeleteFunc(s.paths, func(p *path) bool { return !p.configured && p.heard.IsZero() })
}

// Boot returns the number of the peer's process that is believed; 0 = none has
// proved itself yet.
func (s *Session) Boot() uint64 { return s.theirs }

// Paths tells on which paths the believed process has been heard, and how long
// ago. now is not before that of any call before.
func (s *Session) Paths(now time.Time) []Path {
	var list []Path
	for _, p := range s.paths {
		if !p.heard.IsZero() {
			list = append(list, Path{p.address, now.Sub(p.heard)})
		}
	}
	return list
}

// Next returns the header of the next message to the peer, sent now.
func (s *Session) Next(now time.Time, t Type) Header {
	s.seq++
	if last := &s.marks[(s.next+marksLen-1)%marksLen]; !last.at.Equal(now) || last.seq == 0 {
		s.marks[s.next] = mark{s.seq, now}
		s.next = (s.next + 1) % marksLen
	}
	h := Header{Type: t, From: s.self, To: s.peer, Boot: s.boot, Seq: s.seq}
	if s.theirs != 0 {
		h.Echo = Echo{s.theirs, s.window.newest}
	}
	return h
}

// Answer returns the header of a hello to whoever sent a message with the header
// to: what it needs to prove itself with its next one.
func (s *Session) Answer(now time.Time, to Header) Header {
	h := s.Next(now, TypeHello)
	h.Echo = Echo{to.Boot, to.Seq}
	return h
}

// Receipt is what becomes of a message.
type Receipt struct {
	Cause Cause // why it is refused; "" = it is taken
	// Answer asks for [Session.Answer], to the address that the message came from,
	// of a message that was refused. It is shorter than any other message, and is
	// not asked for more than some hundred times a second.
	Answer bool
	Opened bool // the first message of a process: it knows nothing of ours yet
	// Repeated: it came by another path before. Nothing but the path is news.
	Repeated bool
	// Age bounds how old the message may be: since when the datagram that it echoes
	// has been on its way. It is AgeUnknown when the peer has not heard us lately.
	Age time.Duration
}

// Receive judges a message of the peer's that was opened with the right key and
// came from that address.
func (s *Session) Receive(now time.Time, h Header, from netip.Addr) Receipt {
	switch {
	case h.From == s.self:
		return Receipt{Cause: CauseReflected}
	case h.From != s.peer:
		return Receipt{Cause: CausePeer}
	case h.To != s.self:
		return Receipt{Cause: CauseReceiver}
	}
	r := Receipt{Age: s.age(now, h.Echo)}
	if h.Boot != s.theirs {
		if !s.proves(h.Echo, s.floor) {
			return Receipt{Cause: CauseChallenge, Answer: s.mayAnswer(now)}
		}
		if slices.Contains(s.former[:], h.Boot) && now.Sub(s.heard) < rivalAfter {
			return Receipt{Cause: CauseRival}
		}
		s.open(h)
		r.Opened = true
	} else if h.Seq < s.since && !s.proves(h.Echo, s.proved) {
		return Receipt{Cause: CauseReplay} // may be older than this session
	}
	if r.Repeated = !s.window.add(h.Seq); !r.Repeated {
		s.heard = now
	}
	if !s.hear(now, h.Seq, from, r.Repeated) {
		return Receipt{Cause: CauseReplay}
	}
	return r
}

// proves reports whether an echo is of an own datagram from a number on.
func (s *Session) proves(e Echo, from uint64) bool {
	return e.Boot == s.boot && e.Seq >= from && e.Seq <= s.seq
}

// open begins to believe the process that sent h, and ends the one before it.
func (s *Session) open(h Header) {
	s.former[s.over] = s.theirs
	s.over = (s.over + 1) % formerLen
	s.theirs, s.window, s.since = h.Boot, window{newest: h.Seq - 1}, h.Seq
	s.proved, s.floor = s.floor, s.seq+1
	s.paths = slices.DeleteFunc(s.paths, func(p *path) bool { return !p.configured })
	for _, p := range s.paths {
		p.newest, p.heard = 0, time.Time{}
	}
}

// hear notes by which path a number came, and reports whether that is news.
// What has been seen already makes no path known, or anybody could do so.
func (s *Session) hear(now time.Time, seq uint64, from netip.Addr, repeated bool) bool {
	p := s.path(from)
	switch {
	case p != nil && seq > p.newest:
		p.newest, p.heard = seq, now
		return true
	case repeated:
		return false
	case p == nil:
		s.discover(&path{from, false, seq, now})
	}
	return true
}

// discover adds a path that is not configured, in place of the one that has been
// silent longest when there are many.
func (s *Session) discover(p *path) {
	if len(s.paths) < MaxPaths {
		s.paths = append(s.paths, p)
		return
	}
	oldest := -1
	for i, q := range s.paths {
		if !q.configured && (oldest < 0 || q.heard.Before(s.paths[oldest].heard)) {
			oldest = i
		}
	}
	if oldest >= 0 {
		s.paths[oldest] = p
	}
}

func (s *Session) path(a netip.Addr) *path {
	for _, p := range s.paths {
		if p.address == a {
			return p
		}
	}
	return nil
}

// age bounds the age of a message by what it echoes.
func (s *Session) age(now time.Time, e Echo) time.Duration {
	if e.Boot != s.boot || e.Seq > s.seq {
		return AgeUnknown
	}
	for i := range marksLen {
		m := &s.marks[(s.next+2*marksLen-1-i)%marksLen]
		if m.seq != 0 && m.seq <= e.Seq {
			return now.Sub(m.at)
		}
	}
	return AgeUnknown
}

// mayAnswer says whether one more answer is not too many.
func (s *Session) mayAnswer(now time.Time) bool {
	if n := int(now.Sub(s.refill).Abs() / answersEvery); n > 0 {
		s.answers, s.refill = min(s.answers+n, answersMost), now
	}
	if s.answers == 0 {
		return false
	}
	s.answers--
	return true
}
