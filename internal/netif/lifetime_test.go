package netif

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// prolongArg has this test binary hold addresses until it is killed.
const prolongArg = "prolong-addresses"

// mortal is two addresses for two seconds.
func mortal(link, network string) Wanted {
	return Wanted{Owner: "web", Link: link, Addresses: prefixes("10."+network+".0.9/32", "fd"+network+"::9/128"),
		Lifetime: 2 * time.Second, Present: true}
}

func prolongUntilKilled(link, network string) int {
	a := NewAddresses(quiet)
	a.Set(mortal(link, network))
	go func() {
		for range time.Tick(100 * time.Millisecond) { // as adverts leave
			a.Prolong("web")
		}
	}()
	fmt.Println(a.Run(context.Background(), func(r Applied) { fmt.Println("applied", r.Err) }))
	return 1
}

// changes listens to what happens to the addresses of web on a link.
func changes(t *testing.T, network string) <-chan netlink.AddrUpdate {
	t.Helper()
	all, ours, done := make(chan netlink.AddrUpdate, 100), make(chan netlink.AddrUpdate, 1000), make(chan struct{})
	check(t, netlink.AddrSubscribe(all, done))
	t.Cleanup(func() { close(done) })
	go func() {
		for u := range all {
			if s := u.LinkAddress.IP.String(); s == "10."+network+".0.9" || s == "fd"+network+"::9" {
				ours <- u
			}
		}
	}()
	return ours
}

// A process that is killed leaves addresses that are gone a lifetime, and what the
// kernel takes beyond that, after they were last prolonged.
func TestAddressesDieWithTheProcess(t *testing.T) {
	pair(t, "mor0", []string{"10.60.0.1/24", "fd60::1/64"}, nil)
	updates := changes(t, "60")
	cmd := exec.Command("/proc/self/exe", prolongArg, "mor0", "60")
	check(t, cmd.Start())
	last := map[string]time.Time{}
	refreshes := 0
	for refreshes < 8 { // of both addresses: two seconds of them, so that the first lifetime is over
		u := await(t, "a prolongation", updates, func(netlink.AddrUpdate) bool { return true })
		if !u.NewAddr {
			t.Fatalf("%s went while it was prolonged", u.LinkAddress.IP)
		}
		last[u.LinkAddress.IP.String()] = time.Now()
		refreshes++
	}
	check(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself")
	}
	for range 2 {
		u := await(t, "an address to go", updates, func(u netlink.AddrUpdate) bool {
			if u.NewAddr { // sent before the process was killed
				last[u.LinkAddress.IP.String()] = time.Now()
			}
			return !u.NewAddr
		})
		after := time.Since(last[u.LinkAddress.IP.String()])
		// Lifetimes are of 2 s, which the kernel ends up to 1.25 s late. We may have seen
		// either event late.
		if after < 1500*time.Millisecond || after > 5*time.Second {
			t.Errorf("%s went %v after it was prolonged", u.LinkAddress.IP, after)
		}
	}
}

// Prolonged addresses stay, at one event a second and address or so, and the
// Monitor reports nothing; nothing brings them back when they are gone.
func TestProlong(t *testing.T) {
	pair(t, "mor1", []string{"10.61.0.1/24", "fd61::1/64"}, nil)
	_, links := monitor(t, "mor1")
	a := newApplier(t)
	w := mortal("mor1", "61")
	held := func(l Link) bool {
		return slices.Contains(l.Addresses, w.Addresses[0]) && slices.Contains(l.Addresses, w.Addresses[1])
	}
	await(t, "the link's own address", links, func(l Link) bool {
		return slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	})
	a.must(w)
	await(t, "the addresses", links, held)
	updates := changes(t, "61")
	start, events := time.Now(), 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < 3*time.Second {
		select {
		case <-tick.C:
			a.Prolong("web")
		case u := <-updates:
			if events++; !u.NewAddr {
				t.Fatalf("%s went while it was prolonged", u.LinkAddress.IP)
			}
		case l := <-links:
			t.Errorf("a prolongation is reported as %v", l)
		}
	}
	if most := 2 * (3*2 + 1); events == 0 || events > most { // each address every half second, a quarter of its life
		t.Errorf("%d events in 3 s, want 1 to %d", events, most)
	}
	check(t, netlink.AddrDel(named(t, "mor1"), addr("10.61.0.9/32")))
	await(t, "the loss of one", links, func(l Link) bool { return !held(l) })
	due := time.Now().Add(2 * w.Lifetime / 4)
	prolonged := func(u netlink.AddrUpdate) bool {
		if u.NewAddr && u.LinkAddress.IP.To4() != nil {
			t.Error("it was brought back")
		}
		return u.NewAddr && time.Now().After(due)
	}
	quit := make(chan struct{})
	go func() {
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				a.Prolong("web")
			}
		}
	}()
	await(t, "the other to be prolonged", updates, prolonged)
	close(quit)
	same(t, "what is there", []string{"10.61.0.1/24", "fd61::9/128", "fd61::1/64"}, on(t, "mor1"))
	await(t, "the other to go", updates, func(u netlink.AddrUpdate) bool { return !u.NewAddr && u.LinkAddress.IP.To4() == nil })
	a.Prolong("web")
	a.must(Wanted{Owner: "other", Link: "mor1"}) // after it in the queue
	same(t, "what is there then", []string{"10.61.0.1/24", "fd61::1/64"}, on(t, "mor1"))
}

