package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NS is a network namespace. It has no name on the machine and ends with
// [NS.Close] and the last process or socket in it.
type NS struct {
	file *os.File
	nl   *netlink.Handle
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

// Start starts cmd inside the namespace.
func (ns *NS) Start(cmd *exec.Cmd) error { return ns.Do(cmd.Start) }

// Close gives the namespace up; the kernel removes it with its last user.
func (ns *NS) Close() error {
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
