package netif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// device is a link as the kernel has it.
type device struct {
	name     string
	index    int
	flags    uint32 // IFF_*, with the carrier as it is now
	hardware uint16 // ARPHRD_*
	mac      net.HardwareAddr
	mtu      int
	parent   int      // index of the link below, 0 without
	kind     string   // "macvlan" …, "" for hardware
	conf4    []uint32 // the IPv4 sysctls, by number less 1
	router6  bool     // IPv6 forwarding is on
}

// address is one address of a device.
type address struct {
	prefix netip.Prefix
	index  int
	flags  uint32
	mark   uint8 // IFA_PROTO, 0 before Linux 5.18
}

func (a address) ready() bool { return a.flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 }

const ifaProto = 11 // IFA_PROTO, Linux 5.18; not in x/sys yet

// device looks a link up by name. The error is ENODEV when there is none.
func (c *rtnl) device(name string) (device, error) {
	if len(name) == 0 || len(name) >= unix.IFNAMSIZ {
		return device{}, unix.ENODEV // the kernel would answer EINVAL or ERANGE
	}
	var d device
	err := c.ask(request(unix.RTM_GETLINK, 0, nl.NewIfInfomsg(unix.AF_UNSPEC),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))), func(b []byte) { d = parseDevice(b) })
	return d, err
}

// devices lists every link.
func (c *rtnl) devices() ([]device, error) {
	var all []device
	err := c.list(func() error {
		all = all[:0]
		return c.ask(request(unix.RTM_GETLINK, unix.NLM_F_DUMP, nl.NewIfInfomsg(unix.AF_UNSPEC)),
			func(b []byte) { all = append(all, parseDevice(b)) })
	})
	return all, err
}

// addresses lists the addresses of the link with the index, 0 for all links, in
// the kernel's order, IPv4 first.
func (c *rtnl) addresses(index int) ([]address, error) {
	var all []address
	err := c.list(func() error {
		all = all[:0]
		msg := nl.NewIfAddrmsg(unix.AF_UNSPEC)
		msg.Index = uint32(index) // from the kernel
		return c.ask(request(unix.RTM_GETADDR, unix.NLM_F_DUMP, msg), func(b []byte) {
			if a, ok := parseAddress(b); ok && (index == 0 || a.index == index) {
				all = append(all, a)
			}
		})
	})
	if errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	return all, err
}

// list repeats a dump that was disturbed by a change, and is content with a
// disturbed one in the end: whoever makes that many changes will make another.
func (c *rtnl) list(dump func() error) error {
	for range 5 {
		if err := dump(); !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return nil
}

func parseDevice(b []byte) device {
	if len(b) < unix.SizeofIfInfomsg {
		return device{}
	}
	d := device{
		hardware: binary.NativeEndian.Uint16(b[2:]),
		index:    int(int32(binary.NativeEndian.Uint32(b[4:]))), // the field is signed
		flags:    binary.NativeEndian.Uint32(b[8:]),
	}
	for _, a := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch {
		case a.kind == unix.IFLA_IFNAME:
			d.name = unix.ByteSliceToString(a.data)
		case a.kind == unix.IFLA_ADDRESS:
			d.mac = append(net.HardwareAddr{}, a.data...)
		case a.kind == unix.IFLA_MTU && len(a.data) == 4:
			d.mtu = int(binary.NativeEndian.Uint32(a.data))
		case a.kind == unix.IFLA_LINK && len(a.data) == 4:
			d.parent = int(binary.NativeEndian.Uint32(a.data))
		case a.kind == unix.IFLA_LINKINFO:
			for _, i := range attributes(a.data) {
				if i.kind == unix.IFLA_INFO_KIND {
					d.kind = unix.ByteSliceToString(i.data)
				}
			}
		case a.kind == unix.IFLA_AF_SPEC:
			d.parseConf(a.data)
		}
	}
	return d
}

// parseConf reads the sysctls of both families out of IFLA_AF_SPEC.
func (d *device) parseConf(b []byte) {
	for _, family := range attributes(b) {
		for _, a := range attributes(family.data) {
			switch {
			case family.kind == unix.AF_INET && a.kind == unix.IFLA_INET_CONF:
				for v := a.data; len(v) >= 4; v = v[4:] {
					d.conf4 = append(d.conf4, binary.NativeEndian.Uint32(v))
				}
			case family.kind == unix.AF_INET6 && a.kind == unix.IFLA_INET6_CONF && len(a.data) >= 4:
				d.router6 = binary.NativeEndian.Uint32(a.data) != 0 // DEVCONF_FORWARDING is the first
			}
		}
	}
}

func parseAddress(b []byte) (address, bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return address{}, false
	}
	bits := int(b[1])
	a := address{flags: uint32(b[2]), index: int(binary.NativeEndian.Uint32(b[4:]))}
	var ip netip.Addr
	for _, t := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch {
		case t.kind == unix.IFA_LOCAL:
			ip, _ = netip.AddrFromSlice(t.data)
		case t.kind == unix.IFA_ADDRESS && !ip.IsValid(): // the peer, where IFA_LOCAL is there too
			ip, _ = netip.AddrFromSlice(t.data)
		case t.kind == unix.IFA_FLAGS && len(t.data) == 4:
			a.flags = binary.NativeEndian.Uint32(t.data)
		case t.kind == ifaProto && len(t.data) == 1:
			a.mark = t.data[0]
		}
	}
	a.prefix = netip.PrefixFrom(ip, bits)
	return a, a.prefix.IsValid()
}

// carrier asks the driver whether a link has a carrier. It costs about 1 µs and
// is right at once, while events of the kernel may be a second late. known is
// false where the driver cannot tell. sock is any datagram socket.
func carrier(sock int, name string) (on, known bool, err error) {
	const ethtoolGLink = 0x0a // ETHTOOL_GLINK
	value := struct{ cmd, data uint32 }{cmd: ethtoolGLink}
	var ifr struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(ifr.name[:unix.IFNAMSIZ-1], name)
	ifr.data = unsafe.Pointer(&value)                                                                           // struct ifreq holds a pointer
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(sock), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))) // as above
	switch errno {
	case 0:
		return value.data != 0, true, nil
	case unix.EOPNOTSUPP, unix.EPERM:
		return true, false, nil
	}
	return false, false, fmt.Errorf("read carrier of %s: %w", name, errno)
}
