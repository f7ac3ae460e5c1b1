package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
	"github.com/vipd/vipd/pkg/vrrp"
)

// runPair carries out a command about leases and the pair channel.
func (s *scenario) runPair(f []string, h *sim.Host) {
	s.t.Helper()
	switch f[0] {
	case "pause": // pause lb1 5s: the daemon is stopped, as by SIGSTOP
		h.Pause(s.duration(f[2]))
	case "restart": // restart lb1 50ms: what can be kept is left to the run that starts so much later
		h.Restart(s.duration(f[2]))
	case "stall": // stall lb1 5s: the same as soon as it has decided something, before it does that
		h.Stall(s.duration(f[2]))
	case "nofilter": // nofilter lb1 operation not supported: from its next start on
		h.SetNoFilter(strings.Join(f[2:], " "))
	case "cut-on": // cut-on lb1 lb2 eth0: what lb1 sends on that network does not reach lb2
		s.w.CutOn(f[3], f[1], f[2])
	case "channel": // channel lb1 address already in use: it closes; without words it opens
		if len(f) > 2 {
			h.Do(engine.PairDown{Err: strings.Join(f[2:], " ")})
		} else {
			h.Do(engine.PairUp{Boot: 99})
		}
	case "spoof": // spoof lb1 255: an advert for the first VIP from a host that is none of the pair
		v := h.Config().VIPs["web"]
		h.Do(engine.AdvertReceived{Interface: v.Interface, Source: netip.MustParseAddr("192.0.2.66"), Advert: vrrp.Advert{
			Version: v.Version, VRID: v.VRID, Priority: uint8(s.number(f[2])), Interval: v.Interval, Addresses: []netip.Addr{v.Addresses[0].Addr()},
		}})
	case "forge": // forge lb2 lb1 255: the same with the address of lb1
		v := h.Config().VIPs["web"]
		h.Do(engine.AdvertReceived{Interface: v.Interface, Source: h.Config().Pair.Peers[f[2]][0], Advert: vrrp.Advert{
			Version: v.Version, VRID: v.VRID, Priority: uint8(s.number(f[3])), Interval: v.Interval, Addresses: []netip.Addr{v.Addresses[0].Addr()},
		}})
	case "lease": // lease lb1 web
		s.showLease(h, f[2])
	case "pair": // pair lb1
		s.showPair(h)
	default:
		s.runFence(f, h)
	}
}

// showLease writes what ends the hold of a VIP, and who else could have it.
func (s *scenario) showLease(h *sim.Host, name string) {
	s.t.Helper()
	v, ok := h.VIP(name)
	if !ok {
		s.t.Fatalf("no vip %s on %s", name, h.Name())
	}
	fmt.Fprintf(&s.out, "%s on %s: lease %s of %s, armed %t, late wakes %d, epoch %d, disbelieved %d\n",
		name, h.Name(), v.Lease.Kind, v.Lease.Time, v.Lease.Armed, v.Lease.Late, v.Epoch, v.Disbelieved)
	if v.Lease.Why != "" {
		fmt.Fprintf(&s.out, "  since %s\n", v.Lease.Why)
	}
	if v.Standby != "" {
		fmt.Fprintf(&s.out, "  standby: %s\n", v.Standby)
	}
}

// showPair writes how the other hosts stand, as they say.
func (s *scenario) showPair(h *sim.Host) {
	for _, p := range h.Status().Pair.Peers {
		fmt.Fprintf(&s.out, "%s on %s: heard %t, hears us %t\n", p.Name, h.Name(), p.Heard, p.HearsUs)
		for _, a := range p.Paths {
			fmt.Fprintf(&s.out, "  %s: heard %t\n", a.Address, a.Heard)
		}
		for _, v := range p.VIPs {
			fmt.Fprintf(&s.out, "  %s: %s, held %t, priority %d, eligible %t %s\n", v.Name, v.Role, v.Held, v.Priority, v.Eligible, v.Blocker)
		}
		for _, d := range p.Drift {
			fmt.Fprintf(&s.out, "  %s\n", d)
		}
	}
}

// peering gives a host the channel to all others, on the networks that pair=…
// names with commas between them; on = eth0.
func (s *scenario) peering(cfg *engine.Config, networks string, hosts [][2]string, links map[string]bool) {
	if networks == "" {
		return
	}
	list := strings.Split(strings.Replace(networks, "on", "eth0", 1), ",")
	cfg.Pair = &engine.Pair{Peers: map[string][]netip.Addr{}}
	for _, n := range list {
		links[n] = true
	}
	for i, h := range hosts {
		if h[0] == cfg.Node {
			continue
		}
		for n := range list {
			cfg.Pair.Peers[h[0]] = append(cfg.Pair.Peers[h[0]], netip.AddrFrom4([4]byte{192, 0, byte(2 + n), byte(1 + i)}))
		}
	}
}

// leaseMode is the value of the key lease.
func (s *scenario) leaseMode(word string) engine.LeaseMode {
	s.t.Helper()
	modes := []engine.LeaseMode{engine.LeaseNone, engine.LeaseAuto, engine.LeaseNFT, engine.LeaseAddress}
	i := slices.IndexFunc(modes, func(m engine.LeaseMode) bool { return m.String() == word })
	if i < 0 {
		s.t.Fatalf("no lease is %q", word)
	}
	return modes[i]
}

// fellBack says that a run gave up what the last one had left to it.
func fellBack(v engine.VIPStatus) string {
	if v.FellBack == "" {
		return ""
	}
	return " (left by the run before, and given up: " + v.FellBack + ")"
}
