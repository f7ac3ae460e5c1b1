package labs

import (
	"bytes"
	"context"
	wire "encoding/binary"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// four is a configuration with a VIP of every kind that looks at adverts in its
// own way: version 3, version 2, IPv6, and unicast.
func four(priority int, peer string) string {
	return web(priority, 100*time.Millisecond, "") + web2(priority) + web6(priority) + `
[vip.uni]
interface = "eth0"
vrid = 54
priority = ` + strconv.Itoa(priority) + `
advert_interval = "100ms"
addresses = ["192.0.2.103/24"]
unicast_peers = ["` + peer + `"]
`
}

func web2(priority int) string {
	return `
[vip.two]
interface = "eth0"
vrid = 52
version = 2
priority = ` + strconv.Itoa(priority) + `
addresses = ["192.0.2.101/24", "192.0.2.102/24"]
`
}

func web6(priority int) string {
	return `
[vip.six]
interface = "eth0"
vrid = 53
priority = ` + strconv.Itoa(priority) + `
advert_interval = "100ms"
addresses = ["fe80::100/64", "fd00:2::100/64"]
`
}

// hostile is a running pair with a third host that sends what it wants.
type hostile struct {
	*pair
	lb1, lb2 *agent
	probes   *testenv.Prober
	mallory  *testenv.Host
	out      *testenv.Injector
	mac      net.HardwareAddr // of the third host
	taps     map[*agent]*testenv.Observer
}

func newHostile(t *testing.T, config func(priority int, peer string) string, vips ...string) *hostile {
	t.Helper()
	p := newPair(t)
	h := &hostile{pair: p, mallory: p.host("mallory", "192.0.2.66/24", "fd00:2::66/64"), taps: map[*agent]*testenv.Observer{}}
	h.lb1 = p.vipd(p.hosts[0], config(150, "192.0.2.3"))
	h.lb2 = p.vipd(p.hosts[1], config(100, "192.0.2.2"))
	for _, name := range vips {
		h.lb1.waitState(name, "ACTIVE")
		h.lb2.waitState(name, "BACKUP")
	}
	h.mac = h.mallory.MAC("eth0")
	var err error
	if h.out, err = h.mallory.Injector("eth0"); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*agent{h.lb1, h.lb2} {
		if h.taps[a], err = a.host.Observe("eth0"); err != nil {
			t.Fatal(err)
		}
	}
	h.probes = p.probe()
	return h
}

func (h *hostile) send(frames ...[]byte) {
	h.t.Helper()
	if n, err := h.out.Send(frames...); err != nil {
		h.t.Fatalf("sent %d of %d frames: %v", n, len(frames), err)
	}
}

// arrived counts the frames of the third host that an agent's interface saw.
func (h *hostile) arrived(a *agent) int {
	n := h.taps[a].Dropped()
	for _, f := range h.taps[a].Frames() {
		if bytes.Equal(f.Source, h.mac) && isVRRP(f.Data) {
			n++
		}
	}
	return n
}

// adverts counts those of the Active that an agent's interface saw.
func (h *hostile) adverts(a *agent, since time.Time) (n int) {
	for _, f := range h.taps[a].Since(since) {
		if !f.Out && f.VRRP != nil && !bytes.Equal(f.Source, h.mac) {
			n++
		}
	}
	return n
}

func isVRRP(b []byte) bool {
	switch wire.BigEndian.Uint16(b[12:]) {
	case 0x0800:
		return b[14+9] == 112
	case 0x86dd:
		return b[14+6] == 112
	}
	return false
}

// counts is what an agent says it did not believe, by family and cause.
type counts map[string]int

func (a *agent) refused() counts {
	a.t.Helper()
	s, err := a.status()
	if err != nil {
		a.t.Fatalf("%v\n%s", err, a.proc.Output())
	}
	c := counts{}
	for _, d := range s.Node.Edge.Dropped {
		c[d.Family+" "+d.Reason] += d.Count
	}
	return c
}

func (c counts) total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}

// since leaves out what was counted before.
func (c counts) since(before counts) counts {
	d := counts{}
	for k, n := range c {
		if n != before[k] {
			d[k] = n - before[k]
		}
	}
	return d
}

// state is all that bad input must not change.
type state struct {
	transitions map[string]int // by VIP and kind
	log         int            // bytes
}

func (a *agent) state() state {
	a.t.Helper()
	doc, err := a.status()
	if err != nil {
		a.t.Fatalf("%v\n%s", err, a.proc.Output())
	}
	s := state{transitions: map[string]int{}, log: len(a.proc.Output())}
	for _, v := range doc.VIPs {
		for kind, n := range v.Transitions {
			s.transitions[v.Name+": "+kind] = n
		}
	}
	return s
}

