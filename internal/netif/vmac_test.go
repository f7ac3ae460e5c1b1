package netif

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/vipd/vipd/testenv"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

func TestVMACName(t *testing.T) {
	t.Parallel()
	cases := []struct {
		index   int
		family4 bool
		vrid    uint8
		want    string
	}{
		{2, true, 51, "vip4-2-51"},
		{37, false, 1, "vip6-11-1"},
		{math.MaxInt32, true, 255, "vip4-zik0zj-255"},
	}
	for _, c := range cases {
		if got := VMACName(c.index, c.family4, c.vrid); got != c.want || len(got) > 15 {
			t.Errorf("VMACName(%d, %v, %d) = %q, want %q", c.index, c.family4, c.vrid, got, c.want)
		}
	}
}

func TestVirtualMAC(t *testing.T) {
	t.Parallel()
	if got := VirtualMAC(true, 51).String(); got != "00:00:5e:00:01:33" {
		t.Error(got)
	}
	if got := VirtualMAC(false, 255).String(); got != "00:00:5e:00:02:ff" {
		t.Error(got)
	}
}

// Test 48 of the conformance list: only the virtual MAC answers for the address,
// and it answers for nothing else.
func TestVMACAnswersWithTheVirtualMACOnly(t *testing.T) {
	ns := pair(t, "vm0", []string{"10.30.0.1/24", "fd30::1/64"}, []string{"10.30.0.2/24", "fd30::2/64"})
	physical := named(t, "vm0").Attrs().HardwareAddr
	for _, s := range []string{"all", "default"} { // Debian's rp_filter=1 or 2 is common: the strict one
		check(t, writeSysctl("net/ipv4/conf/"+s+"/rp_filter", "1"))
	}
	t.Cleanup(func() {
		for _, s := range []string{"all", "default"} {
			check(t, writeSysctl("net/ipv4/conf/"+s+"/rp_filter", "0"))
		}
	})
	a := newApplier(t)
	w := Wanted{Link: "vm0", VMAC: true, VRID: 51, Family4: true, Addresses: prefixes("10.30.0.9/24", "fd30::9/64"), Present: true}
	virtual := VirtualMAC(true, 51)
	name := VMACName(named(t, "vm0").Attrs().Index, true, 51)
	for round := range 3 {
		frames := tap(t, ns)
		w.Present = true
		took := a.must(w).Took
		t.Logf("round %d: held after %v", round, took)
		if up := named(t, name).Attrs().Flags&net.FlagUp != 0; !up {
			t.Error("the macvlan is not up while the address is held")
		}
		for _, ip := range []string{"10.30.0.9", "fd30::9", "10.30.0.1", "fd30::1"} {
			want := virtual
			if ip == "10.30.0.1" || ip == "fd30::1" {
				want = physical
			}
			flush(t, ns)
			poke(t, ns, ip)
			eventually(t, "an answer for "+ip, func() bool { return neighbour(t, ns, ip) != nil })
			if got := neighbour(t, ns, ip); !slices.Equal(got, want) {
				t.Errorf("%s is at %s, want %s", ip, got, want)
			}
		}
		// A service bound to the address has to resolve a client of its own.
		pokeFrom(t, "10.30.0.9", "10.30.0.77")
		asked := await(t, "the question of the service", frames, func(f frame) bool { return f.arp != nil && f.arp.TargetIP.String() == "10.30.0.77" })
		if asked.arp.SenderIP.String() == "10.30.0.9" {
			t.Errorf("question about a client names the address as sender, at %s", asked.arp.SenderHardwareAddr)
		}
		for _, f := range drain(frames) {
			if f.arp == nil {
				continue
			}
			virtualIP, virtualMAC := f.arp.SenderIP.String() == "10.30.0.9", slices.Equal(f.arp.SenderHardwareAddr, virtual)
			if virtualIP != virtualMAC {
				t.Errorf("arp from %s says that %s is at %s", f.Source, f.arp.SenderIP, f.arp.SenderHardwareAddr)
			}
		}
		w.Present = false
		took = a.must(w).Took
		t.Logf("round %d: released after %v", round, took)
		eventually(t, "the idle macvlan to be down", func() bool { return named(t, name).Attrs().Flags&net.FlagUp == 0 })
		flush(t, ns)
		poke(t, ns, "10.30.0.9")
		await(t, "the question itself", tap(t, ns), func(frame) bool { return true })
		if got := neighbour(t, ns, "10.30.0.9"); got != nil {
			t.Errorf("released address answers at %s", got)
		}
	}
	a.stop()
	if _, err := netlink.LinkByName(name); err == nil {
		t.Error("the macvlan outlives the daemon")
	}
	c := must(openRTNL())
	defer c.close()
	d := must(c.device("vm0"))
	for _, s := range []conf4{arpIgnore, arpAnnounce} {
		if v, _ := d.conf(s); v != 0 {
			t.Errorf("%s of the parent is %d afterwards, want 0", s, v)
		}
	}
}

