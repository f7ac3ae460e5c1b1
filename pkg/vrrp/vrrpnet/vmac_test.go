package vrrpnet

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const vmac = "vrrp51" // name of the device of the virtual MAC

// virtual makes the device of a virtual MAC, without any address.
func (h *host) virtual(t testing.TB, mac string, mode netlink.MacvlanMode, up bool) {
	t.Helper()
	hw, err := net.ParseMAC(mac)
	must(t, err)
	must(t, h.ns.Netlink().LinkAdd(&netlink.Macvlan{
		LinkAttrs: netlink.LinkAttrs{Name: vmac, ParentIndex: h.link.Attrs().Index, HardwareAddr: hw},
		Mode:      mode,
	}))
	if up {
		h.up(t, vmac)
		h.running(t, vmac)
	}
}

var vmacs = map[bool]string{true: "00:00:5e:00:01:33", false: "00:00:5e:00:02:33"}

// TestVirtualMAC: the advert leaves from the virtual MAC with the source of the
// interface below, and the other host, which has the same virtual MAC, hears it
// on the interface below, unless its own macvlan takes the frame for itself.
func TestVirtualMAC(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		mode  netlink.MacvlanMode // of the receiver
		up    bool
		heard bool
	}{
		{"bridge mode", netlink.MACVLAN_MODE_BRIDGE, true, true},
		{"vepa mode", netlink.MACVLAN_MODE_VEPA, true, true},
		{"private mode", netlink.MACVLAN_MODE_PRIVATE, true, false},
		{"private mode, down", netlink.MACVLAN_MODE_PRIVATE, false, true},
	}
	for _, family4 := range []bool{true, false} {
		for _, tt := range tests {
			t.Run(family(family4)+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				one, two := pair(t)
				one.virtual(t, vmacs[family4], netlink.MACVLAN_MODE_BRIDGE, true)
				two.virtual(t, vmacs[family4], tt.mode, tt.up)
				w := two.wire(t, one)
				c := one.listen(t, ifname, family4)
				got := run(t, two.listen(t, ifname, family4, members(51, marker)...))
				o := Outgoing{Device: vmac, Source: one.addr[family4], Advert: advert(51, family4)}
				must(t, c.Send([]Outgoing{o}))
				if mac := net.HardwareAddr(w.hear(t)[6:12]).String(); mac != vmacs[family4] {
					t.Errorf("left from %s, want %s", mac, vmacs[family4])
				}
				must(t, c.Send([]Outgoing{{Source: one.addr[family4], Advert: advert(marker, family4)}}))
				r := next(t, got)
				if heard := r.Advert.VRID == 51; heard != tt.heard {
					t.Fatalf("heard: %t, want %t", heard, tt.heard)
				}
				if !tt.heard {
					return
				}
				if diff := cmp.Diff(Received{Source: one.addr[family4], Advert: o.Advert, Checksum: o.Checksum}, r, byAddr); diff != "" {
					t.Errorf("received (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestVirtualMACDevice: a device that is missing is an error of that advert
// only, one that was created again is found again, and unicast never uses it.
func TestVirtualMACDevice(t *testing.T) {
	t.Parallel()
	for _, family4 := range []bool{true, false} {
		t.Run(family(family4), func(t *testing.T) {
			t.Parallel()
			one, two := pair(t)
			w := two.wire(t, one)
			c := one.listen(t, ifname, family4)
			got := run(t, two.listen(t, ifname, family4, members(51, 52)...))
			batch := []Outgoing{
				{Device: vmac, Source: one.addr[family4], Advert: advert(51, family4)},
				{Source: one.addr[family4], Advert: advert(52, family4)},
			}
			if err := c.Send(batch); !errors.Is(err, unix.ENODEV) || !errors.Is(batch[0].Err, unix.ENODEV) || batch[1].Err != nil {
				t.Errorf("Send: %v; %v and %v", err, batch[0].Err, batch[1].Err)
			}
			if r := next(t, got); r.Advert.VRID != 52 {
				t.Errorf("got VRID %d, want 52", r.Advert.VRID)
			}
			w.hear(t)
			for range 3 {
				one.virtual(t, vmacs[family4], netlink.MACVLAN_MODE_BRIDGE, true)
				must(t, c.Send(batch))
				for range batch {
					next(t, got)
				}
				macs := map[string]bool{}
				for range batch {
					macs[net.HardwareAddr(w.hear(t)[6:12]).String()] = true
				}
				if !macs[vmacs[family4]] || !macs[one.link.Attrs().HardwareAddr.String()] {
					t.Errorf("left from %v", macs)
				}
				link, err := one.ns.Netlink().LinkByName(vmac)
				must(t, err)
				must(t, one.ns.Netlink().LinkDel(link))
			}
			one.virtual(t, vmacs[family4], netlink.MACVLAN_MODE_BRIDGE, true)
			must(t, c.Send([]Outgoing{{Device: vmac, Source: one.addr[family4], Peers: []netip.Addr{two.addr[family4]}, Advert: advert(51, family4)}}))
			if mac := net.HardwareAddr(w.hear(t)[6:12]).String(); mac != one.link.Attrs().HardwareAddr.String() {
				t.Errorf("unicast left from %s", mac)
			}
		})
	}
}
