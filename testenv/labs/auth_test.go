package labs

import (
	"bytes"
	"context"
	wire "encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

const trailerLen = 28

// keyFiles are two keys, for lines of a configuration.
type keyFiles [2]string

func newKeyFiles(t *testing.T) (files keyFiles) {
	t.Helper()
	dir := t.TempDir()
	for i := range files {
		files[i] = filepath.Join(dir, fmt.Sprintf("key-%d", i+1))
		if err := os.WriteFile(files[i], []byte("hex:"+strings.Repeat(fmt.Sprintf("%02x", 0xa0+i), 32)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// auth is the key of that name with these ids, which are those of the files.
func (k keyFiles) auth(mode string, active int, ids ...int) string {
	var list []string
	for _, id := range ids {
		list = append(list, fmt.Sprintf("%d = %q", id, k[id-1]))
	}
	return fmt.Sprintf("auth = { mode = %q, active_key = %d, keys = { %s } }", mode, active, strings.Join(list, ", "))
}

// TestAuthSpoofed: a thousand forged adverts a second with the priorities 255 and
// 0, from the third host's own address and from that of the Active, unsigned, with
// a trailer, and true ones sent again: nothing moves, nothing is lost.
func TestAuthSpoofed(t *testing.T) {
	keys := newKeyFiles(t)
	h := newHostile(t, func(priority int, _ string) string {
		return web(priority, 100*time.Millisecond, keys.auth("enforce", 1, 1))
	}, "web")
	lb1 := netip.MustParseAddr("192.0.2.2")
	var forged [][]byte
	for _, priority := range []byte{255, 0} {
		unsigned := advert3(51, priority)
		trailer := []byte{1, 1, 0, 0}
		trailer = wire.BigEndian.AppendUint32(trailer, uint32(time.Now().Unix()+2))
		trailer = append(trailer, make([]byte, 20)...)
		for _, src := range []netip.Addr{netip.MustParseAddr("192.0.2.66"), lb1} {
			forged = append(forged, h.from(src, unsigned), h.from(src, append(slices.Clone(unsigned), trailer...)))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	good, err := h.taps[h.lb2].WaitFor(ctx, func(f testenv.Frame) bool { return f.VRRP != nil && f.VRRP.Source == lb1 })
	if err != nil {
		t.Fatal(err)
	}
	again := slices.Concat(good.Data[:6], h.mac, good.Data[12:])
	h.flood(4*time.Second, append(forged, again, again)) // ten
}

// from is a multicast frame of the third host with the source address of anybody.
func (h *hostile) from(src netip.Addr, payload []byte) []byte {
	return testenv.Packet{
		SourceMAC: h.mac, DestinationMAC: []byte{0x01, 0, 0x5e, 0, 0, 0x12},
		Source: src, Destination: multicast4, Protocol: 112, HopLimit: 255, Payload: payload,
	}.Marshal()
}

// flood sends ten frames a hundred times a second for a while, and demands that
// nothing moves, nothing is lost, and lb2 counts every frame. At lb1 its kernel
// drops those that claim to come from lb1 itself.
func (h *hostile) flood(long time.Duration, frames [][]byte) {
	h.t.Helper()
	before := map[*agent]state{h.lb1: h.lb1.state(), h.lb2: h.lb2.state()}
	seen, drops := h.arrived(h.lb2), h.lb2.refused()
	from := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := from.Add(long); time.Now().Before(end); {
		<-tick.C
		h.send(frames...)
	}
	to := time.Now()
	status, why := h.lb2.must("status"), h.lb2.must("why", "web")
	h.last(h.lb2)
	want, got := h.arrived(h.lb2)-seen, counts{}
	h.lb2.eventually(10*time.Second, "it to have counted every frame", func() bool {
		got = h.lb2.refused().since(drops)
		return got.total() >= want
	})
	h.t.Logf("%d frames in %v, lb2 refused %v, lb1 %v", want, to.Sub(from), got, h.lb1.refused())
	for _, cause := range []string{"auth_missing", "auth_hmac", "auth_replay"} {
		if got["ipv4 "+cause] < want/20 {
			h.t.Errorf("lb2 counted only %d frames as %s", got["ipv4 "+cause], cause)
		}
	}
	if want < int(long/time.Millisecond)*8/10 || got.total() != want {
		h.t.Errorf("%d frames, %d counted", want, got.total())
	}
	for _, a := range []*agent{h.lb1, h.lb2} {
		after := a.state()
		if !maps.Equal(after.transitions, before[a].transitions) {
			h.t.Errorf("%s: transitions %v, before %v", a.host.Name, after.transitions, before[a].transitions)
		}
		if grown := after.log - before[a].log; grown > 1000 {
			h.t.Errorf("%s logged %d bytes", a.host.Name, grown)
		}
	}
	for _, text := range []string{status, why} {
		if !strings.Contains(text, "adverts from 192.0.2.") || !strings.Contains(text, "refused: ") {
			h.t.Errorf("the refusals are not told:\n%s", text)
		}
	}
	h.nothingLost(from, to)
}

// TestAuthRollout: a pair that runs without authentication gets it in three steps,
// each a reload of one host after the other, and then another key in three more.
// No advert is lost on the way.
func TestAuthRollout(t *testing.T) {
	const interval = steady
	keys := newKeyFiles(t)
	p, lb1, lb2, probes := started(t, interval, "")
	tap, err := p.client.Observe("eth0")
	if err != nil {
		t.Fatal(err)
	}
	mark, before1, before2 := time.Now(), lb1.transitions("web"), lb2.transitions("web")
	for _, step := range []struct {
		name, auth string
		key        int // that lb1 signs with then
	}{
		{"receive-only", keys.auth("receive-only", 1, 1), 0},
		{"permissive", keys.auth("permissive", 1, 1), 1},
		{"enforce", keys.auth("enforce", 1, 1), 1},
		{"key 2 added", keys.auth("enforce", 1, 1, 2), 1},
		{"key 2 used", keys.auth("enforce", 2, 1, 2), 2},
		{"key 1 removed", keys.auth("enforce", 2, 2), 2},
	} {
		for i, a := range []*agent{lb1, lb2} {
			a.write(web(150-50*i, interval, step.auth))
			a.must("reload")
			p.adverts(tap, 4) // longer than lb2 would wait for one
		}
		if got := signedWith(t, tap); got != step.key {
			t.Errorf("%s: lb1 signs with key %d, want %d", step.name, got, step.key)
		}
		if lb1.transitions("web") != before1 || lb2.transitions("web") != before2 {
			t.Fatalf("%s: transitions: lb1 %v, lb2 %v", step.name, lb1.vip("web").Transitions, lb2.vip("web").Transitions)
		}
	}
	p.answeredBy(probes, "lb1")
	r := probes.Stop().Since(mark)
	t.Log(r)
	if r.Lost > 0 || len(r.Turns()) != 1 {
		t.Errorf("%v; %v", r, r.Turns())
	}
	if n := lb2.refused(); n.total() != 0 {
		t.Errorf("lb2 refused %v", n)
	}
	if out := lb2.must("status", "web"); !strings.Contains(out, "enforce, signs with key 2, believes 2; 0 adverts refused") {
		t.Errorf("status says\n%s", out)
	}
	for _, a := range []*agent{lb1, lb2} {
		secret := strings.Repeat("\xa0", 8)
		if out := a.must("status", "--json") + a.must("events") + a.proc.Output(); strings.Contains(out, "a0a0a0") || strings.Contains(out, secret) {
			t.Errorf("%s prints a key", a.host.Name)
		}
	}
}

// signedWith is the id of the key of the last advert that a tap saw, 0 when that
// was not signed.
func signedWith(t *testing.T, tap *testenv.Observer) int {
	t.Helper()
	frames := tap.Frames()
	for i := len(frames) - 1; i >= 0; i-- {
		const headers, message = 14 + 20, 8 + 4
		f := frames[i]
		if f.VRRP == nil || f.VRRP.VRID != 51 {
			continue
		}
		total := 14 + int(wire.BigEndian.Uint16(f.Data[16:]))
		if total != headers+message+trailerLen {
			return 0
		}
		return int(f.Data[headers+message+1])
	}
	t.Fatal("no advert")
	return 0
}

// TestAuthMismatch: hosts with different keys both become Active, and each says
// why; with the same keys again, one of them gives way.
func TestAuthMismatch(t *testing.T) {
	keys := newKeyFiles(t)
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(150, 100*time.Millisecond, keys.auth("enforce", 1, 1)))
	lb2 := p.vipd(p.hosts[1], web(100, 100*time.Millisecond, keys.auth("enforce", 2, 2)))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "ACTIVE")
	lb2.eventually(5*time.Second, "why to name the key", func() bool {
		return strings.Contains(lb2.must("why", "web"), "adverts from 192.0.2.2 refused: key id 1 unknown")
	})
	if out := lb1.must("status"); !strings.Contains(out, "web: adverts from 192.0.2.3 refused: key id 2 unknown") {
		t.Errorf("status of lb1:\n%s", out)
	}
	lb2.write(web(100, 100*time.Millisecond, keys.auth("enforce", 1, 1)))
	if out := lb2.must("reload"); !strings.Contains(out, "auth.active_key 2 -> 1") {
		t.Errorf("reload says %s", out)
	}
	lb2.waitState("web", "BACKUP")
	lb1.waitState("web", "ACTIVE")
}

// TestAuthRelease: the release of a VIP that a reload takes away is signed, too,
// so that the other host takes over at once.
func TestAuthRelease(t *testing.T) {
	keys := newKeyFiles(t)
	_, lb1, lb2, _ := started(t, 100*time.Millisecond, keys.auth("enforce", 1, 1))
	mark := time.Now()
	lb1.write("\n[vip.other]\ninterface = \"eth0\"\nvrid = 77\naddresses = [\"192.0.2.177/24\"]\n")
	lb1.must("reload")
	lb2.waitState("web", "ACTIVE")
	var taken []event
	for _, e := range lb2.events("vrrp_transition") {
		if e.Name == "web" && e.To == "ACTIVE" && e.Time.After(mark) {
			taken = append(taken, e)
		}
	}
	if len(taken) != 1 || taken[0].Reason != "release" {
		t.Errorf("lb2 took over: %+v", taken)
	}
}

// TestInteropPassword: version 2 with the password of keepalived's auth_type PASS,
// each way; another password is refused by both.
func TestInteropPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("ours2day\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vipd := vipdSide(fmt.Sprintf("auth = { mode = \"password\", password_file = %q }\n", file))
	for name, kinds := range map[string][2]kind{"vipd-better": {vipd, keepalivedSide}, "vipd-lesser": {keepalivedSide, vipd}} {
		t.Run(name, func(t *testing.T) {
			peers.RequireKeepalived(t)
			routers := combination{version: 2, family: 4, preempt: true}.routers()
			for i := range routers {
				routers[i].Extra = "  authentication {\n    auth_type PASS\n    auth_pass ours2day\n  }"
			}
			d := newDuel(t, kinds, routers)
			d.begin()
			d.crash(0)
			d.restore(0)
			d.holds(0)
			d.release(0)
		})
	}
	t.Run("another", func(t *testing.T) {
		peers.RequireKeepalived(t)
		routers := combination{version: 2, family: 4, preempt: true}.routers()
		routers[0].Extra = "  authentication {\n    auth_type PASS\n    auth_pass theirs\n  }"
		p := newPair(t, "keepalived")
		k := keepalivedSide(p, p.hosts[0], routers[0])
		peer, err := k.start()
		if err != nil {
			t.Fatal(err)
		}
		k.Peer = peer
		a := p.vipd(p.hosts[1], vipdConfig(routers[1])+fmt.Sprintf("auth = { mode = \"password\", password_file = %q }\n", file))
		a.waitState(routerName, "ACTIVE") // as nobody is believed
		a.eventually(5*time.Second, "vipd to count what it refuses", func() bool { return a.refused()["ipv4 auth_pass"] > 0 })
		testenv.Eventually(t, 10*time.Second, "keepalived to be Active as well", func() bool {
			all, err := k.Status(t.Context())
			return err == nil && all[routerName].State == peers.Active
		})
		if bytes.Contains([]byte(a.proc.Output()+a.must("status", "--json")), []byte("ours2day")) {
			t.Error("the password is printed")
		}
	})
}
