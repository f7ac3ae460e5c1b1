package labs

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	channel "github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// besieged adds a third host, which sends what it wants, to a running pair.
func (p *pair) besieged(lb1, lb2 *agent) *hostile {
	p.t.Helper()
	h := &hostile{pair: p, lb1: lb1, lb2: lb2, mallory: p.host("mallory", "192.0.2.66/24")}
	h.mac = h.mallory.MAC("eth0")
	var err error
	if h.out, err = h.mallory.Injector("eth0"); err != nil {
		p.t.Fatal(err)
	}
	h.probes = p.probe()
	return h
}

// keeps sends frames in turn, so many a second, and demands that nothing moves and
// nothing is lost.
func (h *hostile) keeps(frames [][]byte, rate int, length time.Duration) {
	h.t.Helper()
	agents := []*agent{h.lb1, h.lb2}
	before := []map[string]int{h.lb1.state().transitions, h.lb2.state().transitions}
	from := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	sent := 0
	for now := from; now.Sub(from) < length; now = <-tick.C {
		for due := int(now.Sub(from).Seconds() * float64(rate)); sent < due; sent++ {
			h.send(frames[sent%len(frames)])
		}
	}
	to := time.Now()
	h.t.Logf("%d frames in %v", sent, to.Sub(from).Round(time.Millisecond))
	for i, a := range agents {
		if after := a.state().transitions; fmt.Sprint(after) != fmt.Sprint(before[i]) {
			h.t.Errorf("%s: transitions %v, before %v", a.host.Name, after, before[i])
		}
	}
	h.nothingLost(from, to)
}

// TestSpoofedAdverts: a stranger advertises with the highest priority, and gives
// the address up, in its own name and in that of each host of a pair that talks.
func TestSpoofedAdverts(t *testing.T) {
	p, lb1, lb2 := talkers(t, "")
	h := p.besieged(lb1, lb2)
	var frames [][]byte
	for _, source := range []string{"192.0.2.66", "192.0.2.2", "192.0.2.3"} {
		for _, priority := range []byte{255, 0} {
			frames = append(frames, testenv.Packet{
				SourceMAC: h.mac, DestinationMAC: net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 0x12},
				Source: netip.MustParseAddr(source), Destination: multicast4, Protocol: 112, HopLimit: 255, Payload: advert3(51, priority),
			}.Marshal())
		}
	}
	h.keeps(frames, 1000, 5*time.Second)
	for _, a := range []*agent{lb1, lb2} {
		n := a.vip("web").Disbelieved
		t.Logf("%s did not believe %d adverts", a.host.Name, n)
		if n < 1000 {
			t.Errorf("%s did not believe %d adverts", a.host.Name, n)
		}
	}
	lb1.must("drain", "web") // the real ones are believed all the same
	lb2.waitState("web", "ACTIVE")
}

// datagram is an IPv4 frame with a message to the channel of a host, as if it came
// from the other one.
func (h *hostile) datagram(from, to int, payload []byte) []byte {
	src, dst := netip.MustParsePrefix(hosts4[from]).Addr(), netip.MustParsePrefix(hosts4[to]).Addr()
	udp := append([]byte{5798 >> 8, 5798 & 0xff, 5798 >> 8, 5798 & 0xff, byte((8 + len(payload)) >> 8), byte(8 + len(payload)), 0, 0}, payload...)
	return testenv.Packet{
		SourceMAC: h.mac, DestinationMAC: h.hosts[to].MAC("eth0"), Source: src, Destination: dst, Protocol: 17, HopLimit: 64, Payload: udp,
	}.Marshal()
}

// messages returns what one host has sent to the channel of the other.
func (h *hostile) messages(tap *testenv.Observer, from, to int) (list [][]byte) {
	src, dst := netip.MustParsePrefix(hosts4[from]).Addr().AsSlice(), netip.MustParsePrefix(hosts4[to]).Addr().AsSlice()
	for _, f := range tap.Frames() {
		b := f.Data
		if len(b) > 42 && b[12] == 8 && b[13] == 0 && b[23] == 17 && string(b[26:30]) == string(src) && string(b[30:34]) == string(dst) && string(b[42:46]) == "vipd" {
			list = append(list, slices.Clone(b[42:]))
		}
	}
	return list
}

