package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// users are who runs the command in the tests. The second needs root to become.
var users = []struct {
	name string
	id   uint32
}{{"root", 0}, {"nobody", 65534}}

// forUsers runs a test as each of the users.
func forUsers(t *testing.T, test func(t *testing.T, d *demoCommand)) {
	testenv.Require(t)
	for _, u := range users {
		t.Run(u.name, func(t *testing.T) {
			if u.id != 0 && !mapped(u.id) {
				t.Skip("only root can become another user")
			}
			test(t, newDemoCommand(t, u.id))
		})
	}
}

// mapped reports whether the user namespace of the test knows a user.
func mapped(id uint32) bool {
	raw, err := os.ReadFile("/proc/self/uid_map")
	var inside, outside, length uint32
	if err == nil {
		_, err = fmt.Sscan(string(raw), &inside, &outside, &length)
	}
	return err == nil && id-inside < length
}

// demoCommand is vipd demo as a user types it.
type demoCommand struct {
	*exec.Cmd
	mark     string // in the environment of all of its processes
	temp     string
	out, err watched
}

// newDemoCommand prepares the command, in a directory in which nobody can write.
func newDemoCommand(t *testing.T, user uint32, args ...string) *demoCommand {
	t.Helper()
	d := &demoCommand{temp: t.TempDir()}
	for _, dir := range []string{d.temp, filepath.Dir(d.temp)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	d.mark = "VIPD_DEMO_TEST=" + d.temp
	d.Cmd = exec.Command(binary, append([]string{"demo"}, args...)...)
	d.Dir = "/proc"
	d.Stdout, d.Stderr = &d.out, &d.err
	d.out.grown, d.err.grown = make(chan struct{}, 1), make(chan struct{}, 1)
	d.SysProcAttr = &syscall.SysProcAttr{}
	if user != 0 {
		d.SysProcAttr.Credential = &syscall.Credential{Uid: user, Gid: user}
	}
	d.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "VIPD_") || strings.HasPrefix(e, "TMPDIR=") || strings.HasPrefix(e, "HOME=")
	}), d.mark, "TMPDIR="+d.temp, "HOME=/nonexistent")
	t.Cleanup(func() { d.gone(t) })
	return d
}

// gone waits until no process of the command is left, and checks that it left
// no file.
func (d *demoCommand) gone(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, 5*time.Second, "every process to end", func() bool { return len(d.processes()) == 0 })
	nothingLeft(t, d.temp)
}

// processes are the process ids of the command and of everything below it.
func (d *demoCommand) processes() []string {
	var pids []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if env, err := os.ReadFile(f); err == nil && slices.Contains(strings.Split(string(env), "\x00"), d.mark) {
			pids = append(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

// begin starts the command and waits until its second act begins.
func (d *demoCommand) begin(t *testing.T) {
	t.Helper()
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !strings.Contains(d.out.String(), "\n2. ") {
		select {
		case <-d.out.grown:
		case <-ctx.Done():
			t.Fatalf("the second act did not begin:\n%s%s", &d.out, &d.err)
		}
	}
	if n := len(d.processes()); n < 3 { // outside, inside, and lb2's daemon; lb1's is about to be killed
		t.Errorf("%d processes, so the test sees too few", n)
	}
}

// TestCommand plays the demo as users do.
func TestCommand(t *testing.T) {
	forUsers(t, func(t *testing.T, d *demoCommand) {
		d.Args = append(d.Args, "--json")
		if err := d.Run(); err != nil || d.err.String() != "" {
			t.Fatalf("%v: %s%s", err, &d.out, &d.err)
		}
		doc := &Document{}
		dec := json.NewDecoder(strings.NewReader(d.out.String()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(doc); err != nil {
			t.Fatalf("%v: %s", err, &d.out)
		}
		checkDocument(t, doc)
	})
}

// TestInterrupt ends the demo with Ctrl-C.
func TestInterrupt(t *testing.T) {
	forUsers(t, func(t *testing.T, d *demoCommand) {
		d.begin(t)
		if err := d.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = d.Wait()
		if d.ProcessState.ExitCode() != 1 || d.err.String() != "vipd: error: interrupted\n" {
			t.Errorf("exit code %d: %s", d.ProcessState.ExitCode(), &d.err)
		}
		if left := d.processes(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestKill kills the outer process: the kernel ends the rest.
func TestKill(t *testing.T) {
	forUsers(t, func(t *testing.T, d *demoCommand) {
		d.begin(t)
		if err := d.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = d.Wait()
		d.gone(t)
	})
}

// TestForbidden runs where no network namespace may be made.
func TestForbidden(t *testing.T) {
	testenv.Require(t, "unshare")
	d := newDemoCommand(t, 0)
	shell := exec.Command("unshare", "--user", "--map-root-user", "sh", "-c", `echo 0 > /proc/sys/user/max_net_namespaces && exec "$0" demo`, binary)
	shell.Env, shell.Dir = d.Env, d.Dir
	shell.Stdout, shell.Stderr = &d.out, &d.err
	_ = shell.Run()
	if shell.ProcessState.ExitCode() != 1 || d.out.String() != "" ||
		!strings.HasPrefix(d.err.String(), "vipd: error: start in namespaces of its own: ") || !strings.Contains(d.err.String(), "(run as root, or allow user namespaces: sysctl ") {
		t.Errorf("exit code %d: %s%s", shell.ProcessState.ExitCode(), &d.out, &d.err)
	}
}

// TestForged carries the mark of an isolated process in the environment: the
// command isolates itself all the same.
func TestForged(t *testing.T) {
	testenv.Require(t)
	d := newDemoCommand(t, 0, "--timeout", "1ms")
	d.Env = append(d.Env, "VIPD_TESTENV_ISOLATED=1")
	_ = d.Run()
	if d.err.String() != "vipd: error: the demo took longer than it may\n" {
		t.Errorf("%s", &d.err)
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), "mode=700") {
		t.Errorf("it mounted something here: %s %v", mounts, err)
	}
}

// watched is what a command writes, and when.
type watched struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	grown chan struct{}
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.grown <- struct{}{}:
	default:
	}
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
