package agent

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// script writes an agent. Without the lock a test that forks at that moment would
// keep it open for writing, and nobody could run it.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fence_test")
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func ask(v fence.Verb, timeout time.Duration) fence.RunAgent {
	return fence.RunAgent{ID: 7, Peer: "lb2", Device: "test", Verb: v, Timeout: timeout}
}

const minute = time.Minute

// What an agent does, and what is made of it. An agent that is not an ordinary
// one never counts as one that did it.
func TestPrograms(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text    string
		verb    fence.Verb
		timeout time.Duration
		want    fence.Ended
	}{
		"did it":             {"cat >/dev/null; echo 'Success: Powered OFF'", fence.VerbOff, minute, fence.Ended{Exit: 0, Detail: "exit 0: Success: Powered OFF"}},
		"reads off":          {"exit 2", fence.VerbStatus, minute, fence.Ended{Exit: 2, Detail: "exit 2, off"}},
		"bad options":        {"exit 2", fence.VerbOff, minute, fence.Ended{Exit: 2, Detail: "exit 2, bad options"}},
		"login denied":       {"echo '2026-11-21 15:51:01,125 ERROR: Failed: Unable to connect' >&2; exit 3", fence.VerbOff, minute, fence.Ended{Exit: 3, Detail: "exit 3, login denied: Unable to connect"}},
		"usage":              {"echo 'ERROR: no ip'; echo \"x ERROR: Please use '-h' for usage\"; exit 1", fence.VerbOff, minute, fence.Ended{Exit: 1, Detail: "exit 1: ERROR: no ip"}},
		"garbage":            {`printf 'a\0b\033[31m\377\n'; exit 9`, fence.VerbStatus, minute, fence.Ended{Exit: 9, Detail: "exit 9, status unknown: a b [31m"}},
		"floods":             {"head -c 5000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero >&2; echo; echo enough; exit 1", fence.VerbOff, minute, fence.Ended{Exit: 1, Detail: "exit 1: enough"}},
		"never ends":         {"echo wait; sleep 63", fence.VerbOff, 2 * time.Second, fence.Ended{Exit: -1, Late: true, Detail: "killed, not done within 2s: wait"}},
		"ignores SIGTERM":    {"trap '' TERM; echo no; while :; do sleep 63; done", fence.VerbOff, 2 * time.Second, fence.Ended{Exit: -1, Late: true, Detail: "killed, not done within 2s: no"}},
		"success when late":  {"exec 2>/dev/null; trap 'exit 0' TERM; while :; do sleep 0.05; done", fence.VerbOff, 2 * time.Second, fence.Ended{Exit: 0, Late: true, Detail: "killed, not done within 2s"}},
		"dies":               {"kill -SEGV $$", fence.VerbOff, minute, fence.Ended{Exit: -1, Detail: "killed by SIGSEGV"}},
		"forks away":         {"setsid sleep 63 & echo started; wait", fence.VerbOff, 2 * time.Second, fence.Ended{Exit: -1, Late: true, Detail: "killed, not done within 2s: started"}},
		"closes its input":   {"exec 0<&-; exit 1", fence.VerbOff, minute, fence.Ended{Exit: 1, Detail: "exit 1"}},
		"prints a secret":    {"cat; echo '--password=hunter2 is wrong'; exit 3", fence.VerbOff, minute, fence.Ended{Exit: 3, Detail: "exit 3, login denied: --password=*** is wrong"}},
		"has no permissions": {"grep CapEff /proc/self/status", fence.VerbStatus, minute, fence.Ended{Detail: "exit 0: CapEff: 0000000000000000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Device{fence.Device{Agent: script(t, tt.text)}, []fence.Option{{Name: "password", Value: "hunter2"}}}
			begin := time.Now()
			tt.want.ID = 7
			if diff := cmp.Diff(tt.want, Once(t.Context(), ask(tt.verb, tt.timeout), d, "")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if took := time.Since(begin); took > 50*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// Each code of 1–12 is a failure, but for 2 after status.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	for code := 1; code <= 12; code++ {
		end := Once(t.Context(), ask(fence.VerbOff, minute), Device{Device: fence.Device{Agent: script(t, fmt.Sprint("exit ", code))}}, "")
		if end.Exit != code || !strings.HasPrefix(end.Detail, fmt.Sprint("exit ", code)) {
			t.Errorf("code %d: %+v", code, end)
		}
	}
}

// An agent learns what it needs from its standard input, and from nowhere else.
func TestInput(t *testing.T) {
	t.Parallel()
	d := Device{
		Secrets: []fence.Option{{Name: "password", Value: "hunter2 #=\\\"'"}},
	}
	d.Options = []fence.Option{{Name: "ip", Value: "10.0.8.3"}, {Name: "lanplus", Value: "1"}}
	seen := filepath.Join(t.TempDir(), "seen")
	d.Agent = script(t, `{ cat; echo "args: $*"; tr '\0' '\n' </proc/$$/environ | sort; } >"`+seen+`"`)
	if end := Once(t.Context(), ask(fence.VerbOff, minute), d, ""); end.Exit != 0 {
		t.Fatal(end)
	}
	got, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	want := "ip=10.0.8.3\nlanplus=1\npassword=hunter2 #=\\\"'\nnodename=lb2\naction=off\nargs: \nLANG=C.UTF-8\n" +
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNoProgram(t *testing.T) {
	t.Parallel()
	end := Once(t.Context(), ask(fence.VerbOff, minute), Device{Device: fence.Device{Agent: "fence_of_nobody"}}, "")
	if end.Exit != -1 || !strings.HasPrefix(end.Detail, "start fence_of_nobody: no such program in ") {
		t.Errorf("got %+v", end)
	}
}

// The library of Debian's fence agents, by its dummy, and by one that lacks what
// it needs.
func TestFenceAgents(t *testing.T) {
	testenv.Require(t, "/usr/sbin/fence_dummy")
	t.Parallel()
	file := filepath.Join(t.TempDir(), "status")
	if err := os.WriteFile(file, []byte("on"), 0o644); err != nil {
		t.Fatal(err)
	}
	dummy := Device{Device: fence.Device{Agent: "fence_dummy", Options: []fence.Option{{Name: "status_file", Value: file}}}}
	fails := Device{Device: fence.Device{Agent: "fence_dummy", Options: []fence.Option{{Name: "plug", Value: "1"}, {Name: "power_timeout", Value: "1"}, {Name: "type", Value: "fail"}}}}
	lacks := Device{Device: fence.Device{Agent: "fence_ipmilan", Options: []fence.Option{{Name: "unknown", Value: "x"}}}}
	for _, tt := range []struct {
		d    Device
		verb fence.Verb
		want fence.Ended
	}{
		{dummy, fence.VerbStatus, fence.Ended{Exit: 0, Detail: "exit 0: Status: ON"}},
		{dummy, fence.VerbOff, fence.Ended{Exit: 0, Detail: "exit 0: Success: Powered OFF"}},
		{dummy, fence.VerbStatus, fence.Ended{Exit: 2, Detail: "exit 2, off: Status: OFF"}},
		{dummy, fence.VerbOff, fence.Ended{Exit: 0, Detail: "exit 0: Success: Already OFF"}},
		{dummy, fence.VerbOn, fence.Ended{Exit: 0, Detail: "exit 0: Success: Powered ON"}},
		{fails, fence.VerbOff, fence.Ended{Exit: 1, Detail: "exit 1: Timed out waiting to power OFF"}},
		{lacks, fence.VerbOff, fence.Ended{Exit: 1, Detail: "exit 1: You have to enter fence address"}},
		{lacks, fence.VerbStatus, fence.Ended{Exit: 1, Detail: "exit 1: You have to enter fence address"}},
	} {
		tt.want.ID = 7
		if diff := cmp.Diff(tt.want, Once(t.Context(), ask(tt.verb, minute), tt.d, "")); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", tt.d.Agent, tt.verb, diff)
		}
	}
}

// A Runner answers each that is asked for, once; one that is stopped ends.
func TestRunner(t *testing.T) {
	t.Parallel()
	r := NewRunner(slog.New(slog.DiscardHandler))
	there := filepath.Join(t.TempDir(), "there")
	r.Configure("", map[string]Device{
		"quick": {Device: fence.Device{Agent: script(t, "exit 2")}},
		"slow":  {Device: fence.Device{Agent: script(t, "touch "+there+"; sleep 63")}},
	})
	ended := make(chan fence.Ended, 4)
	done := func(e fence.Ended) { ended <- e }
	quick, slow, gone := ask(fence.VerbStatus, minute), ask(fence.VerbOff, minute), ask(fence.VerbOff, minute)
	quick.Device, quick.ID, slow.Device, slow.ID, gone.ID = "quick", 1, "slow", 2, 3
	r.Start(quick, done)
	stopped := make(chan struct{})
	go func() { r.Run(t.Context()); close(stopped) }()
	if diff := cmp.Diff(fence.Ended{ID: 1, Exit: 2, Detail: "exit 2, off"}, <-ended); diff != "" {
		t.Error(diff)
	}
	r.Start(gone, done)
	if diff := cmp.Diff(fence.Ended{ID: 3, Exit: -1, Detail: "there is no such device any more"}, <-ended); diff != "" {
		t.Error(diff)
	}
	r.Start(slow, done)
	if err := testenv.Until(t.Context(), func() bool { _, err := os.Stat(there); return err == nil }); err != nil {
		t.Fatal(err)
	}
	r.Stop("lb1", 2) // another peer's
	r.Stop("lb2", 2)
	if diff := cmp.Diff(fence.Ended{ID: 2, Exit: -1, Detail: "stopped"}, <-ended); diff != "" {
		t.Error(diff)
	}
}