// TestHostileChannel: forged, replayed, reflected, cut, oversized messages and such
// of another version, ten thousand a second.
func TestHostileChannel(t *testing.T) {
	p, lb1, lb2 := talkers(t, "")
	h := p.besieged(lb1, lb2)
	tap, err := lb1.host.ObserveAll("eth0")
	if err != nil {
		t.Fatal(err)
	}
	passes(t, 500*time.Millisecond)
	said := [][][]byte{h.messages(tap, 0, 1), h.messages(tap, 1, 0)}
	if err := tap.Close(); err != nil {
		t.Fatal(err)
	}
	key, err := channel.NewKey([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := channel.NewKey([]byte(strings.Repeat("w", 32)))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(5, 26))
	kinds := map[string]func(from, to int, real []byte) []byte{
		"replayed":  func(_, _ int, real []byte) []byte { return real },
		"truncated": func(_, _ int, real []byte) []byte { return real[:rnd.IntN(len(real))] },
		"oversized": func(_, _ int, real []byte) []byte { return append(slices.Clone(real), make([]byte, 1300)...) },
		"altered": func(_, _ int, real []byte) []byte {
			b := slices.Clone(real)
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
			return b
		},
		"reflected": func(from, to int, _ []byte) []byte { return said[to][rnd.IntN(len(said[to]))] },
		"another key": func(from, to int, _ []byte) []byte {
			b, _ := wrong.Seal(nil, channel.Header{Type: channel.TypeState, From: p.hosts[from].Name, To: p.hosts[to].Name, Boot: 1, Seq: rnd.Uint64() | 1}, nil)
			return b
		},
		"another process": func(from, to int, _ []byte) []byte {
			b, _ := key.Seal(nil, channel.Header{Type: channel.TypeState, From: p.hosts[from].Name, To: p.hosts[to].Name, Boot: rnd.Uint64() | 1, Seq: 1}, nil)
			return b
		},
		"another version": func(_, _ int, real []byte) []byte {
			b := slices.Clone(real[:len(real)-sha256.Size])
			b[4]++
			mac := hmac.New(sha256.New, []byte(strings.Repeat("k", 32)))
			mac.Write(b)
			return mac.Sum(b)
		},
		"noise": func(_, _ int, _ []byte) []byte { return random(rnd, rnd.IntN(1400)) },
	}
	var frames [][]byte
	for range 200 {
		for _, kind := range kinds {
			for from := range 2 {
				list := said[from]
				frames = append(frames, h.datagram(from, 1-from, kind(from, 1-from, list[rnd.IntN(len(list))])))
			}
		}
	}
	h.keeps(frames, 10_000, 3*time.Second)
	lb1.hears("lb2")
	lb2.hears("lb1")
	for _, a := range []*agent{lb1, lb2} {
		if grown := len(a.proc.Output()); grown > 20_000 {
			t.Errorf("%s logged %d bytes", a.host.Name, grown)
		}
	}
	mark := time.Now()
	lb1.must("drain", "web")
	lb2.waitState("web", "ACTIVE")
	p.lossless(h.probes, "drain after it", mark, time.Now(), lb1, lb2)
}

// TestOtherKey: two hosts with different keys do not hear each other; the election
// goes on as without a channel.
func TestOtherKey(t *testing.T) {
	p, lb1, lb2 := talkers(t, "")
	probes := p.probe()
	mark, before := time.Now(), lb1.transitions("web")
	if err := os.WriteFile(filepath.Join(p.hosts[1].Dir(), "pair-key"), []byte(strings.Repeat("w", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	lb2.must("reload")
	lb2.eventually(5*time.Second, "lb1 to be silent", func() bool {
		s, err := lb2.status()
		return err == nil && s.Pair != nil && len(s.Pair.Peers) == 1 && !s.Pair.Peers[0].Heard
	})
	passes(t, time.Second)
	lb2.waitState("web", "BACKUP")
	p.lossless(probes, "while the keys differ", mark, time.Now(), lb1, lb2)
	if lb1.transitions("web") != before {
		t.Errorf("lb1 %v", lb1.vip("web").Transitions)
	}
	mark = time.Now()
	lb1.kill()
	p.answeredBy(probes, "lb2")
	lb2.waitState("web", "ACTIVE")
	t.Logf("lb2 holds it %v after lb1 was killed", time.Since(mark))
	lb1.start()
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	lb1.stop()
	p.answeredBy(probes, "lb2")
	t.Log(probes.Stop())
}

// TestOnePathLosesAdverts: a pair talks over two networks. On the first one, where
// the adverts are, a third of what the hosts send each other is lost, and later all
// of it: nothing moves while the other one is there.
func TestOnePathLosesAdverts(t *testing.T) {
	p := newPair(t)
	back, err := p.lab.Segment("back")
	if err != nil {
		t.Fatal(err)
	}
	paths := [2]string{"10.9.8.2", "10.9.8.3"}
	for i, h := range p.hosts {
		if _, err := h.Attach(back, paths[i]+"/24"); err != nil {
			t.Fatal(err)
		}
	}
	lan, err := p.lab.Segment("lan")
	if err != nil {
		t.Fatal(err)
	}
	lb1 := p.vipd(p.hosts[0], p.talking(0, paths)+web(150, 100*time.Millisecond, ""))
	lb2 := p.vipd(p.hosts[1], p.talking(1, paths)+web(100, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	lb1.hears("lb2")
	lb2.hears("lb1")
	probes := p.probe()
	quiet := func(what string, length time.Duration) {
		mark, before := time.Now(), lb1.transitions("web")+lb2.transitions("web")
		passes(t, length)
		p.lossless(probes, what, mark, time.Now(), lb1, lb2)
		if after := lb1.transitions("web") + lb2.transitions("web"); after != before {
			t.Errorf("%s: lb1 %v, lb2 %v", what, lb1.vip("web").Transitions, lb2.vip("web").Transitions)
		}
	}
	lose := func(percent float64) {
		for i, h := range p.hosts {
			if err := p.lab.LossOn(lan, h, p.hosts[1-i], percent, testenv.MatchAll); err != nil {
				t.Fatal(err)
			}
		}
	}
	lose(30)
	quiet("30 % lost", 10*time.Second)
	lose(100)
	quiet("all lost on one path", 2*time.Second)
	// Without the last path it is a split, which ends when they meet again.
	if err := p.lab.PortDown(p.hosts[1], "eth1"); err != nil {
		t.Fatal(err)
	}
	lb2.waitState("web", "ACTIVE")
	if err := p.lab.Heal(); err != nil {
		t.Fatal(err)
	}
	lb2.waitState("web", "BACKUP")
	lb1.waitState("web", "ACTIVE")
	p.answeredBy(probes, "lb1")
	p.oneHolder(lb1, lb2)
	t.Log(probes.Stop())
}

// TestTalkerBesideKeepalived: a host that has a peer on the channel that is not
// there, since it runs keepalived, takes part in the election as always.
func TestTalkerBesideKeepalived(t *testing.T) {
	for _, row := range []struct {
		name         string
		ours, theirs uint8
	}{{"vipd better", 150, 100}, {"keepalived better", 100, 150}} {
		t.Run(row.name, func(t *testing.T) {
			p := newPair(t, "keepalived")
			theirs := peers.Config{Routers: []peers.Router{{
				Name: "web", VRID: 51, Priority: row.theirs, Interval: 100 * time.Millisecond, Addresses: []string{vip4.String() + "/24"},
			}}}
			ours := p.vipd(p.hosts[0], p.talking(0)+web(int(row.ours), 100*time.Millisecond, ""))
			k, err := peers.StartKeepalived(p.hosts[1], theirs)
			if err != nil {
				t.Fatal(err)
			}
			better := []string{"lb2", "lb1"}
			if row.ours > row.theirs {
				slices.Reverse(better)
			}
			probes, err := p.client.Probe(netip.AddrPortFrom(vip4, servicePort), 0)
			if err != nil {
				t.Fatal(err)
			}
			p.alone(probes, better[0])
			mark := time.Now()
			if better[0] == "lb1" {
				ours.must("drain", "web")
			} else if err := k.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.answeredBy(probes, better[1])
			if better[0] == "lb1" {
				ours.must("undrain", "web")
			} else if _, err = peers.StartKeepalived(p.hosts[1], theirs); err != nil {
				t.Fatal(err)
			}
			p.alone(probes, better[0])
			p.shortGaps(400*time.Millisecond, probes.Stop().Since(mark))
		})
	}
}

// alone waits until a host alone has the address.
func (p *pair) alone(probes *testenv.Prober, holder string) {
	p.t.Helper()
	p.answeredBy(probes, holder)
	testenv.Eventually(p.t, 10*time.Second, holder+" alone to have the address", func() bool {
		for _, h := range p.hosts {
			if h.Holds(vip4) != (h.Name == holder) {
				return false
			}
		}
		return true
	})
	p.answeredBy(probes, holder)
}
