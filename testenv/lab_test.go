package testenv_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
)

func TestHost(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	if got := l.lb1.Addresses("eth0"); !slices.Contains(got, netip.MustParsePrefix("192.0.2.1/24")) ||
		!slices.Contains(got, netip.MustParsePrefix("2001:db8::1/64")) {
		t.Errorf("addresses of eth0: %v", got)
	}
	if got := l.lb1.Addresses("eth7"); got != nil {
		t.Errorf("addresses of a missing interface: %v", got)
	}
	if _, err := l.Host("lb1"); !errors.Is(err, os.ErrExist) {
		t.Errorf("second host of one name: %v", err)
	}
	if _, err := l.Host("lb9", "192.0.2.300/24"); err == nil {
		t.Error("a bad address is taken")
	}
	ok(t, l.lb1.Sysctl("net.ipv4.conf.eth0.arp_ignore", "1"))
	if v, err := l.lb1.SysctlValue("net.ipv4.conf.eth0.arp_ignore"); v != "1" || err != nil {
		t.Errorf("sysctl: %q, %v", v, err)
	}
	if v, _ := l.lb2.SysctlValue("net.ipv4.conf.eth0.arp_ignore"); v != "0" {
		t.Errorf("sysctl of the other host: %q", v)
	}

	_, err := l.client.Probe(target("192.0.2.1"), 0)
	ok(t, err)
	testenv.Eventually(t, 5*time.Second, "the client knows lb1", func() bool {
		n, known := l.client.Neighbour(netip.MustParseAddr("192.0.2.1"))
		return known && n.State == "REACHABLE" && n.MAC.String() == l.lb1.MAC("eth0").String()
	})
}

func TestSegments(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	back, err := l.Segment("back")
	ok(t, err)
	if again, err := l.Segment("back"); again != back || err != nil {
		t.Errorf("the same segment again: %p, %v", again, err)
	}
	for h, prefix := range map[*testenv.Host]string{l.lb1: "10.0.0.1/24", l.client: "10.0.0.9/24"} {
		dev, err := h.Attach(back, prefix)
		ok(t, err)
		if dev != "eth1" {
			t.Errorf("second interface: %s", dev)
		}
	}
	ok(t, l.PortDown(l.lb1, "eth0"))
	p, err := l.client.Probe(target("10.0.0.1"), 100)
	ok(t, err)
	_, err = p.WaitAnswer(within(t, 5*time.Second), "lb1") // by way of the other segment
	ok(t, err)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	carrier := func() bool {
		link, err := l.lb1.NS.Netlink().LinkByName("eth0")
		return err == nil && link.Attrs().RawFlags&unix.IFF_RUNNING != 0
	}
	if !carrier() {
		t.Fatal("no carrier at first")
	}
	ok(t, l.PortDown(l.lb1))
	testenv.Eventually(t, 5*time.Second, "carrier lost", func() bool { return !carrier() })
	ok(t, l.PortUp(l.lb1))
	testenv.Eventually(t, 5*time.Second, "carrier back", carrier)
	ok(t, l.PortDown(l.lb1))
	ok(t, l.Heal())
	testenv.Eventually(t, 5*time.Second, "carrier healed", carrier)

	ok(t, l.lb1.SetLink("eth0", false))
	if carrier() {
		t.Error("carrier on a link that is down")
	}
	ok(t, l.lb1.SetLink("eth0", true))

	mac := l.lb1.MAC("eth0").String()
	ok(t, l.lb1.DeleteLink("eth0"))
	if l.lb1.MAC("eth0") != nil {
		t.Error("eth0 is still there")
	}
	ok(t, l.lb1.RecreateLink("eth0"))
	if got := l.lb1.MAC("eth0").String(); got == mac || got == "" {
		t.Errorf("MAC after recreation: %q, before: %q", got, mac)
	}
	p, err := l.client.Probe(target("192.0.2.1"), 100)
	ok(t, err)
	_, err = p.WaitAnswer(within(t, 5*time.Second), "lb1")
	ok(t, err)
	if err := l.lb1.RecreateLink("eth5"); err == nil {
		t.Error("a link that never was is recreated")
	}
}

func TestOneWayCut(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	at1, err := l.lb1.Observe("eth0")
	ok(t, err)
	at2, err := l.lb2.Observe("eth0")
	ok(t, err)
	ok(t, l.CutOneWay(l.lb1, l.lb2))
	mark := time.Now()
	send(t, l.lb1, advert(l.lb1, "192.0.2.1", 51, 150))
	send(t, l.lb2, advert(l.lb2, "192.0.2.2", 51, 100))
	send(t, l.client, advert(l.client, "192.0.2.10", 51, 90))
	from := func(ip string) func(testenv.Frame) bool {
		return func(f testenv.Frame) bool {
			return f.VRRP != nil && !f.Out && f.VRRP.Source.String() == ip && !f.Time.Before(mark)
		}
	}
	_, err = at1.WaitFor(within(t, 5*time.Second), from("192.0.2.2"))
	ok(t, err)
	_, err = at2.WaitFor(within(t, 5*time.Second), from("192.0.2.10")) // sent after lb1's
	ok(t, err)
	if slices.ContainsFunc(at2.Frames(), from("192.0.2.1")) {
		t.Error("a frame came through the cut")
	}
	ok(t, l.Heal())
	send(t, l.lb1, advert(l.lb1, "192.0.2.1", 51, 150))
	_, err = at2.WaitFor(within(t, 5*time.Second), from("192.0.2.1"))
	ok(t, err)
}

