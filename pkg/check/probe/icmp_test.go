package probe

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// cable joins eth7 of this namespace to eth0 of another one: .1 and .2 of both
// networks. Behind the other host lies nothing; it says so in several ways.
func cable(t *testing.T) *testenv.NS {
	t.Helper()
	ns, err := testenv.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth7"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd())}))
	here, err := netlink.LinkByName("eth7")
	do(err)
	t.Cleanup(func() { do(netlink.LinkDel(here)); do(ns.Close()) })
	there, err := ns.Netlink().LinkByName("eth0")
	do(err)
	for i, p := range []string{"192.0.2.1/24", "2001:db8::1/64", "fe80::1/64", "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64"} {
		a, err := netlink.ParseAddr(p)
		do(err)
		if i%3 != 0 {
			a.Flags = unix.IFA_F_NODAD
		}
		if i < 3 {
			do(netlink.AddrAdd(here, a))
		} else {
			do(ns.Netlink().AddrAdd(there, a))
		}
	}
	do(netlink.LinkSetUp(here))
	do(ns.Netlink().LinkSetUp(there))
	do(ns.Do(func() error {
		for name, value := range map[string]string{
			"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", // a router
			"ipv4/icmp_ratelimit": "0", "ipv6/icmp/ratelimit": "0", // that reports every packet
		} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, r := range []struct{ to, via string }{{"198.51.100.0/23", "192.0.2.2"}, {"2001:db8:f::/47", "2001:db8::2"}} {
		_, to, err := net.ParseCIDR(r.to)
		do(err)
		do(netlink.RouteAdd(&netlink.Route{Dst: to, Gw: net.ParseIP(r.via)}))
	}
	for _, to := range []string{"198.51.101.0/24", "2001:db8:f:1::/64"} {
		_, to, err := net.ParseCIDR(to)
		do(err)
		do(ns.Netlink().RouteAdd(&netlink.Route{Dst: to, Type: unix.RTN_PROHIBIT}))
	}
	return ns
}

// allowPing opens or closes ping sockets to this process. In a user namespace
// with one group they cannot be closed again.
func allowPing(t *testing.T, allow bool) {
	t.Helper()
	groups := "1 0" // none
	if allow {
		groups = "0 0"
	}
	wrote := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(groups), 0o644)
	e, err := newEcho(check.ICMP{Target: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	switch err := e.conn.Close(); {
	case err != nil:
		t.Fatal(err)
	case e.raw == !allow:
	case errors.Is(wrote, unix.EINVAL):
		t.Skip("ping sockets cannot be closed again: this user namespace has one group")
	default:
		t.Fatalf("raw %v with %q (%v)", e.raw, groups, wrote)
	}
}

// sockets runs a test with raw sockets and with ping sockets.
func sockets(t *testing.T, test func(t *testing.T)) {
	t.Run("raw", func(t *testing.T) { allowPing(t, false); test(t) })
	t.Run("ping", func(t *testing.T) { allowPing(t, true); test(t) })
}

// Without any right, the detail tells which ones there are.
func TestICMPNotAllowed(t *testing.T) {
	testenv.Require(t)
	allowPing(t, false)
	got := make(chan Result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here, without its rights
		none := [2]unix.CapUserData{}
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			got <- Result{Detail: err.Error()}
			return
		}
		got <- Once(t.Context(), config(check.ICMP{Target: "127.0.0.1"}, 20*time.Second), Settings{})
	}()
	want := "echo to 127.0.0.1: not allowed: gid 0 is not in net.ipv4.ping_group_range, and there is no CAP_NET_RAW"
	if r := <-got; r.OK || r.Detail != want {
		t.Errorf("got %v %q, want %q", r.OK, r.Detail, want)
	}
}

func TestICMP(t *testing.T) {
	testenv.Require(t)
	cable(t)
	sockets(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			spec check.ICMP
			ok   bool
			want string
		}{
			{"IPv4", check.ICMP{Target: "192.0.2.2"}, true, "reply from 192.0.2.2"},
			{"IPv6", check.ICMP{Target: "2001:db8::2"}, true, "reply from 2001:db8::2"},
			{"ourselves", check.ICMP{Target: "127.0.0.1"}, true, "reply from 127.0.0.1"},
			{"ourselves, IPv6", check.ICMP{Target: "::1"}, true, "reply from ::1"},
			{"source", check.ICMP{Target: "192.0.2.2", Source: "192.0.2.1"}, true, "reply from 192.0.2.2"},
			{"source, IPv6", check.ICMP{Target: "2001:db8::2", Source: "2001:db8::1"}, true, "reply from 2001:db8::2"},
			{"interface", check.ICMP{Target: "192.0.2.2", Interface: "eth7"}, true, "reply from 192.0.2.2"},
			{"link-local", check.ICMP{Target: "fe80::2", Interface: "eth7"}, true, "reply from " + "fe80::2"},
			{"wrong interface", check.ICMP{Target: "192.0.2.2", Interface: "lo"}, false, "echo to 192.0.2.2: "},
			{"no such interface", check.ICMP{Target: "192.0.2.2", Interface: "eth8"}, false, "echo by eth8: no such network interface"},
			{"source that is not ours", check.ICMP{Target: "192.0.2.2", Source: "192.0.2.7"}, false, "echo from 192.0.2.7: cannot assign requested address"},
			{"source of another family", check.ICMP{Target: "192.0.2.2", Source: "2001:db8::1"}, false, "source 2001:db8::1 is not an address to reach 192.0.2.2 from"},
			{"not an address", check.ICMP{Target: "gateway"}, false, "target gateway is not an address"},
			{"nobody there", check.ICMP{Target: "192.0.2.9"}, false, "echo to 192.0.2.9: no reply within 200ms"},
			{"no route here", check.ICMP{Target: "203.0.113.1"}, false, "echo to 203.0.113.1: network is unreachable"},
			{"no route there", check.ICMP{Target: "198.51.100.1"}, false, "echo to 198.51.100.1: network unreachable, says 192.0.2.2"},
			{"prohibited", check.ICMP{Target: "198.51.101.1"}, false, "echo to 198.51.101.1: prohibited, says 192.0.2.2"},
			{"no route there, IPv6", check.ICMP{Target: "2001:db8:f::1"}, false, "echo to 2001:db8:f::1: no route, says 2001:db8::2"},
			{"prohibited, IPv6", check.ICMP{Target: "2001:db8:f:1::1"}, false, "echo to 2001:db8:f:1::1: prohibited, says 2001:db8::2"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				timeout := 20 * time.Second
				if strings.Contains(tt.want, "200ms") || tt.spec.Interface == "lo" {
					timeout = 200 * ms
				}
				got := Once(t.Context(), config(tt.spec, timeout), Settings{})
				if got.OK != tt.ok || !strings.HasPrefix(got.Detail, tt.want) {
					t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, tt.ok, tt.want)
				}
			})
		}
	})
}

