package lease

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// nft runs the nft program on the guarded host.
func (w *world) nft(t testing.TB, args ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := w.host.Run(ctx, "nft", args...)
	return err
}

// told waits for a line of the watcher's that begins so.
func told(t testing.TB, lines <-chan string, want string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line := <-lines:
			if strings.HasPrefix(line, want) {
				return
			}
			t.Logf("told: %s", line)
		case <-timeout:
			t.Fatalf("waited in vain to be told: %s", want)
		}
	}
}

// The table of a living process is left alone by whoever flushes or deletes.
func TestOwnedTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "nft")
	w.address(t, "eth0", webAddrs...)
	table := w.open(t)
	if table.flags == 0 {
		t.Skip("this kernel has no persistent tables with an owner")
	}
	check(t, table.Set([]Guarded{web}))
	check(t, w.nft(t, "flush", "ruleset"))
	if err := w.nft(t, "delete", "table", "netdev", "vipd"); err == nil || !strings.Contains(err.Error(), "not permitted") {
		t.Errorf("delete table: %v", err)
	}
	w.silent(t, webAddrs...)
	check(t, table.Arm("web")[0])
	check(t, w.nft(t, "flush", "ruleset"))
	w.answering(t, webAddrs...)
	check(t, w.nft(t, "list", "ruleset")) // it is readable
}

// Where others can change the table it is made again at once, quarantine and
// leases as they were.
func TestTableChangedByOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ command, told string }{
		{"flush ruleset", "table netdev vipd was removed"},
		{"delete table netdev vipd", "table netdev vipd was removed"},
		{"flush table netdev vipd", "table netdev vipd was changed"},
		{"flush chain netdev vipd in-eth0", "table netdev vipd was changed"},
		{"flush map netdev vipd ipv4-eth0", "table netdev vipd was changed"},
		{"delete chain netdev vipd ingress-eth0", "table netdev vipd was changed"},
		{"delete element netdev vipd ipv6-eth0 { fd09::10 }", "table netdev vipd was changed"},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "nft")
			mail := Guarded{Name: "mail", Interface: "eth0", Addresses: addrs("10.9.0.20", "fd09::20"), Timeout: time.Minute}
			w.address(t, "eth0", append(mail.Addresses, webAddrs...)...)
			table := w.open(t)
			table.flags = 0 // as on an older kernel
			check(t, table.Set([]Guarded{web, mail}))
			lines := runTable(t, table)
			check(t, table.Arm("web")[0])
			renewing(t, table, timeout/10, "web")
			w.answering(t, webAddrs...)
			check(t, w.nft(t, strings.Fields(c.command)...))
			told(t, lines, c.told)
			w.silent(t, mail.Addresses...)
			w.answering(t, webAddrs...)
			if !alive(t, table)["web"] {
				t.Error("the lease was lost")
			}
		})
	}
}

// A repair gives a lease what is left of it, and none to one that is over.
func TestRepairProlongsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	over := brief()
	over.Name, over.Addresses = "over", nil
	check(t, table.Set([]Guarded{brief(), over}))
	check(t, table.Arm("over")[0])
	testenv.Eventually(t, patience, "the lease expires", func() bool { return !alive(t, table)["over"] })
	check(t, table.Arm("web")[0])
	armed := time.Now()
	testenv.Eventually(t, patience, "some of it passes", func() bool { return time.Since(armed) > timeout/4 })
	table.have = nil // as if somebody had removed the table
	check(t, table.Set([]Guarded{brief(), over}))
	left := map[string]time.Duration{}
	check(t, table.nft.ask(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, func(_ uint16, attrs []syscall.NetlinkRouteAttr) {
		list, err := nl.ParseRouteAttr(value(attrs, unix.NFTA_SET_ELEM_LIST_ELEMENTS))
		check(t, err)
		for _, e := range list {
			inner, err := nl.ParseRouteAttr(e.Value)
			check(t, err)
			key := string(value(inner, unix.NFTA_SET_ELEM_KEY, unix.NFTA_DATA_VALUE))
			left[key] = time.Duration(binary.BigEndian.Uint64(value(inner, unix.NFTA_SET_ELEM_EXPIRATION))) * time.Millisecond
		}
	}, text(unix.NFTA_SET_ELEM_LIST_TABLE, tableName), text(unix.NFTA_SET_ELEM_LIST_SET, leases)))
	id := string(idBytes(table.vips["web"].id))
	if l, ok := left[id]; len(left) > 1 || ok && (l > timeout-timeout/4 || l <= 0) {
		t.Errorf("left of the leases: %v, want at most %v of %x", left, timeout-timeout/4, id)
	} else if !ok && time.Since(armed) < timeout/2 {
		t.Error("the lease is gone")
	}
}

