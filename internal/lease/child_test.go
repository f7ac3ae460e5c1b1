package lease

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vishvananda/netlink"
)

// childArg has this test binary be another process that uses the package.
const childArg = "lease-child"

// child does what the word says, in the namespace it was started in.
func child(word string) int {
	err := fmt.Errorf("unknown word %s", word)
	switch word {
	case "hold":
		err = hold()
	case "try":
		err = try()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// hold holds web until it is killed.
func hold() error {
	table, err := Open(discard, vmacName, nil)
	if err != nil {
		return err
	}
	if err := table.Set([]Guarded{brief()}); err != nil {
		return err
	}
	if err := table.Arm("web")[0]; err != nil {
		return err
	}
	fmt.Println("holding")
	tick := time.NewTicker(timeout / 10)
	defer tick.Stop()
	for range tick.C {
		if err := table.Renew([]string{"web"}); err != nil {
			fmt.Println("refused:", err) // and it tries again and again
		}
	}
	return nil
}

// try does everything once, on lo.
func try() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	table, err := Open(discard, vmacName, nil)
	if err != nil {
		return err
	}
	g := web
	g.Interface = "lo"
	if err := table.Set([]Guarded{g}); err != nil {
		return err
	}
	if err := table.Arm("web")[0]; err != nil {
		return err
	}
	if err := table.Renew([]string{"web"}); err != nil {
		return err
	}
	alive, err := table.Alive()
	if err == nil && !alive["web"] {
		return fmt.Errorf("not alive")
	}
	return err
}

// holder starts a process that holds web on the host.
func (w *world) holder(t testing.TB) *testenv.Process {
	t.Helper()
	p, err := w.host.Start(exec.Command("/proc/self/exe", childArg, "hold"))
	check(t, err)
	testenv.Eventually(t, patience, "the process holds", func() bool {
		select {
		case <-p.Done():
			t.Fatalf("the process ended: %s", p.Output())
		default:
		}
		return strings.Contains(p.Output(), "holding")
	})
	return p
}

// A process that is killed or stopped falls silent within the timeout, and a
// stopped one stays silent when it goes on, however often it renews.
func TestDeathOfTheHolder(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.address(t, "eth0", webAddrs...)
			p := w.holder(t)
			w.answering(t, webAddrs...)
			var probers []*testenv.Prober
			for _, a := range webAddrs {
				q, err := w.client.Probe(addrPort(a), 0)
				check(t, err)
				probers = append(probers, q)
			}
			testenv.Eventually(t, patience, "probes are answered", func() bool {
				return probers[0].Report().Answered > 100 && probers[1].Report().Answered > 100
			})
			check(t, p.Signal(signal))
			dead := time.Now()
			// A probe that was sent before the end may be answered a little later.
			const slack = 20 * time.Millisecond
			testenv.Eventually(t, patience, "the lease ends", func() bool { return time.Since(dead) > timeout+slack })
			w.silent(t, webAddrs...)
			if signal == syscall.SIGSTOP {
				check(t, p.Signal(syscall.SIGCONT))
				testenv.Eventually(t, patience, "some renewals are refused", func() bool {
					return strings.Count(p.Output(), "refused") > 3
				})
				w.silent(t, webAddrs...)
			}
			for i, q := range probers {
				last, ok := q.Stop().LastAnswerFrom("host")
				if after := last.Answered.Sub(dead); !ok || after > timeout+slack {
					t.Errorf("%s answered %v after the signal, %v is the timeout", webAddrs[i], after, timeout)
				}
			}
		})
	}
}

// What a killed process left stays closed: while no process is there, when the
// next one opens the table, and when that sets its list.
func TestTakeOverFromFormerProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "nft")
	w.address(t, "eth0", webAddrs...)
	p := w.holder(t)
	w.answering(t, webAddrs...)
	err := w.host.NS.Do(func() error {
		_, err := Open(discard, vmacName, nil)
		return err
	})
	if want := "table netdev vipd: another process owns it"; err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("opened beside another process: %v, want %s", err, want)
	}
	w.answering(t, webAddrs...) // nothing was touched
	p.Kill()
	table := w.open(t) // at once: the lease of the former process still lives
	w.silent(t, webAddrs...)
	check(t, table.Set([]Guarded{web}))
	w.silent(t, webAddrs...)
	check(t, table.Arm("web")[0])
	w.answering(t, webAddrs...)
}

// It works for a user without any capability, in namespaces of their own.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	testenv.Require(t)
	cmd := exec.Command("/proc/self/exe", childArg, "try")
	id := []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody(), Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: id, GidMappings: id, Credential: &syscall.Credential{NoSetGroups: os.Geteuid() != 0}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// nobody is a user without privileges that this process may become.
func nobody() int {
	if os.Geteuid() != 0 || os.Getenv("container") != "" {
		return os.Geteuid()
	}
	return 65534
}
