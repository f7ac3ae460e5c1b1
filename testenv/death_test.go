package testenv_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
)

// deathRole makes the test binary the process that is killed.
const deathRole = "TESTENV_DIES"

// What runs in a lab ends with the process of the lab, even by SIGKILL.
func TestDeath(t *testing.T) {
	if os.Getenv(deathRole) != "" {
		die(t)
		return
	}
	t.Parallel()
	testenv.Require(t)
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestDeath$", "-test.v")
	cmd.Env = append(os.Environ(), deathRole+"=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	pid := 0
	var said strings.Builder
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if s, found := strings.CutPrefix(lines.Text(), "pid "); found {
			pid, err = strconv.Atoi(s)
			ok(t, err)
		}
		said.WriteString(lines.Text() + "\n")
	}
	if pid == 0 {
		t.Fatalf("the lab did not start:\n%s", said.String())
	}
	ok(t, unix.Kill(pid, 0))
	ok(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	testenv.Eventually(t, 5*time.Second, "the process in the lab is gone", func() bool {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return errors.Is(err, os.ErrNotExist) || strings.Contains(string(state), ") Z ")
	})
}

func die(t *testing.T) {
	l := testenv.TestLab(t)
	h, err := l.Host("lb1")
	ok(t, err)
	p, err := h.Start(exec.Command("/bin/sleep", "600"))
	ok(t, err)
	_, err = os.Stdout.WriteString("pid " + strconv.Itoa(p.Pid()) + "\n")
	ok(t, err)
	<-t.Context().Done() // the parent kills this process
}
