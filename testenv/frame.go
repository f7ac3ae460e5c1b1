package testenv

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// This file decodes the protocols by itself, from the RFCs: a second opinion on
// what the program under test puts on the wire.

const (
	protoVRRP = 112
	typeNS    = 135 // ICMPv6 Neighbor Solicitation
	typeNA    = 136 // ICMPv6 Neighbor Advertisement
	etherLen  = 14
)

// Frame is an Ethernet frame that an [Observer] saw. At most one of ARP, ND and
// VRRP is set; none if the frame is something else or malformed.
type Frame struct {
	Time                time.Time
	Out                 bool // the kernel sent it through the tapped interface
	Source, Destination net.HardwareAddr
	Data                []byte // the whole frame

	ARP  *ARP
	ND   *ND
	VRRP *VRRP
}

// ARP is an ARP packet for IPv4 over Ethernet (RFC 826).
type ARP struct {
	Reply     bool // else a request
	SenderMAC net.HardwareAddr
	Sender    netip.Addr
	TargetMAC net.HardwareAddr
	Target    netip.Addr
}

// Gratuitous reports whether the packet announces its sender's own address.
func (a ARP) Gratuitous() bool { return a.Sender == a.Target && a.Sender.IsValid() }

// ND is a Neighbor Solicitation or Advertisement (RFC 4861, Sections 4.3 and 4.4).
type ND struct {
	Advertisement               bool // else a solicitation
	Source, Destination, Target netip.Addr
	Router, Solicited, Override bool             // of an advertisement
	LinkAddress                 net.HardwareAddr // from the link-layer address option; nil without one
}

// Unsolicited reports whether the message is an advertisement that nobody asked
// for.
func (n ND) Unsolicited() bool { return n.Advertisement && !n.Solicited }

// VRRP is a VRRP advertisement of version 2 or 3 (RFC 3768, Section 5.1; RFC
// 9568, Section 5.2). Its fields are as they stand in the packet, valid or not.
type VRRP struct {
	Version, Type, VRID, Priority uint8
	Interval                      time.Duration
	Source, Destination           netip.Addr
	HopLimit                      uint8
	Addresses                     []netip.Addr
	Checksum                      Checksum
}

// Checksum says how the checksum of a VRRP packet is formed.
type Checksum string

// The forms of a VRRP checksum.
const (
	ChecksumPseudoHeader Checksum = "pseudo-header" // over a pseudo-header as well
	ChecksumMessage      Checksum = "message"       // over the VRRP message only
	ChecksumBad          Checksum = "bad"           // neither
)

// ParseFrame decodes an Ethernet frame, which it keeps. A frame that is too
// short for a part lacks that part.
func ParseFrame(b []byte) Frame {
	f := Frame{Data: b}
	if len(b) < etherLen {
		return f
	}
	f.Destination, f.Source = net.HardwareAddr(b[0:6]), net.HardwareAddr(b[6:12])
	body := b[etherLen:]
	switch binary.BigEndian.Uint16(b[12:]) {
	case unix.ETH_P_ARP:
		f.ARP = parseARP(body)
	case unix.ETH_P_IP:
		f.VRRP = parseIPv4(body)
	case unix.ETH_P_IPV6:
		f.VRRP, f.ND = parseIPv6(body)
	}
	return f
}

func parseARP(b []byte) *ARP {
	if len(b) < 28 || binary.BigEndian.Uint32(b) != 0x0001_0800 || b[4] != 6 || b[5] != 4 {
		return nil
	}
	op := binary.BigEndian.Uint16(b[6:])
	if op != 1 && op != 2 {
		return nil
	}
	return &ARP{
		Reply:     op == 2,
		SenderMAC: net.HardwareAddr(b[8:14]), Sender: netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: net.HardwareAddr(b[18:24]), Target: netip.AddrFrom4([4]byte(b[24:28])),
	}
}

func parseIPv4(b []byte) *VRRP {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != protoVRRP {
		return nil
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || total > len(b) {
		return nil
	}
	return parseVRRP(b[header:total], netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[8])
}

func parseIPv6(b []byte) (*VRRP, *ND) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return nil, nil
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if 40+size > len(b) {
		return nil, nil
	}
	src, dst, body := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[40:40+size]
	switch b[6] {
	case protoVRRP:
		return parseVRRP(body, src, dst, b[7]), nil
	case unix.IPPROTO_ICMPV6:
		return nil, parseND(body, src, dst)
	}
	return nil, nil
}

func parseND(b []byte, src, dst netip.Addr) *ND {
	if len(b) < 24 || (b[0] != typeNS && b[0] != typeNA) {
		return nil
	}
	n := &ND{Advertisement: b[0] == typeNA, Source: src, Destination: dst, Target: netip.AddrFrom16([16]byte(b[8:24]))}
	option := byte(1) // source link-layer address
	if n.Advertisement {
		n.Router, n.Solicited, n.Override = b[4]&0x80 != 0, b[4]&0x40 != 0, b[4]&0x20 != 0
		option = 2 // target link-layer address
	}
	for opts := b[24:]; len(opts) >= 8; {
		size := int(opts[1]) * 8
		if size == 0 || size > len(opts) {
			break
		}
		if opts[0] == option {
			n.LinkAddress = net.HardwareAddr(opts[2:8])
		}
		opts = opts[size:]
	}
	return n
}

func parseVRRP(b []byte, src, dst netip.Addr, hops uint8) *VRRP {
	if len(b) < 8 {
		return nil
	}
	v := &VRRP{
		Version: b[0] >> 4, Type: b[0] & 0x0f, VRID: b[1], Priority: b[2],
		Source: src, Destination: dst, HopLimit: hops, Checksum: checksumForm(b, src, dst),
	}
	if v.Version == 2 {
		v.Interval = time.Duration(b[5]) * time.Second
	} else {
		v.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * 10 * time.Millisecond
	}
	size := src.BitLen() / 8
	for rest, n := b[8:], int(b[3]); n > 0 && len(rest) >= size; n, rest = n-1, rest[size:] {
		ip, _ := netip.AddrFromSlice(rest[:size])
		v.Addresses = append(v.Addresses, ip)
	}
	return v
}

func checksumForm(b []byte, src, dst netip.Addr) Checksum {
	switch {
	case onesSum(b, 0) == 0xffff:
		return ChecksumMessage
	case onesSum(b, pseudoSum(src, dst, protoVRRP, len(b))) == 0xffff:
		return ChecksumPseudoHeader
	}
	return ChecksumBad
}

// onesSum is the ones' complement sum of RFC 1071, not inverted.
func onesSum(b []byte, sum uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// pseudoSum is the sum of the pseudo-header of either family.
func pseudoSum(src, dst netip.Addr, proto uint8, size int) uint32 {
	return uint32(onesSum(src.AsSlice(), 0)) + uint32(onesSum(dst.AsSlice(), 0)) + uint32(proto) + uint32(size)
}
