package doctor

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vipd/vipd/pkg/doctor"
)

// links are the interfaces of this network namespace.
func (h Host) links() map[string]doctor.Link {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	m := make(map[string]doctor.Link, len(all))
	for _, i := range all {
		l := doctor.Link{
			Index: i.Index, Up: i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0, MTU: i.MTU,
			Addresses: prefixes(i), Below: h.below(i.Name), Bridge: h.bridge(i.Name),
		}
		l.Managed, l.Profile = h.manager(i.Index)
		m[i.Name] = l
	}
	return m
}

func prefixes(i net.Interface) []netip.Prefix {
	addrs, err := i.Addrs()
	if err != nil {
		return nil
	}
	var list []netip.Prefix
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				ones, _ := n.Mask.Size()
				list = append(list, netip.PrefixFrom(ip.Unmap(), ones))
			}
		}
	}
	return list
}

// below are the interfaces that carry one.
func (h Host) below(name string) []string {
	var list []string
	for _, link := range h.glob("sys/class/net/" + name + "/lower_*") {
		list = append(list, strings.TrimPrefix(filepath.Base(link), "lower_"))
	}
	return list
}

// bridge is how a bridge treats multicast, nil when it is none.
func (h Host) bridge(name string) *doctor.Bridge {
	dir := "sys/class/net/" + name + "/bridge/"
	if !h.there(dir + "multicast_snooping") {
		return nil
	}
	return &doctor.Bridge{Snooping: h.number(dir+"multicast_snooping") == 1, Querier: h.number(dir+"multicast_querier") == 1}
}

// manager is who manages an interface, with systemd-networkd's file about it.
func (h Host) manager(index int) (who, profile string) {
	number := strconv.Itoa(index)
	for line := range strings.Lines(h.text("run/NetworkManager/devices/" + number)) {
		if strings.TrimSpace(line) == "managed=true" {
			return "NetworkManager", ""
		}
	}
	state := map[string]string{}
	for line := range strings.Lines(h.text("run/systemd/netif/links/" + number)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			state[key] = strings.Trim(value, `"`)
		}
	}
	if admin := state["ADMIN_STATE"]; admin == "" || admin == "unmanaged" {
		return "", ""
	}
	profile = h.text(state["NETWORK_FILE"])
	for _, name := range strings.Fields(state["NETWORK_FILE_DROPINS"]) {
		profile += "\n" + h.text(name)
	}
	return "systemd-networkd", profile
}