// Another host that is Active sends from the same virtual MAC. What it sends has
// to reach the parent's sockets, whether our macvlan is held or idle.
func TestVMACLetsForeignAdvertsThrough(t *testing.T) {
	ns := pair(t, "vm1", []string{"10.31.0.1/24"}, []string{"10.31.0.2/24"})
	conn := must(net.ListenPacket("ip4:112", "0.0.0.0"))
	defer conn.Close() //nolint:errcheck // read only
	check(t, ipv4.NewPacketConn(conn).JoinGroup(must(net.InterfaceByName("vm1")), &net.IPAddr{IP: net.IPv4(224, 0, 0, 18)}))
	a := newApplier(t)
	w := Wanted{Link: "vm1", VMAC: true, VRID: 52, Family4: true, Addresses: prefixes("10.31.0.9/24")}
	name := VMACName(named(t, "vm1").Attrs().Index, true, 52)
	for i, held := range []bool{true, false, true} {
		w.Present = held
		a.must(w)
		if !held {
			eventually(t, "the idle macvlan to be down", func() bool { return named(t, name).Attrs().Flags&net.FlagUp == 0 })
		}
		payload := []byte(fmt.Sprintf("advert %d", i))
		sendAdvert(t, ns, VirtualMAC(true, 52), payload)
		check(t, conn.SetReadDeadline(time.Now().Add(patience)))
		buf := make([]byte, 100)
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatalf("round %d, held=%v: advert did not arrive: %v", i, held, err)
		}
		if got := string(buf[:n]); got != string(payload) {
			t.Errorf("held=%v: %q arrived", held, got)
		}
	}
}

func TestVMACFollowsTheParent(t *testing.T) {
	pair(t, "vm2", []string{"10.32.0.1/24"}, nil)
	a := newApplier(t)
	w := Wanted{Link: "vm2", VMAC: true, VRID: 53, Addresses: prefixes("fd32::9/64"), Present: true}
	a.must(w)
	check(t, netlink.LinkDel(named(t, "vm2")))
	if err := a.want(w).Err; err == nil {
		t.Error("no error without the parent")
	}
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "vm2"}, PeerName: "vm2p"}))
	check(t, netlink.LinkSetUp(named(t, "vm2p")))
	a.must(w) // also while the parent is still down
	check(t, netlink.LinkSetUp(named(t, "vm2")))
	index := named(t, "vm2").Attrs().Index
	same(t, "after the parent came back", []string{"fd32::9/64"}, on(t, VMACName(index, false, 53)))

	w.VMAC = false
	a.must(w)
	eventually(t, "the macvlan to be deleted", func() bool { _, err := netlink.LinkByName(VMACName(index, false, 53)); return err != nil })
	same(t, "moved to the parent", []string{"fd32::9/64"}, on(t, "vm2"))
	w.VMAC, w.VRID = true, 54
	a.must(w)
	same(t, "moved away from the parent", nil, on(t, "vm2"))
	a.Forget("web")
	eventually(t, "the macvlan to be deleted", func() bool { _, err := netlink.LinkByName(VMACName(index, false, 54)); return err != nil })
}

