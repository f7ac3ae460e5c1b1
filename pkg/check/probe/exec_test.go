package probe

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

func TestExec(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sh := func(text string) []string { return []string{"/bin/sh", "-c", text} }
	for _, tt := range []struct {
		name   string
		argv   []string
		ok     bool
		detail string
	}{
		{"good and silent", []string{"/bin/true"}, true, "exit 0"},
		{"found by name", []string{"true"}, true, "exit 0"},
		{"good, with words", sh("echo connecting; echo fine"), true, "exit 0: fine"},
		{"bad", sh("echo 'backend 3 of 5'; exit 1"), false, "exit 1: backend 3 of 5"},
		{"standard error counts as well", sh("echo oops >&2; exit 7"), false, "exit 7: oops"},
		{"blank lines around", sh("echo; echo here; echo '  '; echo; printf '\\033\\t'; exit 2"), false, "exit 2: here"},
		{"the last of many", sh("seq 100000"), true, "exit 0: 100000"},
		{"long line, then a short one", sh("head -c 100000 /dev/zero | tr '\\0' x; echo; echo short"), true, "exit 0: short"},
		{"no newline at the end", sh("printf half; exit 2"), false, "exit 2: half"},
		{"control characters and broken UTF-8", sh(`printf '\033[31mred\033[0m\000\tx\377y\n'`), true, "exit 0: [31mred [0m  xy"},
		{"long line is cut", sh("head -c 100000 /dev/zero | tr '\\0' x"), true, "exit 0: " + strings.Repeat("x", 512)},
		{"ended by a signal", sh("kill -SEGV $$"), false, "killed by SIGSEGV"},
		{"kills itself hard", sh("echo bye; kill -KILL $$"), false, "killed by SIGKILL: bye"},
		{"no input to wait for", []string{"/bin/cat"}, true, "exit 0"},
		{"arguments are not parsed by a shell", []string{"/bin/echo", "$HOME; *"}, true, "exit 0: $HOME; *"},
		{"no command", nil, false, "no command to run"},
		{"empty command", []string{""}, false, "no command to run"},
		{"missing program", []string{"/nonexistent/check"}, false, "start /nonexistent/check: no such program"},
		{"missing name", []string{"vipd-no-such"}, false, "start vipd-no-such: no such program in " + program.SearchPath},
		{"relative path", []string{"bin/check"}, false, "start bin/check: not an absolute path"},
		{"not executable", []string{plain}, false, "start " + plain + ": not executable"},
		{"a directory", []string{dir}, false, "start " + dir + ": not executable"},
		{"missing interpreter", []string{script(t, "#!/nonexistent/sh\n")}, false, "*: the interpreter in its first line is missing"},
		{"no first line", []string{script(t, "echo hello\n")}, false, "*: not a program, and no #! line either"},
		{"NUL in an argument", []string{"/bin/echo", "a\x00b"}, false, "start /bin/echo: invalid argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Once(t.Context(), config(check.Exec{Command: tt.argv}, 20*time.Second), Settings{Check: "web"})
			if tail, any := strings.CutPrefix(tt.detail, "*"); any && strings.HasSuffix(got.Detail, tail) {
				got.Detail = tt.detail
			}
			if got.OK != tt.ok || got.Detail != tt.detail {
				t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, tt.ok, tt.detail)
			}
			if got.Took <= 0 {
				t.Errorf("took %v", got.Took)
			}
		})
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("VIPD_SECRET", "do not tell")
	t.Setenv("PATH", "/nonexistent")
	got := Once(t.Context(), config(check.Exec{Command: []string{"/bin/sh", "-c", "/usr/bin/env | /usr/bin/sort | /usr/bin/tr '\\n' ' '; pwd"}}, 20*time.Second),
		Settings{Check: "web"})
	want := "exit 0: LANG=C.UTF-8 PATH=" + program.SearchPath + " PWD=/ VIPD_CHECK=web /"
	if got.Detail != want {
		t.Errorf("got  %s\nwant %s", got.Detail, want)
	}
}

func TestExecTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, want string
	}{
		{"sleeps", "exec sleep 60", "killed, not done within 200ms"},
		{"ignores signals", "trap '' TERM INT HUP; echo stubborn; while :; do sleep 60; done", "killed, not done within 200ms: stubborn"},
		{"waits for children", "sleep 60 & sleep 60 & wait", "killed, not done within 200ms"},
		{"prints without end", "yes x", "killed, not done within 200ms: x"},
		{"forks without end", "while :; do sleep 60 & done", "killed, not done within 200ms"},
		{"prints without a newline", "exec cat /dev/zero", "killed, not done within 200ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got := Once(t.Context(), config(check.Exec{Command: []string{"/bin/sh", "-c", tt.text}}, 200*ms), Settings{})
			if got.OK || got.Detail != tt.want {
				t.Errorf("got %v %q, want %q", got.OK, got.Detail, tt.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v for a timeout of 200ms", took)
			}
		})
	}
}

// A program that ends while its children hold its output open is judged at
// once, and the children are killed.
func TestExecLeavesChildren(t *testing.T) {
	t.Parallel()
	there := filepath.Join(t.TempDir(), "there")
	for _, tt := range []struct{ name, text string }{
		{"in its group", "sleep 61 & echo started"},
		{"in a session of their own", "setsid sh -c 'echo started; touch " + there + "; exec sleep 20' & until [ -e " + there + " ]; do :; done"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got := Once(t.Context(), config(check.Exec{Command: []string{"/bin/sh", "-c", tt.text}}, 30*time.Second), Settings{})
			if want := "exit 0: started"; !got.OK || got.Detail != want {
				t.Errorf("got %v %q, want %q", got.OK, got.Detail, want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A gigabyte of output neither blocks the program nor stays in memory.
func TestExecFlood(t *testing.T) {
	t.Parallel()
	size := 1 << 30
	if testing.Short() {
		size = 64 << 20
	}
	got := Once(t.Context(), config(check.Exec{Command: []string{"/bin/sh", "-c",
		fmt.Sprintf("echo word; head -c %d /dev/zero; exit 3", size)}}, time.Minute), Settings{})
	if want := "exit 3: word"; got.Detail != want {
		t.Errorf("got %q, want %q", got.Detail, want)
	}
}

// Ten thousand hanging programs, many of which fork and leave their group, leave
// no process, no zombie, no thread and no descriptor.
func TestExecLeaksNothing(t *testing.T) {
	testenv.Require(t) // alone in its own process, so that counting is possible
	hang := []string{"/bin/sleep", "62"}
	fork := []string{script(t, "#!/bin/sh\n(sleep 62 & sleep 62) &\nsetsid sh -c 'sleep 62; :' &\ncat /dev/zero | sleep 62\n")}
	mark := fmt.Sprint("leak-test-", os.Getpid())
	before, threads := descriptors(t), entries(t, "/proc/self/task")
	const workers = 8
	runs := 10_000
	if testing.Short() {
		runs = 800
	}
	start := time.Now()
	done := make(chan error, workers)
	for w := range workers {
		go func() {
			for i := range runs / workers {
				spec, timeout := check.Exec{Command: hang}, 2*ms
				if i%50 == 0 {
					spec.Command, timeout = fork, 30*ms
				}
				got := Once(t.Context(), config(spec, timeout), Settings{Check: mark})
				if got.OK || !strings.HasPrefix(got.Detail, "killed, not done") {
					done <- fmt.Errorf("worker %d run %d: %v %q", w, i, got.OK, got.Detail)
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d runs took %v", runs, time.Since(start).Round(ms))
	// Killed processes need a moment to end; nothing tells us when the last one has.
	for deadline := time.Now().Add(10 * time.Second); ; {
		left, more := marked(t, "VIPD_CHECK="+mark), entries(t, "/proc/self/task")-threads
		if len(left) == 0 && more < 2*workers {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d processes left: %v; %d more threads", len(left), left, more)
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if all, err := os.ReadFile(list); err == nil && len(all) > 0 {
			t.Errorf("children left, as zombies perhaps: %s", all)
		}
	}
}

// A program that leaves its group, directly or through others, is killed with its
// parents at the timeout.
func TestExecKillsSessions(t *testing.T) {
	testenv.Require(t)
	mark := fmt.Sprint("session-test-", os.Getpid())
	there := filepath.Join(t.TempDir(), "there")
	text := "setsid sh -c 'setsid sh -c \"touch " + there + "; sleep 62; :\"; :' & until [ -e " + there + " ]; do :; done; wait"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan Result, 1)
	go func() {
		result <- Once(ctx, config(check.Exec{Command: []string{"/bin/sh", "-c", text}}, time.Minute), Settings{Check: mark})
	}()
	waitFor(t, "the innermost session", func() bool { _, err := os.Stat(there); return err == nil })
	if n := len(marked(t, "VIPD_CHECK="+mark)); n < 3 {
		t.Fatalf("%d processes before the end, want 3 at least", n)
	}
	cancel()
	if got := <-result; got.OK {
		t.Errorf("got %q", got.Detail)
	}
	waitFor(t, "the end of all", func() bool { return len(marked(t, "VIPD_CHECK="+mark)) == 0 })
}

// A program that is deleted while it runs, and started again afterwards.
func TestExecVanishes(t *testing.T) {
	t.Parallel()
	path := script(t, "#!/bin/sh\nrm \"$0\"; echo gone\n")
	spec := config(check.Exec{Command: []string{path}}, 20*time.Second)
	for _, want := range []string{"exit 0: gone", "start " + path + ": no such program"} {
		if got := Once(t.Context(), spec, Settings{}); got.Detail != want {
			t.Errorf("got %q, want %q", got.Detail, want)
		}
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	return entries(t, "/proc/self/fd")
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// marked finds living processes by a word of their environment.
func marked(t *testing.T, word string) (pids []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if env, err := os.ReadFile(path); err == nil && bytes.Contains(env, []byte(word)) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// When vipd itself is killed, its programs end with it.
func TestExecEndsWithItsParent(t *testing.T) {
	testenv.Require(t)
	mark := fmt.Sprint("orphan-test-", os.Getpid())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VIPD_TEST_PARENT="+mark)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the program", func() bool { return len(marked(t, "VIPD_CHECK="+mark)) > 0 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	waitFor(t, "its end", func() bool { return len(marked(t, "VIPD_CHECK="+mark)) == 0 })
}

// parentToBeKilled is the program that TestExecEndsWithItsParent kills.
func parentToBeKilled(mark string) {
	Once(context.Background(), config(check.Exec{Command: []string{"/bin/sleep", "63"}}, time.Minute), Settings{Check: mark})
}

// Programs have no capability and cannot gain one, whether vipd is root or was
// given some by its unit.
func TestExecHasNoCapabilities(t *testing.T) {
	testenv.Require(t)
	const capNetRaw = 13
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VIPD_TEST_CAPABLE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: []uintptr{capNetRaw}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "own CapAmb: 0000000000002000\nexit 0: uid 0 CapInh: 0000000000000000 CapPrm: 0000000000000000 " +
		"CapEff: 0000000000000000 CapAmb: 0000000000000000 NoNewPrivs: 1\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// parentWithCapabilities is the program of TestExecHasNoCapabilities: it prints
// its own ambient capabilities and what its child has.
func parentWithCapabilities() {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapAmb:"); ok {
			fmt.Println("own CapAmb:", strings.TrimSpace(value))
		}
	}
	got := Once(context.Background(), config(check.Exec{Command: []string{"/bin/sh", "-c",
		"echo uid $(id -u) $(grep -E 'Cap|NoNewPrivs' /proc/self/status | grep -v CapBnd)"}}, 20*time.Second), Settings{})
	fmt.Println(got.Detail)
}

func TestExecUser(t *testing.T) {
	testenv.Require(t)
	sh := []string{"/bin/sh", "-c", "echo $(id -u):$(id -G) $(grep CapEff /proc/self/status)"}
	nobody := "exit 0: 65534:65534 CapEff: 0000000000000000"
	if singleUser(t) {
		nobody = "start /bin/sh as uid 65534: "
	}
	for _, tt := range []struct {
		name, own, script, want string
	}{
		{"vipd's own by default", "", "", "exit 0: 0:"},
		{"the script user", "", "nobody", nobody},
		{"the check's own user wins", "nobody", "root", nobody},
		{"root by name", "root", "nobody", "exit 0: 0:"},
		{"by number", "65534", "", nobody},
		{"unknown", "no-such-user", "", "run as no-such-user: no such user"},
		{"unknown number", "54321", "", "run as 54321: no such user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Once(t.Context(), config(check.Exec{Command: sh, User: tt.own}, 20*time.Second), Settings{User: tt.script})
			if !strings.HasPrefix(got.Detail, tt.want) {
				t.Errorf("got %q, want %q", got.Detail, tt.want)
			}
		})
	}
}

// singleUser reports whether the user namespace knows one user only, so that
// nothing can run as another.
func singleUser(t *testing.T) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data))
	count, err := strconv.Atoi(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	return len(fields) == 3 && count == 1
}
