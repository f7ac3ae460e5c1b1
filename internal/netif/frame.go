package netif

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// The destinations of an unsolicited neighbour advertisement (RFC 4861,
// Section 7.2.6) and its hop limit (Section 4.4).
var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0x00, 0x00, 0x00, 0x01}
)

const (
	naHopLimit   = 255
	ipv6Header   = 40
	nextHeaderV6 = 58 // ICMPv6
)

// arpRequest is an ARP request from mac that says that ip is there. With target
// zero it is an ARP announcement (RFC 5227, Section 3), broadcast:
//
//	ethernet  dst ff:ff:ff:ff:ff:ff  src mac  type 0x0806
//	arp       request  sha mac  spa ip  tha 00:00:00:00:00:00  tpa ip
//
// With a target it asks that neighbour alone, which then keeps ip at mac whatever
// it had: Linux holds an entry that is younger than a second against every
// other form of ARP but a request.
func arpRequest(mac net.HardwareAddr, ip netip.Addr, target neighbourAt) ([]byte, error) {
	to := ethernet.Broadcast
	if target.ip.IsValid() {
		to = target.mac
	} else {
		target.ip = ip
	}
	p, err := arp.NewPacket(arp.OperationRequest, mac, ip, make(net.HardwareAddr, 6), target.ip)
	if err != nil {
		return nil, fmt.Errorf("build arp request for %s: %w", ip, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("build arp request for %s: %w", ip, err)
	}
	return (&ethernet.Frame{Destination: to, Source: mac, EtherType: ethernet.EtherTypeARP, Payload: payload}).MarshalBinary()
}

// neighbourAt is a neighbour whose MAC is known.
type neighbourAt struct {
	ip  netip.Addr
	mac net.HardwareAddr
}

// unsolicitedNA is a neighbour advertisement for ip at mac to all nodes of the
// link (RFC 4861, Section 7.2.6): not solicited, overriding, and with the router
// flag of the host, because R=0 makes hosts drop a default router.
func unsolicitedNA(mac net.HardwareAddr, source, ip netip.Addr, router bool) ([]byte, error) {
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router: router, Override: true, TargetAddress: ip,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, source, allNodes)
	if err != nil {
		return nil, fmt.Errorf("build neighbour advertisement for %s: %w", ip, err)
	}
	packet := make([]byte, ipv6Header, ipv6Header+len(message))
	packet[0] = 6 << 4
	binary.BigEndian.PutUint16(packet[4:], uint16(len(message))) // 32
	packet[6], packet[7] = nextHeaderV6, naHopLimit
	copy(packet[8:], source.AsSlice())
	copy(packet[24:], allNodes.AsSlice())
	return (&ethernet.Frame{Destination: allNodesMAC, Source: mac, EtherType: ethernet.EtherTypeIPv6,
		Payload: append(packet, message...)}).MarshalBinary()
}
