package netif

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/vipd/vipd/testenv"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func newAnnouncer(t *testing.T) *Announcer {
	n := NewAnnouncer(quiet)
	run(t, n.Run)
	return n
}

// garp is the address that a gratuitous ARP request is about, if f is one.
func garp(f frame) (netip.Addr, bool) {
	if f.arp == nil || f.arp.Operation != arp.OperationRequest || f.arp.SenderIP != f.arp.TargetIP {
		return netip.Addr{}, false
	}
	return f.arp.SenderIP, slices.Equal(f.Destination, ethernet.Broadcast)
}

// advertisement is the unsolicited NA in f, if it is one.
func advertisement(f frame) *ndp.NeighborAdvertisement {
	if f.EtherType != ethernet.EtherTypeIPv6 || len(f.Payload) < 44 || f.Payload[6] != 58 || f.Payload[40] != 136 {
		return nil
	}
	m, err := ndp.ParseMessage(f.Payload[40:])
	na, ok := m.(*ndp.NeighborAdvertisement)
	if err != nil || !ok || na.Solicited {
		return nil
	}
	return na
}

// A client that talks to the old holder at this moment follows our frames.
func TestAnnounceTakesNeighboursOver(t *testing.T) {
	ns := pair(t, "ann0", []string{"10.40.0.1/24", "fd40::1/64"}, []string{"10.40.0.2/24", "fd40::2/64"})
	_, links := monitor(t, "ann0")
	await(t, "link-local address", links, func(l Link) bool {
		return slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	})
	physical := named(t, "ann0").Attrs().HardwareAddr
	eth0 := must(ns.Netlink().LinkByName("eth0")).Attrs().Index
	n := newAnnouncer(t)
	vips := addrs("10.40.0.9", "fd40::9")
	for _, ip := range vips {
		check(t, ns.Netlink().NeighSet(&netlink.Neigh{LinkIndex: eth0, IP: ip.AsSlice(), State: unix.NUD_REACHABLE, HardwareAddr: mac("02:00:00:00:00:99")}))
	}
	frames := tap(t, ns)
	n.Announce(Announcement{Owner: "web", Link: "ann0", Addresses: vips, Repeat: 1, Cause: "takeover"})
	for _, ip := range vips {
		eventually(t, "the client to follow", func() bool { return slices.Equal(neighbour(t, ns, ip.String()), physical) })
	}
	na := await(t, "the advertisement", frames, func(f frame) bool { return advertisement(f) != nil })
	if source := netip.AddrFrom16([16]byte(na.Payload[8:24])); !source.IsLinkLocalUnicast() {
		t.Errorf("advertisement from %s, want the link-local address", source)
	}
	if advertisement(na).Router {
		t.Error("router flag set by a host that does not forward")
	}
	want := map[Counter]Count{{"ann0", "arp", "takeover"}: {Sent: 1}, {"ann0", "na", "takeover"}: {Sent: 1}}
	if diff := cmp.Diff(want, n.Counters()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}

	check(t, writeSysctl("net/ipv6/conf/ann0/forwarding", "1"))
	frames = tap(t, ns)
	eventually(t, "the router flag", func() bool {
		n.Announce(Announcement{Owner: "web", Link: "ann0", Addresses: addrs("fd40::9"), Repeat: 1, Cause: "refresh"})
		return advertisement(await(t, "the advertisement", frames, func(f frame) bool { return advertisement(f) != nil })).Router
	})
}

// The gateway is asked in person, which makes it learn an address that it had
// no entry for.
func TestAnnounceTellsTheGateway(t *testing.T) {
	ns := pair(t, "ann1", []string{"10.41.0.1/24"}, []string{"10.41.0.2/24"})
	check(t, netlink.RouteAdd(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("0.0.0.0/0")), Gw: []byte{10, 41, 0, 2}}))
	poke(t, ns, "10.41.0.1") // they know each other
	gateway := must(ns.Netlink().LinkByName("eth0")).Attrs().HardwareAddr
	index := named(t, "ann1").Attrs().Index
	eventually(t, "the gateway's MAC", func() bool {
		c := must(openRTNL())
		defer c.close()
		got, ok := c.neighbour(index, netip.MustParseAddr("10.41.0.2"))
		return ok && slices.Equal(got, gateway)
	})
	flush(t, ns)
	frames := tap(t, ns)
	newAnnouncer(t).Announce(Announcement{Owner: "web", Link: "ann1", Addresses: addrs("10.41.0.9"), Repeat: 3, Cause: "takeover"})
	f := await(t, "the question to the gateway", frames, func(f frame) bool { return f.arp != nil && slices.Equal(f.Destination, gateway) })
	if f.arp.SenderIP.String() != "10.41.0.9" || f.arp.TargetIP.String() != "10.41.0.2" || f.arp.Operation != arp.OperationRequest {
		t.Errorf("the gateway got %+v", f.arp)
	}
	eventually(t, "an entry at the gateway", func() bool { return neighbour(t, ns, "10.41.0.9") != nil })
	for range 2 { // the first frame came before the question
		await(t, "repeats", frames, func(f frame) bool { _, ok := garp(f); return ok })
	}
}

