package labs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestProgramReplaced: an upgrade puts another program in the place of the one
// that runs. That one goes on, its address stays, and it says that a restart is
// due.
func TestProgramReplaced(t *testing.T) {
	p := newPair(t)
	program := filepath.Join(p.hosts[0].Dir(), "vipd")
	install := func() {
		t.Helper()
		if out, err := exec.Command("install", binary, program+".new").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Rename(program+".new", program); err != nil { // as dpkg and rpm do
			t.Fatal(err)
		}
	}
	install()
	lb1 := &agent{t: t, host: p.hosts[0], config: filepath.Join(p.hosts[0].Dir(), "vipd.toml"), socket: filepath.Join(p.hosts[0].Dir(), "vipd.sock")}
	lb1.write(web(150, 100*time.Millisecond, ""))
	var err error
	lb1.proc, err = lb1.host.Start(exec.Command(program, "run", "--config", lb1.config, "--socket", lb1.socket, "--state-dir", lb1.host.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	lb1.waitState("web", "ACTIVE")
	if due := lb1.metric("vipd_restart_required"); due != 0 {
		t.Errorf("vipd_restart_required is %v before the upgrade", due)
	}
	install()
	lb1.expect(0, "its program has been replaced: a restart takes the new one into use", "status")
	if due := lb1.metric("vipd_restart_required"); due != 1 {
		t.Errorf("vipd_restart_required is %v after the upgrade", due)
	}
	if !lb1.host.Holds(vip4) || lb1.transitions("web") != 2 {
		t.Errorf("the address moved: %v", lb1.vip("web").Transitions)
	}
}
