package probe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// TestProgramsAreOrdinary: what the unit gives vipd, more of the processor and
// no end when memory runs out, is not for the programs that it starts.
func TestProgramsAreOrdinary(t *testing.T) {
	testenv.Require(t)
	if singleUser(t) {
		t.Skip("a user namespace gives nobody more than others")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VIPD_TEST_FAVOURED=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "own nice -5 oom 500\nexit 0: nice 0 oom 0\nexit 0: nice 0 oom 0\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// favouredParent is the program of TestProgramsAreOrdinary: it makes itself
// another than others (to be spared is not for every root to ask) and prints what its children have, of a check and of a hook. They look until they
// have been made ordinary, which is right after they have started.
func favouredParent() {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0); err != nil {
		fmt.Println(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fmt.Println(err)
	}
	for _, thread := range threads {
		var tid int
		if _, err := fmt.Sscan(thread.Name(), &tid); err != nil {
			fmt.Println(err)
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, -5); err != nil {
			fmt.Println(err)
		}
	}
	oom, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		fmt.Println(err)
	}
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println("own nice", 20-nice, "oom", strings.TrimSpace(string(oom)))
	const look = "until [ $(cat /proc/$$/oom_score_adj) = 0 ]; do :; done; echo nice $(nice) oom $(cat /proc/$$/oom_score_adj)"
	sh := []string{"/bin/sh", "-c", look}
	fmt.Println(Once(context.Background(), config(check.Exec{Command: sh}, 20*time.Second), Settings{}).Detail)
	fmt.Println(program.Run(context.Background(), program.Program{Command: sh, Timeout: 20 * time.Second, Grace: time.Second}).Detail)
}
