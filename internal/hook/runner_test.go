package hook

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/program"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// harness is a running Runner.
type harness struct {
	*Runner
	t    *testing.T
	done chan Done
	end  context.CancelFunc
	over chan struct{} // closed when Run has returned
}

func run(t *testing.T, r *Runner) *harness {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &harness{Runner: r, t: t, done: make(chan Done, 5000), end: cancel, over: make(chan struct{})}
	go func() {
		defer close(h.over)
		r.Run(ctx, func(d Done) { h.done <- d })
	}()
	t.Cleanup(func() { cancel(); <-h.over })
	return h
}

// next waits for an answer.
func (h *harness) next() Done {
	h.t.Helper()
	select {
	case d := <-h.done:
		return d
	case <-time.After(time.Minute):
		h.t.Fatal("no answer within a minute")
		return Done{}
	}
}

func sh(text string) []string { return []string{"/bin/sh", "-c", text, "hook"} }

func change(i int) Change {
	c := active
	c.ID = uint64(i)
	return c
}

// TestNotify runs a real program and looks at all that it gets.
func TestNotify(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "out")
	h := run(t, NewRunner(quiet))
	h.Configure(Settings{Node: "lb1"}, map[Subject]Hooks{web: {
		Notify: sh(`{ echo "$@"; env | grep -v PWD= | sort; cat; } > ` + file + `; echo "said it"`), Timeout: time.Minute,
	}})
	h.Notify(active)
	d := h.next()
	if d.Kind != Notify || d.Result != OK || d.Detail != "exit 0: said it" || d.Took <= 0 || d.Change.ID != 42 {
		t.Errorf("done %+v", d)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{"LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, active.environment(Settings{Node: "lb1"})...)
	slices.Sort(want)
	want = slices.Concat([]string{"INSTANCE web MASTER 150"}, want, []string{`{"schema":"vipd.event/v1","seq":42}`, ""})
	if diff := cmp.Diff(want, strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestResults: hooks that end badly say how, and hold nobody up for longer than
// their timeout.
func TestResults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		argv   []string
		result Result
		detail string
	}{
		{"exit code", sh("echo oops; exit 3"), Failed, "exit 3: oops"},
		{"signal", sh("kill -KILL $$"), Failed, "killed by SIGKILL"},
		{"missing", []string{"/nonexistent/notify.sh"}, Failed, "start /nonexistent/notify.sh: no such program"},
		{"hangs", sh("exec sleep 60"), Timeout, "killed, not done within 200ms"},
		{"forks", sh("sleep 60 & sleep 60 & wait"), Timeout, "killed, not done within 200ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := run(t, NewRunner(quiet))
			timeout := time.Minute
			if tt.result == Timeout {
				timeout = 200 * time.Millisecond
			}
			h.Configure(Settings{}, map[Subject]Hooks{web: {Notify: tt.argv, Timeout: timeout}})
			h.Notify(active)
			if d := h.next(); d.Result != tt.result || d.Detail != tt.detail {
				t.Errorf("done %+v, want %s %q", d, tt.result, tt.detail)
			}
			if n := h.Counters().Runs[Run{Notify, tt.result}]; n != 1 {
				t.Errorf("counted %d", n)
			}
		})
	}
}

// TestOrder: the programs of one VIP run one at a time and in order.
func TestOrder(t *testing.T) {
	t.Parallel()
	const n = 40
	dir := t.TempDir()
	lock, log := filepath.Join(dir, "lock"), filepath.Join(dir, "log")
	h := run(t, NewRunner(quiet))
	h.Configure(Settings{}, map[Subject]Hooks{web: {
		Notify: sh("mkdir " + lock + " || exit 9; echo $VIPD_EVENT_ID >> " + log + "; rmdir " + lock), Timeout: time.Minute,
	}})
	for i := range n {
		h.Notify(change(i))
	}
	var want []string
	for i := range n {
		if d := h.next(); d.Result != OK || d.Change.ID != uint64(i) {
			t.Fatalf("answer %d: %+v", i, d)
		}
		want = append(want, strconv.Itoa(i))
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, strings.Fields(string(text))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// fake is a program that ends when it is told.
type fake struct {
	mu      sync.Mutex
	running map[string]int // by VIPD_NAME
	most    int            // at once, of one name
	ran     []string       // VIPD_EVENT_ID
	release chan struct{}
}

func (f *fake) run(ctx context.Context, p program.Program) program.Ended {
	value := func(key string) string {
		i := slices.IndexFunc(p.Env, func(s string) bool { return strings.HasPrefix(s, key+"=") })
		return strings.TrimPrefix(p.Env[i], key+"=")
	}
	name := value("VIPD_NAME")
	f.mu.Lock()
	f.running[name]++
	f.most = max(f.most, f.running[name])
	f.ran = append(f.ran, value("VIPD_EVENT_ID"))
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running[name]--
		f.mu.Unlock()
	}()
	select {
	case <-f.release:
		return program.Ended{OK: true, Detail: "exit 0", Took: time.Second}
	case <-ctx.Done():
		return program.Ended{Killed: true, Detail: "stopped", Took: time.Second}
	}
}

func faked(hooks Hooks) (*Runner, *fake) {
	f := &fake{running: map[string]int{}, release: make(chan struct{})}
	r := NewRunner(quiet)
	r.once = f.run
	r.Configure(Settings{}, map[Subject]Hooks{web: hooks, {Name: "mail"}: hooks})
	return r, f
}

// TestBurst: a thousand changes in one go. The queue is bounded, what is left out
// is the oldest and is reported, and every change is answered once.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := faked(Hooks{Notify: sh(""), Timeout: time.Hour})
		h := run(t, r)
		h.Notify(change(0))
		synctest.Wait() // it runs
		for i := 1; i < 1000; i++ {
			h.Notify(change(i))
		}
		if n := h.Counters().Waiting; n != queueMost {
			t.Errorf("%d wait, want %d", n, queueMost)
		}
		close(f.release)
		synctest.Wait()
		results, ids := map[Result]int{}, map[uint64]bool{}
		for range 1000 {
			d := <-h.done
			results[d.Result]++
			ids[d.Change.ID] = true
		}
		if diff := cmp.Diff(map[Result]int{OK: 1 + queueMost, Dropped: 1000 - 1 - queueMost}, results); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if len(ids) != 1000 {
			t.Errorf("%d of 1000 changes answered", len(ids))
		}
		want := []string{"0"}
		for i := 1000 - queueMost; i < 1000; i++ {
			want = append(want, strconv.Itoa(i))
		}
		if diff := cmp.Diff(want, f.ran); diff != "" {
			t.Errorf("ran (-want +got)\n%s", diff)
		}
		if f.most != 1 {
			t.Errorf("%d at once", f.most)
		}
		c := h.Counters()
		if c.Runs[Run{Notify, Dropped}] != 1000-1-queueMost || c.Took[Notify].Count != 1+queueMost || c.Waiting != 0 || len(r.queues) != 0 {
			t.Errorf("counters %+v, queues %v", c, r.queues)
		}
	})
}

