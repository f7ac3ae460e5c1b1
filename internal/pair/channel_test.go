package pair

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/testenv"
)

var byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestTell tells in both directions, over two paths and both families.
func TestTell(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one, two := l.open(t, 1, l.config(1, front, back, six)), l.open(t, 2, l.config(2, front, back, six))
	meet(t, one, two)
	s := state(2, 1)
	s.VIPs[0].Blocker, s.VIPs[0].Source, s.VIPs[0].Offer = "check haproxy: down", netip.MustParseAddr("10.0.1.1"), "lb2"
	s.Hears = []pair.Hears{{Node: "lb2", Boot: two.Boot(), Seq: 1, Paths: []pair.Path{{Address: front(2).Addr(), Age: 5 * time.Millisecond}}}}
	s.Config = map[string]string{"vip.web.vrid": "51"}
	one.tell(t, s, two)
	got := pair.State{}
	for _, h := range two.told() {
		if h.State.Seq == 2 {
			got.VIPs, got.Hears = append(got.VIPs, h.State.VIPs...), append(got.Hears, h.State.Hears...)
			if h.State.Config != nil {
				got.Config = h.State.Config
			}
			if h.Peer != "lb1" || h.State.Node != "lb1" || h.Boot != one.Boot() || h.Age > within {
				t.Errorf("heard %+v", h)
			}
		}
	}
	// It may have been said more than once.
	got.Seq, got.VIPs, got.Hears = 2, got.VIPs[:1], got.Hears[:1]
	if diff := cmp.Diff(*s, got, byAddr); diff != "" {
		t.Errorf("told (-want +got)\n%s", diff)
	}
	testenv.Eventually(t, within, "all paths are heard", func() bool {
		one.Send(s)
		paths := two.Counters().Peers["lb1"].Paths
		if len(paths) != 3 {
			t.Fatalf("%d paths: %+v", len(paths), paths)
		}
		for i, a := range []netip.Addr{front(1).Addr(), back(1).Addr(), six(1).Addr()} {
			if p := paths[i]; p.Address != a || !p.Configured || p.Err != "" || p.Unsent > 0 {
				t.Fatalf("path %d: %+v", i, p)
			}
			if p := paths[i]; !p.Heard || p.Received < 2 || p.Sent < 2 {
				return false
			}
		}
		return true
	})
	c := two.Counters()
	if c.Peers["lb1"].Boot != one.Boot() || len(c.Peers) != 1 || len(c.Refused) != len(pair.Causes()) || c.Received == 0 || c.Sent == 0 {
		t.Errorf("counters %+v", c)
	}
}

// TestEveryPathIsNoted: what the slower path brings is not told again, and its
// being there is.
func TestEveryPathIsNoted(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one, two := l.open(t, 1, l.config(1, front, back)), l.open(t, 2, l.config(2, front, back))
	meet(t, one, two)
	seen := len(two.told())
	for seq := range uint64(20) {
		one.tell(t, state(2+seq, 1), two)
	}
	vips := map[uint64]int{}
	paths := map[netip.Addr]bool{}
	for _, h := range two.told()[seen:] {
		vips[h.State.Seq] += len(h.State.VIPs)
		paths[h.Path] = true
		if !h.Whole {
			t.Errorf("not whole: %+v", h)
		}
	}
	if !paths[front(1).Addr()] || !paths[back(1).Addr()] {
		t.Errorf("heard on %v only", paths)
	}
	c := two.Counters().Peers["lb1"]
	if sent := one.Counters().Peers["lb2"].Paths[0].Sent; vips[21] == 0 || uint64(len(vips)) > sent {
		t.Errorf("%d of %d messages told %v", len(vips), sent, vips)
	}
	if n := c.Refused[pair.CauseReplay]; n > 0 {
		t.Errorf("%d replays", n)
	}
}

// TestLarge tells of 1000 VIPs and of all their keys.
func TestLarge(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one, two := l.open(t, 1, l.config(1, front, six)), l.open(t, 2, l.config(2, front, six))
	meet(t, one, two)
	s := state(2, 1000)
	s.Config = map[string]string{}
	for i := range 5000 {
		s.Config[fmt.Sprintf("vip.vip-%d.key", i)] = fmt.Sprint(i)
	}
	one.tell(t, s, two)
	vips := map[string]bool{}
	var config map[string]string
	for _, h := range two.told() {
		if h.State.Seq == 2 {
			for _, v := range h.State.VIPs {
				vips[v.Name] = true
			}
			if h.State.Config != nil {
				config = h.State.Config
			}
		}
	}
	if len(vips) != 1000 || !cmp.Equal(config, s.Config) {
		t.Errorf("told of %d VIPs and %d keys", len(vips), len(config))
	}
}

