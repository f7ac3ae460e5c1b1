package labs

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/vipd/vipd/testenv"
)

// addressEvents are the kernel's events about the addresses of a host.
func addressEvents(t *testing.T, h *testenv.Host) <-chan netlink.AddrUpdate {
	t.Helper()
	events, done := make(chan netlink.AddrUpdate, 256), make(chan struct{})
	t.Cleanup(func() { close(done) })
	if err := h.NS.Do(func() error { return netlink.AddrSubscribe(events, done) }); err != nil {
		t.Fatal(err)
	}
	return events
}

// backAfter deletes an address and returns how long the host was without it.
func backAfter(t *testing.T, a *agent, events <-chan netlink.AddrUpdate, p netip.Prefix) time.Duration {
	t.Helper()
	at := time.Now()
	if err := a.host.DeleteAddress("eth0", p); err != nil {
		t.Fatal(err)
	}
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	for gone := false; ; {
		select {
		case ev := <-events:
			ip, _ := netip.AddrFromSlice(ev.LinkAddress.IP)
			if ip.Unmap() != p.Addr() {
				continue
			}
			if gone && ev.NewAddr {
				return time.Since(at)
			}
			gone = gone || !ev.NewAddr
		case <-deadline.C:
			_, out, _ := a.run("status", "web")
			t.Fatalf("%s did not come back within 5s\n%s\n%s", p, out, a.proc.Output())
		}
	}
}

// TestAddressDeleted: an address that somebody deletes is back at once, and the
// event says so.
func TestAddressDeleted(t *testing.T) {
	for _, prefix := range []string{"192.0.2.100/24", "fd00:2::100/64"} {
		t.Run(prefix, func(t *testing.T) {
			p := newPair(t)
			lb1 := p.vipd(p.hosts[0], webBoth(150, 100*time.Millisecond))
			lb1.waitState("web", "ACTIVE")
			probes := p.probe()
			lb1.eventually(5*time.Second, "the takeover to be some time ago", func() bool {
				return time.Since(lb1.vip("web").Since) > 200*time.Millisecond
			})
			events, before := addressEvents(t, lb1.host), lb1.transitions("web")
			took := backAfter(t, lb1, events, netip.MustParsePrefix(prefix))
			p.within(50*time.Millisecond, "back", time.Now().Add(-took), took)
			p.answeredBy(probes, "lb1")
			t.Log(probes.Stop())
			list := lb1.events("address_removed")
			if len(list) != 1 || !strings.Contains(list[0].Text, "somebody removed "+prefix+" from eth0") {
				t.Errorf("events %+v", list)
			}
			if v := lb1.vip("web"); v.Restored != 1 || v.State != "ACTIVE" || !v.Held || lb1.transitions("web") != before {
				t.Errorf("%+v", v)
			}
		})
	}
}

// TestAddressDeletedOften: somebody who deletes it again as soon as it is back
// gets slower answers, but always one.
func TestAddressDeletedOften(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], webBoth(150, 100*time.Millisecond))
	lb1.waitState("web", "ACTIVE")
	events := addressEvents(t, lb1.host)
	for range 5 {
		took := backAfter(t, lb1, events, netip.MustParsePrefix("192.0.2.100/24"))
		p.within(500*time.Millisecond, "back", time.Now().Add(-took), took)
	}
}

// TestLinkRecreated: the interface of the Active is deleted, and made again
// with another index and MAC.
func TestLinkRecreated(t *testing.T) {
	for name, absent := range map[string]bool{"at once": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
			if err := lb1.host.DeleteLink("eth0"); err != nil {
				t.Fatal(err)
			}
			if absent {
				p.answeredBy(probes, "lb2")
				lb1.waitState("web", "FAULT")
				if why := lb1.vip("web").Why; !strings.Contains(why, "eth0 is missing") {
					t.Errorf("why: %s", why)
				}
			}
			mark := time.Now()
			if err := lb1.host.RecreateLink("eth0"); err != nil {
				t.Fatal(err)
			}
			p.answeredBy(probes, "lb1")
			p.within(1361*time.Millisecond, "lb1 answers", mark, time.Since(mark))
			lb1.waitState("web", "ACTIVE")
			lb2.waitState("web", "BACKUP")
			p.oneHolder(lb1, lb2)
		})
	}
}

