package engine_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// shared are the types below which nothing is ever changed in place: values that
// hide a pointer, configuration, and snapshots that are replaced as a whole.
var shared = []string{"time.Time", "netip.Addr", "netip.Prefix", "engine.Config", "engine.VIP", "check.Config", "engine.link", "pair.State", "vrrp.Advert", "engine.Service", "bgp.Config", "bgp.Table", "[]engine.Guarded"}

// memory calls visit with every pointer, map and slice that is reachable from v.
func memory(v reflect.Value, path string, seen map[uintptr]bool, visit func(path string, address uintptr)) {
	if slices.Contains(shared, v.Type().String()) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() || v.Kind() == reflect.Slice && v.Cap() == 0 {
			return
		}
		if v.Kind() != reflect.Pointer || !slices.Contains(shared, v.Type().Elem().String()) {
			visit(path, v.Pointer())
		}
		if v.Kind() != reflect.Slice {
			if seen[v.Pointer()] {
				return
			}
			seen[v.Pointer()] = true
		}
	default:
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			memory(v.Elem(), path, seen, visit)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			memory(it.Value(), fmt.Sprintf("%s[%v]", path, it.Key()), seen, visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			memory(v.Index(i), fmt.Sprintf("%s[%d]", path, i), seen, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			memory(v.Field(i), path+"."+v.Type().Field(i).Name, seen, visit)
		}
	default:
	}
}

// dump writes down everything that an engine knows.
func dump(e *engine.Engine) string {
	var b strings.Builder
	write(&b, reflect.ValueOf(e), "e", map[uintptr]bool{})
	return b.String()
}

func write(b *strings.Builder, v reflect.Value, path string, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Kind() == reflect.Pointer && seen[v.Pointer()] {
			return
		}
		if v.Kind() == reflect.Pointer {
			seen[v.Pointer()] = true
		}
		write(b, v.Elem(), path, seen)
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, k := range keys {
			write(b, v.MapIndex(k), fmt.Sprintf("%s[%v]", path, k), seen)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			write(b, v.Index(i), fmt.Sprintf("%s[%d]", path, i), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "out" && v.Type().String() != "unique.Handle[net/netip.addrDetail]" {
				write(b, v.Field(i), path+"."+name, seen)
			}
		}
	case reflect.Func:
	default:
		fmt.Fprintf(b, "%s = %v\n", path, v)
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// busy is a world in which much is under way: a sync group, checks that fall,
// drains that end, a failover, a reload that moves a VIP.
func busy(t *testing.T, seed uint64) (w *sim.World, lb1 *sim.Host) {
	t.Helper()
	w = sim.New(seed)
	vip := func(link string, vrid, priority uint8, addr string) engine.VIP {
		return engine.VIP{
			Interface: link, VRID: vrid, Version: 3, Priority: priority, Interval: 100 * time.Millisecond, Preempt: true,
			Addresses: []netip.Prefix{netip.MustParsePrefix(addr)}, Track: map[string]check.Weight{"svc": {Delta: -60}, "app": {Fault: true}},
			GARP:   engine.GARP{Repeat: 2, Bursts: []time.Duration{0, 200 * time.Millisecond, time.Second}, Refresh: 3 * time.Second},
			Notify: true, BeforeHold: 300 * time.Millisecond, Lease: []engine.LeaseMode{engine.LeaseNone, engine.LeaseNFT, engine.LeaseAddress}[seed%3],
		}
	}
	var pair *engine.Pair // in half of the worlds
	for i, name := range []string{"lb1", "lb2"} {
		if seed%2 == 1 {
			pair = &engine.Pair{Peers: map[string][]netip.Addr{fmt.Sprintf("lb%d", 2-i): {netip.AddrFrom4([4]byte{192, 0, 2, byte(2 - i)})}}}
		}
		p := uint8(150 - 50*i)
		w.AddHost(name, engine.Config{
			Node: name,
			VIPs: map[string]engine.VIP{
				"web": vip("eth0", 51, p, "192.0.2.10/24"), "inside": vip("eth1", 52, p, "10.0.0.1/24"), "mail": vip("eth0", 53, 250-p, "192.0.2.25/24"),
			},
			Groups:      map[string][]string{"edge": {"web", "inside"}},
			GroupNotify: map[string]bool{"edge": true},
			Checks: map[string]check.Config{
				"svc": {Spec: check.TCP{Address: "127.0.0.1:80"}, Interval: 300 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 2, Fall: 2, InitOK: true},
				"app": {Spec: check.File{Path: "/ok"}, Interval: 500 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 1, Fall: 1, InitOK: true},
			},
			Services: map[string]engine.Service{
				"dns":  {Service: bgp.Service{Prefixes: prefixes("203.0.113.53/32", "203.0.113.54/32")}, Device: "lo", Track: map[string]check.Weight{"svc": {Delta: -60}, "app": {Fault: true}}, RiseDelay: time.Second},
				"edge": {Service: bgp.Service{Prefixes: prefixes("10.0.0.1/32")}, FollowVIP: "inside"},
			},
			BGP:       &bgp.Config{LocalAS: 65101, Neighbors: map[string]bgp.Neighbor{"tor": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4}}}},
			DrainWait: 700 * time.Millisecond, Pair: pair,
		}, "eth0", "eth1", "lo")
	}
	lb1 = w.Host("lb1")
	for range 3 + w.Random().IntN(12) {
		h := w.Hosts()[w.Random().IntN(2)]
		switch w.Random().IntN(12) {
		case 6:
			h.SetHook([]sim.Hook{sim.HookSlow, sim.HookHangs, sim.HookFast}[w.Random().IntN(3)])
		case 0:
			h.SetLink("eth0", w.Random().IntN(3) > 0)
		case 1:
			h.SetCheck("svc", w.Random().IntN(2) > 0)
		case 2:
			h.Do(engine.Drain{Names: []string{"mail"}, Actor: engine.Actor{Name: "anna"}, For: 2 * time.Second})
		case 3:
			h.Do(engine.Failover{ID: 7, Name: "web", Actor: engine.Actor{Name: "anna"}})
		case 4:
			h.RemoveAddresses("web")
		case 5:
			next := h.Config()
			moved := vip("eth1", uint8(60+w.Random().IntN(3)), 120, "10.0.0.25/24")
			next.VIPs = map[string]engine.VIP{"web": next.VIPs["web"], "inside": next.VIPs["inside"], "mail": moved}
			h.Configure(next)
		case 7:
			h.KillSpeaker()
		case 8:
			h.SetNeighbor("tor", w.Random().IntN(2) == 0)
		case 9:
			h.Do(engine.Drain{Names: []string{"dns"}, Actor: engine.Actor{Name: "anna"}, For: 3 * time.Second})
		case 10:
			next := h.Config()
			dns := next.Services["dns"]
			dns.Prefixes, dns.Device = prefixes("203.0.113.53/32", "203.0.113.55/32"), []string{"lo", "eth1"}[w.Random().IntN(2)]
			next.Services = map[string]engine.Service{"dns": dns}
			h.Configure(next)
		default:
			h.SetLink("eth0", true)
		}
		w.Run(time.Duration(w.Random().IntN(900)) * time.Millisecond)
	}
	return w, lb1
}

