package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// anna is the operator.
var anna = engine.Actor{Name: "anna"}

// TestRecordsOfTakeover says in its records how long a takeover took, after
// silence and after a release, and who asked for what.
func TestRecordsOfTakeover(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	caller := engine.Actor{Name: "anna (uid 1004)", Process: engine.Process{PID: 77, UID: 1004, GID: 1004}}
	for name, c := range map[string]struct {
		last uint8 // priority of the peer's last advert
		want time.Duration
	}{
		"silence": {200, 3*time.Second + time.Second*156/256},
		"release": {vrrp.PriorityRelease, time.Second * 156 / 256},
	} {
		e := engine.New(start)
		var records []engine.Record
		step := func(now time.Time, ev engine.Event) {
			for _, a := range e.Step(now, ev) {
				switch a := a.(type) {
				case engine.Report:
					records = append(records, a.Record)
				case engine.SetAddresses:
					ev := engine.AddressesApplied{VIP: a.VIP, Seq: a.Seq, Took: 3 * time.Millisecond}
					defer func() {
						for _, a := range e.Step(now, ev) {
							if r, ok := a.(engine.Report); ok {
								records = append(records, r.Record)
							}
						}
					}()
				}
			}
		}
		cfg := engine.Config{Node: "lb2", VIPs: map[string]engine.VIP{"web": {
			Interface: "eth0", VRID: 51, Version: 3, Priority: 100, Interval: time.Second,
			Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")},
		}}}
		step(start, engine.Configure{Config: cfg})
		step(start, engine.LinkChanged{Link: engine.Link{Name: "eth0", Present: true, Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.3/24")}}})
		advert := vrrp.Advert{Version: 3, VRID: 51, Priority: 200, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
		step(start.Add(time.Second), engine.AdvertReceived{Interface: "eth0", Source: netip.MustParseAddr("192.0.2.2"), Advert: advert})
		advert.Priority = c.last
		step(start.Add(2*time.Second), engine.AdvertReceived{Interface: "eth0", Source: netip.MustParseAddr("192.0.2.2"), Advert: advert})
		records = nil
		step(e.Next(), engine.Wake{})
		var took []time.Duration
		for _, r := range records {
			if r.Type == engine.RecordTransition || r.Type == engine.RecordAddress {
				took = append(took, r.Took)
			}
		}
		if diff := cmp.Diff([]time.Duration{c.want, 3 * time.Millisecond}, took); diff != "" {
			t.Errorf("%s: took (-want +got)\n%s\n%+v", name, diff, records)
		}

		now := start.Add(time.Minute)
		for _, ev := range []engine.Event{
			engine.Drain{Actor: caller}, engine.Undrain{Actor: caller}, engine.Configure{Config: cfg, Actor: caller},
		} {
			records = nil
			step(now, ev)
			if len(records) == 0 || records[0].Actor != caller {
				t.Errorf("%s: %T is recorded as %+v, want the actor %+v", name, ev, records, caller)
			}
		}
	}
}