// responder answers echo requests in a namespace with what bend makes of the
// reply; the kernel there is silent.
func responder(t *testing.T, ns *testenv.NS, bend func(icmp.Echo) []icmp.Echo) {
	t.Helper()
	var v4, v6 *icmp.PacketConn
	err := ns.Do(func() (err error) {
		for _, name := range []string{"ipv4/icmp_echo_ignore_all", "ipv6/icmp/echo_ignore_all"} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0o644); err != nil {
				return err
			}
		}
		if v4, err = icmp.ListenPacket("ip4:icmp", "192.0.2.2"); err == nil {
			v6, err = icmp.ListenPacket("ip6:ipv6-icmp", "2001:db8::2")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(c *icmp.PacketConn, protocol int, request, reply icmp.Type) {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return // the test is over
			}
			m, err := icmp.ParseMessage(protocol, buf[:n])
			if err != nil || m.Type != request {
				continue
			}
			for _, body := range bend(*m.Body.(*icmp.Echo)) {
				answer, _ := (&icmp.Message{Type: reply, Body: &body}).Marshal(nil)
				_, _ = c.WriteTo(answer, from)
			}
		}
	}
	go serve(v4, unix.IPPROTO_ICMP, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply)
	go serve(v6, unix.IPPROTO_ICMPV6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply)
	t.Cleanup(func() { _ = v4.Close(); _ = v6.Close() })
}

// Replies with another identifier, number or payload are for others.
func TestICMPRepliesOfOthers(t *testing.T) {
	testenv.Require(t)
	ns := cable(t)
	helpful := make(chan bool, 1)
	responder(t, ns, func(e icmp.Echo) []icmp.Echo {
		list := []icmp.Echo{e, e, e, e}
		list[0].ID ^= 1
		list[1].Seq ^= 1
		list[2].Data = nil
		list[3].Data = append([]byte(nil), e.Data[:len(e.Data)-1]...)
		good := <-helpful
		helpful <- good
		if good {
			list = append(list, e)
		}
		return list
	})
	sockets(t, func(t *testing.T) {
		for _, target := range []string{"192.0.2.2", "2001:db8::2"} {
			helpful <- true
			got := Once(t.Context(), config(check.ICMP{Target: target}, 20*time.Second), Settings{})
			if want := "reply from " + target; !got.OK || got.Detail != want {
				t.Errorf("got %v %q, want %q", got.OK, got.Detail, want)
			}
			<-helpful
			helpful <- false
			got = Once(t.Context(), config(check.ICMP{Target: target}, 200*ms), Settings{})
			want := "echo to " + target + ": no reply within 200ms; ignored 4 replies to others"
			if strings.HasSuffix(t.Name(), "/ping") {
				want = strings.Replace(want, "4", "3", 1) // the kernel knows whose identifier it is
			}
			if got.OK || got.Detail != want {
				t.Errorf("got %v %q, want %q", got.OK, got.Detail, want)
			}
			<-helpful
		}
	})
}

// Many checks of one target do not take each other's replies.
func TestICMPBesideEachOther(t *testing.T) {
	testenv.Require(t)
	cable(t)
	sockets(t, func(t *testing.T) {
		results := make(chan Result)
		for range 50 {
			go func() {
				results <- Once(t.Context(), config(check.ICMP{Target: "192.0.2.2"}, 20*time.Second), Settings{})
			}()
		}
		for range 50 {
			if got := <-results; !got.OK {
				t.Error(got.Detail)
			}
		}
	})
}
