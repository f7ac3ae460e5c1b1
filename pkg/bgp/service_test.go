package bgp_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/bgp"
)

var prefix = netip.MustParsePrefix

// fabric is a host with two switches that speak different families, and an
// internal neighbor.
func fabric() bgp.Config {
	return bgp.Config{LocalAS: 65101, Neighbors: map[string]bgp.Neighbor{
		"tor-a": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4}},
		"tor-b": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4, bgp.IPv6}},
		"rr":    {RemoteAS: 65101, Families: []bgp.Family{bgp.IPv4}},
	}}
}

func TestTo(t *testing.T) {
	t.Parallel()
	own := []bgp.Community{0xfe4d0035, bgp.NoExport}
	service := bgp.Service{Attributes: bgp.Attributes{MED: 100, LocalPref: 200, Prepend: 2, Communities: own}}
	external, internal := bgp.Neighbor{RemoteAS: 65001}, bgp.Neighbor{RemoteAS: 65101}
	drained := []bgp.Community{own[0], own[1], bgp.GracefulShutdown}
	for name, tc := range map[string]struct {
		to       bgp.Neighbor
		standing bgp.Standing
		want     bgp.Attributes
	}{
		"external":         {external, bgp.Standing{}, bgp.Attributes{MED: 100, Prepend: 2, Communities: own}},
		"internal":         {internal, bgp.Standing{}, bgp.Attributes{MED: 100, LocalPref: 200, Prepend: 2, Communities: own}},
		"any AS":           {bgp.Neighbor{}, bgp.Standing{}, bgp.Attributes{MED: 100, Prepend: 2, Communities: own}},
		"a failing check":  {external, bgp.Standing{Penalty: 200}, bgp.Attributes{MED: 300, Prepend: 2, Communities: own}},
		"a bonus":          {external, bgp.Standing{Penalty: -30}, bgp.Attributes{MED: 70, Prepend: 2, Communities: own}},
		"not below 0":      {external, bgp.Standing{Penalty: -300}, bgp.Attributes{MED: 0, Prepend: 2, Communities: own}},
		"not above":        {external, bgp.Standing{Penalty: bgp.MaxMED}, bgp.Attributes{MED: bgp.MaxMED, Prepend: 2, Communities: own}},
		"draining":         {external, bgp.Standing{Draining: true}, bgp.Attributes{MED: 100, Prepend: 2, Communities: drained}},
		"internal, drains": {internal, bgp.Standing{Draining: true}, bgp.Attributes{MED: 100, Prepend: 2, Communities: drained}},
	} {
		if diff := cmp.Diff(tc.want, service.To(tc.to, 65101, tc.standing)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(own) != 2 || len(service.Communities) != 2 {
		t.Errorf("the service's own communities are %v now", service.Communities)
	}
}

func TestNewTable(t *testing.T) {
	t.Parallel()
	four, six, web := prefix("198.51.100.53/32"), prefix("2001:db8:53::53/128"), prefix("192.0.2.10/32")
	dns := bgp.Service{Prefixes: []netip.Prefix{six, four}, Attributes: bgp.Attributes{MED: 100}}
	one := bgp.Service{Prefixes: []netip.Prefix{web}, Neighbors: []string{"tor-b"}}
	got := bgp.NewTable(fabric(), []bgp.Announced{{Service: dns, Standing: bgp.Standing{Penalty: 5}}, {Service: one}})
	want := bgp.Table{
		"tor-a": {{Prefix: four, Attributes: bgp.Attributes{MED: 105}}},
		"tor-b": {
			{Prefix: web}, {Prefix: four, Attributes: bgp.Attributes{MED: 105}}, {Prefix: six, Attributes: bgp.Attributes{MED: 105}},
		},
		"rr": {{Prefix: four, Attributes: bgp.Attributes{MED: 105}}},
	}
	equal := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, equal, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none := bgp.NewTable(fabric(), nil); len(none) != 0 {
		t.Errorf("nothing is announced, but the table is %v", none)
	}
}

func TestCommunities(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bgp.Community{
		"65101:53": 0xfe4d0035, "0:0": 0, "65535:65535": 0xffffffff, "no-export": bgp.NoExport, "no-advertise": bgp.NoAdvertise,
		"graceful-shutdown": bgp.GracefulShutdown,
	} {
		got, err := bgp.ParseCommunity(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s is %v (%#x), %v", text, got, uint32(got), err)
		}
	}
	if got, err := bgp.ParseCommunity("65535:0"); err != nil || got != bgp.GracefulShutdown {
		t.Errorf("65535:0 is %v, %v", got, err)
	}
	for _, text := range []string{"", "1", "1:2:3", "65536:1", "1:65536", "-1:1", "+1:1", "01:1", " 1:1", "a:b", "no_export", "1:"} {
		if c, err := bgp.ParseCommunity(text); err == nil {
			t.Errorf("%q is taken for %v", text, c)
		}
	}
	if c, err := bgp.ParseLargeCommunity("4294967295:0:1"); err != nil || c.String() != "4294967295:0:1" {
		t.Errorf("%v, %v", c, err)
	}
	for _, text := range []string{"", "1:2", "1:2:3:4", "4294967296:0:0", "1:2:x"} {
		if c, err := bgp.ParseLargeCommunity(text); err == nil {
			t.Errorf("%q is taken for %v", text, c)
		}
	}
}
