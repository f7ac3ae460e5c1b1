package labs

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// service runs a program that does nothing on a host, under a name that nobody
// else on the machine has, and writes its pid file.
func service(t *testing.T, h *testenv.Host, name string) *testenv.Process {
	t.Helper()
	path := filepath.Join(h.Dir(), name)
	if err := os.Symlink("/bin/sleep", path); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	p, err := h.Start(exec.Command(path, "1000"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".pid", fmt.Appendln(nil, p.Pid()), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWatchProcess: the service of the Active is killed; the other host answers
// after the election's own time, the skew of 61 ms, and the events name the
// cause. When the service is there again, so is the VIP.
func TestWatchProcess(t *testing.T) {
	p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
	name := fmt.Sprintf("vipd-lab-%d", os.Getpid())
	pidFile := filepath.Join(lb1.host.Dir(), name+".pid")
	var socket net.Listener
	for _, tt := range []struct{ name, config, cause string }{
		{"pid file", `pid_file = "` + pidFile + `"`, "of " + pidFile + " is gone"},
		{"name", `name = "` + name + `"`, "no process " + name},
		{"socket", `name = "` + name + `"
listen = ":4431"`, "nobody listens on TCP port 4431"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := func() *testenv.Process {
				err := lb1.host.NS.Do(func() (err error) { socket, err = net.Listen("tcp", "127.0.0.1:4431"); return err })
				if err != nil {
					t.Fatal(err)
				}
				return service(t, lb1.host, name)
			}
			victim := begin()
			lb1.write(web(150, 100*time.Millisecond, `track = ["service"]`) + `
[check.service]
type = "process"
interval = "1h"
` + tt.config + "\n")
			lb1.must("reload")
			lb1.waitState("web", "ACTIVE")
			p.answeredBy(probes, "lb1")
			lb1.expect(0, "runs", "check", "run", "service")
			for range 3 {
				lb1.eventually(5*time.Second, "the check to be up", func() bool { return strings.Contains(lb1.must("check", "list"), "up") })
				mark := time.Now()
				if tt.name == "socket" {
					_ = socket.Close()
				} else if err := victim.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				p.answeredBy(probes, "lb2")
				first, ok := probes.Report().FirstAnswerFrom("lb2", mark)
				if !ok {
					t.Fatal("lb2 never answered")
				}
				t.Logf("killed, answered by lb2 after %v", first.Answered.Sub(mark))
				lb1.waitState("web", "FAULT")
				lb1.expect(0, tt.cause, "why", "web")
				lb1.expect(0, "check service: up -> down", "events")
				lb1.expect(0, tt.cause, "events")
				_ = socket.Close()
				victim.Kill()
				victim = begin()
				lb1.waitState("web", "ACTIVE")
				p.answeredBy(probes, "lb1")
				lb2.waitState("web", "BACKUP")
			}
			victim.Kill()
			_ = socket.Close()
		})
	}
}

// TestWatchValue: a number in a file is the weight of the check; what is no
// number is a failure, and moves the VIP by itself.
func TestWatchValue(t *testing.T) {
	p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
	file := filepath.Join(lb1.host.Dir(), "weight")
	say := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("0")
	lb1.write(web(150, 100*time.Millisecond, `track = ["load"]`) + `
[check.load]
type = "file"
interval = "1h"
path = "` + file + `"
value = true
`)
	lb1.must("reload")
	lb1.waitState("web", "ACTIVE")
	for _, step := range []struct {
		text, state, holder, why string
	}{
		{"-20", "ACTIVE", "lb1", "-20"},
		{"-60\n", "BACKUP", "lb2", "-60"},
		{"10", "ACTIVE", "lb1", "+10"},
		{"many", "FAULT", "lb2", "not a whole number"},
		{"0", "ACTIVE", "lb1", ""},
	} {
		say(step.text)
		p.answeredBy(probes, step.holder)
		lb1.waitState("web", step.state)
		lb1.eventually(5*time.Second, "why to say "+step.why, func() bool { return strings.Contains(lb1.must("why", "web"), step.why) })
	}
	lb2.waitState("web", "BACKUP")
}