// TestPathsFail cuts one path after the other. Nothing is missed on the one that
// is left, and the one that is cut is seen to be.
func TestPathsFail(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one, two := l.open(t, 1, l.config(1, front, back)), l.open(t, 2, l.config(2, front, back))
	meet(t, one, two)
	seq := uint64(1)
	for i, dev := range []string{"eth1", "eth0"} {
		must(t, l.PortDown(l.hosts[0], dev))
		dead, alive := 1-i, i
		for range 20 {
			seq++
			one.tell(t, state(seq, 1), two)
		}
		testenv.Eventually(t, within, "the path over "+dev+" is seen to be dead", func() bool {
			one.Send(state(seq, 1))
			p := two.Counters().Peers["lb1"].Paths
			return p[dead].Age > p[alive].Age+50*time.Millisecond
		})
		must(t, l.PortUp(l.hosts[0], dev))
		testenv.Eventually(t, within, "the path over "+dev+" is back", func() bool {
			one.Send(state(seq, 1))
			return two.Counters().Peers["lb1"].Paths[dead].Age < 50*time.Millisecond
		})
	}
}

// TestUnreachable: a path without a route is counted, says why, and holds nothing
// else up.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	cfg := l.config(1, front)
	cfg.Peers["lb2"] = append([]netip.AddrPort{at("203.0.113.1"), at("2001:db8::1")}, cfg.Peers["lb2"]...)
	cfg.Listen = at("0.0.0.0")
	one, two := l.open(t, 1, cfg), l.open(t, 2, l.config(2, front))
	meet(t, one, two)
	for i, want := range []string{syscall.ENETUNREACH.Error(), syscall.EAFNOSUPPORT.Error(), ""} {
		if p := one.Counters().Peers["lb2"].Paths[i]; p.Err != want || (p.Unsent > 0) != (want != "") || (p.Sent > 0) != (want == "") {
			t.Errorf("path %d: %+v, want %q", i, p, want)
		}
	}
}

// TestOtherSource: a known peer that comes from an unknown address is heard, and
// answered there.
func TestOtherSource(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	other := netip.MustParsePrefix("10.0.1.77/24")
	must(t, l.hosts[0].AddAddress("eth0", other))
	cfg := l.config(1, front)
	cfg.Listen = at("10.0.1.77")
	one, two := l.open(t, 1, cfg), l.open(t, 2, l.config(2, front))
	one.tell(t, state(1, 1), two)
	want := []Path{{Address: front(1).Addr(), Configured: true}, {Address: other.Addr(), Heard: true}}
	got := two.Counters().Peers["lb1"].Paths
	for i := range got {
		got[i].Age, got[i].Sent, got[i].Received = 0, 0, 0
	}
	if diff := cmp.Diff(want, got, byAddr); diff != "" {
		t.Errorf("paths (-want +got)\n%s", diff)
	}
	if h := two.last("lb1"); h.Path != other.Addr() {
		t.Errorf("heard from %v", h.Path)
	}
}

// TestSet changes peers and paths: who stays need not prove itself again.
func TestSet(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	one, two, three := l.open(t, 1, l.config(1, front)), l.open(t, 2, l.config(2, front)), l.open(t, 3, l.config(3, front))
	meet(t, one, two)
	meet(t, one, three)
	cfg := l.config(1, back, front)
	delete(cfg.Peers, "lb3")
	must(t, one.Set(cfg))
	if b := one.Counters().Peers["lb2"].Boot; b != two.Boot() {
		t.Errorf("lb2 has become %d, was %d", b, two.Boot())
	}
	two.tell(t, state(2, 1), one)
	three.Send(state(2, 1))
	one.refused(t, pair.CausePeer, 1)
	must(t, one.Set(l.config(1, front)))
	three.tell(t, state(3, 1), one)

	bad := cfg
	bad.Key = secret[:31]
	if err := one.Set(bad); err == nil {
		t.Error("a short key is taken")
	}
	bad = cfg
	bad.Listen = at("10.0.1.1")
	if err := one.Set(bad); err == nil {
		t.Error("another address to listen on is taken")
	}
	two.tell(t, state(4, 1), one)
	bad = l.config(1, front)
	bad.Node = "lb9"
	must(t, one.Set(bad))
	two.Send(state(5, 1))
	one.refused(t, pair.CauseReceiver, 1)
}

