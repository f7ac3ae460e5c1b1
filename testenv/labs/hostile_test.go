package labs

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// TestWrongVersion: adverts of version 2 and priority 255 in an election of
// version 3, ten a second and then as fast as they go.
func TestWrongVersion(t *testing.T) {
	h := newHostile(t, func(priority int, _ string) string { return web(priority, 100*time.Millisecond, "") }, "web")
	frame := h.frame4(multicast4, 255, advert2(51, 255, vip4))
	h.attack(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 30 {
			<-tick.C
			h.send(frame)
		}
	})
	frames := slices.Repeat([][]byte{frame}, 64)
	h.attack(func() {
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			h.send(frames...)
		}
	})
}

// TestOverflow: what the kernel drops while a host does not run is counted too,
// and a host that slept does not take its sleep for the silence of the Active.
func TestOverflow(t *testing.T) {
	h := newHostile(t, func(priority int, _ string) string { return web(priority, 100*time.Millisecond, "") }, "web")
	frames := slices.Repeat([][]byte{h.frame4(multicast4, 255, advert2(51, 255, vip4))}, 40_000)
	h.attack(func() {
		h.lb2.signal(syscall.SIGSTOP)
		h.send(frames...)
		h.lb2.signal(syscall.SIGCONT)
	})
	if n := h.lb2.refused()["ipv4 overflow"]; n == 0 {
		t.Error("nothing was dropped by the kernel: this test proves nothing")
	}
}

// TestBadAdverts: every single way to be wrong, and the cause that it counts as.
func TestBadAdverts(t *testing.T) {
	h := newHostile(t, four, "web", "two", "six", "uni")
	list6 := []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("fd00:2::100")}
	all := func(payload []byte) []byte { return h.frame4(multicast4, 255, payload) }
	change := func(b []byte, at int, to byte) []byte {
		b[at] = to
		return sealed(b)
	}
	off := func(b []byte) []byte {
		b[7] ^= 0x55
		return b
	}
	one := func(frame []byte) [][]byte { return [][]byte{frame} }
	each := func(vrid byte) (frames [][]byte) {
		for _, host := range h.hosts {
			frames = append(frames, h.frame4(host.Addresses("eth0")[0].Addr(), 255, advert3(vrid, 255)))
		}
		return frames
	}
	rows := []struct {
		name, cause string
		frames      [][]byte
	}{
		{"ttl 254", "ipv4 ttl", one(h.frame4(multicast4, 254, advert3(51, 255)))},
		{"hop limit 1", "ipv6 ttl", one(h.frame6(1, sealed(message(3, 1, 53, 255, 10, list6...))))},
		{"empty", "ipv4 length", one(all(nil))},
		{"half a header", "ipv4 length", one(all(advert3(51, 255)[:5]))},
		{"truncated list", "ipv4 length", one(all(advert3(51, 255)[:10]))},
		{"more than it says", "ipv4 length", one(all(append(advert3(51, 255), 0, 0, 0, 0)))},
		{"255 addresses promised", "ipv4 length", one(all(change(advert3(51, 255), 3, 255)))},
		{"version 0", "ipv4 version", one(all(change(advert3(51, 255), 0, 0x01)))},
		{"version 4", "ipv4 version", one(all(change(advert3(51, 255), 0, 0x41)))},
		{"version 2 in 3", "ipv4 version", one(all(advert2(51, 255, vip4)))},
		{"version 3 in 2", "ipv4 version", one(all(sealed(message(3, 1, 52, 255, 100, two...))))},
		{"version 2 over IPv6", "ipv6 version", one(h.frame6(255, advert2(53, 255, list6...)))},
		{"type 2", "ipv4 type", one(all(change(advert3(51, 255), 0, 0x32)))},
		{"vrid 0", "ipv4 vrid", one(all(advert3(0, 255)))},
		{"vrid of nobody", "ipv4 unknown_vrid", one(all(advert3(99, 255)))},
		{"no address", "ipv4 count", one(all(sealed(message(3, 1, 51, 255, 10))))},
		{"checksum", "ipv4 checksum", one(all(off(advert3(51, 255))))},
		{"checksum of IPv6", "ipv6 checksum", one(h.frame6(255, sealed(message(3, 1, 53, 255, 10, list6...))))},
		{"interval 0", "ipv4 advert_interval", one(all(sealed(message(3, 1, 51, 255, 0, vip4))))},
		{"version 2 interval", "ipv4 advert_interval", one(all(change(advert2(52, 255, two...), 5, 2)))},
		{"version 2 password", "ipv4 auth_type", one(all(change(advert2(52, 255, two...), 4, 1)))},
		{"list of version 2", "ipv4 address_list", one(all(advert2(52, 254, two[0])))},
		{"IPv6 list over IPv4", "ipv4 family", one(all(sealed(message(3, 1, 51, 255, 10, list6...))))},
		{"to the host alone", "ipv4 destination", each(51)},
		{"multicast to a unicast pair", "ipv4 destination", one(all(advert3(54, 255)))},
		{"unicast from a stranger", "ipv4 unicast_source", each(54)},
	}
	h.attack(func() {
		for _, row := range rows {
			h.only(row.name, row.cause, row.frames)
		}
	})
}

// TestGarbage: 20 000 random and mutated frames of both families, as fast as
// they go.
func TestGarbage(t *testing.T) {
	h := newHostile(t, four, "web", "two", "six", "uni")
	rnd := rand.New(rand.NewPCG(20, 26))
	seeds := [][]byte{
		advert3(51, 255), advert3(51, 0), advert3(54, 200), advert2(52, 255, two...), advert2(52, 0, two...),
		sealed(message(3, 1, 53, 255, 10, netip.MustParseAddr("fe80::100"), netip.MustParseAddr("fd00:2::100"))),
	}
	var frames [][]byte
	for len(frames) < 20_000 {
		var payload []byte
		if rnd.IntN(2) == 0 {
			payload = random(rnd, rnd.IntN(64))
		} else {
			payload = mutated(rnd, seeds[rnd.IntN(len(seeds))])
		}
		hops := byte(255)
		if rnd.IntN(8) == 0 {
			hops = byte(rnd.IntN(256))
		}
		frame := h.frame4(multicast4, hops, payload)
		if rnd.IntN(3) == 0 {
			frame = h.frame6(hops, payload)
		}
		if !good(frame) {
			frames = append(frames, frame)
		}
	}
	h.attack(func() { h.send(frames...) })
}

func random(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// mutated changes an advert in a few places: bytes, its end, and half of the
// time its checksum is made right again.
func mutated(rnd *rand.Rand, seed []byte) []byte {
	b := slices.Clone(seed)
	for range 1 + rnd.IntN(3) {
		b[rnd.IntN(len(b))] = byte(rnd.Uint32())
	}
	switch rnd.IntN(4) {
	case 0:
		b = b[:rnd.IntN(len(b))]
	case 1:
		b = append(b, random(rnd, rnd.IntN(16))...)
	}
	if rnd.IntN(2) == 0 && len(b) >= 8 {
		b = sealed(b)
	}
	return b
}

// good reports whether a host may believe a frame: a mutation can be none.
func good(frame []byte) bool {
	f := testenv.ParseFrame(frame)
	return f.VRRP != nil && f.VRRP.HopLimit == 255 && f.VRRP.Type == 1 && f.VRRP.Checksum != testenv.ChecksumBad &&
		f.VRRP.VRID >= 51 && f.VRRP.VRID <= 54
}
