package bgp_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/bgp"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func route(prefix string, med uint32, communities ...bgp.Community) bgp.Route {
	return bgp.Route{Prefix: netip.MustParsePrefix(prefix), Attributes: bgp.Attributes{MED: med, Communities: communities}}
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestDiff(t *testing.T) {
	t.Parallel()
	one, two, six := route("192.0.2.1/32", 0), route("192.0.2.2/32", 0), route("2001:db8::1/128", 0)
	for _, c := range []struct {
		name     string
		from, to bgp.Table
		want     []bgp.Change
	}{
		{name: "nothing"},
		{name: "the same", from: bgp.Table{"a": {one, six}}, to: bgp.Table{"a": {one, six}}},
		{name: "first", to: bgp.Table{"a": {one, six}}, want: []bgp.Change{{Neighbor: "a", Announce: []bgp.Route{one, six}}}},
		{name: "last", from: bgp.Table{"a": {one, six}}, want: []bgp.Change{{Neighbor: "a", Withdraw: prefixes("192.0.2.1/32", "2001:db8::1/128")}}},
		{name: "no routes is no neighbor", from: bgp.Table{"a": {}}, to: bgp.Table{"b": nil}},
		{
			name: "one goes, one comes", from: bgp.Table{"a": {one, six}}, to: bgp.Table{"a": {two, six}},
			want: []bgp.Change{{Neighbor: "a", Withdraw: prefixes("192.0.2.1/32"), Announce: []bgp.Route{two}}},
		},
		{
			name: "other attributes", from: bgp.Table{"a": {one, two}}, to: bgp.Table{"a": {one, route("192.0.2.2/32", 50)}},
			want: []bgp.Change{{Neighbor: "a", Announce: []bgp.Route{route("192.0.2.2/32", 50)}}},
		},
		{
			name: "a community is gone", from: bgp.Table{"a": {route("192.0.2.1/32", 0, bgp.NoExport)}}, to: bgp.Table{"a": {one}},
			want: []bgp.Change{{Neighbor: "a", Announce: []bgp.Route{one}}},
		},
		{
			name: "the same prefix, another length", from: bgp.Table{"a": {one}}, to: bgp.Table{"a": {route("192.0.2.1/24", 0)}},
			want: []bgp.Change{{Neighbor: "a", Withdraw: prefixes("192.0.2.1/32"), Announce: []bgp.Route{route("192.0.2.1/24", 0)}}},
		},
		{
			name: "each neighbor for itself", from: bgp.Table{"a": {one}, "b": {one}}, to: bgp.Table{"a": {one}, "c": {two}},
			want: []bgp.Change{{Neighbor: "b", Withdraw: prefixes("192.0.2.1/32")}, {Neighbor: "c", Announce: []bgp.Route{two}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, bgp.Diff(c.from, c.to), compare); d != "" {
				t.Errorf("changes (-want +got):\n%s", d)
			}
		})
	}
}

// What Diff says leads from any table to any other, and nothing of the first is
// written to on the way.
func TestApply(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	table := func() bgp.Table {
		out := bgp.Table{}
		for _, name := range []string{"a", "b", "c"} {
			for i := range 20 {
				if random.IntN(3) == 0 {
					p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
					out[name] = append(out[name], bgp.Route{Prefix: p, Attributes: bgp.Attributes{MED: random.Uint32N(2)}})
				}
			}
		}
		return out
	}
	for range 200 {
		from, to := table(), table()
		before := bgp.Table{}
		for name, routes := range from {
			before[name] = slices.Clone(routes)
		}
		if d := cmp.Diff(to, from.Apply(bgp.Diff(from, to)), compare); d != "" {
			t.Fatalf("table (-want +got):\n%s", d)
		}
		if d := cmp.Diff(before, from, compare); d != "" {
			t.Fatalf("the old table changed:\n%s", d)
		}
	}
}

func TestComparePrefixes(t *testing.T) {
	t.Parallel()
	want := prefixes("10.0.0.0/8", "10.0.0.0/24", "192.0.2.1/32", "2001:db8::/32", "2001:db8::/48")
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, bgp.ComparePrefixes)
	if d := cmp.Diff(want, got, compare); d != "" {
		t.Error(d)
	}
}
