package netif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// How long what is known of a device is believed. Hundreds of bursts that start
// together read it once. Looking for default routes is dear on a host that has
// the whole routing table of the Internet.
const (
	outletAge  = 100 * time.Millisecond
	gatewayAge = 5 * time.Second
)

// outlet is a device that announcements leave from, and what they say.
type outlet struct {
	name    string
	index   int
	mac     net.HardwareAddr
	listed  bool       // its addresses were looked at, for IPv6
	source6 netip.Addr // link-local; zero when there is none
	router  bool       // IPv6 forwarding is on
	read    time.Time
}

// nextHops are the gateways on a link.
type nextHops struct {
	known []neighbourAt
	read  time.Time
}

var errNotEthernet = errors.New("not an Ethernet interface")

// outlet finds out about the device of a. The error names it.
func (n *Announcer) outlet(a Announcement, now time.Time) (*outlet, error) {
	six := slices.ContainsFunc(a.Addresses, netip.Addr.Is6)
	name, parent := a.Link, &outlet{}
	if a.VMAC {
		var err error
		if parent, err = n.outlet(Announcement{Link: a.Link, Addresses: a.Addresses}, now); err != nil {
			return nil, err
		}
		name = VMACName(parent.index, a.Family4, a.VRID)
	}
	if o, ok := n.outlets[name]; ok && now.Sub(o.read) < outletAge && (o.listed || !six) {
		return o, nil
	}
	delete(n.outlets, name)
	d, err := n.conn.device(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	case d.hardware != unix.ARPHRD_ETHER || len(d.mac) != 6:
		return nil, fmt.Errorf("announce on %s: %w", name, errNotEthernet)
	}
	o := &outlet{name: name, index: d.index, mac: d.mac, source6: parent.source6, router: d.router6 || parent.router, read: now}
	if six {
		if err := n.list(o); err != nil {
			return nil, err
		}
	}
	n.outlets[name] = o
	return o, nil
}

// list looks for the source of neighbour advertisements.
func (n *Announcer) list(o *outlet) error {
	list, err := n.conn.addresses(o.index)
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", o.name, err)
	}
	o.listed = true
	for _, x := range list {
		if ip := x.prefix.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() && x.ready() {
			o.source6 = ip
			break
		}
	}
	return nil
}

// gateways are the next hops of the IPv4 default routes on a link whose MAC is
// known. They are told in person as well; where that is not possible, the
// broadcast has to do.
func (n *Announcer) gateways(link string, now time.Time) []neighbourAt {
	if g, ok := n.hops[link]; ok && now.Sub(g.read) < gatewayAge {
		return g.known
	}
	g := nextHops{read: now}
	if o, err := n.outlet(Announcement{Link: link}, now); err == nil {
		for _, ip := range n.conn.defaultRoutes(o.index) {
			if mac, ok := n.conn.neighbour(o.index, ip); ok {
				g.known = append(g.known, neighbourAt{ip, mac})
			}
		}
	}
	n.hops[link] = g
	return g.known
}

// defaultRoutes lists the next hops of IPv4 default routes out of a device.
func (c *rtnl) defaultRoutes(index int) []netip.Addr {
	hops := map[netip.Addr]bool{}
	add := func(out int, attrs []attribute) {
		for _, a := range attrs {
			if ip, ok := netip.AddrFromSlice(a.data); ok && a.kind == unix.RTA_GATEWAY && out == index {
				hops[ip] = true
			}
		}
	}
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET, Table: unix.RT_TABLE_MAIN}}
	oif := nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))) // from the kernel
	err := c.ask(request(unix.RTM_GETROUTE, unix.NLM_F_DUMP, msg, oif), func(b []byte) {
		if len(b) < unix.SizeofRtMsg || b[1] != 0 { // length of the destination prefix
			return
		}
		attrs := attributes(b[unix.SizeofRtMsg:])
		for _, a := range attrs {
			switch {
			case a.kind == unix.RTA_OIF && len(a.data) == 4:
				add(int(binary.NativeEndian.Uint32(a.data)), attrs)
			case a.kind == unix.RTA_MULTIPATH:
				for h := a.data; len(h) >= unix.SizeofRtNexthop; {
					size := int(binary.NativeEndian.Uint16(h))
					if size < unix.SizeofRtNexthop || size > len(h) {
						break
					}
					add(int(binary.NativeEndian.Uint32(h[4:])), attributes(h[unix.SizeofRtNexthop:size]))
					h = h[min((size+3)&^3, len(h)):]
				}
			}
		}
	})
	if err != nil && !errors.Is(err, errInterrupted) {
		return nil
	}
	out := make([]netip.Addr, 0, len(hops))
	for ip := range hops {
		out = append(out, ip)
	}
	return out
}

// neighbour reads the MAC that is known for ip.
func (c *rtnl) neighbour(index int, ip netip.Addr) (mac net.HardwareAddr, ok bool) {
	msg := &netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(index)} // from the kernel
	err := c.ask(request(unix.RTM_GETNEIGH, 0, msg, nl.NewRtAttr(unix.NDA_DST, ip.AsSlice())), func(b []byte) {
		if len(b) < unix.SizeofNdMsg {
			return
		}
		const unknown = unix.NUD_INCOMPLETE | unix.NUD_FAILED | unix.NUD_NOARP
		state := binary.NativeEndian.Uint16(b[8:])
		for _, a := range attributes(b[unix.SizeofNdMsg:]) {
			if a.kind == unix.NDA_LLADDR && len(a.data) == 6 && state&unknown == 0 {
				mac, ok = append(net.HardwareAddr{}, a.data...), true
			}
		}
	})
	return mac, ok && err == nil
}