func TestLoss(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	at2, err := l.lb2.Observe("eth0")
	ok(t, err)
	count := func() (vrrp, arp int, done bool) {
		for _, f := range at2.Frames() {
			switch {
			case f.VRRP != nil && f.VRRP.VRID == 1:
				vrrp++
			case f.VRRP != nil && f.VRRP.VRID == 2:
				done = true
			case f.ARP != nil && f.ARP.Target.String() == "192.0.2.77":
				arp++
			}
		}
		return vrrp, arp, done
	}
	ok(t, l.Loss(l.lb1, l.lb2, 30, testenv.MatchVRRP))
	const sent = 2000
	frames := make([][]byte, 0, 2*sent)
	for range sent {
		frames = append(frames, advert(l.lb1, "192.0.2.1", 1, 100), arpRequest(l.lb1, "192.0.2.77"))
	}
	send(t, l.lb1, frames...)
	send(t, l.client, advert(l.client, "192.0.2.10", 2, 100))
	testenv.Eventually(t, 5*time.Second, "the last frame", func() bool { _, _, done := count(); return done })
	vrrp, arp, _ := count()
	if lost := 100 * (sent - vrrp) / sent; lost < 25 || lost > 35 {
		t.Errorf("30 %% loss lost %d %% of %d adverts", lost, sent)
	}
	if arp != sent {
		t.Errorf("loss of VRRP lost %d ARP requests", sent-arp)
	}
	if err := l.Loss(nil, l.lb1, 101, testenv.MatchAll); err == nil {
		t.Error("101 % is taken")
	}
	if err := l.Loss(nil, l.lb1, 1, testenv.Match(9)); err == nil {
		t.Error("an unknown match is taken")
	}
}

// Loss of everything between two hosts is seen by the prober as such.
func TestLossProbes(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	p, err := l.client.Probe(target("192.0.2.1"), 0)
	ok(t, err)
	_, err = p.WaitAnswer(within(t, 5*time.Second), "lb1")
	ok(t, err)
	ok(t, l.Loss(nil, l.client, 30, testenv.MatchAll))
	mark, sent := time.Now(), p.Sent()
	ok(t, testenv.Until(t.Context(), func() bool { return p.Sent() >= sent+1000 }))
	r := p.Stop().Since(mark)
	if lost := 100 * r.Lost / r.Sent; lost < 20 || lost > 40 {
		t.Errorf("30 %% loss lost %d %%: %v", lost, r)
	}
}

func TestObservePort(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	tap, err := l.lb1.ObservePort("eth0")
	ok(t, err)
	ok(t, l.Cut(l.lb1))
	send(t, l.lb1, advert(l.lb1, "192.0.2.1", 51, 150))
	f, err := tap.WaitFor(within(t, 5*time.Second), func(f testenv.Frame) bool { return f.VRRP != nil })
	ok(t, err)
	if f.Out || f.Source.String() != l.lb1.MAC("eth0").String() || time.Since(f.Time) > 5*time.Second {
		t.Errorf("frame: %+v", f)
	}
	var pcap bytes.Buffer
	ok(t, tap.WritePCAP(&pcap))
	if b := pcap.Bytes(); binary.LittleEndian.Uint32(b) != 0xa1b23c4d || !bytes.Contains(b, f.Data) {
		t.Errorf("capture of %d bytes", len(b))
	}
	if n := tap.Dropped(); n != 0 {
		t.Errorf("%d frames dropped", n)
	}
	if _, err := l.lb1.ObservePort("eth9"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("port of a missing interface: %v", err)
	}
	if _, err := l.lb1.Observe("eth9"); err == nil {
		t.Error("a missing interface is tapped")
	}
}

