package probe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// answers collects results in the order in which they come.
type answers chan string

func (a answers) done(name string, r Result) { a <- fmt.Sprintf("%s %v %s", name, r.OK, r.Detail) }

func (a answers) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-a:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no answer, want %q", want)
	}
}

// running returns a Runner that runs until stop is called, which waits for it.
func running(t *testing.T, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func TestRunner(t *testing.T) {
	t.Parallel()
	r, a := NewRunner(Settings{}), make(answers, 10)
	r.Start("early", config(check.Exec{Command: []string{"/bin/sh", "-c", "echo $VIPD_CHECK"}}, 20*time.Second), a.done)
	running(t, r)
	a.expect(t, "early true exit 0: early")
	r.Start("late", config(check.File{Path: "/nonexistent"}, time.Second), a.done)
	a.expect(t, "late false /nonexistent does not exist")
	r.Configure(Settings{User: "no-such-user"})
	r.Start("late", config(check.Exec{Command: []string{"/bin/true"}}, time.Second), a.done)
	a.expect(t, "late false run as no-such-user: no such user")
}

// A slow check does not hold up another one.
func TestRunnerProbesBesideEachOther(t *testing.T) {
	t.Parallel()
	r, a := NewRunner(Settings{}), make(answers, 10)
	gate := filepath.Join(t.TempDir(), "gate")
	running(t, r)
	r.Start("slow", config(check.Exec{Command: []string{"/bin/sh", "-c", "until [ -e " + gate + " ]; do sleep 0.01; done"}}, 20*time.Second), a.done)
	for i := range 20 {
		name := fmt.Sprint("quick", i)
		r.Start(name, config(check.File{Path: "/"}, time.Second), a.done)
		a.expect(t, name+" true / exists")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.expect(t, "slow true exit 0")
}

// fake is a probe under the control of the test: it tells of its start, and
// ends when it is told the result.
type fake struct {
	started chan string
	end     chan Result
}

func (f fake) once(ctx context.Context, cfg check.Config, _ Settings) Result {
	f.started <- cfg.Spec.(check.File).Path
	return <-f.end // whatever becomes of ctx
}

func TestRunnerNeverRunsTwoOfOneName(t *testing.T) {
	t.Parallel()
	r, a := NewRunner(Settings{}), make(answers, 10)
	f := fake{make(chan string, 10), make(chan Result)}
	r.once = f.once
	running(t, r)
	r.Start("web", config(check.File{Path: "/1"}, time.Minute), a.done)
	if got := <-f.started; got != "/1" {
		t.Fatalf("started %s", got)
	}
	r.Start("web", config(check.File{Path: "/2"}, time.Minute), a.done)
	r.Start("web", config(check.File{Path: "/3"}, time.Minute), a.done)
	r.Start("mail", config(check.File{Path: "/mail"}, time.Minute), a.done)
	if got := <-f.started; got != "/mail" {
		t.Fatalf("started %s beside the first one", got)
	}
	f.end <- Result{OK: true, Detail: "one"}
	f.end <- Result{OK: true, Detail: "one"} // web and mail, in any order
	a.expect(t, "mail true one")             // that of the first web is not wanted any more
	if got := <-f.started; got != "/3" {
		t.Fatalf("started %s, want the newest", got)
	}
	f.end <- Result{OK: true, Detail: "three"}
	a.expect(t, "web true three")
}

// A probe that the kernel does not let end is answered, and not started again.
func TestRunnerGivesUp(t *testing.T) {
	t.Parallel()
	r, a := NewRunner(Settings{}), make(answers, 10)
	f := fake{make(chan string, 10), make(chan Result)}
	r.once = f.once
	stop := running(t, r)
	cfg := config(check.File{Path: "/nfs"}, 20*ms)
	r.Start("nfs", cfg, a.done)
	<-f.started
	a.expect(t, "nfs false hangs in the kernel, not done within 20ms")
	r.Start("nfs", cfg, a.done)
	a.expect(t, "nfs false the last probe hangs in the kernel still")
	r.Start("nfs", cfg, a.done)
	a.expect(t, "nfs false the last probe hangs in the kernel still")
	if len(f.started) > 0 {
		t.Fatal("started a second one beside it")
	}
	f.end <- Result{OK: true, Detail: "back"} // much too late, and not wanted any more
	for {                                     // until the Runner has noticed
		r.Start("nfs", cfg, a.done)
		select {
		case got := <-a:
			if !strings.Contains(got, "hangs in the kernel") {
				t.Fatalf("got %q", got)
			}
		case <-f.started:
			f.end <- Result{OK: true, Detail: "fine"}
			a.expect(t, "nfs true fine")
			r.Start("nfs", cfg, a.done) // hangs at the end of Run
			<-f.started
			a.expect(t, "nfs false hangs in the kernel, not done within 20ms")
			stop()
			return
		}
	}
}

// The end of Run kills what runs, answers nothing, and waits for the end.
func TestRunnerStops(t *testing.T) {
	t.Parallel()
	r, a := NewRunner(Settings{}), make(answers, 10)
	stop := running(t, r)
	pids := filepath.Join(t.TempDir(), "pids")
	r.Start("hang", config(check.Exec{Command: []string{"/bin/sh", "-c", "sleep 64 & echo $! $$ >" + pids + "; wait"}}, time.Minute), a.done)
	var fields []string
	for deadline := time.Now().Add(20 * time.Second); len(fields) < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the program did not start")
		}
		text, _ := os.ReadFile(pids) // not there yet
		fields = strings.Fields(string(text))
	}
	start := time.Now()
	stop()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Run took %v to end", took)
	}
	if _, err := os.Stat("/proc/" + fields[1]); err == nil {
		t.Error("the program is still there")
	}
	if len(a) > 0 {
		t.Errorf("answered after the end: %s", <-a)
	}
	r.Start("hang", config(check.File{Path: "/"}, time.Second), a.done) // must not block
}
