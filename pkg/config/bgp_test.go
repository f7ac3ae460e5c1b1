package config

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBGP builds the full example: groups, profiles, defaults and weights.
func TestBGP(t *testing.T) {
	t.Parallel()
	c := parse(t, example(t, "anycast-full.toml"))
	both := []bgp.Family{bgp.IPv4, bgp.IPv6}
	fast := &bgp.BFD{Transmit: 100 * time.Millisecond, Receive: 100 * time.Millisecond, Multiplier: 3}
	tor := bgp.Neighbor{
		RemoteAS: 65001, HoldTime: 9 * time.Second, Keepalive: 3 * time.Second, ConnectRetry: time.Second, TTLSecurity: 1, BFD: fast,
	}
	a, b := tor, tor
	a.Address, a.Families = netip.MustParseAddr("10.0.1.1"), both[:1]
	b.Interface, b.Families = "eno2", both
	want := &bgp.Config{
		LocalAS: 65101, RouterID: netip.MustParseAddr("10.0.1.11"), ListenPort: -1, GracefulRestart: 120 * time.Second,
		Neighbors: map[string]bgp.Neighbor{"tor-a": a, "tor-b": b},
	}
	compare := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	if diff := cmp.Diff(want, c.Engine.BGP, compare); diff != "" {
		t.Errorf("bgp (-want +got)\n%s", diff)
	}
	services := map[string]engine.Service{
		"resolver": {
			Service: bgp.Service{
				Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.53/32"), netip.MustParsePrefix("2001:db8:53::53/128")},
				Attributes: bgp.Attributes{
					MED: 100, LocalPref: 100, Communities: []bgp.Community{0xfe4d0035}, Large: []bgp.LargeCommunity{{Global: 65101, Local1: 53, Local2: 1}},
				},
			},
			Device: "lo", Track: map[string]check.Weight{"dns": {Fault: true}, "gw": {Delta: -200}}, RiseDelay: 10 * time.Second, MinAnnouncers: 1,
		},
		"web": {
			Service:   bgp.Service{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}, Attributes: bgp.Attributes{MED: 100, LocalPref: 100}},
			FollowVIP: "web",
		},
	}
	if diff := cmp.Diff(services, c.Engine.Services, compare); diff != "" {
		t.Errorf("services (-want +got)\n%s", diff)
	}
	if want := (engine.Budget{Max: 6, Per: time.Hour}); c.Engine.Budget != want {
		t.Errorf("withdraw_budget is %+v, want %+v", c.Engine.Budget, want)
	}
	if c.Engine.DrainWait != 30*time.Second {
		t.Errorf("drain.wait is %s", c.Engine.DrainWait)
	}
	if got := c.Passwords; len(got) != 2 || string(got["tor-b"]) != "the long and random secret of bgp-tor" {
		t.Errorf("%d passwords", len(got))
	}
	if text := fmt.Sprintf("%+v %v %s", *c, c.Passwords, c.Passwords["tor-a"]); strings.Contains(text, "random secret") {
		t.Errorf("a secret is printed: %s", text)
	}
}

// TestRemoteAS: the words for an AS become numbers of the neighbor.
func TestRemoteAS(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]uint32{`"internal"`: 65101, `"external"`: 0, "4200000000": 4200000000} {
		c := parse(t, strings.Replace(example(t, "anycast.toml"), "remote_as = 65001", "remote_as = "+word, 1))
		if got := c.Engine.BGP.Neighbors["tor-a"]; got.RemoteAS != want || got.Internal(65101) != (want == 65101) {
			t.Errorf("%s is %d", word, got.RemoteAS)
		}
	}
}

// TestOwnWeightOfCheck: a check in a list brings its own weight along.
func TestOwnWeightOfCheck(t *testing.T) {
	t.Parallel()
	c := parse(t, strings.Replace(example(t, "anycast.toml"), "type   = \"dns\"", "type = \"dns\"\nweight = -20", 1))
	want := map[string]check.Weight{"dns": {Delta: -20, Own: true}}
	if diff := cmp.Diff(want, c.Engine.Services["resolver"].Track); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDiffBGP(t *testing.T) {
	t.Parallel()
	full := example(t, "anycast-full.toml")
	change := func(old, new string) string {
		if !strings.Contains(full, old) {
			t.Fatalf("there is no %q", old)
		}
		return strings.Replace(full, old, new, 1)
	}
	for name, test := range map[string]struct {
		to   string
		want []string
	}{
		"nothing":   {full, nil},
		"hold time": {change(`hold_time     = "9s"`, `hold_time = "12s"`), []string{"bgp.neighbor.tor-a: hold_time 9s -> 12s", "bgp.neighbor.tor-a: keepalive 3s -> 4s", "bgp.neighbor.tor-b: hold_time 9s -> 12s", "bgp.neighbor.tor-b: keepalive 3s -> 4s"}},
		"bfd":       {change("multiplier        = 3\n\n[any", "multiplier = 5\n\n[any"), []string{"bgp.neighbor.tor-a: bfd 100ms sent, 100ms received, times 3 -> 100ms sent, 100ms received, times 5", "bgp.neighbor.tor-b: bfd 100ms sent, 100ms received, times 3 -> 100ms sent, 100ms received, times 5"}},
		"password":  {change(`"bgp-tor"`, `"bgp-new"`), []string{"bgp.neighbor.tor-a: another password", "bgp.neighbor.tor-b: another password"}},
		"drain":     {change(`wait = "30s"`, `wait = "1m"`), []string{"bgp: drain.wait 30s -> 1m"}},
		"med":       {change("gw = 200 }", "gw = 300 }"), []string{"anycast.resolver: track: added gw = 300, removed gw = 200"}},
		"community": {change(`"65101:53"]`, `"65101:54"]`), []string{"anycast.resolver: communities 65101:53 -> 65101:54"}},
		"guard":     {change("min_announcers    = 1", "min_announcers = 2"), []string{"anycast.resolver: min_announcers 1 -> 2"}},
		"budget":    {change("max = 6", "max = 7"), []string{"bgp: withdraw_budget 6 per 1h -> 7 per 1h"}},
		"away":      {strings.Split(full, "[anycast.web]")[0], []string{"anycast.web: removed", "vip.web: removed"}},
	} {
		if diff := cmp.Diff(test.want, Diff(parse(t, full), parse(t, test.to))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
