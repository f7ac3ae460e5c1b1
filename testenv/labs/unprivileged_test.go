package labs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// TestWithoutRoot: a daemon of an ordinary user with the two capabilities of the
// unit file holds a VIP, and its checks run without any capability.
func TestWithoutRoot(t *testing.T) {
	p := newPair(t, "setpriv")
	mapped, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(string(mapped)); len(f) < 3 || f[2] == "1" {
		t.Skip("an ordinary user cannot become another one")
	}
	h := p.hosts[0]
	dir := filepath.Join(h.Dir(), "unprivileged")
	script := filepath.Join(dir, "caps")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\ngrep -q '^CapEff:\t0*$' /proc/self/status\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, host: h, config: filepath.Join(dir, "vipd.toml"), socket: filepath.Join(dir, "vipd.sock")}
	a.write(web(150, 100*time.Millisecond, `track = ["caps"]
[check.caps]
type     = "exec"
command  = ["`+script+`"]
interval = "100ms"`))
	for _, path := range []string{dir, a.config} {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for _, above := range []string{h.Dir(), filepath.Dir(h.Dir())} {
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const caps = "-all,+net_admin,+net_raw"
	a.proc, err = h.Start(exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps="+caps, "--ambient-caps="+caps,
		"--bounding-set="+caps, "--no-new-privs", binary, "run", "--config", a.config, "--socket", a.socket, "--state-dir", dir))
	if err != nil {
		t.Fatal(err)
	}
	a.waitState("web", "ACTIVE")
	if !h.Holds(vip4) {
		t.Errorf("the address is not there:\n%s", a.proc.Output())
	}
	a.stop()
	testenv.Eventually(t, 5*time.Second, "the address to go", func() bool { return !h.Holds(vip4) })
}
