package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestHooks: defaults reach every VIP and no group, and the engine learns no more
// than that somebody is told, and what a takeover waits for.
func TestHooks(t *testing.T) {
	t.Parallel()
	const base = `
[vip_defaults]
notify = "/etc/vipd/notify.sh"
notify_timeout = "5s"
[vip.web]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.10/24"]
before_hold = ["/usr/sbin/commit", "two words"]
[vip.inside]
interface = "eth1"
vrid = 51
addresses = ["10.0.0.10/24"]
[sync.edge]
vips = ["web", "inside"]
`
	c := parse(t, base)
	notify := []string{"/etc/vipd/notify.sh"}
	want := map[string]Hooks{
		"web":    {Notify: notify, NotifyTimeout: 5 * time.Second, BeforeHold: []string{"/usr/sbin/commit", "two words"}},
		"inside": {Notify: notify, NotifyTimeout: 5 * time.Second},
	}
	if diff := cmp.Diff(want, c.VIPHooks); diff != "" {
		t.Errorf("of VIPs (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]Hooks{"edge": {NotifyTimeout: 30 * time.Second}}, c.GroupHooks); diff != "" {
		t.Errorf("of groups (-want +got)\n%s", diff)
	}
	e := c.Engine
	if !e.VIPs["web"].Notify || e.VIPs["web"].BeforeHold != 2*time.Second || e.VIPs["inside"].BeforeHold != 0 || e.GroupNotify["edge"] {
		t.Errorf("engine %+v", e)
	}
	next := parse(t, base+"notify_fifo = \"/run/vipd/fifo\"\nnotify_coalesce = true\n")
	if !next.Engine.GroupNotify["edge"] {
		t.Error("a FIFO is somebody to tell")
	}
	wantDiff := []string{"sync.edge: notify_coalesce false -> true", "sync.edge: notify_fifo: added /run/vipd/fifo"}
	if diff := cmp.Diff(wantDiff, Diff(c, next)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
