package vrrpnet

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// host is one end of a veth pair, in a network namespace of its own.
type host struct {
	ns   *testenv.NS
	link netlink.Link
	addr map[bool]netip.Addr // by family4: 10.0.0.n, fe80::n
}

const ifname = "eth0"

// pair makes two hosts, .1 and .2, with a cable between them.
func pair(t testing.TB) (one, two *host) {
	t.Helper()
	testenv.Require(t)
	one, two = newHost(t, "1"), newHost(t, "2")
	cable(t, one, two, ifname)
	for _, h := range []*host{one, two} {
		h.link = h.up(t, ifname)
		h.address(t, ifname, h.addr[true].String()+"/24")
		h.address(t, ifname, h.addr[false].String()+"/64")
	}
	for _, h := range []*host{one, two} {
		h.running(t, ifname)
	}
	return one, two
}

func newHost(t testing.TB, n string) *host {
	t.Helper()
	ns, err := testenv.NewNS()
	must(t, err)
	t.Cleanup(func() { must(t, ns.Close()) })
	return &host{ns: ns, addr: map[bool]netip.Addr{
		true:  netip.MustParseAddr("10.0.0." + n),
		false: netip.MustParseAddr("fe80::" + n),
	}}
}

// cable connects two hosts by interfaces of that name.
func cable(t testing.TB, one, two *host, name string) {
	t.Helper()
	must(t, one.ns.Netlink().LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name, TxQLen: 1000},
		PeerName:      name,
		PeerNamespace: netlink.NsFd(two.ns.Fd()),
	}))
}

// up sets an interface up, without addresses of the kernel's own.
func (h *host) up(t testing.TB, name string) netlink.Link {
	t.Helper()
	link, err := h.ns.Netlink().LinkByName(name)
	must(t, err)
	const none = 1 // IN6_ADDR_GEN_MODE_NONE
	must(t, h.ns.Netlink().LinkSetIP6AddrGenMode(link, none))
	must(t, h.ns.Netlink().LinkSetUp(link))
	return link
}

func (h *host) address(t testing.TB, name, prefix string) {
	t.Helper()
	link, err := h.ns.Netlink().LinkByName(name)
	must(t, err)
	addr, err := netlink.ParseAddr(prefix)
	must(t, err)
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD
	}
	must(t, h.ns.Netlink().AddrAdd(link, addr))
}

// running waits until the kernel lets packets through an interface.
func (h *host) running(t testing.TB, name string) {
	t.Helper()
	updates, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	defer close(done)
	ns := netns.NsHandle(h.ns.Fd())
	must(t, netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{Namespace: &ns, ListExisting: true}))
	late := time.After(10 * time.Second)
	for {
		select {
		case u := <-updates:
			if u.Attrs().Name == name && u.Attrs().OperState == netlink.OperUp {
				return
			}
		case <-late:
			t.Fatalf("%s has no carrier", name)
		}
	}
}

// listen opens a Conn on the host that knows its own addresses and believes
// these members. It is closed with the test.
func (h *host) listen(t testing.TB, name string, family4 bool, members ...vrrp.Membership) *Conn {
	t.Helper()
	var c *Conn
	must(t, h.ns.Do(func() (err error) {
		c, err = Listen(name, family4, slog.New(slog.DiscardHandler))
		return err
	}))
	t.Cleanup(func() { must(t, c.Close()) })
	c.SetMembers([]netip.Addr{h.addr[true], h.addr[false]}, members...)
	return c
}

// run runs a Conn until the test ends and gives what it delivers.
func run(t testing.TB, c *Conn) <-chan Received {
	t.Helper()
	got := make(chan Received, 1<<16)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, func(batch []Received) {
			for _, r := range batch {
				got <- r
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	return got
}

// next waits for an advert.
func next(t testing.TB, got <-chan Received) Received {
	t.Helper()
	select {
	case r := <-got:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("no advert came")
		return Received{}
	}
}

// wire sends and hears raw Ethernet frames on an interface of a host.
type wire struct {
	fd  int
	mac map[bool]net.HardwareAddr // of this host (true) and of the other one
}

func (h *host) wire(t testing.TB, other *host) *wire {
	t.Helper()
	w := &wire{fd: -1, mac: map[bool]net.HardwareAddr{true: h.link.Attrs().HardwareAddr, false: other.link.Attrs().HardwareAddr}}
	must(t, h.ns.Do(func() (err error) {
		all := int(uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8)
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
		if err != nil {
			return err
		}
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Ifindex: h.link.Attrs().Index, Protocol: uint16(all)})
	}))
	t.Cleanup(func() { must(t, unix.Close(w.fd)) })
	return w
}