// Test A8 of the conformance list: nothing is sent after Cancel, while the
// bursts of others go on.
func TestCancelIsFinal(t *testing.T) {
	ns := pair(t, "ann2", nil, nil)
	frames := tap(t, ns)
	n := newAnnouncer(t)
	mine, others := addrs("10.42.0.1", "fd42::1"), addrs("10.42.0.2")
	for _, cause := range []string{"takeover", "contest"} {
		n.Announce(Announcement{Owner: "mine", Link: "ann2", Addresses: mine, Repeat: 100, Interval: time.Millisecond, Cause: cause})
	}
	await(t, "a frame of each burst", frames, func(frame) bool {
		sent := 0
		for _, k := range n.Counters() {
			if k.Sent > 0 {
				sent++
			}
		}
		return sent == 4
	})
	n.Cancel("mine")
	before := n.Counters()
	drain(frames) // a veth delivers within the call that sends
	n.Announce(Announcement{Owner: "others", Link: "ann2", Addresses: others, Repeat: 50, Interval: time.Millisecond, Cause: "refresh"})
	seen := 0
	await(t, "the burst of another owner", frames, func(f frame) bool {
		ip, _ := garp(f)
		if ip == others[0] {
			seen++
		}
		return seen == 50
	})
	after := n.Counters()
	for _, kind := range []string{"arp", "na"} {
		for _, cause := range []string{"takeover", "contest"} {
			k := Counter{"ann2", kind, cause}
			if before[k] != after[k] || after[k].Sent == 0 || after[k].Sent >= 100 {
				t.Errorf("%v: %+v frames at Cancel, %+v later", k, before[k], after[k])
			}
		}
	}
}

// Test A4: with 500 addresses every first frame goes before any repeat, and the
// link is not flooded.
func TestAnnounceManyFirstFramesFirst(t *testing.T) {
	if !mayForceBuffers(t) {
		t.Skip("the observer would lose frames: only root of the machine may have a receive buffer that is large enough")
	}
	ns := pair(t, "ann3", nil, nil)
	frames := tap(t, ns)
	n := NewAnnouncer(quiet)
	const owners, repeat = 500, 3
	for i := range owners {
		n.Announce(Announcement{Owner: fmt.Sprint(i), Link: "ann3", Repeat: repeat, Cause: "takeover",
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 43, byte(i >> 8), byte(i)})}})
	}
	start := time.Now()
	run(t, n.Run)
	seen := map[netip.Addr]int{}
	total := 0
	var first time.Duration
	last := await(t, "all frames", frames, func(f frame) bool {
		ip, ok := garp(f)
		if !ok {
			return false
		}
		if seen[ip]++; seen[ip] > 1 && len(seen) < owners {
			t.Errorf("%s is repeated after %d first frames", ip, len(seen))
		}
		if total++; total == owners {
			first = f.at.Sub(start)
		}
		return total == owners*repeat
	})
	took := last.at.Sub(start)
	t.Logf("%d addresses: all announced after %v, %d frames after %v", owners, first, total, took)
	if least := time.Duration(owners*repeat-frameBurst) * time.Second / framesPerSecond; took < least-10*time.Millisecond {
		t.Errorf("%d frames in %v, want at least %v", total, took, least)
	}
	if first > time.Second {
		t.Errorf("first frames took %v", first)
	}
}

func TestAnnounceSpacesRepeats(t *testing.T) {
	ns := pair(t, "ann4", nil, nil)
	frames := tap(t, ns)
	const gap = 20 * time.Millisecond
	newAnnouncer(t).Announce(Announcement{Owner: "web", Link: "ann4", Addresses: addrs("10.44.0.1"), Repeat: 4, Interval: gap, Cause: "takeover"})
	var at []time.Time
	await(t, "all frames", frames, func(f frame) bool {
		if _, ok := garp(f); ok {
			at = append(at, f.at)
		}
		return len(at) == 4
	})
	if d := at[3].Sub(at[0]); d < 3*gap-gap/4 {
		t.Errorf("4 frames within %v, want %v", d, 3*gap)
	}
}

