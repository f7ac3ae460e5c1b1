package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// The message, RFC 9568, Section 5.1 and, on the right, RFC 3768, Section 5.1:
//
//	0  version (high 4 bits), type (low 4 bits)
//	1  VRID
//	2  priority
//	3  count of addresses
//	4  4 reserved bits, 12 bits of interval in centiseconds | auth type, interval in seconds
//	6  checksum
//	8  addresses, 4 or 16 bytes each                        | addresses, then 8 bytes of authentication data
const (
	headerLen = 8
	authLen   = 8 // version 2 only

	offVRID      = 1
	offPriority  = 2
	offCount     = 3
	offInterval3 = 4
	offAuthType  = 4
	offInterval2 = 5
	offChecksum  = 6

	typeAdvertisement = 1
	authNone          = 0
	authSimple        = 1 // version 2: a password in clear text (RFC 2338, Section 5.3.6.2)

	centisecond   = 10 * time.Millisecond
	maxInterval3  = 4095 // centiseconds: twelve bits
	maxInterval2  = 255  // seconds
	maxAddresses  = 255
	interval3Mask = 0x0fff // the four bits above are reserved and ignored
)

// AppendTo appends the message, as it follows the IP header, to b and returns
// the longer slice. src and dst are those of the packet that will carry it; form
// is the checksum's in version 3 over IPv4. Reserved bits and the authentication
// data of version 2 are zero. Nothing is allocated when b has room.
//
// An advert that no parser may accept is refused, and b returned as it was:
// values outside the ranges at [Advert], addresses of several families or of
// another one than src and dst, version 2 over IPv6.
func (a Advert) AppendTo(b []byte, src, dst netip.Addr, form Checksum) ([]byte, error) {
	if err := a.check(src, dst, form); err != nil {
		return b, fmt.Errorf("encode advert: %w", err)
	}
	start := len(b)
	b = append(b, a.Version<<4|typeAdvertisement, a.VRID, a.Priority, uint8(len(a.Addresses)))
	if a.Version == Version2 {
		b = append(b, authNone, uint8(a.Interval/time.Second), 0, 0)
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/centisecond))
		b = append(b, 0, 0)
	}
	for _, addr := range a.Addresses {
		if addr.Is4() {
			v := addr.As4()
			b = append(b, v[:]...)
		} else {
			v := addr.As16()
			b = append(b, v[:]...)
		}
	}
	if a.Version == Version2 {
		b = append(b, make([]byte, authLen)...)
	}
	binary.BigEndian.PutUint16(b[start+offChecksum:], checksum(b[start:], a.Version, src, dst, form))
	return b, nil
}

// check says what is wrong with an advert that is to be sent.
func (a Advert) check(src, dst netip.Addr, form Checksum) error {
	switch {
	case !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4():
		return fmt.Errorf("cannot go from %v to %v", src, dst)
	case a.Version != Version2 && a.Version != Version3:
		return fmt.Errorf("version %d is neither 2 nor 3", a.Version)
	case a.Version == Version2 && !src.Is4():
		return errors.New("version 2 is for IPv4 only")
	case a.VRID == 0:
		return errors.New("VRID is outside 1–255")
	case form != ChecksumPseudoHeader && form != ChecksumMessage:
		return fmt.Errorf("checksum form %d is unknown", form)
	case len(a.Addresses) == 0 || len(a.Addresses) > maxAddresses:
		return fmt.Errorf("%d addresses are outside 1–%d", len(a.Addresses), maxAddresses)
	}
	if err := a.checkInterval(); err != nil {
		return err
	}
	for _, addr := range a.Addresses {
		if addr.Is4() != src.Is4() || !plain(addr) {
			return fmt.Errorf("address %v cannot be listed in a packet from %v", addr, src)
		}
	}
	return nil
}

func (a Advert) checkInterval() error {
	unit, most := centisecond, maxInterval3*centisecond
	if a.Version == Version2 {
		unit, most = time.Second, maxInterval2*time.Second
	}
	if a.Interval < unit || a.Interval > most || a.Interval%unit != 0 {
		return fmt.Errorf("interval %v is outside %v–%v in steps of %v", a.Interval, unit, most, unit)
	}
	return nil
}

// plain reports whether an address has one meaning on the wire: no zone, and
// not an IPv4 address in IPv6 clothes.
func plain(addr netip.Addr) bool {
	return addr.IsValid() && addr.Zone() == "" && !addr.Is4In6()
}

