package netif

import (
	"net"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

// A burst for a link that changed tells the new MAC, however shortly before the
// link was looked at.
func TestAnnouncerTellsANewMACAtOnce(t *testing.T) {
	ns := pair(t, "ann7", []string{"10.47.0.1/24"}, nil)
	n := NewAnnouncer(quiet)
	run(t, n.Run)
	frames := tap(t, ns)
	a := Announcement{Owner: "web", Link: "ann7", Addresses: addrs("10.47.0.9"), Repeat: 1, Cause: "takeover"}
	told := func() net.HardwareAddr {
		n.Announce(a)
		f := await(t, "an announcement", frames, func(f frame) bool { return f.arp != nil && f.arp.TargetIP == a.Addresses[0] })
		return f.arp.SenderHardwareAddr
	}
	if got, want := told(), named(t, "ann7").Attrs().HardwareAddr; !slices.Equal(got, want) {
		t.Fatalf("announced %s, the link has %s", got, want)
	}
	want := net.HardwareAddr{0x02, 0, 0, 0, 0x47, 0x09}
	check(t, netlink.LinkSetHardwareAddr(named(t, "ann7"), want))
	a.Cause = "link"
	if got := told(); !slices.Equal(got, want) {
		t.Errorf("announced %s, the link has %s", got, want)
	}
}
