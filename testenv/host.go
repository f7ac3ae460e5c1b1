package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is one host of a [Lab]: a network namespace with eth0, eth1, … in the
// order in which it was attached. Its files and processes are those of the
// machine.
type Host struct {
	Name string
	NS   *NS

	lab   *Lab
	index int
	dir   string

	mu    sync.Mutex
	links []*link
	asks  int // probers made by WhoHas
}

// link is one cable: dev in the host, port in the switch.
type link struct {
	dev, port string
	segment   *Segment
	prefixes  []netip.Prefix
}

// Dir is a directory for the files of this host; it ends with the lab.
func (h *Host) Dir() string { return h.dir }

// OnClose has [Lab.Close] call fn, before what was registered earlier.
func (h *Host) OnClose(fn func() error) { h.lab.onClose(fn) }

// Attach plugs the host into another segment and returns the name of the new
// interface: eth0, eth1, …
func (h *Host) Attach(s *Segment, prefixes ...string) (dev string, err error) {
	addrs, err := parsePrefixes(prefixes)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	dev = fmt.Sprintf("eth%d", len(h.links))
	return dev, h.attach(dev, s, addrs)
}

// AttachAs does the same with an interface of a name of the caller's choice, 1 to
// 15 bytes.
func (h *Host) AttachAs(dev string, s *Segment, prefixes ...string) error {
	addrs, err := parsePrefixes(prefixes)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.attach(dev, s, addrs)
}

// attach needs mu.
func (h *Host) attach(dev string, s *Segment, addrs []netip.Prefix) error {
	k := &link{dev: dev, port: h.Name + "-" + dev, segment: s, prefixes: addrs}
	if len(k.port) > maxDev {
		k.port = fmt.Sprintf("h%d-l%d", h.index, len(h.links))
	}
	if err := h.plug(k); err != nil {
		return fmt.Errorf("attach %s to %s: %w", h.Name, s.Name, err)
	}
	h.links = append(h.links, k)
	return nil
}

// plug makes the veth of k, gives it its addresses and waits until it is ready.
func (h *Host) plug(k *link) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = k.port
	attrs.MasterIndex = k.segment.bridge.Index
	nl := h.lab.sw.Netlink()
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: k.dev, PeerNamespace: netlink.NsFd(h.NS.Fd())}
	if err := nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("add veth %s: %w", k.port, err)
	}
	if err := nl.LinkSetUp(veth); err != nil {
		return fmt.Errorf("set %s up: %w", k.port, err)
	}
	end, err := h.NS.Netlink().LinkByName(k.dev)
	if err != nil {
		return fmt.Errorf("find %s: %w", k.dev, err)
	}
	if err := h.NS.Netlink().LinkSetUp(end); err != nil {
		return fmt.Errorf("set %s up: %w", k.dev, err)
	}
	for _, p := range k.prefixes {
		if err := h.AddAddress(k.dev, p); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return Until(ctx, func() bool { return h.ready(k.dev) })
}

// ready reports that dev has its link-local address and that no address of it
// is still being checked for duplicates. A kernel without IPv6 is ready at once.
func (h *Host) ready(dev string) bool {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return true
	}
	nl := h.NS.Netlink()
	end, err := nl.LinkByName(dev)
	if err != nil {
		return false
	}
	addrs, err := nl.AddrList(end, netlink.FAMILY_V6)
	if err != nil {
		return false
	}
	return len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netlink.Addr) bool {
		return a.Flags&unix.IFA_F_TENTATIVE != 0
	})
}

// AddAddress puts an address on dev; IPv6 without duplicate address detection.
func (h *Host) AddAddress(dev string, p netip.Prefix) error {
	nl := h.NS.Netlink()
	end, err := nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("find %s: %w", dev, err)
	}
	if err := nl.AddrAdd(end, addrOf(p)); err != nil {
		return fmt.Errorf("add %s to %s: %w", p, dev, err)
	}
	return nil
}

// DeleteAddress takes an address off dev, as an operator's mistake would.
func (h *Host) DeleteAddress(dev string, p netip.Prefix) error {
	nl := h.NS.Netlink()
	end, err := nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("find %s: %w", dev, err)
	}
	if err := nl.AddrDel(end, addrOf(p)); err != nil {
		return fmt.Errorf("delete %s from %s: %w", p, dev, err)
	}
	return nil
}

func addrOf(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// Addresses lists the addresses of dev, of both families, as the kernel has
// them now; all interfaces together if dev is "". The list is empty if there
// is no such interface.
func (h *Host) Addresses(dev string) []netip.Prefix {
	var end netlink.Link
	if dev != "" {
		var err error
		if end, err = h.NS.Netlink().LinkByName(dev); err != nil {
			return nil
		}
	}
	list, err := h.NS.Netlink().AddrList(end, netlink.FAMILY_ALL)
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		out = append(out, netip.PrefixFrom(ip.Unmap(), ones))
	}
	return out
}

