package controltest

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

// Anycast is the status of a host with anycast services on an ordinary bad day:
// resolver is announced with a worse metric because the check api is down, ntp
// is withdrawn for the same reason, web follows the vip of that name, and the
// session with tor-b is down.
func Anycast() control.StatusDocument {
	doc := Pair()
	both := []bgp.Family{bgp.IPv4, bgp.IPv6}
	doc.BGP = &engine.BGPStatus{
		LocalAS: 65101, RouterID: netip.MustParseAddr("10.0.1.11"),
		Speaker: engine.SpeakerStatus{Up: true, PID: 830, Since: At(14, 1, 0), Losses: 1},
		Neighbors: []engine.NeighborStatus{
			{Name: "tor-a", Address: netip.MustParseAddr("10.0.1.1"), RemoteAS: 65001, State: bgp.Established, Since: At(14, 1, 1.5),
				BFD: "up", Families: both[:1], Announced: 2, Flaps: 1, LastError: "the speaker has ended"},
			{Name: "tor-b", Address: netip.MustParseAddr("fe80::1%eno2"), Interface: "eno2", RemoteAS: 65001, State: bgp.Connect, Since: At(14, 4, 40),
				BFD: "down", Families: both, LastError: "hold timer expired", Flaps: 2},
		},
	}
	route := func(prefix string, neighbors map[string]bool) engine.PrefixStatus {
		return engine.PrefixStatus{Prefix: netip.MustParsePrefix(prefix), Neighbors: neighbors}
	}
	doc.Services = []engine.ServiceStatus{
		{
			Name: "ntp", State: engine.ServiceWithdrawn, Stage: engine.Eligible, Since: At(14, 2, 8.113), Reason: "check",
			Why:      "check api fails: exit 1: backend 3 of 5",
			Prefixes: []engine.PrefixStatus{route("198.51.100.123/32", map[string]bool{"tor-a": false, "tor-b": false})},
			MED:      engine.MEDStatus{Configured: 100, Effective: 100}, Device: "lo", Held: true,
			Blockers: []engine.Blocker{{Kind: engine.BlockedCheck, Name: "api", Text: "check api fails: exit 1: backend 3 of 5"}},
			Tracks:   []engine.Tracked{{Source: "check", Name: "api", Fault: true}},
			Changes:  map[string]uint64{"announced healthy": 1, "withdrawn check": 1},
		},
		{
			Name: "resolver", State: engine.ServiceAnnounced, Stage: engine.Announced, Since: At(14, 1, 1.5), Reason: "healthy",
			Why: "1 of 2 neighbors have a session", Told: true,
			Prefixes: []engine.PrefixStatus{
				route("198.51.100.53/32", map[string]bool{"tor-a": true, "tor-b": false}), route("2001:db8:53::53/128", map[string]bool{"tor-b": false}),
			},
			MED:         engine.MEDStatus{Configured: 100, Effective: 300, Terms: []engine.PriorityTerm{{Source: "check", Name: "api", Delta: 200}}},
			Communities: []string{"65101:53", "no-export"}, Device: "lo", Held: true, LostRestored: 1,
			MinAnnouncers: 1, Others: []string{"AS 65102"},
			Tracks:  []engine.Tracked{{Source: "check", Name: "haproxy", Fault: true}, {Source: "check", Name: "api", Weight: 200}},
			Changes: map[string]uint64{"announced healthy": 2, "waiting speaker": 1},
		},
		{
			Name: "web", State: engine.ServiceAnnounced, Stage: engine.Announced, Since: At(14, 1, 1.5), Reason: "healthy",
			Why: "1 of 2 neighbors have a session", Told: true, Follow: "web",
			Prefixes: []engine.PrefixStatus{route("192.0.2.10/32", map[string]bool{"tor-a": true, "tor-b": false})},
			MED:      engine.MEDStatus{Configured: 100, Effective: 100}, Changes: map[string]uint64{"announced healthy": 1},
		},
	}
	return doc
}

// Last makes a service of a document the last resort, as nobody else is seen.
func Last(v *engine.ServiceStatus, now time.Time) {
	v.State, v.Reason, v.Since, v.Others = engine.ServiceLast, "min_announcers", now.Add(-18*time.Second), nil
	v.Blockers = []engine.Blocker{{Kind: engine.BlockedCheck, Name: "api", Text: "check api fails: exit 1: backend 3 of 5"}}
	v.Why, v.Stage = v.Blockers[0].Text+"; still announced, as the last resort: no other host is seen to announce it, min_announcers is 1", engine.Eligible
	v.MED = engine.MEDStatus{Configured: 100, Effective: 4294967295}
	v.Communities = append(v.Communities, "graceful-shutdown")
}

// Drain makes a service of a document drain, for 12 seconds more.
func Drain(v *engine.ServiceStatus, now time.Time) {
	v.State, v.Reason, v.Since = engine.ServiceDraining, "drained", now.Add(-18*time.Second)
	v.Drained = &engine.DrainStatus{Actor: "anna (uid 1004)", Reason: "kernel upgrade CHG-1201", Since: v.Since}
	v.Blockers = []engine.Blocker{{Kind: engine.BlockedDrain, Text: "drained by anna (uid 1004) (kernel upgrade CHG-1201)"}}
	v.Why, v.DrainUntil, v.Stage = v.Blockers[0].Text, now.Add(12*time.Second), engine.Eligible
	v.Communities = append(v.Communities, "graceful-shutdown")
}