// TestCoalesce: only the newest of those that wait is told.
func TestCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := faked(Hooks{Notify: sh(""), Timeout: time.Hour, Coalesce: true})
		h := run(t, r)
		h.Notify(change(0))
		synctest.Wait()
		for i := 1; i < 1000; i++ {
			h.Notify(change(i))
		}
		close(f.release)
		synctest.Wait()
		if diff := cmp.Diff([]string{"0", "999"}, f.ran); diff != "" {
			t.Errorf("ran (-want +got)\n%s", diff)
		}
		results := map[Result]int{}
		for range 1000 {
			results[(<-h.done).Result]++
		}
		if diff := cmp.Diff(map[Result]int{OK: 2, "": 998}, results); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if n := h.Counters().Runs[Run{Notify, Coalesced}]; n != 998 {
			t.Errorf("counted %d", n)
		}
	})
}

// TestSideBySide: a hook that hangs holds up no other VIP, nor the before_hold of
// its own.
func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := faked(Hooks{Notify: sh(""), BeforeHold: sh(""), Timeout: time.Hour})
		h := run(t, r)
		other := active
		other.Name = "mail"
		h.Notify(active)
		h.Notify(other)
		h.Before(active, 1, time.Hour)
		synctest.Wait()
		if diff := cmp.Diff(map[string]int{"web": 2, "mail": 1}, f.running); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		close(f.release)
	})
}

// TestHangsInKernel: a program that cannot be killed is reported, the next one of
// its VIP waits for it, and the end of Run does not.
func TestHangsInKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := faked(Hooks{Notify: sh(""), Timeout: time.Second})
		stuck := make(chan struct{})
		r.once = func(context.Context, program.Program) program.Ended { <-stuck; return program.Ended{OK: true} }
		h := run(t, r)
		h.Notify(change(0))
		h.Notify(change(1))
		if d := h.next(); d.Result != Timeout || d.Detail != "hangs in the kernel, not done within 1s" {
			t.Errorf("done %+v", d)
		}
		<-time.After(time.Hour)
		if n := h.Counters().Waiting; n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
		h.end()
		<-h.over
		close(stuck)
	})
}

// TestReconfigure: a change is told with the hooks of its time.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := faked(Hooks{Notify: sh(""), Timeout: time.Hour})
		h := run(t, r)
		h.Notify(change(0))
		synctest.Wait()
		h.Notify(change(1))
		h.Configure(Settings{}, map[Subject]Hooks{web: {}})
		h.Notify(change(2))
		synctest.Wait()
		if d := <-h.done; d.Result != "" || d.Change.ID != 2 {
			t.Errorf("without a program: %+v", d)
		}
		h.Forget(web)
		h.Notify(change(3))
		synctest.Wait()
		if d := <-h.done; d.Result != "" || d.Change.ID != 3 {
			t.Errorf("forgotten: %+v", d)
		}
		close(f.release)
		synctest.Wait()
		if diff := cmp.Diff([]string{"0", "1"}, f.ran); diff != "" {
			t.Errorf("ran (-want +got)\n%s", diff)
		}
	})
}

// TestEnd: the end of Run kills what runs.
func TestEnd(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	h := run(t, NewRunner(quiet))
	h.Configure(Settings{}, map[Subject]Hooks{web: {
		Notify: sh("trap '' TERM; echo $$ > " + pidFile + ".new; mv " + pidFile + ".new " + pidFile + "; while :; do sleep 60; done"), Timeout: time.Hour,
	}})
	h.Notify(active)
	var pid []byte
	for deadline := time.Now().Add(time.Minute); len(pid) == 0; {
		if pid, _ = os.ReadFile(pidFile); time.Now().After(deadline) {
			t.Fatal("it did not start")
		}
	}
	h.end()
	<-h.over
	if _, err := os.Stat(fmt.Sprintf("/proc/%s/stat", strings.TrimSpace(string(pid)))); err == nil {
		t.Errorf("process %s is left", pid)
	}
}
