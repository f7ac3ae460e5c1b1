package vrrpnet

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
)

// Sighting is an advert that passed by, believed or not.
type Sighting struct {
	vrrp.Datagram             // its payload is valid until the call returns
	Own           bool        // it left this host
	Advert        vrrp.Advert // taken at its word
}

// Watch calls seen with every advert that comes in by an interface, or leaves the
// host by it, whichever program sent it, until ctx ends and it returns nil. It is a
// packet socket: it sends nothing, joins no group, and hears what another socket
// has the interface let in. The kernel looks at each packet of the interface for
// that, so it is not for a host that has no time for tcpdump. When the interface
// goes down or away it returns an error, and is to be called again.
func Watch(ctx context.Context, ifname string, seen func(Sighting)) error {
	s, err := openWatch(ifname)
	if err != nil {
		return fmt.Errorf("watch adverts on %s: %w", ifname, err)
	}
	defer s.Close() //nolint:errcheck // nothing was written
	buf := make([]byte, bufferLen)
	for {
		n, from, err := s.Recvfrom(ctx, buf, 0)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch adverts on %s: %w", ifname, err)
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Pkttype == unix.PACKET_OTHERHOST {
			continue
		}
		if sight, ok := sighting(buf[:n], link.Pkttype == unix.PACKET_OUTGOING); ok {
			sight.Time = time.Now()
			seen(sight)
		}
	}
}

// openWatch opens a packet socket that VRRP of both families comes to, without
// the header of the link.
func openWatch(ifname string) (*socket.Conn, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", ifname, err)
	}
	s, err := socket.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0, "vrrp-watch", nil) // protocol 0: nothing comes before the filter is there
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, // is for an interface above this one
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 7},
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 4},
		bpf.LoadAbsolute{Off: offProtocol4, Size: 1},
		bpf.Jump{Skip: 1},
		bpf.LoadAbsolute{Off: offNextHeader6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: vrrp.Protocol, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: bufferLen},
	})
	if err == nil {
		err = s.SetBPF(filter)
	}
	if err == nil {
		all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff}) // what leaves the host is seen by this one only
		err = s.Bind(&unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
	}
	if err != nil {
		_ = s.Close() // the first error says more
		return nil, err
	}
	return s, nil
}

// Offsets in IP headers.
const (
	offProtocol4   = 9
	offNextHeader6 = 6
	offHopLimit6   = 7
	offSource6     = 8
	headerLen6     = 40
)

// sighting reads a packet from its IP header on.
func sighting(b []byte, own bool) (Sighting, bool) {
	var d vrrp.Datagram
	switch {
	case len(b) > headerLen6 && b[0]>>4 == 6:
		d.Source, d.Destination = netip.AddrFrom16([16]byte(b[offSource6:])), netip.AddrFrom16([16]byte(b[offSource6+16:]))
		d.HopLimit = b[offHopLimit6]
		d.Payload = b[headerLen6:min(len(b), headerLen6+int(binary.BigEndian.Uint16(b[4:])))]
	case len(b) > offProtocol4 && b[0]>>4 == 4:
		if total := int(binary.BigEndian.Uint16(b[2:4])); total < len(b) {
			b = b[:total] // the rest is padding
		}
		var err error
		if d, err = header4(b); err != nil {
			return Sighting{}, false
		}
	default:
		return Sighting{}, false
	}
	a, ok := vrrp.Sight(d.Payload, d.Source, d.Destination)
	return Sighting{Datagram: d, Own: own, Advert: a}, ok
}
