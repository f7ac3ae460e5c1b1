package netif

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Claim is the announcement of an address by another machine: a gratuitous ARP
// or an unsolicited neighbour advertisement.
type Claim struct {
	Index   int // of the link it came in by
	Address netip.Addr
	MAC     net.HardwareAddr // that the address is said to be at
}

// Claims hears who else announces addresses. The kernel hands it announcements
// only, whatever else passes on the network.
type Claims struct {
	log *slog.Logger

	mu      sync.Mutex
	watched map[int]map[netip.Addr]bool // by index of the link
}

// NewClaims returns a Claims that watches nothing yet.
func NewClaims(log *slog.Logger) *Claims { return &Claims{log: log} }

// Watch replaces the addresses that are watched, by the index of their link. It
// may be called from any goroutine, at any time.
func (c *Claims) Watch(addresses map[int][]netip.Addr) {
	watched := make(map[int]map[netip.Addr]bool, len(addresses))
	for index, list := range addresses {
		set := make(map[netip.Addr]bool, len(list))
		for _, a := range list {
			set[a] = true
		}
		watched[index] = set
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = watched
}

func (c *Claims) watches(claim Claim) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watched[claim.Index][claim.Address]
}

// Run calls report with each claim to a watched address until ctx ends. Where
// the kernel has no IPv6 it hears ARP alone. The error says that no packet
// socket can be had.
func (c *Claims) Run(ctx context.Context, report func(Claim)) error {
	ip4, err := openARP()
	if err != nil {
		return err
	}
	defer ip4.Close() //nolint:errcheck // nothing is lost
	readers := []func() (Claim, bool, error){func() (Claim, bool, error) { return readARP(ctx, ip4) }}
	if ip6, err := openNA(); err != nil {
		c.log.Warn("announcements of IPv6 addresses by other machines go unheard", "error", err)
	} else {
		defer ip6.Close() //nolint:errcheck // nothing is lost
		readers = append(readers, func() (Claim, bool, error) { return readNA(ctx, ip6) })
	}
	var wg sync.WaitGroup
	for _, read := range readers {
		wg.Go(func() { c.listen(ctx, read, report) })
	}
	wg.Wait()
	return nil
}

// listen reads until ctx ends. What makes no sense is passed over.
func (c *Claims) listen(ctx context.Context, read func() (Claim, bool, error), report func(Claim)) {
	for ctx.Err() == nil {
		claim, ok, err := read()
		if err != nil && ctx.Err() == nil {
			c.log.Debug("announcement not read", "error", err)
		}
		if ok && c.watches(claim) {
			report(claim)
		}
	}
}

// openARP opens a packet socket that hears gratuitous ARP on all links: sender
// and target protocol address (at 28 and 38 of the frame) are the same.
func openARP() (*socket.Conn, error) {
	proto := int(binary.NativeEndian.Uint16([]byte{unix.ETH_P_ARP >> 8, unix.ETH_P_ARP & 0xff}))
	s, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, proto, "arp", nil)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 28, Size: 4},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: 38, Size: 4},
		bpf.JumpIfX{Cond: bpf.JumpEqual, SkipFalse: 1},
		bpf.RetConstant{Val: 128},
		bpf.RetConstant{Val: 0},
	})
	if err == nil {
		err = s.SetBPF(filter)
	}
	if err != nil {
		_ = s.Close() // the first error says more
		return nil, fmt.Errorf("hear gratuitous ARP only: %w", err)
	}
	return s, nil
}

func readARP(ctx context.Context, s *socket.Conn) (claim Claim, ok bool, err error) {
	buf := make([]byte, 128)
	n, from, err := s.Recvfrom(ctx, buf, 0)
	if err != nil {
		return claim, false, err
	}
	link, known := from.(*unix.SockaddrLinklayer)
	if !known || link.Pkttype == unix.PACKET_OUTGOING {
		return claim, false, nil
	}
	var f ethernet.Frame
	var p arp.Packet
	if err := f.UnmarshalBinary(buf[:n]); err != nil {
		return claim, false, err
	}
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		return claim, false, err
	}
	return Claim{link.Ifindex, p.SenderIP, p.SenderHardwareAddr}, p.SenderIP == p.TargetIP, nil
}

// openNA opens a socket that hears neighbour advertisements.
func openNA() (*socket.Conn, error) {
	s, err := socket.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, "icmpv6", nil)
	if err != nil {
		return nil, fmt.Errorf("open ICMPv6 socket: %w", err)
	}
	const advertisement = 136
	filter := &unix.ICMPv6Filter{}
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0) // a bit that is set is not heard
	}
	filter.Data[advertisement/32] &^= 1 << (advertisement % 32)
	err = s.SetsockoptICMPv6Filter(unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, filter)
	for _, opt := range []int{unix.IPV6_RECVPKTINFO, unix.IPV6_RECVHOPLIMIT} {
		if err == nil {
			err = s.SetsockoptInt(unix.IPPROTO_IPV6, opt, 1)
		}
	}
	if err != nil {
		_ = s.Close() // the first error says more
		return nil, fmt.Errorf("hear neighbour advertisements only: %w", err)
	}
	return s, nil
}

// readNA reads one unsolicited neighbour advertisement that came from the link
// itself (RFC 4861, Section 7.1.2).
func readNA(ctx context.Context, s *socket.Conn) (claim Claim, ok bool, err error) {
	buf, oob := make([]byte, 1500), make([]byte, 128)
	n, oobn, _, _, err := s.Recvmsg(ctx, buf, oob, 0)
	if err != nil {
		return claim, false, err
	}
	control, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return claim, false, err
	}
	hops := 0
	for _, m := range control {
		switch {
		case m.Header.Level != unix.IPPROTO_IPV6:
		case m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			claim.Index = int(binary.NativeEndian.Uint32(m.Data[16:]))
		case m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4:
			hops = int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	msg, err := ndp.ParseMessage(buf[:n])
	if err != nil {
		return claim, false, err
	}
	na, is := msg.(*ndp.NeighborAdvertisement)
	if !is || na.Solicited || hops != naHopLimit {
		return claim, false, nil
	}
	claim.Address = na.TargetAddress
	for _, o := range na.Options {
		if target, is := o.(*ndp.LinkLayerAddress); is && target.Direction == ndp.Target {
			claim.MAC = target.Addr
		}
	}
	return claim, true, nil
}