// What is held when the daemon ends is left alone.
func TestVMACHeldAtTheEndStays(t *testing.T) {
	pair(t, "vm3", []string{"10.33.0.1/24"}, nil)
	a := newApplier(t)
	held := Wanted{Owner: "held", Link: "vm3", VMAC: true, VRID: 1, Family4: true, Addresses: prefixes("10.33.0.9/24"), Present: true}
	free := Wanted{Owner: "free", Link: "vm3", VMAC: true, VRID: 2, Family4: true, Addresses: prefixes("10.33.0.8/24"), Present: true}
	a.must(held)
	a.must(free)
	free.Present = false
	a.must(free)
	a.stop()
	index := named(t, "vm3").Attrs().Index
	same(t, "held", []string{"10.33.0.9/24"}, on(t, VMACName(index, true, 1)))
	if _, err := netlink.LinkByName(VMACName(index, true, 2)); err == nil {
		t.Error("the macvlan that is not held is still there")
	}
}

// TestVMACMany measures; it fails only when something is wrong by far.
func TestVMACMany(t *testing.T) {
	pair(t, "vm4", []string{"10.34.0.1/16"}, nil)
	a := newApplier(t)
	a.must(Wanted{Owner: "plain", Link: "vm4", Addresses: prefixes("10.34.2.1/32"), Present: true})
	all := func(present bool) time.Duration {
		start, answers := time.Now(), 0
		for vrid := uint8(1); vrid != 0; vrid++ {
			a.Set(Wanted{Owner: fmt.Sprint(vrid), Link: "vm4", VMAC: true, VRID: vrid, Family4: true,
				Addresses: prefixes(fmt.Sprintf("10.34.1.%d/16", vrid)), Present: present})
		}
		await(t, "255 answers", a.out, func(r Applied) bool { check(t, r.Err); answers++; return answers == 255 })
		return time.Since(start)
	}
	t.Logf("255 virtual MACs: made and held after %v", all(true))
	t.Logf("released after %v", all(false))
	t.Logf("held again after %v", all(true))
	t.Logf("released after %v", all(false))
	start := time.Now()
	a.stop()
	t.Logf("deleted after %v", time.Since(start))
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("deleting took %v", took)
	}
}

func flush(t *testing.T, ns *testenv.NS) {
	t.Helper()
	index := must(ns.Netlink().LinkByName("eth0")).Attrs().Index
	for _, n := range must(ns.Netlink().NeighList(index, 0)) {
		_ = ns.Netlink().NeighDel(&n) // multicast entries cannot be deleted
	}
}

func pokeFrom(t *testing.T, from, to string) {
	t.Helper()
	at := func(s string, port uint16) *net.UDPAddr {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(s), port))
	}
	conn := must(net.DialUDP("udp", at(from, 0), at(to, 9)))
	_, err := conn.Write([]byte("x"))
	check(t, err)
	check(t, conn.Close())
}

// sendAdvert sends an IPv4 packet of protocol 112 from a MAC of our choice.
func sendAdvert(t *testing.T, ns *testenv.NS, from net.HardwareAddr, payload []byte) {
	t.Helper()
	header := ipv4.Header{Version: 4, Len: 20, TotalLen: 20 + len(payload), TTL: 255, Protocol: 112,
		Src: net.IPv4(10, 31, 0, 2), Dst: net.IPv4(224, 0, 0, 18)}
	ip := must(header.Marshal())
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(ip[i])<<8 | uint32(ip[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum = ^(sum>>16 + sum&0xffff)
	ip[10], ip[11] = byte(sum>>8), byte(sum)
	eth := ethernet.Frame{Destination: mac("01:00:5e:00:00:12"), Source: from, EtherType: ethernet.EtherTypeIPv4, Payload: append(ip, payload...)}
	raw := must(eth.MarshalBinary())
	check(t, ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd) //nolint:errcheck // nothing is lost
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		return unix.Sendto(fd, raw, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Protocol: 0x0008})
	}))
}

func writeSysctl(name, value string) error {
	return writeFile("/proc/sys/"+name, value)
}
