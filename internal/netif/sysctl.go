package netif

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// conf4 is an IPv4 sysctl of one interface, by its number in IFLA_INET_CONF
// (enum IPV4_DEVCONF_* of the kernel). These can be set with CAP_NET_ADMIN alone,
// also where /proc/sys is read-only.
type conf4 int

// The sysctls that vipd sets.
const (
	rpFilter           conf4 = 8
	arpAnnounce        conf4 = 18
	arpIgnore          conf4 = 19
	promoteSecondaries conf4 = 20
)

func (s conf4) String() string {
	return map[conf4]string{rpFilter: "rp_filter", arpAnnounce: "arp_announce",
		arpIgnore: "arp_ignore", promoteSecondaries: "promote_secondaries"}[s]
}

func (d device) conf(s conf4) (uint32, bool) {
	if int(s) > len(d.conf4) {
		return 0, false
	}
	return d.conf4[s-1], true
}

// sysctls sets IPv4 sysctls and remembers how they were.
type sysctls struct {
	log   *slog.Logger
	saved map[sysctlKey]sysctlValue
}

type sysctlKey struct {
	index int
	conf  conf4
}

type sysctlValue struct{ before, ours uint32 }

// require makes a sysctl of d at least min. A larger value stays: it is stricter.
func (s *sysctls) require(c *rtnl, d device, name conf4, least uint32) error {
	now, known := d.conf(name)
	if known && now >= least {
		return nil
	}
	if err := c.one(setConf(d.index, name, least)); err != nil {
		return fmt.Errorf("set %s of %s to %d: %w", name, d.name, least, err)
	}
	if known {
		d.conf4[name-1] = least // d may be asked again before it is read again
	}
	s.saved[sysctlKey{d.index, name}] = sysctlValue{before: now, ours: least}
	s.log.Info("sysctl set", "interface", d.name, "sysctl", name.String(), "value", least, "before", now)
	return nil
}

// restore puts back what still is as we set it, except on the links in keep.
func (s *sysctls) restore(c *rtnl, keep map[int]bool) {
	all, err := c.devices()
	if err != nil {
		s.log.Warn("cannot put sysctls back", "error", err)
		return
	}
	for _, d := range all {
		for key, v := range s.saved {
			if key.index != d.index || keep[d.index] {
				continue
			}
			delete(s.saved, key)
			if now, known := d.conf(key.conf); !known || now != v.ours {
				continue // somebody else wants it otherwise
			}
			if err := c.one(setConf(d.index, key.conf, v.before)); err != nil {
				s.log.Warn("cannot put sysctl back", "interface", d.name, "sysctl", key.conf.String(), "error", err)
			}
		}
	}
}

func setConf(index int, name conf4, value uint32) *nl.NetlinkRequest {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index) // from the kernel
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	family := spec.AddRtAttr(unix.AF_INET|unix.NLA_F_NESTED, nil)
	family.AddRtAttr(unix.IFLA_INET_CONF|unix.NLA_F_NESTED, nil).
		AddRtAttr(int(name), binary.NativeEndian.AppendUint32(nil, value))
	return request(unix.RTM_SETLINK, 0, msg, spec)
}
