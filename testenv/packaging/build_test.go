package packaging

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/testenv"
)

// TestReproducible: the same binary and version give the same bytes.
func TestReproducible(t *testing.T) {
	testenv.Require(t)
	for _, format := range []string{"deb", "rpm"} {
		var sums []string
		for _, zone := range []string{"UTC", "Asia/Tokyo"} {
			t.Setenv("TZ", zone)
			text, err := os.ReadFile(build(t, format, "1.0.0", t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(text)))
		}
		if sums[0] != sums[1] {
			t.Errorf("%s: %v", format, sums)
		}
	}
}

// TestRPM: the rpm holds what the deb does, unpacks, and its scripts are ours.
func TestRPM(t *testing.T) {
	testenv.Require(t, "rpm", "dpkg-deb")
	r := newRoot(t)
	file := pack(t, "rpm", "1.0.0-3-gabcdef0")
	if got := r.run("rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{LICENSE} %{BUILDHOST}", file); got != "vipd 1.0.0+3.gabcdef0 Apache-2.0 vipd" {
		t.Errorf("it says %q", got)
	}
	for name, script := range map[string]string{"prein": "preinstall", "postin": "postinstall", "preun": "preremove", "postun": "postremove"} {
		text, err := os.ReadFile("../../contrib/packaging/scripts/" + script)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.run("rpm", "-qp", "--qf", "%{"+strings.ToUpper(name)+"}", file); strings.TrimSpace(got) != strings.TrimSpace(string(text)) {
			t.Errorf("%s is not %s:\n%s", name, script, got)
		}
	}
	if got := r.run("rpm", "-qp", "--qf", "%{PACKAGER} %{URL}", file); got != "vipd maintainers <maintainers@vipd.invalid> https://github.com/vipd/vipd" {
		t.Errorf("it is of %q", got)
	}
	of := strings.TrimSpace(r.run("dpkg-deb", "-f", pack(t, "deb", "1.0.0"), "Maintainer", "Bugs"))
	if of != "Maintainer: vipd maintainers <maintainers@vipd.invalid>\nBugs: https://github.com/vipd/vipd/issues" {
		t.Errorf("the deb is of %q", of)
	}
	var inRPM, inDeb []string
	for line := range strings.Lines(r.run("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]", file)) {
		if name := strings.Fields(line)[1]; line[0] == '-' && !strings.Contains(name, "/zsh/") && !strings.HasSuffix(name, "/LICENSE") {
			inRPM = append(inRPM, name)
		}
	}
	for line := range strings.Lines(r.run("dpkg-deb", "-c", pack(t, "deb", "1.0.0"))) {
		if name := strings.TrimPrefix(strings.Fields(line)[5], "."); line[0] == '-' && !strings.Contains(name, "/zsh/") && !strings.HasSuffix(name, "/copyright") {
			inDeb = append(inDeb, name)
		}
	}
	slices.Sort(inRPM)
	slices.Sort(inDeb)
	if diff := cmp.Diff(inDeb, inRPM); diff != "" || len(inRPM) < 20 {
		t.Errorf("files (-deb +rpm)\n%s", diff)
	}
	r.run("rpm", "--root="+r.dir, "--dbpath=/var/lib/rpm", "--nodeps", "--noscripts", "-i", file)
	if out := r.run(r.path("usr/bin/vipd"), "version"); !strings.Contains(out, "vipd") {
		t.Error(out)
	}
}

// TestScripts: what the scripts ask of systemd, for each way in which dpkg and
// rpm call them.
func TestScripts(t *testing.T) {
	testenv.Require(t)
	for _, c := range []struct {
		script, args string
		want         []string
	}{
		{"postinstall", "configure", []string{reloadUnits}},
		{"postinstall", "configure 0.9.0", []string{reloadUnits}},
		{"postinstall", "abort-upgrade 1.0.0", nil},
		{"postinstall", "abort-remove", nil},
		{"postinstall", "1", []string{reloadUnits}},
		{"postinstall", "2", []string{reloadUnits}},
		{"preremove", "upgrade 1.0.0", nil},
		{"preremove", "failed-upgrade 0.9.0", nil},
		{"preremove", "1", nil},
		{"preremove", "remove", []string{stopForGood}},
		{"preremove", "0", []string{stopForGood}},
		{"postremove", "upgrade 1.0.0", nil},
		{"postremove", "1", nil},
		{"postremove", "remove", []string{reloadUnits}},
		{"postremove", "purge", []string{reloadUnits}},
		{"postremove", "0", []string{reloadUnits}},
	} {
		r := newRoot(t)
		r.write("run/active", "")
		for _, tool := range []string{"systemd-sysusers", "systemd-tmpfiles", "journalctl"} { // not our subject
			if err := os.Symlink("/bin/true", filepath.Join(r.bin, tool)); err != nil {
				t.Fatal(err)
			}
		}
		r.run("../../contrib/packaging/scripts/"+c.script, strings.Fields(c.args)...)
		if diff := cmp.Diff(c.want, r.asked()); diff != "" {
			t.Errorf("%s %s asked (-want +got)\n%s", c.script, c.args, diff)
		}
	}
}
