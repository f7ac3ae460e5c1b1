package engine_test

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// runService carries out a command about services and BGP.
func (s *scenario) runService(f []string, h *sim.Host) {
	s.t.Helper()
	switch f[0] {
	case "kill-speaker": // the process that speaks BGP dies
		h.KillSpeaker()
	case "neighbor": // neighbor lb1 tor-a down
		h.SetNeighbor(f[2], f[3] == "up")
	case "others": // others lb1 203.0.113.53/32 AS-65102+…: who else is seen to announce it
		ev := engine.AnnouncersSeen{Prefix: netip.MustParsePrefix(f[2])}
		if len(f) > 3 {
			ev.Others = strings.Split(strings.ReplaceAll(f[3], "-", " "), "+")
		}
		h.Do(ev)
	case "reload-service": // reload-service lb1 dns prefixes:… or removed
		cfg := h.Config()
		cfg.Services = maps.Clone(cfg.Services)
		if f[3] == "removed" {
			delete(cfg.Services, f[2])
		} else {
			cfg.Services[f[2]] = s.changeService(cfg.Services[f[2]], f[3])
		}
		h.Configure(cfg)
	case "no-bgp": // a reload without services and without [bgp]
		cfg := h.Config()
		cfg.Services, cfg.BGP = map[string]engine.Service{}, nil
		h.Configure(cfg)
	case "service": // service lb1 dns
		for _, v := range h.Status().Services {
			if v.Name != f[2] {
				continue
			}
			fmt.Fprintf(&s.out, "%s on %s is %s (stage %s), MED %d, %s\n", v.Name, f[1], v.State, v.Stage, v.MED.Effective, v.Why)
			for _, p := range v.Prefixes {
				fmt.Fprintf(&s.out, "  %s: %v\n", p.Prefix, p.Neighbors)
			}
		}
	default:
		s.runPair(f, h)
	}
}

// services adds what the keys service.NAME say, and two neighbors that are told:
// tor-a speaks IPv4, tor-b both families.
func (s *scenario) services(cfg *engine.Config, keys map[string]string, links map[string]bool) {
	s.t.Helper()
	cfg.Services = map[string]engine.Service{}
	for k, v := range keys {
		name, ok := strings.CutPrefix(k, "service.")
		if !ok {
			continue
		}
		first := engine.Service{Device: "lo", Service: bgp.Service{
			Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.53/32")}, Attributes: bgp.Attributes{MED: 100},
		}}
		svc := s.changeService(first, v)
		cfg.Services[name] = svc
		if svc.Device != "" {
			links[svc.Device] = true
		}
		for check := range svc.Track {
			if _, ok := cfg.Checks[check]; !ok {
				cfg.Checks[check] = someCheck
			}
		}
		cfg.BGP = &bgp.Config{LocalAS: 65101, Neighbors: map[string]bgp.Neighbor{
			"tor-a": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4}},
			"tor-b": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4, bgp.IPv6}},
		}}
		if w := keys["budget"]; w != "" { // 2/1h
			n, per, _ := strings.Cut(w, "/")
			cfg.Budget = engine.Budget{Max: s.number(n), Per: s.duration(per)}
		}
		if w := keys["keep"]; w != "" {
			cfg.Keep, cfg.BGP.GracefulRestart = true, s.duration(w)
		}
		if w := keys["drain_wait"]; w != "" {
			cfg.DrainWait = s.duration(w)
		}
	}
}

// changeService sets keys of a service, separated by commas:
// prefixes:203.0.113.1/32+…, track:svc (withdraw), med:gw+200 (added while gw
// fails), rise:2s, follow:web, device:eth1 (or nothing), base:50 (its MED),
// neighbors:tor-a+….
func (s *scenario) changeService(v engine.Service, settings string) engine.Service {
	s.t.Helper()
	v.Track = maps.Clone(v.Track)
	if v.Track == nil {
		v.Track = map[string]check.Weight{}
	}
	for set := range strings.SplitSeq(settings, ",") {
		k, value, _ := strings.Cut(set, ":")
		switch k {
		case "prefixes":
			v.Prefixes = nil
			for p := range strings.SplitSeq(value, "+") {
				prefix, err := netip.ParsePrefix(p)
				s.must(err)
				v.Prefixes = append(v.Prefixes, prefix)
			}
		case "track":
			v.Track[value] = check.Weight{Fault: true}
		case "med":
			name, n, _ := strings.Cut(value, "+")
			v.Track[name] = check.Weight{Delta: -s.number(n)}
		case "base":
			v.MED = uint32(s.number(value))
		case "min":
			v.MinAnnouncers = s.number(value)
		case "rise":
			v.RiseDelay = s.duration(value)
		case "follow":
			v.FollowVIP = value
		case "device":
			v.Device = value
		case "neighbors":
			v.Neighbors = strings.Split(value, "+")
		default:
			s.t.Fatalf("unknown key %q of a service", k)
		}
	}
	return v
}

func (s *scenario) number(text string) int {
	s.t.Helper()
	n, err := strconv.Atoi(text)
	s.must(err)
	return n
}

func (s *scenario) weight(text string) check.Weight {
	s.t.Helper()
	switch text {
	case "fault":
		return check.Weight{Fault: true}
	case "own":
		return check.Weight{Fault: true, Own: true}
	}
	n, err := strconv.Atoi(text)
	s.must(err)
	return check.Weight{Delta: n}
}

func (s *scenario) duration(text string) time.Duration {
	s.t.Helper()
	d, err := time.ParseDuration(text)
	s.must(err)
	return d
}

func (s *scenario) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
