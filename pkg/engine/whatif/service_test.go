package whatif_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// TestServices asks what becomes of an anycast service.
func TestServices(t *testing.T) {
	t.Parallel()
	w := sim.New(3)
	polled := check.Config{Spec: check.TCP{Address: "127.0.0.1:53"}, Interval: 500 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 2, Fall: 2}
	h := w.AddHost("lb1", engine.Config{
		Node: "lb1", VIPs: map[string]engine.VIP{}, Checks: map[string]check.Config{"svc": polled, "gw": polled},
		Services: map[string]engine.Service{"dns": {
			Service: bgp.Service{Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.53/32")}, Attributes: bgp.Attributes{MED: 100}},
			Device:  "lo", Track: map[string]check.Weight{"svc": {Fault: true}, "gw": {Delta: -200}},
		}},
		BGP:       &bgp.Config{LocalAS: 65101, Neighbors: map[string]bgp.Neighbor{"tor": {RemoteAS: 65001, Families: []bgp.Family{bgp.IPv4}}}},
		DrainWait: 5 * time.Second,
	}, "eth0", "lo")
	w.Run(3 * time.Second)
	for question, want := range map[string]string{
		"check svc down": "ANNOUNCED -> WITHDRAWN, MED 100: check svc fails: in the question",
		"check gw down":  "ANNOUNCED -> ANNOUNCED, MED 300: 1 of 1 neighbors have a session",
		"link lo down":   "ANNOUNCED -> WITHDRAWN, MED 100: interface lo is down",
		"drain":          "ANNOUNCED -> DRAINED, MED 100: drained by you",
		"drain dns":      "ANNOUNCED -> DRAINED, MED 100: drained by you",
	} {
		a := ask(t, h, question)
		if len(a.Services) != 1 {
			t.Fatalf("%s: %+v", question, a)
		}
		s := a.Services[0]
		if diff := cmp.Diff(want, fmt.Sprintf("%s -> %s, MED %d: %s", s.Now, s.Then, s.MED, s.Why)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", question, diff)
		}
	}
	if s := h.Status().Services[0]; s.State != engine.ServiceAnnounced {
		t.Errorf("the questions made the service %s", s.State)
	}
}
