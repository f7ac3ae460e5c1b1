package bgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// BFDState is a state of a BFD session (RFC 5880, Section 4.1).
type BFDState uint8

// The states.
const (
	BFDAdminDown BFDState = iota
	BFDDown
	BFDInit
	BFDUp
)

// String is the state in the words of status: admin-down, down, init, up.
func (s BFDState) String() string {
	return [...]string{"admin-down", "down", "init", "up"}[s&3]
}

// BFDDiagnostic is why a session is down (RFC 5880, Section 4.1).
type BFDDiagnostic uint8

// The diagnostics that vipd sends.
const (
	BFDNoDiagnostic   BFDDiagnostic = 0
	BFDExpired        BFDDiagnostic = 1 // control detection time expired
	BFDNeighborDown   BFDDiagnostic = 3 // neighbor signaled session down
	BFDAdministrative BFDDiagnostic = 7 // administratively down
)

// BFDPacket is a BFD control packet without authentication (RFC 5880, Section 4.1).
//
//	 0                   1                   2                   3
//	|Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//	|                       My Discriminator                        |
//	|                      Your Discriminator                       |
//	|                    Desired Min TX Interval                    |
//	|                   Required Min RX Interval                    |
//	|                 Required Min Echo RX Interval                 |
type BFDPacket struct {
	Diagnostic        BFDDiagnostic
	State             BFDState
	Poll, Final       bool
	Demand            bool
	Multiplier        uint8
	MyDiscriminator   uint32
	YourDiscriminator uint32
	Transmit          time.Duration // Desired Min TX Interval, whole microseconds
	Receive           time.Duration // Required Min RX Interval, whole microseconds
}

const (
	bfdLength  = 24
	bfdVersion = 1

	bfdPoll       = 1 << 5
	bfdFinal      = 1 << 4
	bfdAuth       = 1 << 2
	bfdDemand     = 1 << 1
	bfdMultipoint = 1 << 0
)

// Marshal is the packet as it is sent. Intervals above 2³²−1 µs become that.
func (p BFDPacket) Marshal() []byte {
	b := make([]byte, bfdLength)
	b[0] = bfdVersion<<5 | byte(p.Diagnostic)&0x1f
	b[1] = byte(p.State) << 6
	for bit, set := range map[byte]bool{bfdPoll: p.Poll, bfdFinal: p.Final, bfdDemand: p.Demand} {
		if set {
			b[1] |= bit
		}
	}
	b[2], b[3] = p.Multiplier, bfdLength
	binary.BigEndian.PutUint32(b[4:], p.MyDiscriminator)
	binary.BigEndian.PutUint32(b[8:], p.YourDiscriminator)
	binary.BigEndian.PutUint32(b[12:], microseconds(p.Transmit))
	binary.BigEndian.PutUint32(b[16:], microseconds(p.Receive))
	return b // no echo function: the last interval is 0
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
}

// ParseBFD reads a packet and refuses, in the order of RFC 5880, Section 6.8.6,
// what must be discarded whatever session it is for.
func ParseBFD(b []byte) (BFDPacket, error) {
	if len(b) < bfdLength {
		return BFDPacket{}, fmt.Errorf("parse bfd: %d bytes are too few", len(b))
	}
	p := BFDPacket{
		Diagnostic: BFDDiagnostic(b[0] & 0x1f), State: BFDState(b[1] >> 6),
		Poll: b[1]&bfdPoll != 0, Final: b[1]&bfdFinal != 0, Demand: b[1]&bfdDemand != 0,
		Multiplier: b[2], MyDiscriminator: binary.BigEndian.Uint32(b[4:]), YourDiscriminator: binary.BigEndian.Uint32(b[8:]),
		Transmit: time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Microsecond,
		Receive:  time.Duration(binary.BigEndian.Uint32(b[16:])) * time.Microsecond,
	}
	switch {
	case b[0]>>5 != bfdVersion:
		return BFDPacket{}, fmt.Errorf("parse bfd: version %d", b[0]>>5)
	case b[3] < bfdLength || int(b[3]) > len(b):
		return BFDPacket{}, fmt.Errorf("parse bfd: length %d of %d bytes", b[3], len(b))
	case p.Multiplier == 0:
		return BFDPacket{}, errors.New("parse bfd: detect mult 0")
	case b[1]&bfdMultipoint != 0:
		return BFDPacket{}, errors.New("parse bfd: multipoint bit")
	case p.MyDiscriminator == 0:
		return BFDPacket{}, errors.New("parse bfd: my discriminator 0")
	case p.YourDiscriminator == 0 && p.State != BFDDown && p.State != BFDAdminDown:
		return BFDPacket{}, fmt.Errorf("parse bfd: your discriminator 0 in state %s", p.State)
	case b[1]&bfdAuth != 0:
		return BFDPacket{}, errors.New("parse bfd: authenticated, which is not configured")
	}
	return p, nil
}
