package router

import (
	"net/netip"
	"slices"
	"testing"
)

// TestBest: drained paths come last, then longer ones, then those of higher MED.
func TestBest(t *testing.T) {
	t.Parallel()
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	for name, test := range map[string]struct {
		paths map[netip.Addr]path
		want  []netip.Addr
	}{
		"none":    {nil, nil},
		"equal":   {map[netip.Addr]path{b: {length: 1, med: 100}, a: {length: 1, med: 100}}, []netip.Addr{a, b}},
		"drained": {map[netip.Addr]path{a: {length: 1, draining: true}, b: {length: 4, med: 900}}, []netip.Addr{b}},
		"all are": {map[netip.Addr]path{a: {length: 2, draining: true}, b: {length: 1, draining: true}}, []netip.Addr{b}},
		"shorter": {map[netip.Addr]path{a: {length: 2}, b: {length: 1, med: 900}, c: {length: 1, med: 900}}, []netip.Addr{b, c}},
		"lower":   {map[netip.Addr]path{a: {length: 1, med: 200}, b: {length: 1, med: 300}, c: {length: 1, med: 100}}, []netip.Addr{c}},
	} {
		if got := best(test.paths); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