// A lifetime can be given, changed and taken away by Set.
func TestLifetimeIsSet(t *testing.T) {
	pair(t, "mor2", []string{"10.62.0.1/24", "fd62::1/64"}, nil)
	a := newApplier(t)
	w := mortal("mor2", "62")
	for _, lasts := range []time.Duration{0, 50 * time.Second, 100 * time.Second, 0} {
		w.Lifetime = lasts
		a.must(w)
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			for _, x := range must(netlink.AddrList(named(t, "mor2"), family)) {
				if ip, _ := netip.AddrFromSlice(x.IP); ip.Unmap() != w.Addresses[0].Addr() && ip != w.Addresses[1].Addr() {
					continue
				}
				left := time.Duration(x.ValidLft) * time.Second
				if lasts == 0 && uint32(x.ValidLft) != forEver || lasts > 0 && (left > lasts || left < lasts-5*time.Second) {
					t.Errorf("%s of %v has %v left", x.IP, lasts, left)
				}
				if deprecated := x.Flags&unix.IFA_F_DEPRECATED != 0; deprecated != (family == unix.AF_INET6) {
					t.Errorf("%s is deprecated: %t", x.IP, deprecated)
				}
			}
		}
	}
}

// What was wanted so long ago that it may be wrong by now is not carried out, and
// neither is a late prolongation.
func TestLifetimeTooLate(t *testing.T) {
	pair(t, "mor3", []string{"10.63.0.1/24"}, nil)
	a := NewAddresses(quiet)
	a.Set(mortal("mor3", "63"))
	a.queue[0].since = time.Now().Add(-3 * time.Second)
	out := make(chan Applied, 10)
	run(t, func(ctx context.Context) error { return a.Run(ctx, func(r Applied) { out <- r }) })
	r := await(t, "the kernel", out, func(Applied) bool { return true })
	if r.Err == nil || !strings.Contains(r.Err.Error(), "longer than they are to live") {
		t.Errorf("carried out: %v", r.Err)
	}
	same(t, "what is there", []string{"10.63.0.1/24"}, on(t, "mor3"))

	conn := must(openRTNL())
	defer conn.close()
	late := &round{Addresses: &Addresses{log: quiet, conn: conn}, wanted: map[place]bool{}, devices: map[string]lookup{}, present: map[int]*content{}}
	w := mortal("mor3", "63")
	w.Addresses = w.Addresses[:1]
	check(t, netlink.AddrAdd(named(t, "mor3"), &netlink.Addr{IPNet: addr("10.63.0.9/32").IPNet, ValidLft: 500, PreferedLft: 500}))
	check(t, late.prolongOne(task{Wanted: w, device: "mor3"}, time.Now().Add(-1500*time.Millisecond)))
	for _, x := range must(netlink.AddrList(named(t, "mor3"), unix.AF_INET)) {
		if x.IP.String() == "10.63.0.9" && x.ValidLft < 100 {
			t.Errorf("prolonged, it has %d s left", x.ValidLft)
		}
	}
}

// An address that lives on is no reason to read all links again.
func TestMonitorConcerns(t *testing.T) {
	t.Parallel()
	m := NewMonitor(quiet)
	known, other := netip.MustParsePrefix("10.64.0.9/32"), netip.MustParsePrefix("fd64::9/128")
	m.indexes, m.ready = map[int]bool{7: true}, map[located]bool{{7, known}: true}
	for _, c := range []struct {
		what  string
		kind  uint16
		index int
		p     netip.Prefix
		flags uint32
		want  bool
	}{
		{"the same again", unix.RTM_NEWADDR, 7, known, 0, false},
		{"on a link that is not watched", unix.RTM_NEWADDR, 8, known, 0, false},
		{"another", unix.RTM_NEWADDR, 7, other, 0, true},
		{"it is not ready any more", unix.RTM_NEWADDR, 7, known, unix.IFA_F_DADFAILED, true},
		{"gone", unix.RTM_DELADDR, 7, known, 0, true},
		{"back", unix.RTM_NEWADDR, 7, known, 0, true},
	} {
		req := addressRequest(int(c.kind), 0, c.index, c.p)
		req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, binary.NativeEndian.AppendUint32(nil, c.flags)))
		msg := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: c.kind}, Data: req.Serialize()[unix.SizeofNlMsghdr:]}
		if got := m.concerns(msg); got != c.want {
			t.Errorf("%s: %t, want %t", c.what, got, c.want)
		}
	}
}