// It is told who changed the table, unless that is found before it is heard.
func TestCulprit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "nft")
	table := w.open(t)
	table.flags = 0
	check(t, table.Set([]Guarded{web}))
	lines := runTable(t, table)
	for range 5 {
		check(t, w.nft(t, "flush", "ruleset"))
		line := <-lines
		if strings.HasPrefix(line, "table netdev vipd was removed by nft (pid ") {
			return
		}
		t.Log(line)
	}
	t.Error("never told who did it")
}

// Others' tables are nothing to us.
func TestOthersTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "nft")
	table := w.open(t)
	check(t, table.Set([]Guarded{web}))
	lines := runTable(t, table)
	check(t, w.nft(t, "add", "table", "inet", "other"))
	check(t, w.nft(t, "add", "table", "netdev", "other"))
	check(t, w.nft(t, "delete", "table", "netdev", "other"))
	check(t, w.host.NS.Netlink().LinkSetName(w.link(t, "eth0"), "eth7")) // is told after what others did
	want := "an interface with addresses of eth0 is called eth7 now: they are guarded there"
	if got := <-lines; got != want {
		t.Errorf("told: %s, want %s", got, want)
	}
}

// link is an interface of the guarded host.
func (w *world) link(t testing.TB, dev string) netlink.Link {
	t.Helper()
	l, err := w.host.NS.Netlink().LinkByName(dev)
	check(t, err)
	return l
}

// Addresses stay guarded when their interface is renamed, and armed ones armed.
func TestRename(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.address(t, "eth0", webAddrs...)
	table := w.open(t)
	check(t, table.Set([]Guarded{web}))
	lines := runTable(t, table)
	eth0 := w.link(t, "eth0")
	check(t, w.host.NS.Netlink().LinkSetName(eth0, "other"))
	told(t, lines, "an interface with addresses of eth0 is called other now: they are guarded there")
	w.silent(t, webAddrs...)
	check(t, table.Arm("web")[0])
	w.answering(t, webAddrs...)
	check(t, w.host.NS.Netlink().LinkSetName(eth0, "eth0"))
	w.answering(t, webAddrs...)
	check(t, table.Disarm("web"))
	testenv.Eventually(t, patience, "the new name is seen", func() bool {
		table.mu.Lock()
		defer table.mu.Unlock()
		_, still := table.have.devices["other"]
		return !still
	})
	w.silent(t, webAddrs...)
}

// An interface that is deleted and made again comes back guarded.
func TestRecreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.address(t, "eth0", webAddrs...)
	table := w.open(t)
	check(t, table.Set([]Guarded{web}))
	runTable(t, table)
	check(t, w.host.DeleteLink("eth0"))
	check(t, w.host.RecreateLink("eth0"))
	w.address(t, "eth0", webAddrs...)
	w.answering(t, addrs("10.9.0.1", "fd09::1")...)
	w.silent(t, webAddrs...)
	check(t, table.Arm("web")[0])
	w.answering(t, webAddrs...)
}

// An interface that is not there yet is guarded when it comes.
func TestInterfaceComesLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	late := web
	late.Interface = "eth1"
	check(t, table.Set([]Guarded{late}))
	runTable(t, table)
	lan, err := w.Segment("other")
	check(t, err)
	if _, err := w.host.Attach(lan); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "it is seen", func() bool {
		table.mu.Lock()
		defer table.mu.Unlock()
		return table.have.devices["eth1"].index != 0
	})
}

// makeVMAC makes a macvlan as internal/netif does, and puts the addresses on it.
func (w *world) makeVMAC(t testing.TB, vrid uint8, list ...netip.Addr) {
	t.Helper()
	h := w.host.NS.Netlink()
	eth0, err := h.LinkByName("eth0")
	check(t, err)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = vmacName(eth0.Attrs().Index, true, vrid), eth0.Attrs().Index
	attrs.HardwareAddr = net.HardwareAddr{0, 0, 0x5e, 0, 1, vrid}
	link := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	check(t, h.LinkAdd(link))
	check(t, h.LinkSetUp(link))
	for _, s := range []string{"eth0", attrs.Name} {
		check(t, w.host.Sysctl("net.ipv4.conf."+s+".arp_ignore", "1"))
		check(t, w.host.Sysctl("net.ipv4.conf."+s+".rp_filter", "0"))
	}
	w.address(t, attrs.Name, list...)
}

