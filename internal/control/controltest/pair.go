package controltest

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// Pair is the status of lb1 on an ordinary bad day, at 14:05:02.118 UTC: web
// and inside are Active in one sync group, mail lost its election to 192.0.2.3
// because the check api is down, and all else is well.
func Pair() control.StatusDocument {
	started := At(14, 5, 2.118).Add(-(12*24 + 4) * time.Hour)
	return control.StatusDocument{
		Node: control.Node{
			Name: "lb1", Version: "0.1.0", PID: 812,
			Config: control.ConfigStatus{
				Path: "/etc/vipd/vipd.toml", Hash: "3f9c2a1d5e6f", Loaded: started, LastReloadOK: true,
			},
			Events: control.EventsStatus{Path: "/var/lib/vipd/events.jsonl", Bytes: 4242},
			Edge: control.EdgeStatus{
				Dropped: []control.DropCount{{Interface: "eth0", Family: "ipv4", Reason: "ttl", Count: 3}},
				GARP:    []control.SentCount{{Interface: "eth0", Cause: "takeover", Count: 20}},
				NA:      []control.SentCount{{Interface: "eth0", Cause: "refresh", Count: 7}},
				Hooks: []control.HookCount{
					{Kind: "notify", Ends: map[string]uint64{"ok": 4, "timeout": 1}, Runs: 5, Took: 31200 * time.Millisecond},
					{Kind: "fifo", Ends: map[string]uint64{"dropped": 5}},
				},
				Waiting: 2,
				Pair: &control.PairCount{
					Sent: 20998656, Unsent: 3, Received: 20998650, Refused: map[string]uint64{"bad_key": 2, "replay": 0},
					Peers: []control.PeerCount{{Name: "lb2"}},
				},
			},
		},
		Status: engine.Status{
			Node: "lb1", Now: At(14, 5, 2.118), Started: started,
			VIPs:   []engine.VIPStatus{inside(started), mail(), web(started)},
			Pair:   lb2(started),
			Checks: []engine.CheckStatus{apiCheck(), haproxyCheck(started)},
			Links: []engine.LinkStatus{
				{Name: "eth0", Present: true, Up: true, Since: started, Source4: "192.0.2.2", Source6: "fe80::2"},
				{Name: "eth1", Present: true, Up: true, Since: started, Source4: "10.0.0.2"},
			},
		},
	}
}

// lb2 is the other host, on two networks.
func lb2(started time.Time) *engine.PairStatus {
	heard := At(14, 5, 2.038)
	return &engine.PairStatus{Open: true, Interval: 100 * time.Millisecond, Peers: []engine.PeerStatus{{
		Name: "lb2", Heard: true, Since: started.Add(time.Second), Last: heard, HearsUs: true, Compared: true,
		Paths: []engine.PathStatus{
			{Address: netip.MustParseAddr("192.0.2.3"), Heard: true, Last: heard},
			{Address: netip.MustParseAddr("10.0.9.3"), Heard: true, Last: heard},
		},
		VIPs: []engine.PeerVIPStatus{
			{Name: "inside", Role: "standby", Priority: 100, Eligible: true, Epoch: 7},
			{Name: "mail", Role: "active", Held: true, Priority: 90, Eligible: true, Epoch: 12},
			{Name: "web", Role: "standby", Priority: 100, Eligible: true, Epoch: 7},
		},
	}}}
}

// armed is a lease that is renewed with each advert.
func armed() engine.LeaseStatus {
	return engine.LeaseStatus{Kind: "nft", Time: 2500 * time.Millisecond, Armed: true, Until: At(14, 5, 4.118), Renewals: 1051200}
}

// web is Active with two addresses of IPv4 and one of IPv6.
func web(started time.Time) engine.VIPStatus {
	return engine.VIPStatus{
		Name: "web", Group: "edge", Interface: "eth0", VRID: 51, Version: 3, Family: "ipv4",
		Addresses: prefixes("192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"), Held: true,
		State: engine.Active, Stage: engine.Held, Since: started.Add(4 * time.Second),
		Reason: "no-response", Entered: "no advert from 192.0.2.3 for 3.414s", Why: "no advert from 192.0.2.3 for 3.414s",
		Priority: engine.PriorityStatus{Configured: 150, Effective: 150},
		Interval: time.Second, ActiveDown: 3414 * time.Millisecond,
		Lease: armed(), Epoch: 7, Standby: "lb2 is ready (priority 100)", ResumedAfter: 61400 * time.Microsecond,
		Auth: &engine.AuthStatus{Mode: "enforce", Keys: []int{1, 2}, ActiveKey: 2, Refused: 4, Last: &engine.AuthRefusal{
			Source: netip.MustParseAddr("192.0.2.3"), Detail: "key id 3 unknown", Time: started.Add(2 * time.Hour)}},
		AdvertsSent: 1051200, AdvertsReceived: 12, ReleasesReceived: 1, Contests: 1,
		Transitions: map[string]uint64{"INIT BACKUP startup": 1, "BACKUP ACTIVE no-response": 1},
	}
}

