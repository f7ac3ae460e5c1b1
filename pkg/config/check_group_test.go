package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
)

const dependent = `
[vip.web]
interface = "eth0"
vrid      = 51
addresses = ["192.0.2.10/24"]
track     = { site = "fault", load = -20 }

[check.site]
all    = ["quorum", "front"]
weight = -5
after  = ["net"]

[check.quorum]
at_least = 2
of       = ["a", "b", "c"]

[check.load]
any = ["a", "b"]

[check.front]
type       = "tcp"
port       = 443
while_held = "web"
jitter     = "100ms"
hold_down  = { time = "20s" }

[check.net]
type = "file"
path = "/run/net"

[check.a]
type = "tcp"
port = 1
[check.b]
type = "tcp"
port = 2
[check.c]
type = "tcp"
port = 3
`

func TestGroupsOfChecks(t *testing.T) {
	t.Parallel()
	fault := check.Weight{Fault: true}
	c := parse(t, dependent)
	want := map[string]check.Config{
		"site":   {Spec: check.Group{Members: []string{"quorum", "front"}, Need: 2}, Weight: check.Weight{Delta: -5}, After: []string{"net"}},
		"quorum": {Spec: check.Group{Members: []string{"a", "b", "c"}, Need: 2}, Weight: fault},
		"load":   {Spec: check.Group{Members: []string{"a", "b"}, Need: 1}, Weight: fault},
		"front": {
			Spec: check.TCP{Address: "127.0.0.1:443"}, Interval: time.Second, Timeout: time.Second, Jitter: 100 * time.Millisecond,
			Rise: 2, Fall: 2, Weight: fault, WhileHeld: "web",
			HoldDown: check.HoldDown{Time: 20 * time.Second, Most: 5 * time.Minute, Flaps: 3, Within: time.Minute},
		},
	}
	for name, w := range want {
		if diff := cmp.Diff(w, c.Engine.Checks[name]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	if n := len(c.Engine.Checks); n != 8 {
		t.Errorf("%d checks, want 8", n)
	}
}

func TestGroupsDiffer(t *testing.T) {
	t.Parallel()
	from := parse(t, dependent)
	to := parse(t, dependent)
	site, front := to.Engine.Checks["site"], to.Engine.Checks["front"]
	site.Spec, site.After = check.Group{Members: []string{"quorum", "front"}, Need: 1}, nil
	front.HoldDown, front.WhileHeld, front.Jitter = check.HoldDown{}, "", 0
	to.Engine.Checks["site"], to.Engine.Checks["front"] = site, front
	want := []string{
		"check.front: hold_down.flaps: removed 3", "check.front: hold_down.most: removed 5m",
		"check.front: hold_down.time: removed 20s", "check.front: hold_down.within: removed 1m",
		"check.front: jitter 100ms -> 0s", "check.front: while_held: removed web",
		"check.site: after: removed net", "check.site: group all of quorum, front -> any of quorum, front",
	}
	if diff := cmp.Diff(want, Diff(from, to)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