// TestCloneSharesNothing: at any moment of a busy life, no memory that is ever
// changed belongs to both an engine and its clone, and both know the same.
func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		_, h := busy(t, seed)
		e := h.Engine()
		c := e.Clone()
		own := map[uintptr]string{}
		memory(reflect.ValueOf(e), "e", map[uintptr]bool{}, func(path string, at uintptr) { own[at] = path })
		memory(reflect.ValueOf(c), "e", map[uintptr]bool{}, func(path string, at uintptr) {
			if other, ok := own[at]; ok {
				t.Errorf("seed %d: %s of the clone is %s of the engine", seed, path, other)
			}
		})
		if diff := cmp.Diff(dump(e), dump(c)); diff != "" {
			t.Fatalf("seed %d: the clone knows something else:\n%s", seed, diff)
		}
	}
}

// TestCloneGoesItsOwnWay: whatever a clone lives through, the engine stays as it
// was, and then does what a second clone does with the same events.
func TestCloneGoesItsOwnWay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w, h := busy(t, seed)
		e, now := h.Engine(), h.Status().Now
		before := dump(e)
		c, twin := e.Clone(), e.Clone()
		events := []engine.Event{
			engine.CheckDone{Check: "svc"}, engine.CheckDone{Check: "app"}, engine.Wake{},
			engine.LinkChanged{Link: engine.Link{Name: "eth0", Present: true}},
			engine.Drain{ID: 1, Actor: engine.Actor{Name: "b"}}, engine.Undrain{ID: 2, Actor: engine.Actor{Name: "b"}}, engine.Stop{},
		}
		live := func(e *engine.Engine) (did []string) {
			at := now
			for i := range 300 {
				ev := engine.Event(engine.Wake{})
				if i%20 == 0 && i/20 < len(events) {
					ev = events[i/20]
				}
				if next := e.Next(); next.After(at) {
					at = next
				}
				for _, a := range e.Step(at, ev) {
					if tell, ok := a.(engine.Tell); ok {
						did = append(did, fmt.Sprintf("%v tells %+v", at.Sub(now), *tell.State))
						continue
					}
					did = append(did, fmt.Sprintf("%v %+v", at.Sub(now), a))
				}
			}
			return did
		}
		live(c)
		if diff := cmp.Diff(before, dump(e)); diff != "" {
			t.Fatalf("seed %d: the life of a clone changed the engine:\n%s", seed, diff)
		}
		if diff := cmp.Diff(live(twin), live(e)); diff != "" {
			t.Fatalf("seed %d: the same events, but something else (-clone +engine):\n%s", seed, diff)
		}
		_ = w
	}
}

// TestNoted: what only the daemon knows becomes a record with the next number.
func TestNoted(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := engine.New(at)
	e.Step(at, engine.Configure{Config: engine.Config{Node: "lb1"}})
	acts := e.Step(at.Add(time.Second), engine.Noted{Record: engine.Record{Type: engine.RecordRecording, Text: "the disk is full"}})
	want := []engine.Action{engine.Report{Record: engine.Record{
		Seq: 2, Time: at.Add(time.Second), Type: engine.RecordRecording, Text: "the disk is full", Severity: engine.Info,
	}}}
	if diff := cmp.Diff(want, acts); diff != "" {
		t.Error(diff)
	}
}