// attack sends something at a running pair and demands that nothing moves,
// nothing is lost, and everything is counted, by both hosts.
func (h *hostile) attack(do func()) {
	h.t.Helper()
	agents := []*agent{h.lb1, h.lb2}
	states, seen, drops := map[*agent]state{}, map[*agent]int{}, map[*agent]counts{}
	for _, a := range agents {
		states[a], seen[a], drops[a] = a.state(), h.arrived(a), a.refused()
	}
	from := time.Now()
	do()
	to := time.Now()
	for _, a := range agents {
		h.last(a)
		got, want := counts{}, h.arrived(a)-seen[a]
		a.wait(10*time.Second, "it to have counted every frame", func(ctx context.Context) error {
			return testenv.Until(ctx, func() bool {
				got = a.refused().since(drops[a])
				return got.total() >= want
			})
		})
		most := want
		if got["ipv4 overflow"] > 0 {
			most += h.adverts(a, from) // the kernel does not look at what it drops
		}
		if got.total() < want || got.total() > most || want < 2 {
			h.t.Errorf("%s counted %d frames, its interface saw %d: %v", a.host.Name, got.total(), want, got)
		}
		h.t.Logf("%s refused %v", a.host.Name, got)
		after := a.state()
		if !maps.Equal(after.transitions, states[a].transitions) {
			h.t.Errorf("%s: transitions %v, before %v", a.host.Name, after.transitions, states[a].transitions)
		}
		if grown := after.log - states[a].log; grown > 1000 {
			h.t.Errorf("%s logged %d bytes for %d frames", a.host.Name, grown, want)
		}
	}
	h.nothingLost(from, to)
}

// last returns when a tap has seen all that was sent: when a last frame, refused
// as the others, has come through.
func (h *hostile) last(a *agent) {
	h.t.Helper()
	for range 20 {
		now := time.Now()
		h.send(h.frame4(multicast4, 1, advert3(51, 255)))
		ctx, cancel := context.WithTimeout(h.t.Context(), 500*time.Millisecond)
		_, err := h.taps[a].WaitFor(ctx, func(f testenv.Frame) bool {
			return f.VRRP != nil && f.VRRP.HopLimit == 1 && f.Time.After(now)
		})
		cancel()
		if err == nil {
			return
		}
	}
	h.t.Fatalf("%s: the tap never saw the last frame", a.host.Name)
}

// nothingLost demands that no probe was lost between two times and that lb1 answered.
func (h *hostile) nothingLost(from, to time.Time) {
	h.t.Helper()
	h.answeredBy(h.probes, "lb1")
	testenv.Eventually(h.t, 5*time.Second, "the last probes to be answered", func() bool {
		return h.probes.Report().Between(from, to).Pending == 0
	})
	r := h.probes.Report().Between(from, to)
	h.t.Log(r)
	if r.Lost > 0 || len(r.ByHost) != 1 || r.ByHost["lb1"] == 0 {
		h.t.Errorf("lost %d probes: %v; gaps %v", r.Lost, r, r.Gaps)
	}
}

var (
	two        = []netip.Addr{netip.MustParseAddr("192.0.2.101"), netip.MustParseAddr("192.0.2.102")}
	multicast4 = netip.MustParseAddr("224.0.0.18")
	multicast6 = netip.MustParseAddr("ff02::12")
)

// message is an advert of version 3 with a list, still without its checksum.
func message(version, kind, vrid, priority byte, third uint16, list ...netip.Addr) []byte {
	b := []byte{version<<4 | kind, vrid, priority, byte(len(list))}
	b = wire.BigEndian.AppendUint16(b, third)
	b = append(b, 0, 0)
	for _, ip := range list {
		b = append(b, ip.AsSlice()...)
	}
	return b
}

// sealed fills in the checksum over the message alone.
func sealed(b []byte) []byte {
	b[6], b[7] = 0, 0
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(wire.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	wire.BigEndian.PutUint16(b[6:], ^uint16(sum))
	return b
}

// advert3 is a good advert of the VIP 192.0.2.100 at 100 ms.
func advert3(vrid, priority byte) []byte { return sealed(message(3, 1, vrid, priority, 10, vip4)) }

// advert2 is a good advert of version 2, at 1 s, without authentication.
func advert2(vrid, priority byte, list ...netip.Addr) []byte {
	return sealed(append(message(2, 1, vrid, priority, 1, list...), 0, 0, 0, 0, 0, 0, 0, 0))
}

// frame4 is an IPv4 frame of the third host.
func (h *hostile) frame4(to netip.Addr, ttl byte, payload []byte) []byte {
	mac := net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 0x12}
	for _, host := range h.hosts {
		if !to.IsMulticast() && host.Holds(to) {
			mac = host.MAC("eth0")
		}
	}
	return testenv.Packet{
		SourceMAC: h.mac, DestinationMAC: mac,
		Source: netip.MustParseAddr("192.0.2.66"), Destination: to, Protocol: 112, HopLimit: ttl, Payload: payload,
	}.Marshal()
}

func (h *hostile) frame6(ttl byte, payload []byte) []byte {
	return testenv.Packet{
		SourceMAC: h.mac, DestinationMAC: net.HardwareAddr{0x33, 0x33, 0, 0, 0, 0x12},
		Source: netip.MustParseAddr("fe80::66"), Destination: multicast6, Protocol: 112, HopLimit: ttl, Payload: payload,
	}.Marshal()
}

// only sends frames, fifty times, and demands that both hosts count each under
// one cause.
func (h *hostile) only(name, cause string, frames [][]byte) {
	h.t.Helper()
	const times = 50
	agents := []*agent{h.lb1, h.lb2}
	before := map[*agent]counts{}
	for _, a := range agents {
		before[a] = a.refused()
	}
	h.send(slices.Repeat(frames, times)...)
	for _, a := range agents {
		got, want := counts{}, counts{cause: times}
		ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
		_ = testenv.Until(ctx, func() bool {
			got = a.refused().since(before[a])
			return maps.Equal(got, want)
		})
		cancel()
		if !maps.Equal(got, want) {
			h.t.Errorf("%s: %s counted %v, want %v", name, a.host.Name, got, want)
		}
	}
}
