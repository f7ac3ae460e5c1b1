package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"
)

// The trailer, draft-cassen-vrrp-auth-hmac, after the message of any version:
//
//	 0  type: 1 is HMAC-SHA256, of which the first 128 bits are sent
//	 1  key id, 1–255
//	 2  reserved, 0
//	 4  seconds since 1970, UTC
//	 8  fraction of a second in 1/65536
//	10  counter
//	12  HMAC
//
// What is authenticated is a pseudo-header, the message with a checksum of 0, and
// the trailer with an HMAC of 0:
//
//	0  family: 4 or 6
//	1  version
//	2  VRID
//	3  0
//	4  source address; of IPv4, 12 zeros follow
const (
	trailerLen = offHMAC + hmacLen
	hmacLen    = 16
	pseudoLen  = 20

	offKeyID    = 1
	offReserved = 2
	offSequence = 4
	offHMAC     = 12

	trailerSHA256 = 1
)

// split divides a payload into the message and the trailer, nil when its length
// is not that of a message with one.
func split(b []byte, family4 bool) (message, trailer []byte) {
	if len(b) >= headerLen {
		if n := length(b, family4); len(b) == n+trailerLen {
			return b[:n], b[n:]
		}
	}
	return b, nil
}

// covered is the part of a payload that the checksum is about. Over IPv6 that is
// all of it, for there the kernels of others compute it (RFC 3542, Section 3.1).
func covered(payload, message []byte, family4 bool) []byte {
	if family4 {
		return message
	}
	return payload
}

// mac computes HMACs under one key. It is used by one goroutine at a time.
type mac struct {
	hash    hash.Hash
	scratch [pseudoLen + headerLen + offHMAC + hmacLen]byte // what the hash gets would escape otherwise
}

func newMAC(key Secret) *mac { return &mac{hash: hmac.New(sha256.New, []byte(key))} }

// sum is the HMAC of a message with a trailer. It is valid until the next one.
func (m *mac) sum(message, trailer []byte, src netip.Addr) []byte {
	b := m.scratch[:pseudoLen+headerLen]
	clear(b)
	b[0], b[1], b[2] = 6, message[0]>>4, message[offVRID]
	if src.Is4() {
		b[0] = 4
		v := src.As4()
		copy(b[4:], v[:])
	} else {
		v := src.As16()
		copy(b[4:], v[:])
	}
	copy(b[pseudoLen:], message[:offChecksum]) // and the checksum stays 0
	m.hash.Reset()
	m.hash.Write(b)
	m.hash.Write(message[headerLen:])
	b = m.scratch[:trailerLen]
	clear(b[copy(b, trailer[:offHMAC]):])
	m.hash.Write(b)
	return m.hash.Sum(m.scratch[:0])[:hmacLen]
}

// Signer authenticates the adverts that one virtual router sends, as its [Auth]
// says. It is used by one goroutine at a time.
type Signer struct {
	auth Auth
	mac  *mac   // under the active key; nil = signs nothing
	last uint64 // sequence number that was sent
}

// NewSigner makes a signer. The numbers of the one before, whose place it takes,
// go on; nil when there was none.
func NewSigner(auth Auth, before *Signer) *Signer {
	s := &Signer{auth: auth}
	if auth.signs() {
		s.mac = newMAC(auth.Keys[auth.ActiveKey])
	}
	if before != nil {
		s.last = before.last
	}
	return s
}

// Sign authenticates the message that [Advert.AppendTo] has appended to b last,
// where b had that length before, for a packet from src to dst. now is the wall
// clock's time. Nothing is allocated when b has room for 28 bytes more.
func (s *Signer) Sign(b []byte, start int, src, dst netip.Addr, now time.Time) []byte {
	message := b[start:]
	switch {
	case s.auth.Mode == AuthPassword && message[0]>>4 == Version2:
		message[offAuthType] = authSimple
		copy(message[len(message)-authLen:], s.auth.Password)
		reseal(message, src, dst)
	case s.mac != nil:
		b = s.appendTrailer(b, start, src, now)
		if src.Is6() {
			reseal(b[start:], src, dst)
		}
	}
	return b
}

func (s *Signer) appendTrailer(b []byte, start int, src netip.Addr, now time.Time) []byte {
	end := len(b)
	b = append(b, trailerSHA256, s.auth.ActiveKey, 0, 0)
	b = binary.BigEndian.AppendUint64(b, s.next(now))
	return append(b, s.mac.sum(b[start:end], b[end:], src)...)
}

// next is the number of the next advert: the clock's, and above the last one. When
// the clock was set back by more than the window, receivers that go by time would
// not believe numbers that go on from there; they have forgotten them, too.
func (s *Signer) next(now time.Time) uint64 {
	seq := sequence(now)
	grows := s.last == 0 || after(seq, s.last)
	restarts := s.auth.AntiReplay == ReplayTime && between(s.last, now) > s.auth.Window
	if !grows && !restarts {
		seq = s.last + 1
	}
	s.last = seq
	return seq
}

// reseal puts the checksum right of a message whose form of it is the only one.
func reseal(b []byte, src, dst netip.Addr) {
	b[offChecksum], b[offChecksum+1] = 0, 0
	binary.BigEndian.PutUint16(b[offChecksum:], checksum(b, b[0]>>4, src, dst, ChecksumMessage))
}

// sequence is a time as the number of an advert, with a counter of 0.
func sequence(t time.Time) uint64 {
	fraction := uint64(t.Nanosecond()) << 16 / uint64(time.Second)
	return uint64(uint32(t.Unix()))<<32 | fraction<<16
}

// after compares numbers as RFC 1982, Section 3.2 does: 32 bits of seconds end
// in 2106, and go on.
func after(a, b uint64) bool { return int64(a-b) > 0 }

// between is by how many seconds a number is ahead of a time; negative = behind.
func between(seq uint64, t time.Time) time.Duration {
	return time.Duration(int32(uint32(seq>>32)-uint32(t.Unix()))) * time.Second
}