// TestLinkOfBackupRecreated: the same at the Backup touches nobody.
func TestLinkOfBackupRecreated(t *testing.T) {
	p, lb1, lb2, probes := started(t, steady, "")
	mark, before := time.Now(), lb1.transitions("web")
	if err := lb2.host.DeleteLink("eth0"); err != nil {
		t.Fatal(err)
	}
	lb2.waitState("web", "FAULT")
	again := time.Now()
	if err := lb2.host.RecreateLink("eth0"); err != nil {
		t.Fatal(err)
	}
	lb2.eventually(5*time.Second, "lb2 to hear lb1 again", func() bool {
		return strings.HasPrefix(lb2.vip("web").Why, "192.0.2.2 advertises 150")
	})
	p.within(time.Second, "lb2 hears lb1", again, time.Since(again))
	p.answeredBy(probes, "lb1")
	if r := probes.Stop().Since(mark); r.Lost > 0 || lb1.transitions("web") != before {
		t.Errorf("%v; transitions %v", r, lb1.vip("web").Transitions)
	}
	// It must also be able to take over.
	lb1.stop()
	lb2.waitState("web", "ACTIVE")
}

// oneHolder demands that only the first of two hosts answers for the VIP.
func (p *pair) oneHolder(holder, other *agent) {
	p.t.Helper()
	if !holder.host.Holds(vip4) || other.host.Holds(vip4) {
		p.t.Errorf("%s holds it: %t; %s holds it: %t", holder.host.Name, holder.host.Holds(vip4), other.host.Name, other.host.Holds(vip4))
	}
}

// rename gives an interface another name, as `ip link set` does.
func rename(t *testing.T, h *testenv.Host, from, to string) {
	t.Helper()
	nl := h.NS.Netlink()
	end, err := nl.LinkByName(from)
	if err == nil {
		err = nl.LinkSetName(end, to)
	}
	if err != nil {
		t.Fatalf("rename %s to %s: %v", from, to, err)
	}
}

// TestLinkRenamed: an interface that is renamed is gone, and its addresses must
// not stay behind under the other name.
func TestLinkRenamed(t *testing.T) {
	p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
	rename(t, lb1.host, "eth0", "away")
	p.answeredBy(probes, "lb2")
	lb1.waitState("web", "FAULT")
	lb2.waitState("web", "ACTIVE")
	lb1.eventually(5*time.Second, "lb1 to give the address up", func() bool { return !lb1.host.Holds(vip4) })
	mark := time.Now()
	rename(t, lb1.host, "away", "eth0")
	p.answeredBy(probes, "lb1")
	p.within(1361*time.Millisecond, "lb1 answers", mark, time.Since(mark))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	p.oneHolder(lb1, lb2)
}

// TestMACChanged: clients follow a new MAC of the Active.
func TestMACChanged(t *testing.T) {
	p, lb1, _, probes := started(t, steady, "")
	nl, mac := lb1.host.NS.Netlink(), net.HardwareAddr{0x02, 0x76, 0x70, 0, 0, 0x99}
	end, err := nl.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	mark, before := time.Now(), lb1.transitions("web")
	if err := nl.LinkSetHardwareAddr(end, mac); err != nil {
		t.Fatal(err)
	}
	lb1.eventually(5*time.Second, "the client to learn the new MAC", func() bool {
		n, _ := p.client.Neighbour(vip4)
		return n.MAC.String() == mac.String()
	})
	p.answeredBy(probes, "lb1")
	p.shortGaps(100*time.Millisecond, probes.Stop().Since(mark))
	if lb1.transitions("web") != before {
		t.Errorf("%+v", lb1.vip("web"))
	}
}

