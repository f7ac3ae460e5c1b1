package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The oldest kernels: for anything, and for a lease that also drops what leaves
// the host.
const (
	oldest       = 5<<8 | 10
	oldestEgress = 5<<8 | 16
)

// kernel looks at its version and features.
func kernel(_ Needs, f Facts) []Finding {
	var major, minor int
	if _, err := fmt.Sscanf(f.Kernel, "%d.%d", &major, &minor); err != nil {
		return []Finding{finding(Skip, "", "version not known: %q", f.Kernel)}
	}
	version := major<<8 | minor
	if version < oldest {
		return []Finding{finding(Fail, "use Linux 5.10 or newer", "Linux %s is too old", f.Kernel)}
	}
	var list []Finding
	egress, known := f.Config["CONFIG_NETFILTER_EGRESS"]
	if version < oldestEgress || f.Config != nil && (!known || egress == "n") {
		list = append(list, finding(Warn, "a kernel from 5.16 with CONFIG_NETFILTER_EGRESS",
			"Linux %s has no netdev egress hook: a hung host can be silenced on the way in only", f.Kernel))
	}
	return or(list, "Linux %s", f.Kernel)
}

// The capabilities that vipd needs, as bits of linux/capability.h.
const (
	capNetBind  = 10
	capNetAdmin = 12
	capNetRaw   = 13
)

// capabilities looks at those of the daemon.
func capabilities(n Needs, f Facts) []Finding {
	if !f.Daemon {
		return []Finding{finding(Skip, "systemctl start vipd", "no daemon runs")}
	}
	needed := []struct {
		bit  int
		name string
		when bool
	}{{capNetAdmin, "CAP_NET_ADMIN", true}, {capNetRaw, "CAP_NET_RAW", true}, {capNetBind, "CAP_NET_BIND_SERVICE", n.ListenBGP}}
	var missing []string
	for _, c := range needed {
		if c.when && f.Caps&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return []Finding{finding(Fail, "systemctl edit vipd: AmbientCapabilities= and CapabilityBoundingSet=",
			"the daemon lacks %s", strings.Join(missing, ", "))}
	}
	return or(nil, "the daemon has what it needs")
}

// clock looks at what the kernel says about its clock. Elections do not need it;
// who reads the events of two hosts does.
func clock(_ Needs, f Facts) []Finding {
	const fix = "run chrony or systemd-timesyncd"
	switch {
	case !f.Clock.Known:
		return []Finding{finding(Skip, "", "the state of the clock is not known")}
	case !f.Clock.Synced:
		return []Finding{finding(Warn, fix, "the clock is not synchronised: the times of events differ between hosts")}
	case f.Clock.Error > time.Second:
		return []Finding{finding(Warn, fix, "the clock may be wrong by %s", f.Clock.Error.Round(time.Millisecond))}
	}
	return or(nil, "the clock is synchronised, to %s at most", f.Clock.Error.Round(time.Microsecond))
}

// secrets looks at who may read them.
func secrets(_ Needs, f Facts) []Finding {
	var list []Finding
	for _, file := range f.Secrets {
		open, mode := file.Perm&0o007 != 0, "600"
		if file.Dir {
			mode = "700"
		}
		switch {
		case open:
			list = append(list, finding(Fail, "chmod "+mode+" "+file.Path, "%s is open to everybody: mode %04o", file.Path, file.Perm))
		case file.Perm&0o022 != 0:
			list = append(list, finding(Warn, "chmod "+mode+" "+file.Path, "others than its owner may write %s: mode %04o", file.Path, file.Perm))
		}
	}
	return or(list, "%d in /etc/vipd/credentials, for nobody else's eyes", max(len(f.Secrets)-1, 0))
}

// socket looks at the control socket.
func socket(n Needs, f Facts) []Finding {
	if f.Socket == nil {
		return []Finding{finding(Skip, "systemctl start vipd", "there is no %s", n.Socket)}
	}
	var list []Finding
	if f.Socket.Perm&0o007 != 0 {
		list = append(list, finding(Warn, "chmod 660 "+n.Socket, "everybody may talk to %s: mode %04o", n.Socket, f.Socket.Perm))
	}
	if n.AdminGroup != "" && f.Groups != nil && !slices.Contains(f.Groups, n.AdminGroup) {
		list = append(list, finding(Warn, "groupadd --system "+n.AdminGroup,
			"the group %s (control.admin_group) does not exist: only root may change things", n.AdminGroup))
	}
	return or(list, "%s, mode %04o", n.Socket, f.Socket.Perm)
}

// journal looks whether the system's log survives the host.
func journal(_ Needs, f Facts) []Finding {
	if !f.Journal {
		return []Finding{finding(Warn, "mkdir -p /var/log/journal && systemctl restart systemd-journald",
			"journald forgets at a restart of the host (vipd keeps its own events)")}
	}
	return or(nil, "journald keeps its journal over a restart of the host")
}

// busy is a rate of adverts, per second, that deserves a word.
const busy = 2550

// capacity counts what the configuration costs.
func capacity(n Needs, f Facts) []Finding {
	var list []Finding
	rate, vmacs, most := 0.0, 0, map[string]int{}
	for _, v := range n.VIPs {
		if v.Interval > 0 {
			rate += float64(time.Second) / float64(v.Interval)
		}
		if v.VMAC {
			vmacs++
		}
		most[v.Interface]++
	}
	if rate > busy {
		list = append(list, finding(Warn, "longer advert intervals, or more addresses in one vip",
			"%d vips send or hear %.0f adverts a second", len(n.VIPs), rate))
	}
	for _, name := range n.used() {
		if most[name] > 255 {
			list = append(list, finding(Warn, "another interface, or more addresses in one vip",
				"%d vips on %s: a network has 255 virtual routers in each family", most[name], name))
		}
	}
	if f.TrackedMax > 0 && f.Tracked*10 > f.TrackedMax*8 {
		list = append(list, finding(Warn, "sysctl -w net.netfilter.nf_conntrack_max="+fmt.Sprint(2*f.TrackedMax),
			"%d of %d connections are tracked: a full table drops adverts as well", f.Tracked, f.TrackedMax))
	}
	return or(list, "vips: %d, adverts a second: %.0f, virtual MACs in the switches' tables: %d", len(n.VIPs), rate, vmacs)
}

// zones looks whether what takes this host away takes its peers away as well.
func zones(n Needs, f Facts) []Finding {
	switch {
	case !n.Paired:
		return or(nil, "no [pair], so nothing is known of other hosts")
	case n.Zone == "":
		return []Finding{finding(Skip, `add zone = "rack-12" to [node] on each host`, "nobody said in which zone this host is")}
	case f.Zones == nil:
		return []Finding{finding(Skip, "", "no daemon answers, so the zones of the peers are not known")}
	}
	var list []Finding
	for _, name := range slices.Sorted(maps.Keys(f.Zones)) {
		if f.Zones[name] == n.Zone {
			list = append(list, finding(Warn, "put the hosts apart: another rack, another power feed",
				"%s is in zone %s as well: what takes one away takes both", name, n.Zone))
		}
	}
	return or(list, "zone %s, and no peer in it", n.Zone)
}
