package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// interfaces looks whether those of the VIPs and services are there.
func interfaces(n Needs, f Facts) []Finding {
	var list []Finding
	look := func(name, who string) {
		switch l, ok := f.Links[name]; {
		case !ok:
			list = append(list, finding(Fail, "ip link show; the name in vipd.toml, or the cable's driver", "%s: there is no interface %s", who, name))
		case !l.Up:
			list = append(list, finding(Fail, "ip link set "+name+" up", "%s: interface %s is down", who, name))
		}
	}
	for _, v := range n.VIPs {
		look(v.Interface, "vip "+v.Name)
	}
	for _, s := range n.Anycast {
		if s.Device != "" {
			look(s.Device, "anycast "+s.Name)
		}
	}
	return or(list, "all are there and up")
}

// addresses looks whether a host has an address of its own where its VIPs are.
func addresses(n Needs, f Facts) []Finding {
	var list []Finding
	for _, v := range n.VIPs {
		l, ok := f.Links[v.Interface]
		if !ok {
			continue // said already
		}
		for _, a := range v.Addresses {
			own := slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool {
				return !ours(n, p.Addr()) && p.Contains(a.Addr())
			})
			if !own && a.Addr().Is4() && a.Bits() < a.Addr().BitLen() {
				list = append(list, finding(Warn, "ip address add OWN/"+fmt.Sprint(a.Bits())+" dev "+v.Interface,
					"vip %s: %s has no address of its own in the network of %s", v.Name, v.Interface, a))
			}
		}
		if !v.family4() && !slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }) {
			list = append(list, finding(Fail, "ip link set "+v.Interface+" addrgenmode eui64",
				"vip %s: %s has no link-local address, which adverts over IPv6 come from", v.Name, v.Interface))
		}
	}
	return or(list, "the host has addresses of its own where its vips are")
}

