package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NS is a network namespace. It has no name on the machine and ends with
// [NS.Close] and the last process or socket in it.
type NS struct {
	file *os.File
	nl   *netlink.Handle

	mu     sync.Mutex
	starts chan start // to the thread that starts processes; nil until the first
	closed bool
}

// start asks the keeper thread to start a process.
type start struct {
	cmd  *exec.Cmd
	done chan error
}

// NewNS makes an empty network namespace with lo up.
func NewNS() (*NS, error) {
	ns := &NS{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare network namespace: %w", err)
		}
		var err error
		if ns.file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		if err := loopbackUp(); err != nil {
			return err
		}
		ns.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ns, nil
}

// Fd is the descriptor of the namespace, for moving a link into it.
func (ns *NS) Fd() int { return int(ns.file.Fd()) }

// Netlink is a handle that works in the namespace, from any goroutine.
func (ns *NS) Netlink() *netlink.Handle { return ns.nl }

// Do calls fn on a thread inside the namespace. Sockets that fn opens stay in
// the namespace and may be used anywhere afterwards. fn must not start
// goroutines that open sockets: those would run outside.
func (ns *NS) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(ns.Fd(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return fn()
	})
}

// Start starts cmd inside the namespace. The process is killed when the
// namespace is closed and when the calling process dies, however that happens:
// its parent is a thread that lives exactly as long. (A process that changes
// its user or gains capabilities loses that bond, see PR_SET_PDEATHSIG.)
func (ns *NS) Start(cmd *exec.Cmd) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.closed {
		return fmt.Errorf("start %s: %w", cmd.Path, os.ErrClosed)
	}
	if ns.starts == nil {
		ns.starts = make(chan start)
		go ns.keep(ns.starts)
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	s := start{cmd: cmd, done: make(chan error, 1)}
	ns.starts <- s
	return <-s.done
}

// keep starts processes on one thread inside the namespace until the channel
// is closed.
func (ns *NS) keep(starts <-chan start) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	err := unix.Setns(ns.Fd(), unix.CLONE_NEWNET)
	for s := range starts {
		if err != nil {
			s.done <- fmt.Errorf("enter network namespace: %w", err)
			continue
		}
		s.done <- s.cmd.Start()
	}
}

// Close gives the namespace up and kills what [NS.Start] started in it; the
// kernel removes the namespace with its last user. A second call does nothing.
func (ns *NS) Close() error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.closed {
		return nil
	}
	ns.closed = true
	if ns.starts != nil {
		close(ns.starts)
	}
	ns.nl.Close()
	return ns.file.Close()
}

// onThread runs fn on an operating-system thread of its own, which ends with
// fn, so that no other goroutine ever runs on a thread whose namespace changed.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		done <- fn()
	}()
	return <-done
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
