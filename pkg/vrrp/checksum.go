package vrrp

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// The Internet checksum (RFC 1071), kept unfolded in 64 bits: ones' complement
// sums of 16-bit words may be taken eight bytes at a time and folded at the end.

// sum adds the bytes of b, taken as big-endian words, to acc. A last odd byte
// counts as if a zero followed it.
func sum(acc uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(last[:]), carry)
	}
	acc, carry = bits.Add64(acc, 0, carry)
	return acc + carry
}

// fold brings a sum down to the 16 bits that go on the wire, not inverted.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// pseudoHeader is the sum of the pseudo-header of a VRRP message of n bytes:
// RFC 8200, Section 8.1 for IPv6; for IPv4 the one of TCP, as RFC 5798 was read.
func pseudoHeader(src, dst netip.Addr, n int) uint64 {
	acc := uint64(Protocol) + uint64(n)
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		return acc + uint64(binary.BigEndian.Uint32(s[:])) + uint64(binary.BigEndian.Uint32(d[:]))
	}
	s, d := src.As16(), dst.As16()
	return sum(sum(acc, s[:]), d[:])
}

// checksum is the value for the checksum field of message b, in which that
// field is zero.
func checksum(b []byte, version uint8, src, dst netip.Addr, form Checksum) uint16 {
	acc := sum(0, b)
	if src.Is6() || version == Version3 && form == ChecksumPseudoHeader {
		acc = addCarry(acc, pseudoHeader(src, dst, len(b)))
	}
	return ^fold(acc)
}

// verify reports whether the checksum of message b is right, and in which form.
func verify(b []byte, version uint8, src, dst netip.Addr) (Checksum, bool) {
	const right = 0xffff // a message summed together with its own checksum
	message := sum(0, b)
	if version == Version2 {
		return ChecksumMessage, fold(message) == right
	}
	if fold(addCarry(message, pseudoHeader(src, dst, len(b)))) == right {
		return ChecksumPseudoHeader, true
	}
	return ChecksumMessage, src.Is4() && fold(message) == right
}

// addCarry adds two sums with the carry going round.
func addCarry(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	return s + carry
}
