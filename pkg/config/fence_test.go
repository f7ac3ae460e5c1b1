package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

const fenced = `
[vip.web]
interface = "eth0"
vrid      = 51
addresses = ["192.0.2.10/24"]
takeover  = "fence"
advert_interval = "500ms"
[check.gateway]
type   = "icmp"
target = "192.0.2.1"
[pair]
key_file = "pair-key"
[peer.lb2]
addresses = ["192.0.2.3"]
fence = [["ipmi"], ["manual"]]
[fence]
track = ["gateway"]
[fence.device.ipmi]
agent = "fence_ipmilan"
options = { username = "vipd", lanplus = true, privlvl = "operator", ipport = 623, hexadecimal_kg = "" }
password_file = "ipmi"
secret_files = { kg = "/etc/kg" }
[fence.device.manual]
agent = "manual"
`

func TestFence(t *testing.T) {
	t.Parallel()
	c := parse(t, fenced)
	want := map[string]fence.Config{"lb2": {
		Levels: [][]string{{"ipmi"}, {"manual"}},
		Devices: map[string]fence.Device{
			"ipmi": {Agent: "fence_ipmilan", Options: []fence.Option{
				{Name: "hexadecimal_kg"}, {Name: "ipport", Value: "623"}, {Name: "lanplus", Value: "1"}, {Name: "privlvl", Value: "operator"}, {Name: "username", Value: "vipd"},
			}},
			"manual": {Agent: fence.AgentManual},
		},
		Attempts: 2, AttemptTimeout: 10 * time.Second,
		Verify: fence.Verify{Reads: 3, Every: 500 * time.Millisecond, Within: 20 * time.Second},
		Rate:   fence.Rate{Max: 2, Per: 15 * time.Minute},
		Settle: 30 * time.Second, ConfirmTTL: 10 * time.Minute, Monitor: 5 * time.Minute, Silence: 2 * time.Second,
		Track: []string{"gateway"},
	}}
	if diff := cmp.Diff(want, c.Engine.Fences); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := c.Engine.VIPs["web"].Takeover; got != engine.TakeoverFence {
		t.Errorf("takeover %v", got)
	}
	if got := string(c.FenceSecrets["ipmi"]["password"]) + ", " + string(c.FenceSecrets["ipmi"]["kg"]); got != "the long and random secret of ipmi, the long and random secret of /etc/kg" {
		t.Errorf("secrets %q", got)
	}
	if text := fmt.Sprintf("%+v %v", *c, c.FenceSecrets); strings.Contains(text, "random secret") {
		t.Errorf("a secret is printed: %s", text)
	}
}

func TestFenceDiff(t *testing.T) {
	t.Parallel()
	change := strings.NewReplacer(
		`takeover  = "fence"`, `takeover  = "vrrp"`, `[["ipmi"], ["manual"]]`, `[["ipmi"]]`, `lanplus = true`, `lanplus = false`,
		`track = ["gateway"]`, "track = [\"gateway\"]\naction = \"reboot\"\nverify.reads = 5", `password_file = "ipmi"`, `password_file = "ipmi-new"`,
		"[fence.device.manual]\nagent = \"manual\"", "")
	want := []string{
		"fence: action off -> reboot",
		"fence: verify.reads 3 -> 5",
		"fence.device.ipmi: options.lanplus 1 -> 0",
		"fence.device.manual: removed",
		"peer.lb2: fence: removed [manual]",
		"vip.web: takeover fence -> vrrp",
		"fence.device.ipmi: another secret",
	}
	if diff := cmp.Diff(want, Diff(parse(t, fenced), parse(t, change.Replace(fenced)))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// In a file that all hosts share, a host does not fence itself.
func TestFenceShared(t *testing.T) {
	t.Parallel()
	shared := strings.Replace(fenced, "[pair]", "[peer.lb1]\naddresses = [\"192.0.2.4\"]\nfence = [[\"manual\"]]\n[pair]", 1)
	c := parse(t, shared)
	c.SetNode("lb1")
	if diff := cmp.Diff([]string{"lb2"}, names(c.Engine.Fences)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSilence: how long a peer must be silent, by how far apart adverts are.
func TestSilence(t *testing.T) {
	t.Parallel()
	for interval, want := range map[string]time.Duration{"100ms": time.Second, "250ms": time.Second, "260ms": 1040 * time.Millisecond, "1s": 4 * time.Second} {
		c := parse(t, strings.Replace(fenced, `"500ms"`, `"`+interval+`"`, 1))
		if got := c.Engine.Fences["lb2"].Silence; got != want {
			t.Errorf("adverts each %s: %v, want %v", interval, got, want)
		}
	}
}
