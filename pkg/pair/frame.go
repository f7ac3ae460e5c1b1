package pair

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
)

// A frame. Numbers are big-endian. What is marked with * has its place in every
// version, so that each can tell which one the other side speaks.
//
//	 0 *magic "vipd"            4
//	 4 *version                 1
//	 5  type                    1
//	 6 *length of the datagram  2
//	 8 *length of From, of To   1 + 1
//	10 *From, To                1–64 each
//	 +  boot                    8
//	 +  seq                     8
//	 +  echo boot, echo seq     8 + 8
//	 +  payload                 up to MaxPayload
//	 + *HMAC-SHA256 of all that 32
const (
	magic    = "vipd"
	fixedLen = 10
	numbers  = 4 * 8
	sealLen  = sha256.Size
)

// Bounds of the channel, in octets.
const (
	MinKey      = 32   // of the secret
	MaxName     = 64   // of the name of a host or a VIP, 1 at least
	MaxDatagram = 1200 // with the headers of UDP and IP no more than the 1280 that every network carries
	MaxPayload  = MaxDatagram - fixedLen - 2*MaxName - numbers - sealLen
)

// Version is the version of the channel. Within one, fields are only added, where
// older hosts skip them.
const Version = 1

// Type is the kind of a message. 0 is none.
type Type uint8

// The types. Payloads of those for votes are pkg/vote's.
const (
	TypeHello  Type = 1  // without a payload: it is there for its header
	TypeState  Type = 2  // one part of a State
	TypeAsk    Type = 16 // asks for votes
	TypeAnswer Type = 17 // answers
)

// Header is what every message says of itself.
type Header struct {
	Type     Type
	From, To string // names of hosts
	Boot     uint64 // of the sender's process: random, never 0
	Seq      uint64 // number of the datagram of that boot for that receiver, from 1
	// Echo is the newest datagram of the receiver's that the sender has heard; zero
	// = none. It is what proves that the message is not older than that one.
	Echo Echo
}

// Echo names a datagram of the other side's.
type Echo struct{ Boot, Seq uint64 }

// Key seals frames and opens them (HMAC-SHA256, RFC 2104). It is for one
// goroutine at a time.
type Key struct {
	mac hash.Hash
	sum [sealLen]byte
}

// NewKey makes a key of a secret of 32 octets or more. All hosts have the same.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) < MinKey {
		return nil, fmt.Errorf("use key: %d octets, must be %d or more", len(secret), MinKey)
	}
	return &Key{mac: hmac.New(sha256.New, secret)}, nil
}

// Seal appends a frame to b. Names have 1–64 octets, the payload has up to
// MaxPayload.
func (k *Key) Seal(b []byte, h Header, payload []byte) ([]byte, error) {
	switch {
	case !nameFits(h.From) || !nameFits(h.To):
		return b, fmt.Errorf("seal message from %q to %q: names have 1–%d octets", h.From, h.To, MaxName)
	case len(payload) > MaxPayload:
		return b, fmt.Errorf("seal message to %s: payload of %d octets, at most %d fit", h.To, len(payload), MaxPayload)
	}
	start := len(b)
	length := fixedLen + len(h.From) + len(h.To) + numbers + len(payload) + sealLen
	b = append(b, magic...)
	b = append(b, Version, byte(h.Type))
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, byte(len(h.From)), byte(len(h.To)))
	b = append(append(b, h.From...), h.To...)
	for _, n := range [...]uint64{h.Boot, h.Seq, h.Echo.Boot, h.Echo.Seq} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(b, payload...)
	return k.append(b, b[start:]), nil
}

// append appends the seal of frame to b.
func (k *Key) append(b, frame []byte) []byte {
	k.mac.Reset()
	k.mac.Write(frame)
	return k.mac.Sum(b)
}

// Open returns what a datagram says and carries, when it was sealed with the same
// key. The payload is a part of the datagram. The error is a [*Refusal]. Whether
// the message is for us, and new, is not Open's to know.
func (k *Key) Open(datagram []byte) (Header, []byte, error) {
	if cause, detail := misshapen(datagram); cause != "" {
		return Header{}, nil, &Refusal{Cause: cause, Detail: detail}
	}
	frame := datagram[:len(datagram)-sealLen]
	if !hmac.Equal(k.append(k.sum[:0], frame), datagram[len(frame):]) {
		return Header{}, nil, errKey
	}
	from, to := int(frame[8]), int(frame[9])
	names, rest := frame[fixedLen:fixedLen+from+to], frame[fixedLen+from+to:]
	h := Header{Type: Type(frame[5]), From: string(names[:from]), To: string(names[from:])}
	if frame[4] != Version {
		return Header{}, nil, &Refusal{CauseVersion, fmt.Sprintf("version %d", frame[4]), h.From, frame[4]}
	}
	if len(rest) < numbers {
		return Header{}, nil, &Refusal{Cause: CauseMalformed, Detail: "no room for its numbers", From: h.From}
	}
	h.Boot, h.Seq = binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])
	h.Echo = Echo{binary.BigEndian.Uint64(rest[16:]), binary.BigEndian.Uint64(rest[24:])}
	if h.Boot == 0 || h.Seq == 0 {
		return Header{}, nil, &Refusal{Cause: CauseMalformed, Detail: "boot or sequence number 0", From: h.From}
	}
	return h, rest[numbers:], nil
}

var errKey = &Refusal{Cause: CauseKey, Detail: "sealed with another key, or altered"}

// misshapen says what can be seen to be wrong with a datagram without the key.
func misshapen(b []byte) (cause Cause, detail string) {
	switch {
	case len(b) > MaxDatagram:
		return CauseOversized, fmt.Sprintf("longer than %d octets", MaxDatagram)
	case len(b) < fixedLen || string(b[:len(magic)]) != magic:
		return CauseMalformed, "not a frame"
	case int(binary.BigEndian.Uint16(b[6:])) != len(b):
		return CauseTruncated, fmt.Sprintf("%d octets of %d", len(b), binary.BigEndian.Uint16(b[6:]))
	}
	from, to := int(b[8]), int(b[9])
	if from == 0 || to == 0 || from > MaxName || to > MaxName || len(b) < fixedLen+from+to+sealLen {
		return CauseMalformed, "names of a wrong length"
	}
	return "", ""
}

func nameFits(s string) bool { return s != "" && len(s) <= MaxName }
