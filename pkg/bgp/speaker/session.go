package speaker

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// sendHold is the least time after which a session ends whose neighbor takes
// nothing of what we send (RFC 9687, Section 4); twice the hold time if that is
// longer. It is looked at every sendLook.
const (
	sendHold = 8 * time.Minute
	sendLook = 10 * time.Second
)

// limitPause is how long a neighbor that sent too many prefixes stays away.
const limitPause = time.Minute

// answerTime is how long a neighbor that took a connection may be silent before it
// is worth a word.
const answerTime = 5 * time.Second

// leaveTime bounds how long a polite end may take: until the neighbors have taken
// what they are told, and for the library to stop.
const leaveTime = 500 * time.Millisecond

// peer takes in what the library says about a session. After its end the peer is
// deleted and added again at once: the library would idle for seven seconds.
func (s *speaker) peer(e peerEvent) {
	s.drainNotes()
	n := s.addresses[e.address]
	if n == nil {
		return // it was deleted meanwhile
	}
	was := n.session.State
	n.session.State = e.state
	n.families = e.families
	switch {
	case e.state == bgp.Established:
		n.session.RemoteAS = e.remoteAS
		n.session.Graceful = e.graceful && s.config.GracefulRestart > 0
		n.session.LastError = n.ended // not why it took so long
		n.note = ""
		if n.BFD != nil {
			// Not earlier: FRR makes its BFD session anew when it knows the
			// addresses of the BGP session, and takes that for a failure.
			s.prober.add(n.name, n.address, n.Source, *n.BFD)
		}
		if n.RemoteAS == 0 && e.remoteAS == s.config.LocalAS {
			s.end(n, fmt.Sprintf("the neighbor has our own AS %d", e.remoteAS), limitPause)
		}
	case e.state == bgp.ActiveOpen && was == bgp.Idle:
		s.early(n)
	case e.state == bgp.Idle && was != bgp.Idle:
		why, pause := n.note, time.Duration(0)
		if why == "" {
			why = e.reason
		}
		if e.limit {
			why, pause = fmt.Sprintf("the neighbor sent more than %d prefixes", n.MaxPrefixes), limitPause
		}
		if was == bgp.Established {
			n.session.Flaps++
			n.ended = why
		}
		s.end(n, why, pause)
	}
	s.tell(n)
}

// end deletes the peer and adds it again after the pause, or with the next
// advertisement of an unnumbered one.
func (s *speaker) end(n *neighbor, why string, pause time.Duration) {
	address := n.address
	n.session.LastError = why
	n.note = ""
	s.disconnect(n)
	if pause > 0 {
		n.again = time.Now().Add(pause)
		return
	}
	s.connect(n, address)
}

// due adds what was away for long enough, and says so of connections that got no
// answer for long enough.
func (s *speaker) due(now time.Time) {
	s.stuck(now)
	s.observe(now)
	for _, n := range s.neighbors {
		if n.note == unanswered && now.Sub(n.noted) > answerTime && n.session.LastError != unanswered {
			n.session.LastError = unanswered
			s.tell(n)
		}
		if !n.again.IsZero() && !now.Before(n.again) {
			s.connect(n, n.session.Address)
			s.tell(n)
		}
	}
}

// stuck ends sessions whose neighbors read nothing any more, but say that they
// live.
func (s *speaker) stuck(now time.Time) {
	if s.library == nil || now.Sub(s.looked) < sendLook {
		return
	}
	s.looked = now
	all := s.library.counts()
	for _, n := range s.neighbors {
		c := all[n.address]
		n.session.Received = c.received
		if n.takesNothing(now, c.sent) {
			n.session.Flaps++
			n.ended = "the neighbor takes nothing of what is sent (RFC 9687)"
			s.end(n, n.ended, 0)
		}
		lacked := n.session.Not6 == errNoNextHop.Error()
		if s.tell(n); lacked && n.session.Not6 == "" { // an address has come
			s.install(n, bgp.Change{Neighbor: n.name, Announce: s.wanted[n.name]})
		}
	}
}

// takesNothing reports whether the neighbor has been reading nothing for too long;
// sent is the number of messages that it has taken.
func (n *neighbor) takesNothing(now time.Time, sent uint64) bool {
	if n.session.State != bgp.Established || sent != n.sent || n.HoldTime == 0 {
		n.sent, n.sentAt = sent, now
		return false
	}
	return now.Sub(n.sentAt) > max(sendHold, 2*n.HoldTime)
}

// note keeps what the log of the library says about a neighbor: for the end of the
// session, or at once where no session begins.
func (s *speaker) note(t note) {
	n := s.addresses[t.address]
	if n == nil {
		return
	}
	n.note, n.noted = t.text, time.Now()
	if n.session.State != bgp.Established && t.text != unanswered {
		n.session.LastError = t.text
		s.tell(n)
	}
}

func (s *speaker) drainNotes() {
	for {
		select {
		case n := <-s.notes:
			s.note(n)
		default:
			return
		}
	}
}

// discovery is a router that was heard on an interface.
type discovery struct {
	neighbor string
	address  netip.Addr
	err      error // nothing can be heard there
}

// discovered connects to the router that an unnumbered neighbor is.
func (s *speaker) discovered(d discovery) {
	n := s.neighbors[d.neighbor]
	if n == nil || n.stop == nil {
		return
	}
	switch {
	case d.err != nil:
		n.session.LastError = d.err.Error()
	case d.address == n.session.Address && (n.address.IsValid() || !n.again.IsZero()):
		return // known
	case n.session.State == bgp.Established:
		return // one router is enough
	default:
		s.disconnect(n)
		s.connect(n, d.address)
	}
	s.tell(n)
}

// probed takes in what BFD says. A neighbor that failed loses its session at once;
// one that has no BFD session may still have a session (RFC 5882, Section 4.2).
func (s *speaker) probed(e bfdEvent) {
	n := s.neighbors[e.neighbor]
	if n == nil || n.BFD == nil {
		return
	}
	if e.state != "" {
		n.session.BFD = e.state
	}
	switch {
	case e.err != nil:
		s.log.Error("no BFD", "neighbor", n.name, "err", e.err)
		n.session.LastError = e.err.Error()
	case e.failed && n.session.State == bgp.Established:
		n.session.Flaps++
		n.ended = "BFD is down"
		s.end(n, n.ended, 0)
	}
	s.tell(n)
}

// leave ends all sessions, politely and within a bound: everything is withdrawn,
// then each neighbor gets a Cease with the text (RFC 9003); or nothing is said, so
// that neighbors keep the routes (RFC 4724).
func (s *speaker) leave(l leave) {
	if s.library == nil {
		return
	}
	if !l.Keep {
		s.announce(bgp.Diff(s.wanted, nil))
		open := 0
		for _, n := range s.neighbors {
			if n.session.State == bgp.Established && s.library.shutdown(n.address, l.Text) == nil {
				open++
			}
		}
		s.awaitEnds(open)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.close(l.Keep) }()
	select {
	case <-stopped:
	case <-time.After(leaveTime): // the end of the process closes what is still open
	}
}

// awaitEnds returns when so many sessions have ended.
func (s *speaker) awaitEnds(open int) {
	limit := time.After(leaveTime)
	for open > 0 {
		select {
		case e := <-s.events:
			if n := s.addresses[e.address]; n != nil && n.session.State == bgp.Established && e.state != bgp.Established {
				n.session.State = e.state
				open--
			}
		case <-limit:
			return
		}
	}
}