// With a virtual MAC the device and its parent are guarded: what leaves from the
// address leaves through the parent, and a neighbour on the same parent does not
// pass that.
func TestVMAC(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	table := w.open(t)
	g := web
	g.VMAC, g.Family4, g.VRID = true, true, 51
	check(t, table.Set([]Guarded{g}))
	runTable(t, table)
	check(t, w.host.Sysctl("net.ipv4.conf.all.rp_filter", "0"))
	w.makeVMAC(t, 51, webAddrs...)
	sibling := w.sibling(t)
	w.silent(t, webAddrs...)
	for _, a := range webAddrs {
		serve(t, sibling, a, 5) // has it ask who has the address
		if resolved(t, sibling, a) {
			t.Errorf("%s answers a neighbour on the same parent", a)
		}
		if err := sendFrom(t, w, a); err != nil {
			t.Error(err)
		}
	}
	check(t, table.Arm("web")[0])
	w.answering(t, webAddrs...)
	for _, a := range webAddrs {
		testenv.Eventually(t, patience, a.String()+" answers a neighbour on the same parent", func() bool {
			serve(t, sibling, a, 1)
			return resolved(t, sibling, a)
		})
	}
	check(t, table.Disarm("web"))
	w.silent(t, webAddrs...)

	check(t, w.host.DeleteLink("eth0"))
	check(t, w.host.RecreateLink("eth0")) // takes the macvlan with it, and has another index
	testenv.Eventually(t, patience, "the new parent is seen", func() bool {
		table.mu.Lock()
		defer table.mu.Unlock()
		eth0, err := w.host.NS.Netlink().LinkByName("eth0")
		return err == nil && table.have.devices[vmacName(eth0.Attrs().Index, true, 51)].zone == "eth0"
	})
	w.makeVMAC(t, 51, webAddrs...)
	w.silent(t, webAddrs...)
	check(t, table.Arm("web")[0])
	w.answering(t, webAddrs...)
}

// sibling is a namespace with another macvlan on the host's eth0.
func (w *world) sibling(t testing.TB) *testenv.NS {
	t.Helper()
	ns, err := testenv.NewNS()
	check(t, err)
	t.Cleanup(func() { check(t, ns.Close()) })
	h := w.host.NS.Netlink()
	eth0, err := h.LinkByName("eth0")
	check(t, err)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = "sib", eth0.Attrs().Index, netlink.NsFd(ns.Fd())
	check(t, h.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}))
	sib, err := ns.Netlink().LinkByName("sib")
	check(t, err)
	for _, s := range []string{"10.9.0.50/24", "fd09::50/64"} {
		a, err := netlink.ParseAddr(s)
		check(t, err)
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		check(t, ns.Netlink().AddrAdd(sib, a))
	}
	check(t, ns.Netlink().LinkSetUp(sib))
	return ns
}

// resolved reports whether the namespace knows who has the address. (More a
// sibling cannot get: what the parent sends does not reach its macvlans.)
func resolved(t testing.TB, ns *testenv.NS, a netip.Addr) bool {
	t.Helper()
	sib, err := ns.Netlink().LinkByName("sib")
	check(t, err)
	list, err := ns.Netlink().NeighList(sib.Attrs().Index, netlink.FAMILY_ALL)
	check(t, err)
	return slices.ContainsFunc(list, func(n netlink.Neigh) bool { return n.IP.Equal(a.AsSlice()) && len(n.HardwareAddr) > 0 })
}

// sendFrom sends a datagram from the address to the client, and says if it came
// through the drop rules of the parent.
func sendFrom(t testing.TB, w *world, a netip.Addr) error {
	t.Helper()
	tap, err := w.client.ObserveAll("eth0")
	check(t, err)
	defer tap.Close() //nolint:errcheck // nothing was written
	to := addrs("10.9.0.9", "fd09::9")[a.BitLen()/128]
	own := addrs("10.9.0.1", "fd09::1")[a.BitLen()/128]
	check(t, w.host.NS.Do(func() error {
		for _, from := range []netip.Addr{a, own} { // the second one says when the first would have come
			c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
			if err != nil {
				return err
			}
			if _, err := c.Write([]byte("from " + from.String())); err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
		return nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = tap.WaitFor(ctx, func(f testenv.Frame) bool { return strings.Contains(string(f.Data), "from "+own.String()) })
	check(t, err)
	for _, f := range tap.Frames() {
		if strings.Contains(string(f.Data), "from "+a.String()) {
			return fmt.Errorf("a datagram from %s left", a)
		}
	}
	return nil
}
