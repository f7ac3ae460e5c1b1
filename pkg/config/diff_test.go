package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	const second = `
[vip.mail]
interface = "eth0"
vrid      = 52
addresses = ["192.0.2.25"]
`
	for name, test := range map[string]struct {
		from, to string
		want     []string
	}{
		"nothing": {firstPair, firstPair + "\n# a remark\n", nil},
		"spelled otherwise": {firstPair, strings.Replace(firstPair, "vrid      = 51",
			"vrid = 0x33\npriority = 100\ngarp = { repeat = 5 }\nadvert_interval = \"1000ms\"", 1), nil},
		"priority": {
			strings.Replace(firstPair, "51", "51\npriority = 150", 1),
			strings.Replace(firstPair, "51", "51\npriority = 140", 1),
			[]string{"vip.web: priority 150 -> 140"},
		},
		"vip added":   {firstPair, firstPair + second, []string{"vip.mail: added"}},
		"vip removed": {firstPair + second, firstPair, []string{"vip.mail: removed"}},
		"addresses": {
			firstPair,
			strings.Replace(firstPair, `"2001:db8::10/64", "192.0.2.11"`, `"192.0.2.12", "192.0.2.11"`, 1),
			[]string{"vip.web: addresses: added 192.0.2.12/32, removed 2001:db8::10/64"},
		},
		"order": {
			firstPair,
			strings.Replace(firstPair, `"2001:db8::10/64", "192.0.2.11"`, `"192.0.2.11", "2001:db8::10/64"`, 1),
			[]string{"vip.web: addresses: now in the order 192.0.2.10/24, 192.0.2.11/32, 2001:db8::10/64"},
		},
		"weight": {
			firstPair,
			strings.Replace(firstPair, `["haproxy"]`, `{ haproxy = -20 }`, 1),
			[]string{"vip.web: track haproxy = fault -> haproxy = -20"},
		},
		"check": {
			firstPair,
			strings.Replace(firstPair, "type = \"tcp\"\nport = 443", "type = \"file\"\npath = \"/run/ok\"\ninterval = \"500ms\"", 1),
			[]string{
				"check.haproxy: address: removed 127.0.0.1:443",
				"check.haproxy: exists: added true",
				"check.haproxy: fast_interval 1s -> 500ms",
				"check.haproxy: interval 1s -> 500ms",
				"check.haproxy: path: added /run/ok",
				"check.haproxy: timeout 1s -> 500ms",
				"check.haproxy: type tcp -> file",
			},
		},
		"routes and group": {
			firstPair + second,
			firstPair + second + "routes = [{ to = \"10.0.0.0/8\", via = \"192.0.2.1\", table = 7 }]\n[sync.edge]\nvips = [\"web\", \"mail\"]\n",
			[]string{"sync.edge: added", "vip.mail: routes: added 10.0.0.0/8 via 192.0.2.1 table 7"},
		},
		"node": {
			firstPair,
			firstPair + "[node]\nname = \"lb1\"\nstartup_delay = \"5s\"\n[metrics]\nlisten = \":9650\"\n",
			[]string{"metrics: listen: added :9650", "node: name: added lb1", "node: startup_delay 0s -> 5s"},
		},
	} {
		got := Diff(parse(t, test.from), parse(t, test.to))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
