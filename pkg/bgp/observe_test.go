package bgp

import (
	"net/netip"
	"testing"
)

// TestAnnouncer: who announces a route, seen through one or two routers.
func TestAnnouncer(t *testing.T) {
	t.Parallel()
	hop, own, other := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.1.11"), netip.MustParseAddr("10.0.1.12")
	for _, c := range []struct {
		name  string
		heard Heard
		want  string
	}{
		{"by a ToR", Heard{NextHop: hop, Path: []uint32{65001, 65102}}, "AS 65102"},
		{"by a spine and another ToR", Heard{NextHop: hop, Path: []uint32{65001, 65000, 65002, 65102}}, "AS 65102"},
		{"our own, sent back", Heard{NextHop: hop, Path: []uint32{65001, 65101}}, ""},
		{"our own, prepended", Heard{NextHop: hop, Path: []uint32{65001, 65101, 65101, 65101}}, ""},
		{"one that leaves", Heard{NextHop: hop, Path: []uint32{65001, 65102}, Communities: []Community{NoExport, GracefulShutdown}}, ""},
		{"reflected", Heard{NextHop: other, Originator: other}, "10.0.1.12"},
		{"our own, reflected", Heard{NextHop: own, Originator: own}, ""},
		{"an internal neighbor's own", Heard{NextHop: other}, "10.0.1.12"},
	} {
		if got := c.heard.Announcer(65101, own); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