// ours reports whether an address is one of a VIP.
func ours(n Needs, a netip.Addr) bool {
	return slices.ContainsFunc(n.VIPs, func(v VIP) bool {
		return slices.ContainsFunc(v.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// sysctls looks at those that keep an address from being answered for.
func sysctls(n Needs, f Facts) []Finding {
	var list []Finding
	value := func(family, dev, key string) int { return f.Sysctls["net/"+family+"/conf/"+dev+"/"+key] }
	set := func(family, dev, key string, to int) string {
		return fmt.Sprintf("sysctl -w net.%s.conf.%s.%s=%d", family, strings.ReplaceAll(dev, ".", "/"), key, to)
	}
	for _, dev := range n.used() {
		if _, ok := f.Links[dev]; !ok {
			continue
		}
		if max(value("ipv4", "all", "arp_ignore"), value("ipv4", dev, "arp_ignore")) >= 8 {
			list = append(list, finding(Fail, set("ipv4", dev, "arp_ignore", 0), "arp_ignore is 8 on %s: it answers no ARP at all", dev))
		}
		if value("ipv4", dev, "arp_filter") == 1 && value("ipv4", dev, "rp_filter") == 1 && len(n.used()) > 1 {
			list = append(list, finding(Warn, set("ipv4", dev, "arp_filter", 0), "arp_filter on %s: another interface's route may keep it from answering", dev))
		}
		if !slices.ContainsFunc(n.VIPs, func(v VIP) bool { return v.Interface == dev && has6(v) }) {
			continue
		}
		if value("ipv6", dev, "disable_ipv6") == 1 {
			list = append(list, finding(Fail, set("ipv6", dev, "disable_ipv6", 0), "IPv6 is disabled on %s, and a vip has an IPv6 address there", dev))
		}
		if max(value("ipv6", "all", "accept_dad"), value("ipv6", dev, "accept_dad")) == 2 {
			list = append(list, finding(Warn, set("ipv6", dev, "accept_dad", 1), "accept_dad is 2 on %s: one duplicate address switches IPv6 off", dev))
		}
	}
	if n.Neighbors > 1 && value("ipv4", "all", "rp_filter") == 1 {
		list = append(list, finding(Warn, "sysctl -w net.ipv4.conf.all.rp_filter=2",
			"rp_filter is strict: what one neighbor sends and another one is answered through is dropped"))
	}
	return or(list, "nothing keeps addresses from being answered for")
}

func has6(v VIP) bool {
	return slices.ContainsFunc(v.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// snooping looks for bridges that keep adverts from their ports. They flood
// 224.0.0.18 always, but ff02::12 only to ports that asked for it.
func snooping(n Needs, f Facts) []Finding {
	var list []Finding
	for _, v := range n.VIPs {
		b := f.Links[v.Interface].Bridge
		if b == nil || !b.Snooping || b.Querier || v.family4() || len(v.Peers) > 0 {
			continue
		}
		list = append(list, finding(Warn, "echo 1 > /sys/class/net/"+v.Interface+"/bridge/multicast_querier",
			"vip %s: bridge %s snoops on multicast and nobody asks for memberships: adverts to ff02::12 may get lost", v.Name, v.Interface))
	}
	return or(list, "no bridge of this host keeps adverts back (switches may: look at IGMP snooping there)")
}

// Sizes of adverts without addresses, with the IP header.
const (
	header4 = 20 + 8
	header6 = 40 + 8
)

// mtu looks for interfaces that disagree with what carries them, and for adverts
// that do not fit.
func mtu(n Needs, f Facts) []Finding {
	var list []Finding
	for _, name := range n.used() {
		l := f.Links[name]
		for _, below := range l.Below {
			if b, ok := f.Links[below]; ok && b.MTU < l.MTU {
				list = append(list, finding(Warn, fmt.Sprintf("ip link set %s mtu %d", below, l.MTU),
					"%s has an MTU of %d, and %s below it one of %d", name, l.MTU, below, b.MTU))
			}
		}
	}
	for _, v := range n.VIPs {
		size, each := header6, 16
		if v.family4() {
			size, each = header4, 4
		}
		for _, a := range v.Addresses {
			if a.Addr().Is4() == v.family4() {
				size += each
			}
		}
		if l := f.Links[v.Interface]; l.MTU > 0 && size > l.MTU {
			list = append(list, finding(Fail, "spread its addresses over several vips",
				"vip %s: its adverts have %d bytes, and the MTU of %s is %d", v.Name, size, v.Interface, l.MTU))
		}
	}
	return or(list, "adverts fit, and nothing below an interface has a smaller MTU")
}

// managers looks for other programs that take addresses away.
func managers(n Needs, f Facts) []Finding {
	var list []Finding
	for _, name := range n.used() {
		l := f.Links[name]
		switch keep := last("KeepConfiguration", l.Profile); {
		case l.Managed == "NetworkManager":
			list = append(list, finding(Warn, "nmcli device set "+name+" managed no, or expect a gap at each reapply",
				"NetworkManager manages %s and takes foreign addresses away when it applies a profile; vipd puts them back", name))
		case l.Managed == "systemd-networkd" && keep != "yes" && keep != "static":
			list = append(list, finding(Warn, "KeepConfiguration=static in the .network file of "+name,
				"systemd-networkd manages %s and takes foreign addresses away when it configures it again; vipd puts them back", name))
		}
	}
	if slices.ContainsFunc(n.VIPs, func(v VIP) bool { return v.Routes }) && f.Networkd != nil {
		if value := last("ManageForeignRoutes", f.Networkd...); value != "no" && value != "false" {
			list = append(list, finding(Warn, "ManageForeignRoutes=no in /etc/systemd/networkd.conf",
				"systemd-networkd takes foreign routes away (ManageForeignRoutes)"))
		}
	}
	return or(list, "nobody else manages the interfaces of vips")
}

// last is the last value of a key in some files of systemd, in small letters.
func last(key string, texts ...string) string {
	value := ""
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.TrimSpace(k) == key {
				value = strings.ToLower(strings.TrimSpace(v))
			}
		}
	}
	return value
}

// conflict looks who answers for the addresses now.
func conflict(n Needs, f Facts) []Finding {
	if f.Probed == nil {
		return []Finding{finding(Skip, "vipd doctor --probe", "nobody was asked who answers for the addresses")}
	}
	var list []Finding
	for _, v := range n.VIPs {
		here := f.Links[v.Interface]
		for _, a := range v.Addresses {
			macs := f.Probed[a.Addr()]
			switch {
			case holds(here, a.Addr()) && len(macs) > 0:
				list = append(list, finding(Fail, "vipd why "+v.Name+"; find "+macs[0]+" in the switches' tables",
					"vip %s: this host has %s, and %s answers for it as well", v.Name, a.Addr(), strings.Join(macs, " and ")))
			case len(macs) > 1:
				list = append(list, finding(Fail, "find them in the switches' tables",
					"vip %s: %s answer for %s", v.Name, strings.Join(macs, " and "), a.Addr()))
			}
		}
	}
	return or(list, "no address of a vip has two holders (IPv4)")
}

// holds reports whether an interface has an address.
func holds(l Link, a netip.Addr) bool {
	return slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// own reports the same of an address as text.
func own(l Link, text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && holds(l, a)
}

// vrids looks for virtual routers that are somebody else's.
func vrids(n Needs, f Facts) []Finding {
	if !f.Listens {
		return []Finding{finding(Skip, "vipd doctor --listen", "nobody listened for other virtual routers")}
	}
	var list []Finding
	for _, v := range n.VIPs {
		var sources []string
		for _, a := range f.Heard {
			if a.Interface == v.Interface && a.VRID == v.VRID && a.Source.Is4() == v.family4() {
				sources = append(sources, a.Source.String())
			}
		}
		slices.Sort(sources)
		sources = slices.Compact(sources)
		if len(v.Addresses) > 0 && holds(f.Links[v.Interface], v.Addresses[0].Addr()) { // it does not hear itself
			sources = slices.DeleteFunc(sources, func(s string) bool { return own(f.Links[v.Interface], s) })
			sources = append(sources, "this host")
		}
		if len(sources) > 1 {
			list = append(list, finding(Fail, "another vrid for one of them, or find out why they do not hear each other",
				"vip %s: %s advertise vrid %d on %s", v.Name, strings.Join(sources, " and "), v.VRID, v.Interface))
		}
	}
	return or(list, "no virtual router number is used twice")
}
