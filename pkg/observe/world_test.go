package observe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/vrrp"
)

var (
	epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	web   = []netip.Addr{netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.101")}
	lb2   = netip.MustParseAddr("192.0.2.3")
	lb1   = netip.MustParseAddr("192.0.2.2")
)

// ours is what vipd would advertise.
func ours(priority uint8) vrrp.Advert {
	return vrrp.Advert{Version: 3, VRID: 51, Priority: priority, Interval: time.Second, Addresses: web}
}

func decision(hold bool) Decision {
	why := "lb2 advertises 100, own 150"
	if hold {
		why = "nobody was heard"
	}
	return Decision{VIP: "web", Decided: true, Hold: hold, Why: why, Advert: ours(150), Addresses: web, Patience: 7 * time.Second}
}

// TestCompare names each difference that there can be.
func TestCompare(t *testing.T) {
	t.Parallel()
	own := func(change func(*vrrp.Advert)) Sighting {
		a := ours(150)
		change(&a)
		return Sighting{Source: lb1, Own: true, Advert: a, At: epoch}
	}
	same := func(*vrrp.Advert) {}
	other := Sighting{Source: lb2, Advert: ours(100), At: epoch}
	for name, c := range map[string]struct {
		decision Decision
		seen     []Sighting
		local    []netip.Addr
		want     []string
	}{
		"held here":                  {decision(true), []Sighting{own(same)}, web, nil},
		"held there":                 {decision(false), []Sighting{other}, nil, nil},
		"held nowhere":               {decision(false), nil, nil, nil},
		"starts":                     {Decision{VIP: "web", Addresses: web}, []Sighting{own(same)}, web, nil},
		"not here":                   {decision(true), []Sighting{other}, nil, []string{"holder: vipd would hold it here (nobody was heard), but this host has none of its addresses: 192.0.2.3 advertises it with priority 100"}},
		"not anywhere":               {decision(true), nil, nil, []string{"holder: vipd would hold it here (nobody was heard), but this host has none of its addresses: no other host advertises it"}},
		"here all same":              {decision(false), []Sighting{own(same)}, web, []string{"holder: this host has its addresses, and vipd would not hold it: lb2 advertises 100, own 150"}},
		"one address":                {decision(true), []Sighting{own(same)}, web[:1], []string{"addresses: this host holds it without 192.0.2.101"}},
		"own priority":               {decision(true), []Sighting{own(func(a *vrrp.Advert) { a.Priority = 100 })}, web, []string{"advert: this host advertises priority 100, not 150"}},
		"others' priority is theirs": {decision(false), []Sighting{{Source: lb2, Advert: ours(200), At: epoch}}, nil, nil},
		"all of an advert": {decision(true), []Sighting{own(func(a *vrrp.Advert) {
			*a = vrrp.Advert{Version: 2, VRID: 51, Priority: 150, Interval: 2 * time.Second, Addresses: web[:1]}
		})}, web, []string{"advert: this host advertises version 2, not 3, interval 2s, not 1s, addresses 192.0.2.100, not 192.0.2.100 192.0.2.101"}},
		"order of addresses": {decision(true), []Sighting{own(func(a *vrrp.Advert) { a.Addresses = []netip.Addr{web[1], web[0]} })}, web, nil},
		"both hosts": {decision(true), []Sighting{{Source: lb2, Advert: vrrp.Advert{Version: 2, VRID: 51, Priority: 90, Interval: time.Second, Addresses: web}, At: epoch},
			own(func(a *vrrp.Advert) { a.Priority = 1 })}, web, []string{"holder: this host has its addresses, and not it alone: 192.0.2.3 advertises it with priority 90", "advert: this host advertises priority 1, not 150; 192.0.2.3 advertises version 2, not 3"}},
	} {
		var w World
		for _, s := range c.seen {
			w.Saw("web", s)
		}
		d := c.decision
		d.Patience = 0
		w.Look(epoch, []Decision{d}, c.local) // sees it
		w.Look(epoch, []Decision{d}, c.local) // and finds that it has lasted
		var got []string
		for _, f := range w.Report("web").Differences {
			got = append(got, fmt.Sprintf("%s: %s", f.Kind, f.Text))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOwner: the addresses of an owner are there always, so its adverts count.
func TestOwner(t *testing.T) {
	t.Parallel()
	var w World
	d := decision(false)
	d.Advert.Priority = vrrp.PriorityOwner
	w.Look(epoch, []Decision{d}, web)
	if w.Report("web").Here {
		t.Error("an owner that is silent holds it")
	}
	w.Saw("web", Sighting{Source: lb1, Own: true, Advert: ours(vrrp.PriorityOwner), At: epoch})
	w.Look(epoch, []Decision{d}, web)
	if !w.Report("web").Here {
		t.Error("an owner that advertises does not hold it")
	}
}

// TestPatience: what lasts is told once when it begins to count and once when it
// is over, and what does not last is not told at all.
func TestPatience(t *testing.T) {
	t.Parallel()
	var w World
	at := func(s float64, hold bool) []string {
		now := epoch.Add(time.Duration(s * float64(time.Second)))
		w.Saw("web", Sighting{Source: lb2, Advert: ours(100), At: now})
		var got []string
		for _, c := range w.Look(now, []Decision{decision(hold)}, nil) {
			got = append(got, fmt.Sprintf("%s %s %t since %.0f", c.VIP, c.Kind, c.Begun, c.Since.Sub(epoch).Seconds()))
		}
		return got
	}
	for _, step := range []struct {
		at   float64
		hold bool
		want []string
	}{
		{0, false, nil},
		{1, true, nil},
		{7, true, nil},
		{7.5, false, nil}, // it did not last
		{8, true, nil},
		{14.9, true, nil},
		{15, true, []string{"web holder true since 8"}},
		{30, true, nil},
		{31, false, []string{"web holder false since 8"}},
		{32, false, nil},
	} {
		if diff := cmp.Diff(step.want, at(step.at, step.hold)); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", step.at, diff)
		}
	}
	if n := w.Report("web").Begun[Holder]; n != 1 {
		t.Errorf("%d differences began, want 1", n)
	}
}

// TestSeen: an advert counts for as long as others would wait for the next one, a
// release ends that, and a VIP that is not decided on any more is forgotten.
func TestSeen(t *testing.T) {
	t.Parallel()
	var w World
	holders := func(s float64) string {
		w.Look(epoch.Add(time.Duration(s*float64(time.Second))), []Decision{decision(false)}, nil)
		return fmt.Sprint(w.Report("web").Holders)
	}
	w.Saw("web", Sighting{Source: lb2, Advert: ours(100), At: epoch})
	w.Saw("web", Sighting{Source: lb1, Advert: ours(90), At: epoch.Add(time.Second)})
	for _, c := range []struct {
		at   float64
		want string
	}{{3.9, "[192.0.2.2 192.0.2.3]"}, {4.1, "[192.0.2.2]"}, {5.1, "[]"}} {
		if got := holders(c.at); got != c.want {
			t.Errorf("at %v: %s, want %s", c.at, got, c.want)
		}
	}
	w.Saw("web", Sighting{Source: lb2, Advert: ours(100), At: epoch.Add(6 * time.Second)})
	w.Saw("web", Sighting{Source: lb2, Advert: ours(vrrp.PriorityRelease), At: epoch.Add(6 * time.Second)})
	if got := holders(6); got != "[]" {
		t.Errorf("after a release: %s", got)
	}
	w.Look(epoch, nil, nil)
	if len(w.vips) != 0 {
		t.Errorf("%d VIPs are remembered", len(w.vips))
	}
}

// TestSorted: changes come in the order of the names.
func TestSorted(t *testing.T) {
	t.Parallel()
	var w World
	var list []Decision
	for _, name := range []string{"c", "a", "b"} {
		d := decision(true)
		d.VIP, d.Patience = name, 0
		list = append(list, d)
	}
	w.Look(epoch, list, nil)
	var names []string
	for _, c := range w.Look(epoch, list, nil) {
		names = append(names, c.VIP)
	}
	if got := strings.Join(names, ""); got != "abc" || !slices.IsSorted(names) {
		t.Errorf("changes of %q", got)
	}
}