func TestAnnounceFollowsTheDevice(t *testing.T) {
	ns := pair(t, "ann5", nil, nil)
	frames := tap(t, ns)
	n := newAnnouncer(t)
	announce := func() {
		n.Announce(Announcement{Owner: "web", Link: "ann5", Addresses: addrs("10.45.0.1"), Repeat: 1, Cause: "takeover"})
	}
	announce()
	await(t, "a frame", frames, func(f frame) bool { _, ok := garp(f); return ok })
	check(t, netlink.LinkDel(named(t, "ann5")))
	again := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "ann5"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd())}
	check(t, netlink.LinkAdd(again))
	check(t, ns.Netlink().LinkSetUp(must(ns.Netlink().LinkByName("eth0"))))
	check(t, netlink.LinkSetUp(named(t, "ann5")))
	frames = tap(t, ns)
	announce()
	f := await(t, "a frame from the new device", frames, func(f frame) bool { _, ok := garp(f); return ok })
	if want := named(t, "ann5").Attrs().HardwareAddr; !slices.Equal(f.Source, want) {
		t.Errorf("frame from %s, want %s", f.Source, want)
	}
	if got := n.Counters()[Counter{"ann5", "arp", "takeover"}]; got != (Count{Sent: 2}) {
		t.Errorf("counted %+v", got)
	}
}

func TestAnnounceFromTheVirtualMAC(t *testing.T) {
	ns := pair(t, "ann6", []string{"10.46.0.1/24"}, []string{"10.46.0.2/24"})
	frames := tap(t, ns)
	newApplier(t).must(Wanted{Link: "ann6", VMAC: true, VRID: 46, Addresses: prefixes("fd46::9/64", "10.46.0.9/24"), Present: true})
	n := newAnnouncer(t)
	n.Announce(Announcement{Owner: "web", Link: "ann6", VMAC: true, VRID: 46, Addresses: addrs("fd46::9", "10.46.0.9"), Repeat: 1, Cause: "takeover"})
	virtual := VirtualMAC(false, 46)
	na := await(t, "the advertisement", frames, func(f frame) bool { return advertisement(f) != nil && slices.Equal(f.Source, virtual) })
	if lla, ok := advertisement(na).Options[0].(*ndp.LinkLayerAddress); !ok || !slices.Equal(lla.Addr, virtual) {
		t.Errorf("advertisement says %+v", advertisement(na).Options)
	}
	f := await(t, "the request", frames, func(f frame) bool { _, ok := garp(f); return ok && f.arp.SenderIP.String() == "10.46.0.9" })
	if !slices.Equal(f.arp.SenderHardwareAddr, virtual) || !slices.Equal(f.Source, virtual) {
		t.Errorf("request from %s about %s", f.Source, f.arp.SenderHardwareAddr)
	}
}

// Test A12: what cannot be announced is refused and counted.
func TestAnnounceRefuses(t *testing.T) {
	pair(t, "ann7", nil, nil)
	n := newAnnouncer(t)
	for _, link := range []string{"lo", "nothere"} {
		n.Announce(Announcement{Owner: "web", Link: link, Addresses: addrs("10.47.0.1", "fd47::1"), Repeat: 5, Cause: "takeover"})
		eventually(t, "the refusal", func() bool {
			c := n.Counters()
			return c[Counter{link, "arp", "takeover"}].Failed == 1 && c[Counter{link, "na", "takeover"}].Failed == 1
		})
	}
	check(t, netlink.LinkSetDown(named(t, "ann7")))
	n.Announce(Announcement{Owner: "web", Link: "ann7", Addresses: addrs("10.47.0.1"), Repeat: 2, Cause: "takeover"})
	eventually(t, "two failures", func() bool {
		return n.Counters()[Counter{"ann7", "arp", "takeover"}] == Count{Failed: 2}
	})
}

func TestBucket(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	k := bucket{tokens: frameBurst}
	took := func() (n int) {
		for k.take(now) {
			n++
		}
		return n
	}
	steps := []struct {
		after time.Duration
		want  int
	}{{0, frameBurst}, {0, 0}, {10 * time.Millisecond, 20}, {time.Hour, frameBurst}}
	for _, s := range steps {
		now = now.Add(s.after)
		if got := took(); got != s.want {
			t.Errorf("after %v: %d frames, want %d", s.after, got, s.want)
		}
	}
	if d := k.next(now).Sub(now); d <= 0 || d > time.Second/framesPerSecond {
		t.Errorf("next frame after %v", d)
	}
}

func mayForceBuffers(t *testing.T) bool {
	t.Helper()
	testenv.Require(t)
	c := must(openRTNL())
	defer c.close()
	return unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tapBuffer) == nil
}
