package netif

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// vmacGroup is the link group of our macvlans, "vipd" in ASCII, by which all of
// them are deleted at once: each single deletion waits 20 ms for the kernel.
const vmacGroup = 0x76697064

const addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE

const vmacPrefix = "vip" // of their names

// VMACName is the name of the macvlan that carries the virtual MAC of a virtual
// router: "vip4-2-51" for an IPv4 election with VRID 51 on the interface with
// index 2. It is at most 15 characters long (the index is in base 36) and names
// the index, because the macvlan is deleted together with its parent.
func VMACName(parentIndex int, family4 bool, vrid uint8) string {
	family := "6"
	if family4 {
		family = "4"
	}
	return vmacPrefix + family + "-" + strconv.FormatInt(int64(parentIndex), 36) + "-" + strconv.Itoa(int(vrid))
}

// VirtualMAC is the MAC address of a virtual router: 00-00-5e-00-01-{VRID} over
// IPv4 and 00-00-5e-00-02-{VRID} over IPv6 (RFC 9568, Section 7.3).
func VirtualMAC(family4 bool, vrid uint8) net.HardwareAddr {
	family := byte(2)
	if family4 {
		family = 1
	}
	return net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, family, vrid}
}

// vmac makes sure that the macvlan of w exists on parent and is up, and that
// only it answers ARP for the addresses on it. The device is kept, down, when
// the addresses leave it: a device that is down takes no frame away from its
// parent (also not another host's adverts, which come from the same MAC).
func (a *Addresses) vmac(parent device, w Wanted) (device, error) {
	name := VMACName(parent.index, w.Family4, w.VRID)
	mac := VirtualMAC(w.Family4, w.VRID)
	d, err := a.conn.device(name)
	if err == nil && (d.kind != "macvlan" || d.parent != parent.index || !slices.Equal(d.mac, mac)) {
		return device{}, fmt.Errorf("use %s on %s: an interface of this name exists, and it is not ours", name, parent.name)
	}
	if errors.Is(err, unix.ENODEV) {
		if err := makeVMAC(a.log, name, mac, parent); err != nil {
			return device{}, err
		}
		d, err = a.conn.device(name)
	}
	if err != nil {
		return device{}, fmt.Errorf("find %s: %w", name, err)
	}
	a.vmacs[name] = true // it is up, or about to be
	for _, s := range []struct {
		on    device
		name  conf4
		value uint32
	}{
		{parent, arpIgnore, 1},   // the parent does not answer for what is on the macvlan
		{parent, arpAnnounce, 2}, // nor names it as sender when it asks
		{d, arpIgnore, 1},        // the macvlan answers for nothing else
		{d, arpAnnounce, 2},
		{d, rpFilter, 2}, // clients are routed through the parent; 2 wins over 1 in conf.all
		{d, promoteSecondaries, 1},
	} {
		if err := a.sysctls.require(a.conn, s.on, s.name, s.value); err != nil {
			return device{}, err
		}
	}
	if d.flags&unix.IFF_UP == 0 {
		if err := a.conn.one(setUp(d.index, true)); err != nil {
			return device{}, fmt.Errorf("set %s on %s up: %w", name, parent.name, err)
		}
	}
	return d, nil
}

// makeVMAC creates a macvlan in bridge mode: in this mode a frame that comes in
// with our own virtual MAC as its source still reaches the parent.
func makeVMAC(log *slog.Logger, name string, mac net.HardwareAddr, parent device) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.ParentIndex, attrs.Group = name, mac, parent.index, vmacGroup
	link := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("make macvlan %s on %s: %w", name, parent.name, err)
	}
	if err := netlink.LinkSetIP6AddrGenMode(link, addrGenModeNone); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("keep %s without a link-local address: %w", name, err)
	}
	// Netlink cannot set this one. With accept_ra a router's advertisement would
	// make an address of the virtual MAC and a default route through the macvlan.
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_ra", []byte("0"), 0o644) // no file is made
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn("cannot keep router advertisements off the macvlan", "interface", name, "error", err)
	}
	log.Info("virtual MAC device made", "interface", name, "parent", parent.name, "mac", mac.String())
	return nil
}

func setUp(index int, up bool) *nl.NetlinkRequest {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index) // from the kernel
	msg.Change = unix.IFF_UP
	if up {
		msg.Flags = unix.IFF_UP
	}
	return request(unix.RTM_NEWLINK, 0, msg)
}

func deleteLink(index int) *nl.NetlinkRequest {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index) // from the kernel
	return request(unix.RTM_DELLINK, 0, msg)
}

func deleteVMACs() *nl.NetlinkRequest {
	group := nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(vmacGroup))
	return request(unix.RTM_DELLINK, 0, nl.NewIfInfomsg(unix.AF_UNSPEC), group)
}

// idle does one thing that can wait, and reports whether there was one: it
// deletes a macvlan that no owner uses any more, or sets down one that is not
// held. Both keep the kernel waiting for 10–30 ms, so new work goes before each.
func (a *Addresses) idle() bool {
	used, held := a.devicesInUse()
	for name, up := range a.vmacs {
		if held[name] || (used[name] && !up) {
			continue
		}
		a.vmacs[name] = false
		if !used[name] {
			delete(a.vmacs, name)
		}
		d, err := a.conn.device(name)
		if err != nil {
			return true // deleted by someone, or with its parent
		}
		req, what := setUp(d.index, false), "set down"
		if !used[name] {
			req, what = deleteLink(d.index), "delete"
		}
		if err := a.conn.one(req); err != nil {
			a.log.Warn("cannot tidy up virtual MAC device", "what", what, "interface", name, "error", err)
		}
		return true
	}
	return false
}

// cleanup leaves the host as it was before, but for what is still held.
func (a *Addresses) cleanup() {
	_, held := a.devicesInUse()
	keep := map[int]bool{}
	for name := range held {
		if d, err := a.conn.device(name); err == nil {
			keep[d.index], keep[d.parent] = true, true
		}
	}
	clear(a.known)
	maps.DeleteFunc(held, func(name string, _ bool) bool { _, virtual := a.vmacs[name]; return !virtual })
	if len(held) == 0 && len(a.vmacs) > 0 {
		if err := a.conn.one(deleteVMACs()); err != nil && !errors.Is(err, unix.ENODEV) {
			a.log.Warn("cannot delete virtual MAC devices", "error", err)
		}
		clear(a.vmacs)
	}
	for name := range held {
		delete(a.vmacs, name)
	}
	for a.idle() {
	}
	a.sysctls.restore(a.conn, keep)
}