// TestPrimaryChanged: adverts leave from the interface's new address, nothing
// else changes.
func TestPrimaryChanged(t *testing.T) {
	p, lb1, lb2, probes := started(t, steady, "")
	tap, err := lb2.host.Observe("eth0")
	if err != nil {
		t.Fatal(err)
	}
	mark, before := time.Now(), lb2.transitions("web")
	if err := lb1.host.AddAddress("eth0", netip.MustParsePrefix("192.0.2.22/24")); err != nil {
		t.Fatal(err)
	}
	if err := lb1.host.DeleteAddress("eth0", netip.MustParsePrefix("192.0.2.2/24")); err != nil {
		t.Fatal(err)
	}
	lb1.wait(5*time.Second, "an advert from the new address", func(ctx context.Context) error {
		_, err := tap.WaitFor(ctx, func(f testenv.Frame) bool {
			return f.VRRP != nil && f.VRRP.Source == netip.MustParseAddr("192.0.2.22")
		})
		return err
	})
	lb2.eventually(5*time.Second, "lb2 to name the new address", func() bool {
		return strings.HasPrefix(lb2.vip("web").Why, "192.0.2.22 advertises")
	})
	lb1.eventually(5*time.Second, "the new address to be the source of what lb1 sends", func() bool {
		return sourceTo(t, lb1.host, "192.0.2.10") == "192.0.2.22"
	})
	p.answeredBy(probes, "lb1")
	p.shortGaps(50*time.Millisecond, probes.Stop().Since(mark))
	if lb2.transitions("web") != before {
		t.Errorf("lb2 %+v", lb2.vip("web"))
	}
}

// sourceTo is the address that the kernel of a host chooses as the source of
// traffic to another.
func sourceTo(t *testing.T, h *testenv.Host, to string) (source string) {
	t.Helper()
	err := h.NS.Do(func() error {
		c, err := net.Dial("udp", net.JoinHostPort(to, "9"))
		if err != nil {
			return err
		}
		source = c.LocalAddr().(*net.UDPAddr).IP.String()
		return c.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// TestLinkDown: the operator sets the interface down, which costs it its IPv6
// addresses and its routes, and up again.
func TestLinkDown(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], webBoth(150, 100*time.Millisecond))
	lb2 := p.vipd(p.hosts[1], webBoth(100, 100*time.Millisecond))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	probes := p.probe()
	if err := lb1.host.SetLink("eth0", false); err != nil {
		t.Fatal(err)
	}
	lb1.waitState("web", "FAULT")
	p.answeredBy(probes, "lb2")
	if out := lb1.must("why", "web"); !strings.Contains(out, "eth0 is down") {
		t.Errorf("why: %s", out)
	}
	mark := time.Now()
	if err := lb1.host.SetLink("eth0", true); err != nil {
		t.Fatal(err)
	}
	p.answeredBy(probes, "lb1")
	p.within(1361*time.Millisecond, "lb1 answers", mark, time.Since(mark))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	p.oneHolder(lb1, lb2)
	if !lb1.host.Holds(vip6) || lb2.host.Holds(vip6) || !routed(t, lb1.host) || routed(t, lb2.host) {
		t.Errorf("lb1 %v, routed %t; lb2 %v, routed %t", lb1.host.Addresses(""), routed(t, lb1.host), lb2.host.Addresses(""), routed(t, lb2.host))
	}
}

// TestMissingInterface: a VIP waits for an interface that is not there, says so,
// and works when it comes.
func TestMissingInterface(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], strings.ReplaceAll(web(150, 100*time.Millisecond, ""), "eth0", "eth1"))
	lb1.waitState("web", "FAULT")
	if v := lb1.vip("web"); !strings.Contains(v.Why, "eth1 is missing") || len(v.Blockers) != 1 {
		t.Errorf("%+v", v)
	}
	lan, err := p.lab.Segment("lan")
	if err != nil {
		t.Fatal(err)
	}
	mark := time.Now()
	if _, err := lb1.host.Attach(lan, "192.0.2.42/24"); err != nil {
		t.Fatal(err)
	}
	lb1.waitState("web", "ACTIVE")
	p.within(1361*time.Millisecond, "ACTIVE", mark, time.Since(mark))
}
