package trial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files writes two configurations and reads them.
func files(t *testing.T, lb1, lb2 string) (read [2]*File) {
	t.Helper()
	dir := t.TempDir()
	for i, text := range []string{lb1, lb2} {
		path := filepath.Join(dir, []string{"lb1.toml", "lb2.toml"}[i])
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, problems := Read(path)
		if f == nil {
			t.Fatal(problems.Err())
		}
		read[i] = f
	}
	return read
}

const vip = "[vip.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.100/24\"]\n"

// TestPlan: what two files need of a network.
func TestPlan(t *testing.T) {
	t.Parallel()
	pair := func(peer, addresses string) string {
		return "[pair]\nkey_file = \"pair-key\"\n[peer." + peer + "]\naddresses = [" + addresses + "]\n"
	}
	inside := "[vip.inside]\ninterface = \"eth1\"\nvrid = 52\naddresses = [\"203.0.113.7/32\"]\n"
	for name, tc := range map[string]struct {
		lb1, lb2 string
		want     []string
	}{
		"as little as can be": {vip, vip, []string{"eth0 192.0.2.1/24 on switch1", "eth0 192.0.2.2/24 on switch1"}},
		"what peers say": {
			pair("lb2", `"192.0.2.12", "10.0.9.12"`) + vip, pair("lb1", `"192.0.2.11", "10.0.9.11"`) + vip,
			[]string{"eth0 192.0.2.11/24 on switch1, lab1 10.0.9.11/24 on switch3", "eth0 192.0.2.12/24 on switch1, lab1 10.0.9.12/24 on switch3"},
		},
		"unicast": {
			vip + "unicast_source = \"192.0.2.5\"\nunicast_peers = [\"192.0.2.6\"]\n", vip + "unicast_peers = [\"192.0.2.5\"]\n",
			[]string{"eth0 192.0.2.5/24 on switch1", "eth0 192.0.2.6/24 on switch1"},
		},
		"other names": {
			strings.ReplaceAll(vip, "eth0", "bond0.200"), vip + "track_interfaces = { eth7 = -10 }\n",
			[]string{"bond0.200 192.0.2.1/24 on switch1", "eth0 192.0.2.2/24 on switch1, eth7 198.18.1.2/24 on switch3"},
		},
		"one address": {inside + vip, inside + vip, []string{
			"eth1 198.18.0.1/24 on switch1, eth0 192.0.2.1/24 on switch3", "eth1 198.18.0.2/24 on switch1, eth0 192.0.2.2/24 on switch3",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := files(t, tc.lb1, tc.lb2)
			p, err := newPlan(read)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, line := range p.words(read) {
				got = append(got, strings.TrimPrefix(line, read[i].Name+" ("+read[i].Path+"): "))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, segment := range p.segments {
				for _, q := range p.client[segment] {
					for _, ports := range p.ports {
						for _, x := range ports {
							for _, own := range x.prefixes {
								if own.Addr() == q.Addr() {
									t.Errorf("the client has %s, which is %s's", q, x.name)
								}
							}
						}
					}
				}
			}
		})
	}
}

// TestNoPlan: files that are none of a pair, and what cannot move.
func TestNoPlan(t *testing.T) {
	t.Parallel()
	other := strings.ReplaceAll(vip, "vip.web", "vip.mail")
	for name, tc := range map[string]struct{ lb1, lb2, want string }{
		"one host":    {"[node]\nname = \"a\"\n" + vip, "[node]\nname = \"a\"\n" + vip, "both files are of host a"},
		"nothing":     {vip, other, "have no vip in common"},
		"other names": {"[pair]\nkey_file = \"k\"\n[peer.left]\naddresses = [\"192.0.2.3\"]\n" + vip, vip, "has no [peer.lb2]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := newPlan(files(t, tc.lb1, tc.lb2)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	p, err := newPlan(files(t, vip+strings.NewReplacer("51", "52", "100", "101").Replace(other), vip))
	if err != nil || len(p.problems) != 1 || !strings.Contains(p.problems[0], "vip.mail is in ") {
		t.Errorf("%v, %v", p, err)
	}
}

// TestAdapt: what a lab cannot have is replaced or left out, and told; the rest
// stays, and the result is a good configuration.
func TestAdapt(t *testing.T) {
	t.Parallel()
	text := `[node]
startup_delay = "2s"
[control]
socket = "/run/mine.sock"
[metrics]
listen = ":9650"
[vip_defaults]
notify = ["/usr/local/bin/tell"]
` + vip + `routes = [{ to = "10.9.0.0/16", via = "192.0.2.1" }]
track = ["haproxy", "either"]
takeover = "fence"
auth = { mode = "enforce", keys = { 1 = "vrrp-key" } }
[check.haproxy]
type = "http"
url = "http://127.0.0.1/health"
fall = 3
weight = -20
[check.gateway]
type = "icmp"
target = "192.0.2.1"
[check.either]
any = ["haproxy", "gateway"]
[pair]
key_file = "/etc/vipd/credentials/pair-key"
[peer.lb2]
addresses = ["192.0.2.3"]
fence = [["bmc"], ["manual"]]
[fence]
track = ["gateway"]
settle = "5m"
[fence.device.bmc]
agent = "fence_ipmilan"
options = { ip = "10.0.8.3" }
password_file = "bmc"
[fence.device.manual]
agent = "manual"
`
	read := files(t, text, strings.NewReplacer("peer.lb2", "peer.lb1").Replace(text))
	dir := t.TempDir()
	agent := filepath.Join(dir, "cut-lb2")
	if err := os.WriteFile(agent, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := read[0].adapt(dir, false, map[string]string{"lb2": agent})
	for _, want := range []string{
		"[node]\nname = \"lb1\"\n", "startup_delay = \"2s\"", "track = [\"haproxy\", \"either\"]", "takeover = \"fence\"",
		"[check.haproxy]\nweight = -20\ntype = \"file\"\n", "[check.either]\nany = [", "key_file = \"" + filepath.Join(dir, "secret-pair-key"),
		"agent = \"" + agent + "\"", "agent = \"manual\"", "settle = \"0s\"", filepath.Join(dir, "secret-vrrp-key"),
	} {
		if !strings.Contains(a.text, want) {
			t.Errorf("no %q in\n%s", want, a.text)
		}
	}
	for _, bad := range []string{"mine.sock", "9650", "10.9.0.0", "tell", "http", "fence_ipmilan", "10.0.8.3", "5m"} {
		if strings.Contains(a.text, bad) {
			t.Errorf("%q is left in\n%s", bad, a.text)
		}
	}
	notes := strings.Join(a.notes, "\n")
	for _, want := range []string{"vip_defaults.notify is left out", "vip.web.routes is left out", "check.haproxy passes", "check.gateway passes", "fence.device.bmc cuts"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note %q in\n%s", want, notes)
		}
	}
	if err := a.files(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vipd.toml")
	if err := os.WriteFile(path, []byte(a.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, problems := Read(path); f == nil {
		t.Errorf("%v\n%s", problems.Err(), a.text)
	}
	kept := read[0].adapt(dir, true, nil)
	if !strings.Contains(kept.text, "http://127.0.0.1/health") || len(kept.checks) > 0 {
		t.Errorf("--with-checks:\n%s", kept.text)
	}
}

// TestJudge: what an outage may be.
func TestJudge(t *testing.T) {
	t.Parallel()
	good := Scenario{Outage: allowance}
	bad := Scenario{Outage: allowance + 1}
	good.judge()
	bad.judge()
	if !good.OK || bad.OK || !strings.Contains(bad.Problem, "nobody answered for 250ms, the limit is 0s") {
		t.Errorf("%+v, %+v", good, bad)
	}
}