// Holds reports whether ip is configured on any interface of the host.
func (h *Host) Holds(ip netip.Addr) bool {
	return slices.ContainsFunc(h.Addresses(""), func(p netip.Prefix) bool { return p.Addr() == ip })
}

// MAC is the hardware address of dev; nil if there is no such interface.
func (h *Host) MAC(dev string) net.HardwareAddr {
	end, err := h.NS.Netlink().LinkByName(dev)
	if err != nil {
		return nil
	}
	return end.Attrs().HardwareAddr
}

// SetLink sets dev up or down, as `ip link set` on the host would. To take the
// carrier away from outside, see [Lab.PortDown].
func (h *Host) SetLink(dev string, up bool) error {
	nl := h.NS.Netlink()
	end, err := nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("find %s: %w", dev, err)
	}
	if up {
		err = nl.LinkSetUp(end)
	} else {
		err = nl.LinkSetDown(end)
	}
	if err != nil {
		return fmt.Errorf("set %s up=%t: %w", dev, up, err)
	}
	return nil
}

// DeleteLink removes dev from the host, with its addresses and its port in the
// switch.
func (h *Host) DeleteLink(dev string) error {
	nl := h.NS.Netlink()
	end, err := nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("find %s: %w", dev, err)
	}
	if err := nl.LinkDel(end); err != nil {
		return fmt.Errorf("delete %s: %w", dev, err)
	}
	return nil
}

// RecreateLink plugs a deleted dev in again: same name, segment and addresses,
// another index and another MAC, as a hot-plugged card has them. Faults on its
// port hold for the new one too, but it is up.
func (h *Host) RecreateLink(dev string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.links, func(k *link) bool { return k.dev == dev })
	if i < 0 {
		return fmt.Errorf("recreate %s: %w", dev, errors.New("the host never had it"))
	}
	if err := h.plug(h.links[i]); err != nil {
		return fmt.Errorf("recreate %s: %w", dev, err)
	}
	return nil
}

// Neighbour is an entry of a host's ARP or ND table.
type Neighbour struct {
	MAC   net.HardwareAddr
	State string // the kernel's word: REACHABLE, STALE, DELAY, PROBE, FAILED, INCOMPLETE, PERMANENT, NOARP
}

var neighbourStates = map[int]string{
	netlink.NUD_INCOMPLETE: "INCOMPLETE", netlink.NUD_REACHABLE: "REACHABLE", netlink.NUD_STALE: "STALE",
	netlink.NUD_DELAY: "DELAY", netlink.NUD_PROBE: "PROBE", netlink.NUD_FAILED: "FAILED",
	netlink.NUD_NOARP: "NOARP", netlink.NUD_PERMANENT: "PERMANENT",
}

// Neighbour looks ip up in the host's ARP or ND table.
func (h *Host) Neighbour(ip netip.Addr) (n Neighbour, ok bool) {
	list, err := h.NS.Netlink().NeighList(0, familyOf(ip))
	if err != nil {
		return Neighbour{}, false
	}
	for _, e := range list {
		if got, _ := netip.AddrFromSlice(e.IP); got.Unmap() == ip {
			return Neighbour{MAC: e.HardwareAddr, State: neighbourStates[e.State]}, true
		}
	}
	return Neighbour{}, false
}

// ForgetNeighbour removes ip from the host's ARP or ND table, so that the next
// packet asks again, as that of a new client does.
func (h *Host) ForgetNeighbour(ip netip.Addr) error {
	list, err := h.NS.Netlink().NeighList(0, familyOf(ip))
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	for _, e := range list {
		if got, _ := netip.AddrFromSlice(e.IP); got.Unmap() != ip {
			continue
		}
		if err := h.NS.Netlink().NeighDel(&e); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delete neighbour %s: %w", ip, err)
		}
	}
	return nil
}

func familyOf(ip netip.Addr) int {
	if ip.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

// Sysctl sets a value below net. on the host, named with dots as in
// "net.ipv4.conf.eth0.arp_ignore", or with slashes where an interface has a dot
// in its name.
func (h *Host) Sysctl(name, value string) error { return writeSysctl(h.NS, name, value) }

// SysctlValue reads a value below net. on the host.
func (h *Host) SysctlValue(name string) (string, error) {
	var value []byte
	err := h.NS.Do(func() error {
		var err error
		value, err = os.ReadFile(sysctlPath(name))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", name, err)
	}
	return strings.TrimSpace(string(value)), nil
}

func writeSysctl(ns *NS, name, value string) error {
	err := ns.Do(func() error { return os.WriteFile(sysctlPath(name), []byte(value), 0) })
	if err != nil {
		return fmt.Errorf("set sysctl %s=%s: %w", name, value, err)
	}
	return nil
}

func sysctlPath(name string) string {
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, ".", "/")
	}
	return "/proc/sys/" + name
}