func (w *wire) send(t testing.TB, frame []byte) {
	t.Helper()
	_, err := unix.Write(w.fd, frame)
	must(t, err)
}

// hear waits for a VRRP frame.
func (w *wire) hear(t testing.TB) []byte {
	t.Helper()
	must(t, unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	b := make([]byte, 9000)
	for {
		n, err := unix.Read(w.fd, b)
		must(t, err)
		ip4, ip6 := b[12] == 0x08 && b[13] == 0x00, b[12] == 0x86 && b[13] == 0xdd
		if n > 34 && (ip4 && b[23] == vrrp.Protocol || ip6 && b[20] == vrrp.Protocol) {
			return b[:n]
		}
	}
}

// packet is an IP packet to be put into a frame.
type packet struct {
	src, dst netip.Addr
	hops     uint8
	payload  []byte
	total    int // IPv4 total length, IPv6 payload length; 0 = what is right
	options  int // bytes of IPv4 options
}

// frame makes an Ethernet frame of p, to the VRRP group's MAC address when p
// goes to a group and to the other host otherwise.
func (w *wire) frame(p packet) []byte {
	b := make([]byte, 0, 100+len(p.payload))
	switch {
	case !p.dst.IsMulticast():
		b = append(b, w.mac[false]...)
	case p.dst.Is4():
		g := p.dst.As4()
		b = append(b, 0x01, 0x00, 0x5e, g[1]&0x7f, g[2], g[3])
	default:
		g := p.dst.As16()
		b = append(append(b, 0x33, 0x33), g[12:]...)
	}
	b = append(b, w.mac[true]...)
	if p.src.Is4() {
		return p.ip4(append(b, 0x08, 0x00))
	}
	return p.ip6(append(b, 0x86, 0xdd))
}

func (p packet) ip4(b []byte) []byte {
	at := len(b)
	n := 20 + p.options
	total := n + len(p.payload)
	if p.total != 0 {
		total = p.total
	}
	b = append(b, 0x40|byte(n/4), 0xc0)
	b = binary.BigEndian.AppendUint16(b, uint16(total))
	b = append(b, 0, 1, 0, 0, p.hops, vrrp.Protocol, 0, 0)
	b = append(append(b, p.src.AsSlice()...), p.dst.AsSlice()...)
	for range p.options {
		b = append(b, 1) // no operation
	}
	var sum uint32
	for i := at; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[at+10:], ^uint16(sum))
	return append(b, p.payload...)
}

func (p packet) ip6(b []byte) []byte {
	total := len(p.payload)
	if p.total != 0 {
		total = p.total
	}
	b = append(b, 0x6c, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(total))
	b = append(b, vrrp.Protocol, p.hops)
	b = append(append(b, p.src.AsSlice()...), p.dst.AsSlice()...)
	return append(b, p.payload...)
}

// advert is a good one of version 3.
func advert(vrid uint8, family4 bool) vrrp.Advert {
	a := vrrp.Advert{Version: 3, VRID: vrid, Priority: 100, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("fe80::10")}}
	if family4 {
		a.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.10")}
	}
	return a
}

func encode(t testing.TB, a vrrp.Advert, src, dst netip.Addr) []byte {
	t.Helper()
	b, err := a.AppendTo(nil, src, dst, vrrp.ChecksumPseudoHeader)
	must(t, err)
	return b
}

// members believes these VRIDs in version 3, by multicast.
func members(vrids ...uint8) []vrrp.Membership {
	var list []vrrp.Membership
	for _, v := range vrids {
		list = append(list, vrrp.Membership{VRID: v, Version: 3})
	}
	return list
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
