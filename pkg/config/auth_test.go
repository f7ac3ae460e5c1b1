package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/vrrp"
)

// signedVIPs has a VIP for each way to say something about authentication.
const signedVIPs = `
[vip_defaults]
interface = "eth0"
auth = { mode = "enforce", keys = { 1 = "vrrp-key-1", 200 = "vrrp-key-2" }, active_key = 200 }

[vip.web]
vrid = 51
addresses = ["192.0.2.10/24"]

[vip.slow]
vrid = 52
advert_interval = "4s"
addresses = ["192.0.2.11/24"]
auth.active_key = 1

[vip.plain]
vrid = 53
addresses = ["192.0.2.12/24"]
auth.mode = "off"

[vip.own]
vrid = 54
addresses = ["192.0.2.13/24"]
[vip.own.auth]
mode = "receive-only"
keys = { 7 = "/etc/vipd/vrrp-key-7" }
active_key = 7
anti_replay = "monotonic"
`

// TestAuth: what the keys of auth become, with those of [vip_defaults].
func TestAuth(t *testing.T) {
	t.Parallel()
	key := func(name string) vrrp.Secret {
		return vrrp.Secret("the long and random secret of " + name)
	}
	pair := map[uint8]vrrp.Secret{1: key("vrrp-key-1"), 200: key("vrrp-key-2")}
	c, problems := Load(memory{"vipd.toml": signedVIPs}, "vipd.toml")
	if len(problems.List) > 0 {
		t.Fatal(formatted(t, problems))
	}
	want := map[string]vrrp.Auth{
		"web":  {Mode: vrrp.AuthEnforce, Keys: pair, ActiveKey: 200, AntiReplay: vrrp.ReplayTime, Window: 5 * time.Second},
		"slow": {Mode: vrrp.AuthEnforce, Keys: pair, ActiveKey: 1, AntiReplay: vrrp.ReplayTime, Window: 12 * time.Second},
		"own": {Mode: vrrp.AuthReceiveOnly, Keys: map[uint8]vrrp.Secret{7: key("/etc/vipd/vrrp-key-7")}, ActiveKey: 7,
			AntiReplay: vrrp.ReplayMonotonic, Window: 5 * time.Second},
	}
	if diff := cmp.Diff(want, c.Auth); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v", *c, *c), c.Text.Written(), c.Text.Effective()} {
		if strings.Contains(text, "random secret") {
			t.Errorf("a secret is printed: %s", text)
		}
	}
	if text := c.Text.Effective(); !strings.Contains(text, `auth.keys = { 1 = "vrrp-key-1", 200 = "vrrp-key-2" }`) {
		t.Errorf("the keys are not shown:\n%s", text)
	}
}

// rewritten is a memory whose secrets are others now.
type rewritten struct{ memory }

func (rewritten) Secret(name string) (string, error) {
	if name == "vrrp-password" {
		return "another", nil
	}
	return strings.Repeat(name, 4), nil
}

// TestDiffAuth: a reload says that a key is another one, and not which.
func TestDiffAuth(t *testing.T) {
	t.Parallel()
	text := example(t, "authenticated.toml")
	password := strings.Replace(text, `auth = { mode = "enforce", keys = { 1 = "vrrp-key-1" } }`,
		"version = 2\nauth = { mode = \"password\", password_file = \"vrrp-password\" }", 1)
	step := func(to string) string { return strings.Replace(text, `mode = "enforce"`, to, 1) }
	for name, test := range map[string]struct {
		from, to Reader
		want     []string
	}{
		"nothing": {memory{"f": text}, memory{"f": text}, nil},
		"mode":    {memory{"f": text}, memory{"f": step(`mode = "permissive"`)}, []string{"vip.web: auth.mode enforce -> permissive"}},
		"off": {memory{"f": step(`mode = "off"`)}, memory{"f": text}, []string{
			"vip.web: auth.active_key: added 1", "vip.web: auth.anti_replay: added time", "vip.web: auth.keys: added 1",
			"vip.web: auth.mode: added enforce", "vip.web: auth.time_window: added 5s",
		}},
		"key added": {memory{"f": text}, memory{"f": strings.Replace(text, `1 = "vrrp-key-1" }`, `1 = "vrrp-key-1", 2 = "vrrp-key-2" }, active_key = 2`, 1)},
			[]string{"vip.web: auth.active_key 1 -> 2", "vip.web: auth.keys: added 2"}},
		"file rewritten":     {memory{"f": text}, rewritten{memory{"f": text}}, []string{"vip.web: auth: another key 1"}},
		"password rewritten": {memory{"f": password}, rewritten{memory{"f": password}}, []string{"vip.web: auth: another password"}},
	} {
		from, p := Load(test.from, "f")
		to, q := Load(test.to, "f")
		if from == nil || to == nil {
			t.Errorf("%s: %s%s", name, formatted(t, p), formatted(t, q))
			continue
		}
		if diff := cmp.Diff(test.want, Diff(from, to)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
