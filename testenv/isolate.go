package testenv

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// isolated marks, in the environment, a process that Isolate has started. Its
// value is the parent's process id, since programs that run in a lab inherit the
// mark and may isolate themselves again, and the mount namespace that the process
// has left, so that a mark which came there in another way is not believed.
const isolated = "VIPD_TESTENV_ISOLATED"

// Isolated reports whether [Isolate] has started this process, so that its
// namespaces are its own.
func Isolated() bool { return isIsolated() }

// isIsolated looks once: the parent may end before this process does.
var isIsolated = sync.OnceValue(func() bool {
	parent, left, _ := strings.Cut(os.Getenv(isolated), " ")
	now := mountNS()
	return parent == strconv.Itoa(os.Getppid()) && strings.HasPrefix(left, "mnt:[") && now != "" && left != now
})

// mountNS names the mount namespace of the process, as in "mnt:[4026531841]".
func mountNS() string {
	name, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return "" // without /proc nothing here works, and no process is isolated
	}
	return name
}

// Isolate makes sure that the calling process runs in network and mount
// namespaces of its own, in which it is root. In the process that the user
// started it runs the same program again inside them, passes signals on, and
// reports done = true with the exit code to leave with. Inside, it reports
// done = false, and the caller goes on. An ordinary user gets a user namespace
// as well. An error says that this machine forbids namespaces, and what to do.
func Isolate() (done bool, code int, err error) {
	if Isolated() {
		return false, 0, enter()
	}
	cmd := again(os.Geteuid() != 0)
	err = cmd.Start()
	if errors.Is(err, syscall.EPERM) && os.Geteuid() == 0 {
		cmd = again(true) // root without CAP_SYS_ADMIN, as in a container
		err = cmd.Start()
	}
	if err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
			return true, 1, fmt.Errorf("start in namespaces of its own: %w (run as root, or allow user namespaces: "+
				"sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0)", err)
		}
		return true, 1, fmt.Errorf("start in namespaces of its own: %w", err)
	}
	forward := make(chan os.Signal, 4)
	signal.Notify(forward, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		for s := range forward {
			_ = cmd.Process.Signal(s) // it may have ended just now
		}
	}()
	err = cmd.Wait()
	signal.Stop(forward)
	close(forward)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return true, 1, fmt.Errorf("wait for the isolated process: %w", err)
	}
	return true, exitCode(cmd.ProcessState), nil
}

// again is the command that runs this program once more in namespaces of its
// own; asUser adds a user namespace in which the caller is root.
func again(asUser bool) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", isolated, os.Getpid(), mountNS()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if asUser {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}

// exitCode is the code to leave with: the child's own, or 128 and the signal
// that ended it, as a shell has it.
func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// enter prepares the fresh namespaces: mounts stay private, /sys shows this
// network namespace, and lo is up.
func enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	return loopbackUp()
}

// Main is the body of a TestMain for tests that need namespaces: it runs m
// inside an isolated process. Where namespaces are forbidden the tests fail if
// the list in the environment variable VIPD_REQUIRE names "netns"; otherwise m
// runs outside, where every test that calls [Require] skips and says why;
// examples, which cannot skip, are left out.
func Main(m *testing.M) int {
	done, code, err := Isolate()
	if err != nil {
		forbidden = err
		_ = flag.Set("test.skip", "^Example") // an explicit -skip comes after it and wins
		return m.Run()
	}
	if done {
		return code
	}
	return m.Run()
}
