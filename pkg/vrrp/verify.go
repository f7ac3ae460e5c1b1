package vrrp

import (
	"crypto/hmac"
	"encoding/binary"
	"net/netip"
	"time"
)

// maxMarks is how many senders are remembered on one interface and family: more
// than any network has, 255 virtual routers of four hosts.
const maxMarks = 1024

// Marks remembers the number of the last advert of each sender that was verified,
// so that none is believed twice. Only who knows a key gets into it. The zero value
// is ready to use, by one goroutine at a time.
type Marks struct {
	last map[sender]mark
	used uint64
}

// sender is who numbers adverts: a host's address in one virtual router.
type sender struct {
	vrid   uint8
	source netip.Addr
}

type mark struct {
	seq  uint64
	used uint64 // when it moved last, in marks
}

// move lets a mark rise to a number, and reports whether it was above it.
func (m *Marks) move(s sender, seq uint64, now time.Time, a *Auth) bool {
	was, known := m.last[s]
	if known && a.AntiReplay == ReplayTime && !fresh(was.seq, now, a.Window) {
		known = false // orders only what is refused anyhow, unless the clock was set
	}
	if known && !after(seq, was.seq) {
		return false
	}
	if m.last == nil {
		m.last = map[sender]mark{}
	}
	if _, there := m.last[s]; !there && len(m.last) >= maxMarks {
		m.forgetOldest()
	}
	m.used++
	m.last[s] = mark{seq, m.used}
	return true
}

// forgetOldest makes room. Whoever is forgotten knows a key, and so does who
// made it necessary.
func (m *Marks) forgetOldest() {
	var oldest sender
	least := m.used + 1
	for s, mark := range m.last {
		if mark.used < least {
			oldest, least = s, mark.used
		}
	}
	delete(m.last, oldest)
}

// fresh reports whether a number is of about now.
func fresh(seq uint64, now time.Time, window time.Duration) bool {
	return between(seq, now).Abs() <= window
}

// checkTrailer checks the form of a trailer: whether there may be one, its type,
// and its reserved bits.
func (m *member) checkTrailer(trailer []byte) *Discard {
	switch {
	case trailer == nil:
		return nil
	case !m.Auth.verifies():
		return errSigned
	case trailer[0] != trailerSHA256 || trailer[offReserved] != 0 || trailer[offReserved+1] != 0:
		return errTrailer
	}
	return nil
}

// authenticate decides whether a message that is good otherwise is from a host
// that knows the secret. It reports whether that is proven.
func (m *member) authenticate(d Datagram, message, trailer []byte, marks *Marks) (signed bool, no *Discard) {
	switch {
	case m.Auth == nil:
		return false, nil
	case m.Auth.Mode == AuthPassword:
		var want [authLen]byte
		copy(want[:], m.Auth.Password)
		if !hmac.Equal(message[len(message)-authLen:], want[:]) {
			return false, errPassword
		}
		return false, nil
	case trailer != nil:
		no = m.verify(d, message, trailer, marks)
		return no == nil, no
	case m.Auth.Mode == AuthEnforce:
		return false, errUnsigned
	}
	return false, nil
}

// verify checks a trailer that is well formed, cheap things first. What is checked
// before the HMAC can only lead to a refusal; the mark moves after it.
func (m *member) verify(d Datagram, message, trailer []byte, marks *Marks) *Discard {
	seq := binary.BigEndian.Uint64(trailer[offSequence:])
	if m.Auth.AntiReplay == ReplayTime && !fresh(seq, d.Time, m.Auth.Window) {
		return errStale
	}
	mac := m.macs[trailer[offKeyID]]
	if mac == nil {
		return errUnknownKey[trailer[offKeyID]]
	}
	if !hmac.Equal(mac.sum(message, trailer, d.Source), trailer[offHMAC:]) {
		return errHMAC
	}
	if !marks.move(sender{m.VRID, d.Source}, seq, d.Time, m.Auth) {
		return errReplay
	}
	return nil
}
