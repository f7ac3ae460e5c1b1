package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// SearchPath is the PATH of programs, and where names without a slash are
// looked up. vipd's own PATH does not matter: it differs between a shell and a
// unit.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// command makes p ready to be started.
func command(p Program) (*exec.Cmd, error) {
	if len(p.Command) == 0 || p.Command[0] == "" {
		return nil, errors.New("no command to run")
	}
	path, err := lookup(p.Command[0])
	if err != nil {
		return nil, err
	}
	cred, err := credential(p.User)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: path,
		Args: p.Command,
		Env:  append([]string{"PATH=" + SearchPath, "LANG=C.UTF-8"}, p.Env...),
		Dir:  "/",
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:    true,
			Pdeathsig:  syscall.SIGKILL, // no orphans when vipd itself is killed
			Credential: cred,
		},
	}, nil
}

// lookup finds a program by its absolute path or by its name in SearchPath.
func lookup(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if strings.Contains(name, "/") {
		return "", fmt.Errorf("start %s: not an absolute path", name)
	}
	for _, dir := range filepath.SplitList(SearchPath) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("start %s: no such program in %s", name, SearchPath)
}

// credential is what a program needs to run as the user (a name or a uid), nil
// when that is who we are.
func credential(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("run as %s: no such user", name)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run as %s: uid %s: %w", name, u.Uid, err)
	}
	if int(uid) == os.Geteuid() {
		return nil, nil
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run as %s: gid %s: %w", name, u.Gid, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("run as %s: look up its groups: %w", name, err)
	}
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range ids {
		if g, err := strconv.ParseUint(id, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(g))
		}
	}
	return cred, nil
}

// process is a running program, the leader of its process group.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended; it is not reaped by then
}

// start starts cmd in a thread of its own, which prepare makes ready, and watches
// for its end.
func start(cmd *exec.Cmd, prepare func() error) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.exited)
		// Never unlocked. The thread ends with this goroutine: it has lost its
		// capabilities, and Pdeathsig is sent when it ends.
		runtime.LockOSThread()
		ordinaryNice()
		err := prepare()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			ordinaryOOM(cmd.Process.Pid)
		}
		started <- err
		if err == nil {
			awaitExit(cmd.Process.Pid)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// ordinaryNice gives the programs that the calling thread starts the usual share
// of the processor, when vipd has more. It is no reason not to start them that
// this is not allowed.
func ordinaryNice() {
	const usual = 20 // as the system call counts: 20 - nice
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && n > usual {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	}
}

// uncommon reports whether vipd is spared, or the opposite, when memory runs out.
var uncommon = sync.OnceValue(func() bool {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	return err == nil && strings.TrimSpace(string(text)) != "0"
})

// ordinaryOOM lets a program that has started be chosen like others when memory
// runs out: it may be the one that eats it.
func ordinaryOOM(pid int) {
	if uncommon() {
		// It fails only when the program has ended already.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
	}
}

// disarm leaves nothing to inherit to the programs that the calling thread
// starts: no capability, and no way to gain one from a file. Unless the thread
// has to change the user, it gives up its own, which root's programs cannot
// exceed then. Changing the user takes them away.
func disarm(changesUser bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := dropAmbient(); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3} // of this thread
	var sets [2]unix.CapUserData
	if changesUser {
		if err := unix.Capget(&header, &sets[0]); err != nil {
			return err
		}
		sets[0].Inheritable, sets[1].Inheritable = 0, 0
	}
	return unix.Capset(&header, &sets[0])
}

// dropAmbient keeps what a unit gave to vipd from the programs that the calling
// thread starts. Root's have root's own.
func dropAmbient() error {
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

// awaitExit blocks until a child has ended, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// wait waits for the end of the program or of ctx, kills whatever is left, and
// reaps the program. It reports whether ctx ended first.
func (p *process) wait(ctx context.Context) (killed bool) {
	// Until it is reaped nobody else can get its number or that of the group.
	select {
	case <-p.exited:
	case <-ctx.Done():
		killed = true
		killTree(p.cmd.Process.Pid)
	}
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // no process left is no error
	<-p.exited
	_ = p.cmd.Wait() // its verdict is in ProcessState
	return killed
}
