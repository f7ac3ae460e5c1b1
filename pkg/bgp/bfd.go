package bgp

import "time"

// bfdSlow is the least interval of packets while a session is not up (RFC 5880,
// Section 6.8.3).
const bfdSlow = time.Second

// BFDSession is one end of a BFD session in asynchronous mode, active role (RFC
// 5880, Section 6.1), over a single hop (RFC 5881). It has no clock and no socket:
// whoever has gives it packets and the time, sends what it returns, and wakes it
// at [BFDSession.Next]. The zero value is of no use.
type BFDSession struct {
	conf  BFD
	local uint32

	state      BFDState
	diagnostic BFDDiagnostic
	polling    bool // bfd.DesiredMinTxInterval changed, and the neighbor has not confirmed it

	remote       BFDState
	remoteLocal  uint32        // bfd.RemoteDiscr, 0 = not known
	remoteSend   time.Duration // its Desired Min TX Interval
	remoteTake   time.Duration // bfd.RemoteMinRxInterval
	remoteTimes  uint8         // its Detect Mult
	remoteDemand bool

	due    time.Time // when to send
	expiry time.Time // when the neighbor is gone, zero = it never was there
}

// NewBFDSession is a session that is down and sends at once. local is its
// discriminator: not 0, unique on this host, and better not guessable.
func NewBFDSession(now time.Time, conf BFD, local uint32) *BFDSession {
	return &BFDSession{conf: conf, local: local, state: BFDDown, remote: BFDDown, remoteTake: time.Microsecond, due: now}
}

// State is the state of the session.
func (s *BFDSession) State() BFDState { return s.state }

// Diagnostic is why the session is not up.
func (s *BFDSession) Diagnostic() BFDDiagnostic { return s.diagnostic }

// Failed reports whether the session is down because the neighbor, or the way to
// it, does not work. It is false before the session was up, and after the neighbor
// took it down on purpose, which is no failure (RFC 5882, Section 3.2).
func (s *BFDSession) Failed() bool {
	return s.state == BFDDown && s.diagnostic != BFDNoDiagnostic && s.remote != BFDAdminDown
}

// Receive takes a packet that [ParseBFD] believes, came over one hop and from the
// neighbor's address. It returns the packet to answer with at once, if any. A
// packet for another session changes nothing.
func (s *BFDSession) Receive(now time.Time, p BFDPacket) (answer *BFDPacket) {
	if p.YourDiscriminator != 0 && p.YourDiscriminator != s.local {
		return nil
	}
	s.remoteLocal, s.remote = p.MyDiscriminator, p.State
	s.remoteSend, s.remoteTake, s.remoteTimes, s.remoteDemand = p.Transmit, p.Receive, p.Multiplier, p.Demand
	if p.Final {
		s.polling = false
	}
	s.expiry = now.Add(s.detection())
	s.follow(now, p.State)
	if latest := now.Add(s.interval()); s.due.After(latest) {
		s.due = latest // the neighbor takes them faster now
	}
	if p.Poll {
		out := s.packet()
		out.Poll, out.Final = false, true
		return &out
	}
	return nil
}

// follow is the state machine of RFC 5880, Section 6.8.6.
func (s *BFDSession) follow(now time.Time, theirs BFDState) {
	switch {
	case theirs == BFDAdminDown:
		if s.state != BFDDown {
			s.become(now, BFDDown, BFDNeighborDown)
		}
	case s.state == BFDDown && theirs == BFDDown:
		s.become(now, BFDInit, s.diagnostic)
	case s.state == BFDDown && theirs == BFDInit, s.state == BFDInit && (theirs == BFDInit || theirs == BFDUp):
		s.become(now, BFDUp, BFDNoDiagnostic)
	case s.state == BFDUp && theirs == BFDDown:
		s.become(now, BFDDown, BFDNeighborDown)
	}
}

func (s *BFDSession) become(now time.Time, state BFDState, why BFDDiagnostic) {
	s.state, s.diagnostic = state, why
	s.polling = state == BFDUp // the interval changes from slow to the configured one
	s.due = now                // the neighbor should know
}

// detection is how long the neighbor may be silent (RFC 5880, Section 6.8.4).
func (s *BFDSession) detection() time.Duration {
	return time.Duration(s.remoteTimes) * max(s.conf.Receive, s.remoteSend)
}

// transmit is bfd.DesiredMinTxInterval.
func (s *BFDSession) transmit() time.Duration {
	if s.state == BFDUp {
		return s.conf.Transmit
	}
	return max(s.conf.Transmit, bfdSlow)
}

// interval is the time between packets, before jitter.
func (s *BFDSession) interval() time.Duration { return max(s.transmit(), s.remoteTake) }

// Wake does what is due: it returns the packet to send, if any. random, 0 to below
// 1, makes the time until the next one 75 % to 100 % of the interval, or 75 % to
// 90 % where a single lost packet counts (RFC 5880, Section 6.8.7).
func (s *BFDSession) Wake(now time.Time, random float64) (send *BFDPacket) {
	if s.detecting() && !now.Before(s.expiry) {
		s.remoteLocal, s.expiry = 0, time.Time{}
		s.remote = BFDDown
		s.become(now, BFDDown, BFDExpired)
	}
	if now.Before(s.due) {
		return nil
	}
	span := 0.25
	if s.conf.Multiplier == 1 {
		span = 0.15
	}
	s.due = now.Add(time.Duration((0.75 + span*random) * float64(s.interval())))
	if s.remoteTake == 0 || s.remoteDemand && s.state == BFDUp && s.remote == BFDUp && !s.polling {
		return nil // it wants none
	}
	out := s.packet()
	return &out
}

func (s *BFDSession) detecting() bool {
	return !s.expiry.IsZero() && (s.state == BFDInit || s.state == BFDUp)
}

func (s *BFDSession) packet() BFDPacket {
	return BFDPacket{
		Diagnostic: s.diagnostic, State: s.state, Poll: s.polling, Multiplier: s.conf.Multiplier,
		MyDiscriminator: s.local, YourDiscriminator: s.remoteLocal, Transmit: s.transmit(), Receive: s.conf.Receive,
	}
}

// Leave is the packet to send before the session is forgotten: that it goes down
// on purpose.
func (s *BFDSession) Leave() BFDPacket {
	out := s.packet()
	out.State, out.Diagnostic, out.Poll = BFDAdminDown, BFDAdministrative, false
	return out
}

// Next is when to call [BFDSession.Wake].
func (s *BFDSession) Next() time.Time {
	if s.detecting() && s.expiry.Before(s.due) {
		return s.expiry
	}
	return s.due
}