// TestOpenRefuses: what cannot be opened says so.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.open(t, 1, l.config(1, front))
	taken, short, nameless := l.config(1, front), l.config(1, front), l.config(1, front)
	short.Key, nameless.Node = nil, ""
	for name, test := range map[string]struct {
		cfg  Config
		want error
	}{"taken": {taken, syscall.EADDRINUSE}, "short": {short, nil}, "nameless": {nameless, nil}} {
		must(t, l.hosts[0].NS.Do(func() error {
			c, err := Open(test.cfg, slog.New(slog.DiscardHandler))
			if c != nil || err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		}))
	}
}

// TestPoll reads what waits while nobody runs the channel.
func TestPoll(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one := l.open(t, 1, l.config(1, front, six))
	var two *Channel
	must(t, l.hosts[1].NS.Do(func() (err error) {
		two, err = Open(l.config(2, front, six), slog.New(slog.DiscardHandler))
		return err
	}))
	defer func() { must(t, two.Close()) }()
	var heard []Heard
	testenv.Eventually(t, within, "lb2 hears lb1", func() bool {
		one.Send(state(1, 1))
		must(t, two.Poll(func(h Heard) { heard = append(heard, h) }))
		return len(heard) > 0 && heard[len(heard)-1].State.Seq == 1
	})
}

// TestSmallMTU: every part fits into the least MTU of IPv6, and through a path
// with a smaller one in fragments.
func TestSmallMTU(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mtu  int
		path func(int) netip.AddrPort
	}{"ipv4": {1280, front}, "ipv6": {1280, six}, "fragments": {576, back}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			for _, h := range l.hosts {
				for _, dev := range []string{"eth0", "eth1"} {
					link, err := h.NS.Netlink().LinkByName(dev)
					must(t, err)
					if dev == "eth1" || test.mtu >= 1280 {
						must(t, h.NS.Netlink().LinkSetMTU(link, test.mtu))
					}
				}
			}
			one, two := l.open(t, 1, l.config(1, test.path)), l.open(t, 2, l.config(2, test.path))
			one.tell(t, state(2, 255), two)
			if c := one.Counters(); c.Unsent > 0 {
				t.Errorf("%d not sent: %+v", c.Unsent, c.Peers)
			}
		})
	}
}

// TestOnTheWire: messages are in the class of network control, and no longer than
// any network carries.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	o, err := l.hosts[1].ObserveAll("eth0")
	must(t, err)
	one, two := l.open(t, 1, l.config(1, front, six)), l.open(t, 2, l.config(2, front, six))
	one.tell(t, state(1, 100), two)
	seen := map[string]bool{}
	for _, f := range o.Frames() {
		ip := f.Data[14:]
		switch {
		case len(ip) > 1280:
			t.Errorf("a packet of %d octets", len(ip))
		case ip[0]>>4 == 4 && ip[9] == 17:
			seen["4"] = true
			if ip[1] != trafficClass || ip[6]&0x40 != 0 {
				t.Errorf("IPv4 class %#x, flags %#x", ip[1], ip[6])
			}
		case ip[0]>>4 == 6 && ip[6] == 17:
			seen["6"] = true
			if class := ip[0]<<4 | ip[1]>>4; class != trafficClass {
				t.Errorf("IPv6 class %#x", class)
			}
		}
	}
	if !seen["4"] || !seen["6"] {
		t.Errorf("seen %v", seen)
	}
}

// TestVote sends a message about votes over two paths: it is handed on once, and
// to its peer alone.
func TestVote(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	one, two, three := l.open(t, 1, l.config(1, front, back)), l.open(t, 2, l.config(2, front, back)), l.open(t, 3, l.config(3, front, back))
	meet(t, one, two)
	meet(t, one, three)
	one.Vote("lb2", pair.TypeAsk, []byte("an ask"))
	votes := func(e *end) (list []string) {
		for _, h := range e.told() {
			if h.Type != 0 {
				list = append(list, fmt.Sprintf("%s %d %s", h.Peer, h.Type, h.Votes))
			}
		}
		return list
	}
	testenv.Eventually(t, within, "it is heard", func() bool { return len(votes(two)) > 0 })
	two.Vote("lb1", pair.TypeAnswer, []byte("an answer"))
	testenv.Eventually(t, within, "it is answered", func() bool { return len(votes(one)) > 0 })
	two.tell(t, state(2, 1), one)
	got := [][]string{votes(one), votes(two), votes(three)}
	if diff := cmp.Diff([][]string{{"lb2 17 an answer"}, {"lb1 16 an ask"}, nil}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	unsent := one.Counters().Unsent
	one.Vote("lb9", pair.TypeAsk, nil)
	one.Vote("lb2", pair.TypeAsk, make([]byte, pair.MaxPayload+1))
	if n := one.Counters().Unsent - unsent; n != 2 {
		t.Errorf("%d are counted as unsent", n)
	}
}
