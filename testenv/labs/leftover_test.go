package labs

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
)

var (
	vip6 = netip.MustParseAddr("fd00:2::100")
	both = `routes = [{ to = "10.9.0.0/16", via = "192.0.2.10" }]`
)

// webBoth is web with an address of each family, and a route.
func webBoth(priority int, interval time.Duration) string {
	return strings.Replace(web(priority, interval, both), `["192.0.2.100/24"]`, `["192.0.2.100/24", "fd00:2::100/64"]`, 1)
}

// routed reports whether the host has the route of [both].
func routed(t *testing.T, h *testenv.Host) bool {
	t.Helper()
	_, to, _ := net.ParseCIDR("10.9.0.0/16")
	list, err := h.NS.Netlink().RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: to, Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_DST)
	if err != nil {
		t.Fatal(err)
	}
	return len(list) > 0
}

// TestRoutesAndSysctls: routes come and go with the VIP, and what was changed
// for it is put back when vipd ends.
func TestRoutesAndSysctls(t *testing.T) {
	p := newPair(t)
	const sysctl = "net.ipv4.conf.eth0.promote_secondaries"
	before, err := p.hosts[0].SysctlValue(sysctl)
	if err != nil {
		t.Fatal(err)
	}
	addresses := len(p.hosts[0].Addresses(""))
	lb1 := p.vipd(p.hosts[0], webBoth(150, 100*time.Millisecond)+`
[vip.mac]
interface = "eth0"
vrid = 60
vmac = true
advert_interval = "100ms"
addresses = ["192.0.2.160/24"]
`)
	lb1.waitState("web", "ACTIVE")
	lb1.waitState("mac", "ACTIVE")
	if !routed(t, lb1.host) {
		t.Error("the route is not there while the VIP is held")
	}
	lb1.must("drain", "web", "--wait")
	if routed(t, lb1.host) || lb1.host.Holds(vip4) || lb1.host.Holds(vip6) {
		t.Errorf("left after a drain: route %t, %v", routed(t, lb1.host), lb1.host.Addresses(""))
	}
	lb1.must("undrain")
	lb1.waitState("web", "ACTIVE")
	if now, _ := lb1.host.SysctlValue(sysctl); now != "1" {
		t.Errorf("%s = %s while addresses are held", sysctl, now)
	}
	lb1.stop()
	if now, _ := lb1.host.SysctlValue(sysctl); now != before {
		t.Errorf("%s = %s after the end, before %s", sysctl, now, before)
	}
	if list := lb1.host.Addresses(""); routed(t, lb1.host) || len(list) != addresses {
		t.Errorf("left after the end: route %t, %v", routed(t, lb1.host), list)
	}
	if links, err := lb1.host.NS.Netlink().LinkList(); err != nil || len(links) != 2 {
		t.Errorf("interfaces left after the end: %v, %v", links, err)
	}
}

// TestLeftovers: a start removes what a killed run left, also what the
// configuration no longer names.
func TestLeftovers(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], webBoth(150, 100*time.Millisecond))
	lb1.waitState("web", "ACTIVE")
	lb1.signal(syscall.SIGKILL)
	lb1.wait(5*time.Second, "the daemon to be gone", func(ctx context.Context) error { <-lb1.proc.Done(); return ctx.Err() })
	if !lb1.host.Holds(vip4) || !lb1.host.Holds(vip6) || !routed(t, lb1.host) {
		t.Fatalf("nothing was left: %v", lb1.host.Addresses(""))
	}
	lb1.write(strings.ReplaceAll(web(150, 100*time.Millisecond, ""), "192.0.2.100", "192.0.2.150"))
	lb1.start()
	lb1.waitState("web", "ACTIVE")
	if lb1.host.Holds(vip4) || lb1.host.Holds(vip6) || routed(t, lb1.host) {
		t.Errorf("left: route %t, %v", routed(t, lb1.host), lb1.host.Addresses(""))
	}
	if !lb1.host.Holds(netip.MustParseAddr("192.0.2.150")) || !lb1.host.Holds(netip.MustParseAddr("192.0.2.2")) {
		t.Errorf("missing: %v", lb1.host.Addresses(""))
	}
}
