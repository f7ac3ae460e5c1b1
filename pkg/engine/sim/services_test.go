package sim_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// services returns one that is announced while its checks pass, and one that
// follows a VIP.
func services() map[string]engine.Service {
	dns := engine.Service{
		Service: bgp.Service{
			Prefixes:   []netip.Prefix{netip.MustParsePrefix("203.0.113.53/32"), netip.MustParsePrefix("2001:db8::53/128"), netip.MustParsePrefix("203.0.113.64/26")},
			Attributes: bgp.Attributes{MED: 100},
		},
		Device: "lo", RiseDelay: 300 * time.Millisecond, Track: map[string]check.Weight{"svc": {Fault: true}, "front": {Fault: true}, "proc": {Delta: -20}},
	}
	web := engine.Service{Service: bgp.Service{Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.51/32")}, Neighbors: []string{"tor-a"}}, FollowVIP: "web"}
	return map[string]engine.Service{"dns": dns, "web": web}
}

// speaks returns two neighbors that are told.
func speaks() *bgp.Config {
	return &bgp.Config{LocalAS: 65101, Neighbors: map[string]bgp.Neighbor{
		"tor-a": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4}},
		"tor-b": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4, bgp.IPv6}},
	}}
}

// otherServices changes, moves or removes a service, or a neighbor.
func otherServices(r *rand.Rand, cfg engine.Config) engine.Config {
	cfg.Services = maps.Clone(cfg.Services)
	dns, there := cfg.Services["dns"]
	switch n := r.IntN(8); {
	case n == 0:
		delete(cfg.Services, "dns")
	case n == 1:
		cfg.BGP = speaks()
		delete(cfg.BGP.Neighbors, "tor-b")
	case n == 2 && r.IntN(2) == 0:
		cfg.Services, cfg.BGP = map[string]engine.Service{}, nil
	case !there || cfg.BGP == nil:
		cfg.Services, cfg.BGP = services(), speaks()
	case n >= 6: // the last announcer is kept, and so is a service that flaps
		dns.MinAnnouncers, cfg.Budget = r.IntN(3), engine.Budget{Max: r.IntN(3), Per: 2 * time.Second}
		cfg.Services["dns"] = dns
	case n == 3:
		dns.Device = []string{"lo", "eth1", ""}[r.IntN(3)]
		cfg.Services["dns"] = dns
	default:
		dns.Prefixes = append(slices.Clip(services()["dns"].Prefixes[r.IntN(3):]), netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(9))}), 32))
		dns.MED++
		cfg.Services["dns"] = dns
	}
	return cfg
}

// announced checks that every host announces its services, and the one that
// follows a VIP where that is held.
func announced(w *sim.World) (wrong []string) {
	for _, h := range w.Hosts() {
		want := map[string]int{"tor-a": 2, "tor-b": 3}
		if slices.Contains(w.Holders("web"), h.Name()) {
			want["tor-a"]++
		}
		for _, name := range []string{"tor-a", "tor-b"} {
			if got := h.Routes(name); len(got) != want[name] {
				wrong = append(wrong, fmt.Sprintf("%s has %v from %s, want %d", name, got, h.Name(), want[name]))
			}
		}
	}
	return wrong
}
