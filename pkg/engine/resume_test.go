package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
)

// TestResumes: what the last run left goes on when the configuration has the same
// place for it and its lease can live still; a sync group goes on as a whole.
func TestResumes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	vip := func(change func(*engine.VIP)) engine.VIP {
		v := engine.VIP{Interface: "eth0", VRID: 51, Version: 3, Priority: 150, Interval: time.Second, Lease: engine.LeaseAuto,
			Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}}
		if change != nil {
			change(&v)
		}
		return v
	}
	same := vip(nil)
	for name, tt := range map[string]struct {
		cfg  engine.VIP
		rest time.Duration // of the lease
		want string
	}{
		"same":          {same, time.Second, ""},
		"priority":      {vip(func(v *engine.VIP) { v.Priority, v.Preempt = 90, true }), time.Second, ""},
		"fence":         {vip(func(v *engine.VIP) { v.Takeover = engine.TakeoverFence }), time.Second, ""},
		"votes":         {vip(func(v *engine.VIP) { v.Takeover = engine.TakeoverVotes }), time.Second, "its configuration has changed"},
		"owner":         {vip(func(v *engine.VIP) { v.Priority = 255 }), time.Second, "its configuration has changed"},
		"no lease":      {vip(func(v *engine.VIP) { v.Lease = engine.LeaseNone }), time.Second, "its configuration has changed"},
		"lifetime":      {vip(func(v *engine.VIP) { v.Lease = engine.LeaseAddress }), time.Second, "its configuration has changed"},
		"interface":     {vip(func(v *engine.VIP) { v.Interface = "eth1" }), time.Second, "its configuration has changed"},
		"vrid":          {vip(func(v *engine.VIP) { v.VRID = 52 }), time.Second, "its configuration has changed"},
		"virtual MAC":   {vip(func(v *engine.VIP) { v.VMAC = true }), time.Second, "its configuration has changed"},
		"interval":      {vip(func(v *engine.VIP) { v.Interval = 2 * time.Second }), time.Second, "its configuration has changed"},
		"address":       {vip(func(v *engine.VIP) { v.Addresses = nil }), time.Second, "its configuration has changed"},
		"route":         {vip(func(v *engine.VIP) { v.Routes = []engine.Route{{Table: 7}} }), time.Second, "its configuration has changed"},
		"over":          {same, -300 * time.Millisecond, "its lease was over 300ms ago"},
		"almost over":   {same, 10 * time.Millisecond, "its lease is over in 10ms"},
		"of other boot": {same, time.Hour, "its lease cannot last that long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := engine.Config{VIPs: map[string]engine.VIP{"web": tt.cfg, "mail": same, "alone": same}, Groups: map[string][]string{"edge": {"mail", "web"}}}
			left := map[string]engine.Kept{"alone": {VIP: same, Until: now.Add(time.Second)}, "mail": {VIP: same, Until: now.Add(time.Second)},
				"web": {VIP: same, Until: now.Add(tt.rest)}, "gone": {VIP: same, Until: now.Add(time.Second)}}
			want := map[string]string{"gone": "it is not configured any more"}
			if tt.want != "" {
				want["web"], want["mail"] = tt.want, "web of its sync group does not go on"
			}
			goes, not := cfg.Resumes(now, left)
			if diff := cmp.Diff(want, not); diff != "" {
				t.Error(diff)
			}
			for name := range left {
				if _, ok := goes[name]; ok == (want[name] != "") {
					t.Errorf("%s goes on: %t", name, ok)
				}
			}
		})
	}
}
