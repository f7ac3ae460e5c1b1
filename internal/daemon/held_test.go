package daemon

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/internal/lease"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
)

// TestHeld: what a run leaves is read once, with the times that it had, and what
// cannot be understood is not gone on with.
func TestHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "held.json")
	now := time.Now()
	if vips, leases, err := readHeld(path); vips != nil || leases != nil || err != nil {
		t.Errorf("without a file: %v, %v, %v", vips, leases, err)
	}
	vip := engine.VIP{
		Interface: "eth0", VRID: 51, Version: 3, Interval: time.Second, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		Routes: []engine.Route{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.1")}},
	}
	kept := engine.Kept{VIP: vip, Epoch: 7, Priority: 130, Since: now.Add(-time.Hour).UTC().Round(0), Reason: "preempted", Text: "…", Said: now, Until: now.Add(2500 * time.Millisecond)}
	want := map[string]engine.Kept{"web": kept}
	left := lease.Left{Flags: 6, LastID: 3, Timeouts: []time.Duration{2500 * time.Millisecond}, VIPs: []lease.LeftVIP{{ID: 3, Guarded: lease.Guarded{Name: "web"}}}}
	text, err := marshalHeld(want, left)
	if err != nil {
		t.Fatal(err)
	}
	leave := func(text string) {
		t.Helper()
		write(t, path, text)
	}
	leave(string(text))
	vips, leases, err := readHeld(path)
	if diff := cmp.Diff(want, vips, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateApproxTime(100*time.Millisecond)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff := cmp.Diff(&left, leases, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if vips, _, err := readHeld(path); vips != nil || err != nil {
		t.Errorf("a second time: %v, %v", vips, err)
	}
	leave("") // a stop that left nothing
	if vips, _, err := readHeld(path); vips != nil || err != nil {
		t.Errorf("empty: %v, %v", vips, err)
	}
	for _, spoiled := range []string{"{", "{}", `{"schema":"vipd.held/v2"}`} {
		leave(spoiled)
		if vips, leases, err := readHeld(path); err == nil || vips != nil || leases != nil {
			t.Errorf("%q: %v, %v, %v", spoiled, vips, leases, err)
		}
	}
}

// TestGoesOn: what stays as it was is what goes on, and the leases of the rest end.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := engine.VIP{Interface: "eth0", VRID: 51, Version: 3, Priority: 100, Interval: time.Second, Lease: engine.LeaseAuto,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}}
	other := v
	other.VRID = 52
	kept := func(v engine.VIP) engine.Kept { return engine.Kept{VIP: v, Said: now, Until: now.Add(2 * time.Second)} }
	left := lease.Left{Rules: 1, VIPs: []lease.LeftVIP{{Guarded: lease.Guarded{Name: "moved"}}, {Guarded: lease.Guarded{Name: "web"}}}}
	text, err := marshalHeld(map[string]engine.Kept{"web": kept(v), "moved": kept(v)}, left)
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{opts: Options{StateDir: t.TempDir()}, leases: newLeases()}
	write(t, d.heldPath(), string(text))
	_, stay := d.goesOn(&config.Config{Engine: engine.Config{VIPs: map[string]engine.VIP{"web": v, "moved": other}}})
	if len(stay) != 1 || stay[0].Owner != "web" || !stay[0].Present {
		t.Errorf("stays: %+v", stay)
	}
	ends := map[string]bool{}
	for _, l := range d.leases.left.VIPs {
		ends[l.Name] = l.Ends
	}
	if diff := cmp.Diff(map[string]bool{"web": false, "moved": true}, ends); diff != "" {
		t.Error(diff)
	}
}
