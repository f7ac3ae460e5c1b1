package speaker

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/bgp"
)

// passwordWorks reports whether the kernel signs segments to and from the address
// (RFC 2385). The library goes on without when a listening socket cannot, and an
// unprotected session must not come up.
func passwordWorks(address netip.Addr, password string) error {
	if password == "" {
		return nil
	}
	family := unix.AF_INET
	if address.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set the TCP MD5 password: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // it was never connected
	return setPassword(fd, address, password)
}

// setPassword has the kernel sign what goes from the socket to the address, and
// expect the same of the other side. An empty password changes nothing.
func setPassword(fd int, address netip.Addr, password string) error {
	if password == "" {
		return nil
	}
	if len(password) > unix.TCP_MD5SIG_MAXKEYLEN {
		return fmt.Errorf("set the TCP MD5 password: it has %d bytes, the kernel takes %d", len(password), unix.TCP_MD5SIG_MAXKEYLEN)
	}
	sig := unix.TCPMD5Sig{Keylen: uint16(len(password))}
	if address.Is4() {
		a := address.As4()
		sig.Addr.Family = unix.AF_INET
		copy(sig.Addr.Data[2:], a[:]) // behind the port of a sockaddr_in
	} else {
		a := address.As16()
		sig.Addr.Family = unix.AF_INET6
		copy(sig.Addr.Data[6:], a[:]) // behind port and flow label of a sockaddr_in6
	}
	copy(sig.Key[:], password)
	if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &sig); err != nil {
		return fmt.Errorf("set the TCP MD5 password for %s: %w", address, err)
	}
	return nil
}

// selfIPv6 is the IPv6 address of this host for a session over IPv4: a global one
// of the interface that the session uses. It is invalid when there is none, or the
// neighbor is reached by IPv6 anyway.
func selfIPv6(n bgp.Neighbor) netip.Addr {
	if !n.Address.Is4() {
		return netip.Addr{}
	}
	source := n.Source
	if !source.IsValid() {
		// Connecting a datagram socket sends nothing, but picks the source.
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Address, 179)))
		if err != nil {
			return netip.Addr{}
		}
		source = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = c.Close() // nothing was sent
	}
	links, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}
	}
	for _, link := range links {
		addrs := addressesOf(link)
		for _, a := range addrs {
			if a == source {
				return firstGlobal6(addrs)
			}
		}
	}
	return netip.Addr{}
}

func addressesOf(link net.Interface) (out []netip.Addr) {
	addrs, err := link.Addrs()
	if err != nil {
		return nil // the interface is gone
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out
}

func firstGlobal6(addrs []netip.Addr) netip.Addr {
	for _, a := range addrs {
		if a.Is6() && !a.IsLinkLocalUnicast() && !a.IsLoopback() {
			return a
		}
	}
	return netip.Addr{}
}
