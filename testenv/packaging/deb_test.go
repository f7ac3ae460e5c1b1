package packaging

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/testenv"
)

// tenLines is the configuration of a first pair.
const tenLines = `[vip.web]
interface = "eth0"
vrid      = 51
priority  = 150
addresses = ["192.0.2.10/24", "2001:db8::10/64"]
track     = ["haproxy"]

[check.haproxy]
type = "tcp"
port = 443
`

// What the scripts may ask of systemd.
const (
	reloadUnits = "daemon-reload"
	stopForGood = "--no-reload --quiet disable --now vipd.service vipd-witness.service"
)

// TestDebLife: a package is installed, upgraded twice while vipd runs, removed
// and purged. Nothing but the removal stops vipd, and nothing at all starts it.
func TestDebLife(t *testing.T) {
	testenv.Require(t, "dpkg", "systemd-sysusers", "systemd-tmpfiles")
	r := newRoot(t)
	says := func(out, want string) {
		t.Helper()
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	asks := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, r.asked()); diff != "" {
			t.Errorf("asked of systemd (-want +got)\n%s", diff)
		}
	}

	says(r.dpkg("-i", pack(t, "deb", "0.9.0")), "neither enabled nor started")
	asks(reloadUnits)
	if r.exists("etc/systemd/system") || r.exists("etc/vipd/vipd.toml") {
		t.Error("the installation enabled the unit or wrote a configuration")
	}
	r.write("etc/vipd/vipd.toml", tenLines)
	says(r.run(r.path("usr/bin/vipd"), "check-config", r.path("etc/vipd/vipd.toml")), "is valid: 1 vip, 1 check")
	if err := os.MkdirAll(r.path("var/lib/vipd"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.write("var/lib/vipd/events.jsonl", "{}\n")
	r.write("etc/vipd/credentials/bgp-tor", "s3cret\n")
	r.write("run/active", "")

	says(r.dpkg("-i", pack(t, "deb", "1.0.0")), "vipd goes on with the old program")
	asks(reloadUnits)
	r.write("etc/vipd/vipd.toml", tenLines+"porrt = 1\n")
	out := r.dpkg("-i", pack(t, "deb", "1.0.0-3-gabcdef0"))
	says(out, "WARNING: the new version does not accept")
	says(out, "unknown key `porrt`")
	asks(reloadUnits)

	r.dpkg("-r", "vipd")
	asks(stopForGood, reloadUnits)
	if r.exists("usr/bin/vipd") || !r.exists("var/lib/vipd/events.jsonl") || !r.exists("etc/vipd/vipd.toml") {
		t.Error("a removal takes the program, and leaves state and configuration")
	}
	says(r.dpkg("-P", "vipd"), "/etc/vipd is not empty and stays")
	asks(reloadUnits)
	if r.exists("var/lib/vipd") || r.exists("etc/needrestart/conf.d/vipd.conf") {
		t.Error("a purge takes the state and the conffiles")
	}
	if !r.exists("etc/vipd/vipd.toml") || !r.exists("etc/vipd/credentials/bgp-tor") {
		t.Error("a purge took what the operator wrote")
	}
}

// TestDebDowngrade: an older version can be put back, with the same care.
func TestDebDowngrade(t *testing.T) {
	testenv.Require(t, "dpkg")
	r := newRoot(t)
	r.dpkg("-i", pack(t, "deb", "1.0.0"))
	r.write("run/active", "")
	r.asked()
	r.dpkg("-i", pack(t, "deb", "0.9.0"))
	if diff := cmp.Diff([]string{reloadUnits}, r.asked()); diff != "" {
		t.Errorf("asked of systemd (-want +got)\n%s", diff)
	}
	if out := r.dpkg("-s", "vipd"); !strings.Contains(out, "Version: 0.9.0\n") {
		t.Error(out)
	}
}

// TestDebFiles: what is installed, with which rights.
func TestDebFiles(t *testing.T) {
	testenv.Require(t, "dpkg", "mandoc", "systemd-sysusers", "systemd-tmpfiles")
	r := newRoot(t)
	r.dpkg("-i", pack(t, "deb", "1.0.0"))
	group := groupOf(t, r, "vipd")
	groupOf(t, r, "vipd-admin")
	special := map[string]owned{
		"etc/vipd": {0o750, group}, "etc/vipd/conf.d": {0o750, group}, "etc/vipd/credentials": {0o700, 0}, "usr/bin/vipd": {0o755, 0},
	}
	packed := strings.Fields(r.dpkg("-L", "vipd"))
	for _, name := range packed {
		name = strings.TrimPrefix(name, "/")
		info, err := os.Lstat(r.path(name))
		if err != nil {
			t.Error(err)
			continue
		}
		want, ok := special[name]
		switch {
		case ok:
		case info.IsDir():
			want = owned{0o755, 0}
		default:
			want = owned{0o644, 0}
		}
		if name == "." || name == "etc" || name == "usr" || name == "usr/bin" {
			continue // were there before
		}
		stat := info.Sys().(*syscall.Stat_t)
		if got := (owned{info.Mode().Perm(), stat.Gid}); stat.Uid != 0 || got != want {
			t.Errorf("/%s: %v of %d, want %v of 0", name, got, stat.Uid, want)
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSymlink) != 0 {
			t.Errorf("/%s is %s", name, info.Mode())
		}
		if strings.HasPrefix(name, "etc/") && !info.IsDir() && !strings.Contains(r.dpkg("-s", "vipd"), " /"+name+" ") {
			t.Errorf("/%s is no conffile", name)
		}
	}
	for _, name := range []string{
		"usr/bin/vipd", "usr/lib/systemd/system/vipd.service", "usr/lib/systemd/system/vipd-witness.service",
		"usr/lib/systemd/system/vipd-drill@.service", "usr/lib/systemd/system/vipd-drill@.timer", "usr/lib/sysusers.d/vipd.conf", "usr/lib/tmpfiles.d/vipd.conf",
		"usr/lib/systemd/catalog/vipd.catalog", "usr/share/bash-completion/completions/vipd", "usr/share/zsh/vendor-completions/_vipd",
		"usr/share/fish/vendor_completions.d/vipd.fish", "usr/share/vipd/reference.toml", "usr/share/vipd/grafana/vipd.json",
		"usr/share/vipd/prometheus/vipd.rules.yml", "usr/share/doc/vipd/copyright", "usr/share/doc/vipd/licenses.gz",
		"usr/share/doc/vipd/changelog.gz", "usr/share/doc/vipd/examples/full.toml", "usr/share/doc/vipd/operations.md",
	} {
		if info, err := os.Stat(r.path(name)); err != nil || info.Size() == 0 {
			t.Errorf("/%s is missing or empty (%v)", name, err)
		}
	}
	text, err := os.ReadFile(r.path("usr/share/vipd/vipd.schema.json"))
	if err != nil || !json.Valid(text) {
		t.Errorf("the schema is no JSON (%v)", err)
	}
	pages, err := filepath.Glob(r.path("usr/share/man/man*/*.gz"))
	if err != nil || len(pages) < 2 {
		t.Errorf("pages %v (%v)", pages, err)
	}
	for _, page := range pages {
		if out := r.run("/bin/sh", "-c", "zcat "+page+" | mandoc -T lint -W warning"); out != "" {
			t.Errorf("%s: %s", page, out)
		}
	}
	for _, name := range []string{"README.md", "vipd.8.gz"} {
		if out := r.run("/bin/sh", "-c", "find "+r.dir+" -name "+name+" -newermt 2026-01-01 -not -newermt now"); out == "" {
			t.Errorf("%s has not the time of a commit", name)
		}
	}
}

// owned is who may do what with a file.
type owned struct {
	perm fs.FileMode
	gid  uint32
}

// groupOf is the number of a group in a root.
func groupOf(t *testing.T, r *root, name string) uint32 {
	t.Helper()
	text, err := os.ReadFile(r.path("etc/group"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); fields[0] == name {
			gid, err := strconv.ParseUint(fields[2], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(gid)
		}
	}
	t.Fatalf("no group %s in\n%s", name, text)
	return 0
}

// TestUnit: systemd understands the installed units, and finds them closed enough.
func TestUnit(t *testing.T) {
	testenv.Require(t, "dpkg", "systemd-analyze")
	r := newRoot(t)
	r.dpkg("-i", pack(t, "deb", "1.0.0"))
	for name, want := range map[string]struct {
		threshold string // tenths
		lines     []string
	}{
		"vipd.service": {"25", []string{
			"Type=notify", "WatchdogSec=", "User=vipd", "LoadCredential=vipd:/etc/vipd/credentials", "ExecStart=/usr/bin/vipd run",
		}},
		"vipd-witness.service": {"20", []string{
			"Type=notify", "DynamicUser=yes", "LoadCredential=witness-key:/etc/vipd/credentials/witness-key", "CapabilityBoundingSet=", "ExecStart=/usr/bin/vipd witness",
		}},
		"vipd-drill@.service": {"20", []string{"Type=oneshot", "User=vipd", "ExecCondition=/usr/bin/vipd --quiet is-active %I", "ExecStart=/usr/bin/vipd drill %I"}},
	} {
		path := "/usr/lib/systemd/system/" + name
		for line := range strings.Lines(r.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root="+r.dir, path)) {
			if strings.Contains(line, "vipd") {
				t.Error(line)
			}
		}
		out := r.run("systemd-analyze", "security", "--offline=yes", "--threshold="+want.threshold, "--no-pager", r.path(path))
		t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
		text, err := os.ReadFile(r.path(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want.lines {
			if !strings.Contains(string(text), "\n"+line) {
				t.Errorf("%s has no %s", name, line)
			}
		}
	}
}