func TestWhoHas(t *testing.T) {
	const asking = time.Second // a hundred questions, of which a busy machine asks five
	for _, vip := range []string{vip4, vip6} {
		t.Run(vip, func(t *testing.T) {
			t.Parallel()
			l := newTrio(t)
			ok(t, l.lb1.AddAddress("eth0", host32(vip)))
			one, err := l.client.WhoHas("eth0", netip.MustParseAddr(vip), 10*time.Millisecond)
			ok(t, err)
			mark := time.Now()
			ok(t, testenv.Until(t.Context(), func() bool { return time.Since(mark) > asking }))
			r := one.Stop()
			mac1, mac2 := l.lb1.MAC("eth0").String(), l.lb2.MAC("eth0").String()
			if r.Dual != 0 || len(r.Holders) != 1 || r.Holders[mac1].Answers < 5 {
				t.Errorf("one holder: %+v", r)
			}
			ok(t, l.lb2.AddAddress("eth0", host32(vip)))
			two, err := l.client.WhoHas("eth0", netip.MustParseAddr(vip), 10*time.Millisecond)
			ok(t, err)
			mark = time.Now()
			ok(t, testenv.Until(t.Context(), func() bool { return time.Since(mark) > asking }))
			r = two.Stop()
			if r.Dual < 5 || len(r.Holders) != 2 || r.Holders[mac1].Answers < 5 || r.Holders[mac2].Answers < 5 {
				t.Errorf("two holders: %+v", r)
			}
			if _, known := l.client.Neighbour(netip.MustParseAddr(vip)); known {
				t.Error("asking changed the client's neighbour table")
			}
		})
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	out, err := l.lb1.Run(t.Context(), "/bin/sh", "-c", "cat /proc/net/fib_trie; pwd")
	ok(t, err)
	if !strings.Contains(out, "192.0.2.1") || strings.Contains(out, "192.0.2.2\n") || !strings.Contains(out, l.lb1.Dir()) {
		t.Errorf("a process on lb1 sees: %s", out)
	}
	var exit *exec.ExitError
	if _, err := l.lb1.Run(t.Context(), "/bin/sh", "-c", "echo why >&2; exit 3"); !errors.As(err, &exit) ||
		exit.ExitCode() != 3 || !strings.Contains(err.Error(), "why") {
		t.Errorf("a failing command: %v", err)
	}
	if _, err := l.lb1.Run(t.Context(), "/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing command: %v", err)
	}

	p, err := l.lb1.Start(exec.Command("/bin/sh", "-c", `trap 'echo stopping; exit 0' TERM; sleep 600 & echo "child $!"; wait`))
	ok(t, err)
	ok(t, p.WaitOutput(within(t, 5*time.Second), "child"))
	group := p.Pid()
	ok(t, p.Signal(syscall.SIGTERM))
	ok(t, p.Wait(within(t, 5*time.Second)))
	if !strings.Contains(p.Output(), "stopping") {
		t.Errorf("output: %q", p.Output())
	}
	testenv.Eventually(t, 5*time.Second, "the group is gone", func() bool {
		return errors.Is(unix.Kill(-group, 0), unix.ESRCH)
	})
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a process that has ended: %v", err)
	}
	if err := p.WaitOutput(t.Context(), "never"); err == nil {
		t.Error("output that never came")
	}
}

// What runs in a lab ends with it.
func TestClose(t *testing.T) {
	t.Parallel()
	testenv.Require(t)
	l, err := testenv.NewLab()
	ok(t, err)
	h, err := l.Host("lb1", "192.0.2.1/24")
	ok(t, err)
	p, err := h.Start(exec.Command("/bin/sh", "-c", "sleep 600 & wait"))
	ok(t, err)
	_, err = h.Probe(target("192.0.2.1"), 10)
	ok(t, err)
	ok(t, l.Close())
	if err := p.Wait(within(t, time.Second)); err == nil {
		t.Error("the process ended by itself")
	}
	if _, err := os.Stat(h.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of a host: %v", err)
	}
	if err := h.NS.Start(exec.Command("/bin/true")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("start on a closed host: %v", err)
	}
	ok(t, l.Close())
}

func TestUntil(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	ok(t, testenv.Until(ctx, func() bool { n++; return n == 3 }))
	cancel()
	if err := testenv.Until(ctx, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func send(t *testing.T, h *testenv.Host, frames ...[]byte) {
	t.Helper()
	i, err := h.Injector("eth0")
	ok(t, err)
	n, err := i.Send(frames...)
	if n != len(frames) || err != nil {
		t.Fatalf("sent %d of %d frames: %v", n, len(frames), err)
	}
	ok(t, i.Close())
}

func advert(h *testenv.Host, src string, vrid, priority byte) []byte {
	return testenv.Packet{
		SourceMAC: h.MAC("eth0"), DestinationMAC: []byte{1, 0, 0x5e, 0, 0, 18},
		Source: netip.MustParseAddr(src), Destination: netip.MustParseAddr("224.0.0.18"),
		Protocol: 112, HopLimit: 255, Payload: []byte{0x31, vrid, priority, 0, 0, 10, 0, 0},
	}.Marshal()
}

func arpRequest(h *testenv.Host, ip string) []byte {
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, h.MAC("eth0")...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, h.MAC("eth0")...), 192, 0, 2, 1)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, netip.MustParseAddr(ip).AsSlice()...)
}