// inside follows web.
func inside(started time.Time) engine.VIPStatus {
	return engine.VIPStatus{
		Name: "inside", Group: "edge", Interface: "eth1", VRID: 52, Version: 3, Family: "ipv4",
		Addresses: prefixes("10.0.0.1/24"), Held: true,
		State: engine.Active, Stage: engine.Held, Since: started.Add(4 * time.Second),
		Reason: "sync", Entered: "moves with web", Why: "moves with web",
		Priority: engine.PriorityStatus{Configured: 150, Effective: 150},
		Interval: time.Second, ActiveDown: 3414 * time.Millisecond,
		Lease: armed(), Epoch: 7, Standby: "lb2 is ready (priority 100)",
		AdvertsSent: 1051200, LostRestored: 2,
		Transitions: map[string]uint64{"INIT BACKUP startup": 1, "BACKUP ACTIVE sync": 1},
	}
}

// mail is Backup, because a check took 20 from its priority.
func mail() engine.VIPStatus {
	return engine.VIPStatus{
		Name: "mail", Interface: "eth0", VRID: 61, Version: 3, Family: "ipv4",
		Addresses: prefixes("192.0.2.25/24"),
		State:     engine.Backup, Stage: engine.Elected, Since: At(14, 2, 11.340),
		Reason: "preempted", Entered: "192.0.2.3 advertises 90, own 80", Why: "192.0.2.3 advertises 90, own 80",
		Priority: engine.PriorityStatus{
			Configured: 100, Effective: 80,
			Terms: []engine.PriorityTerm{{Source: "check", Name: "api", Delta: -20}},
		},
		Active: &engine.ActiveStatus{
			Address: netip.MustParseAddr("192.0.2.3"), Priority: 90, Interval: 200 * time.Millisecond, Heard: At(14, 5, 1.978),
		},
		Interval: 200 * time.Millisecond, ActiveDown: 737500 * time.Microsecond, ActiveDownDue: At(14, 5, 2.7155),
		Lease: engine.LeaseStatus{Kind: "nft", Time: 500 * time.Millisecond, Renewals: 120}, Epoch: 12, Standby: "lb2 is Active",
		AdvertsSent: 120, AdvertsReceived: 9120, ReleasesSent: 2,
		Transitions: map[string]uint64{"INIT BACKUP startup": 1, "BACKUP ACTIVE no-response": 2, "ACTIVE BACKUP preempted": 2},
	}
}

// apiCheck is down.
func apiCheck() engine.CheckStatus {
	return engine.CheckStatus{
		Name: "api", Type: "exec", State: "down", Since: At(14, 2, 8.113), Consecutive: 41, Rise: 5, Fall: 3,
		Runs: 1200, Failures: 44, LastDetail: "exit 1: backend 3 of 5", LastRun: At(14, 5, 1), LastTook: 212 * time.Millisecond,
		BecameUp: 2, BecameDown: 2,
	}
}

// haproxyCheck is up.
func haproxyCheck(started time.Time) engine.CheckStatus {
	return engine.CheckStatus{
		Name: "haproxy", Type: "tcp", State: "up", Since: started, Healthy: true, BecameUp: 1, Consecutive: 1051199, Rise: 3, Fall: 2,
		Runs: 1051200, Failures: 1, LastOK: true, LastDetail: "connected to 127.0.0.1:443", LastRun: At(14, 5, 2), LastTook: 900 * time.Microsecond,
	}
}

// History is what led to [Pair].
func History() []engine.Record {
	return []engine.Record{
		{Time: At(14, 2, 8.113), Type: engine.RecordCheck, Name: "api", From: "up", To: "down", Severity: engine.Warning,
			Text: "3 of 3 failed: exit 1: backend 3 of 5"},
		{Time: At(14, 2, 8.114), Type: engine.RecordPriority, Name: "mail", From: "100", To: "80", Cause: 1, Severity: engine.Info,
			Text: "check api -20"},
		{Time: At(14, 2, 11.340), Type: engine.RecordTransition, Name: "mail", From: "ACTIVE", To: "BACKUP", Reason: "preempted", Cause: 2,
			Severity: engine.Notice, Text: "mail: ACTIVE -> BACKUP (192.0.2.3 advertises 90, own 80)"},
	}
}

// prefixes parses addresses with their lengths.
func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