// Parse reads one message: b is exactly what follows the IP header in a packet
// from src to dst. It also reports the form of the checksum, which can differ in
// version 3 over IPv4 only; should both fit, it is [ChecksumPseudoHeader]. The
// advert keeps no reference to b.
//
// Both forms are accepted, a third one never. The reserved bits are ignored;
// anything after the addresses (and the authentication data of version 2) is
// refused, for the kernel has cut padding off already. Parse knows no secrets: it
// refuses what is signed, and passwords. The error is a [*Discard].
func Parse(b []byte, src, dst netip.Addr) (Advert, Checksum, error) {
	if d := checkHeader(b, src, dst); d != nil {
		return Advert{}, 0, d
	}
	form, d := checkSum(b, src, dst)
	if d == nil {
		d = checkBody(b, src, authNone)
	}
	if d != nil {
		return Advert{}, 0, d
	}
	return build(b, src.Is4(), nil), form, nil
}

// checkHeader checks the length and the fields up to the VRID. A length that
// fits addresses of the other family passes, so that it is named as that.
func checkHeader(b []byte, src, dst netip.Addr) *Discard {
	switch {
	case len(b) < headerLen:
		return errShort
	case !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4():
		return errCarrier
	}
	version := b[0] >> 4
	switch {
	case version != Version2 && version != Version3:
		return errVersion
	case version == Version2 && !src.Is4():
		return errVersion6
	case len(b) != length(b, src.Is4()) && len(b) != length(b, !src.Is4()):
		return errLength
	case b[0]&0x0f != typeAdvertisement:
		return errType
	case b[offVRID] == 0:
		return errVRID
	}
	return nil
}

// length is how long the message must be by its version and count, when its
// addresses are of the one or the other family.
func length(b []byte, family4 bool) int {
	n := headerLen + int(b[offCount])*addressLen(family4)
	if b[0]>>4 == Version2 {
		n += authLen
	}
	return n
}

func addressLen(family4 bool) int {
	if family4 {
		return 4
	}
	return 16
}

// checkSum checks the count and the checksum of a message with a good header; b is
// what the checksum covers.
func checkSum(b []byte, src, dst netip.Addr) (Checksum, *Discard) {
	if b[offCount] == 0 {
		return 0, errCount
	}
	form, ok := verify(b, b[0]>>4, src, dst)
	if !ok {
		return 0, errChecksum
	}
	return form, nil
}

// checkBody checks what is left, of a message whose checksum is right; authType is
// the authentication of version 2 that it must have.
func checkBody(b []byte, src netip.Addr, authType uint8) *Discard {
	switch {
	case interval(b) == 0:
		return errInterval
	case b[0]>>4 == Version2 && b[offAuthType] != authType:
		return errAuthType
	case len(b) != length(b, src.Is4()):
		return errFamily
	}
	if src.Is4() {
		return nil
	}
	for i := range int(b[offCount]) {
		if address(b, i, false).Is4In6() {
			return errFamily
		}
	}
	return nil
}

func interval(b []byte) time.Duration {
	if b[0]>>4 == Version2 {
		return time.Duration(b[offInterval2]) * time.Second
	}
	return time.Duration(binary.BigEndian.Uint16(b[offInterval3:])&interval3Mask) * centisecond
}

// address is the i-th one of the list.
func address(b []byte, i int, family4 bool) netip.Addr {
	if family4 {
		return netip.AddrFrom4([4]byte(b[headerLen+4*i:]))
	}
	return netip.AddrFrom16([16]byte(b[headerLen+16*i:]))
}

// build makes the advert out of a message that has passed every check. When the
// list is the known one, the advert shares it instead of having its own.
func build(b []byte, family4 bool, known []netip.Addr) Advert {
	return Advert{
		Version:   b[0] >> 4,
		VRID:      b[offVRID],
		Priority:  b[offPriority],
		Interval:  interval(b),
		Addresses: addresses(b, family4, known),
	}
}

func addresses(b []byte, family4 bool, known []netip.Addr) []netip.Addr {
	n := int(b[offCount])
	same := len(known) == n
	for i := 0; same && i < n; i++ {
		same = known[i] == address(b, i, family4)
	}
	if same {
		return known
	}
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = address(b, i, family4)
	}
	return list
}
