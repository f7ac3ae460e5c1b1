package labs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// A lease of 250 ms shows gaps, and is lost where the machine of the test stalls for
// longer. Where lb1 must serve on, its lease is a longer one.
const (
	brisk  = 100 * time.Millisecond
	steady = 300 * time.Millisecond // where nothing is to move, and many adverts are to come
	calm   = 500 * time.Millisecond
)

// fenced is a pair in which each host can cut the other one off, by two devices
// of it, and a client that watches.
type fenced struct {
	*pair
	*watch
	lb1, lb2 *agent
	interval time.Duration             // of adverts
	devices  [2][]*testenv.FenceDevice // that cut lb1 off, in order, and lb2
}

// newFenced starts a pair whose devices for lb1 behave like that, and in which lb1
// holds the VIP. A device that shoots the wrong host has that as its plug.
func newFenced(t *testing.T, interval time.Duration, wrong bool, first, second testenv.FenceBehaviour) *fenced {
	t.Helper()
	f := &fenced{pair: newPair(t), interval: interval}
	for i, target := range f.hosts {
		shooter := f.hosts[1-i]
		plug := target
		if wrong {
			plug = shooter
		}
		for _, d := range []struct {
			name string
			plug *testenv.Host
			is   testenv.FenceBehaviour
		}{{"first", plug, first}, {"second", target, second}} {
			device, err := shooter.FenceDevice(d.name, d.plug, d.is)
			if err != nil {
				t.Fatal(err)
			}
			f.devices[i] = append(f.devices[i], device)
		}
	}
	f.lb1, f.lb2 = f.vipd(f.hosts[0], f.config(0)), f.vipd(f.hosts[1], f.config(1))
	f.lb1.waitState("web", "ACTIVE")
	f.lb2.waitState("web", "BACKUP")
	f.lb2.eventually(10*time.Second, "to hear lb1", func() bool {
		return strings.Contains(f.lb2.must("status", "--json"), `"hears_us":true`)
	})
	f.watch = f.watched()
	return f
}

// config of a host.
func (f *fenced) config(i int) string {
	devices := f.devices[1-i]
	return fmt.Sprintf(`script_user = "root"
%sfence = [["first"], ["second"]]
[fence]
track           = []
attempts        = 1
attempt_timeout = "2s"
settle          = "0s"
monitor         = "0s"
verify          = { reads = 2, every = "100ms", within = "1s" }
[fence.device.first]
agent = %q
[fence.device.second]
agent = %q
%s`, f.talking(i), devices[0].Program, devices[1].Program, web(150-50*i, f.interval, `takeover = "fence"`))
}

// takenOver waits until lb2 answers.
func (f *fenced) takenOver() {
	f.t.Helper()
	f.lb2.waitState("web", "ACTIVE")
	f.answeredBy(f.probes, "lb2")
}

// shots wants to know how often each device for lb1 was told to cut, and that
// nobody shot at lb2.
func (f *fenced) shots(first, second int) {
	f.t.Helper()
	got := [2]int{f.devices[0][0].Shots(time.Time{}), f.devices[0][1].Shots(time.Time{})}
	if got != [2]int{first, second} {
		f.t.Errorf("the devices of lb1 were told to cut %v times, want %d and %d", got, first, second)
	}
	if n := f.devices[1][0].Shots(time.Time{}) + f.devices[1][1].Shots(time.Time{}); n > 0 {
		f.t.Errorf("lb2 was shot at %d times", n)
	}
}

// TestFence: whatever makes lb1 silent, lb2 cuts it off and takes over then.
func TestFence(t *testing.T) {
	for name, c := range map[string]struct {
		first testenv.FenceBehaviour
		shots [2]int
		fault func(*fenced)
	}{
		"link cut":     {testenv.FenceWorks, [2]int{1, 0}, func(f *fenced) { f.apart(false) }},
		"one-way loss": {testenv.FenceWorks, [2]int{1, 0}, func(f *fenced) { f.apart(true) }},
		"host dead": {testenv.FenceWorks, [2]int{1, 0}, func(f *fenced) {
			if err := f.lab.PortDown(f.hosts[0]); err != nil {
				f.t.Fatal(err)
			}
			f.lb1.kill()
		}},
		"daemon dead":    {testenv.FenceWorks, [2]int{1, 0}, func(f *fenced) { f.lb1.kill() }},
		"daemon stopped": {testenv.FenceWorks, [2]int{1, 0}, func(f *fenced) { f.lb1.signal(syscall.SIGSTOP) }},
		"slow device":    {testenv.FenceSlow, [2]int{1, 0}, func(f *fenced) { f.apart(false) }},
		"dead device":    {testenv.FenceDead, [2]int{1, 1}, func(f *fenced) { f.apart(false) }},
		"hung device":    {testenv.FenceHangs, [2]int{1, 1}, func(f *fenced) { f.apart(false) }},
		"lying device":   {testenv.FenceLies, [2]int{1, 1}, func(f *fenced) { f.apart(false) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFenced(t, brisk, false, c.first, testenv.FenceWorks)
			c.fault(f)
			f.takenOver()
			if name == "daemon stopped" {
				f.lb1.signal(syscall.SIGCONT)
				f.lb1.waitState("web", "FAULT")
			}
			f.oneAtMost()
			f.shots(c.shots[0], c.shots[1])
			if out := f.lb2.must("fence", "history"); !strings.Contains(out, "verified") {
				t.Errorf("the history knows of no proof:\n%s", out)
			}
		})
	}
}

// TestFenceFails: lb1 serves its clients, and nothing can cut it off. lb2 stays
// Backup, says so loudly, and goes on as soon as it hears lb1.
func TestFenceFails(t *testing.T) {
	for name, first := range map[string]testenv.FenceBehaviour{"lying device": testenv.FenceLies, "dead device": testenv.FenceDead} {
		t.Run(name, func(t *testing.T) {
			f := newFenced(t, calm, false, first, testenv.FenceDead)
			f.apart(false)
			f.lb2.eventually(20*time.Second, "a critical event", func() bool {
				return strings.Contains(f.lb2.must("events", "--type", "fence", "--json"), `"severity":"critical"`)
			})
			if out := f.lb2.must("why", "web"); !strings.Contains(out, "vipd fence confirm lb1 --i-checked") || !strings.Contains(out, "level 1 first") {
				t.Errorf("why does not tell:\n%s", out)
			}
			if code, out, _ := f.lb2.run("health"); code != 2 {
				t.Errorf("health: exit %d: %s", code, out)
			}
			if v := f.lb2.vip("web"); v.State != "BACKUP" || v.Held {
				t.Errorf("lb2 is %s, held %v", v.State, v.Held)
			}
			f.answeredBy(f.probes, "lb1")
			if err := f.lab.Heal(); err != nil {
				t.Fatal(err)
			}
			f.lb2.eventually(10*time.Second, "the end of the fence", func() bool {
				return strings.Contains(f.lb2.must("fence", "list", "--json"), `"phase":"idle"`)
			})
			f.oneAtMost()
		})
	}
}

// TestFenceWrongPlug: the device of lb1 cuts off lb2, which told it to. lb1 serves on.
func TestFenceWrongPlug(t *testing.T) {
	f := newFenced(t, calm, true, testenv.FenceWorks, testenv.FenceDead)
	f.apart(false)
	f.lb2.waitState("web", "FAULT")
	f.answeredBy(f.probes, "lb1")
	f.oneAtMost()
	f.shots(1, 0)
}

// TestFenceConfirm: lb1 is dead, no device works, and somebody looks.
func TestFenceConfirm(t *testing.T) {
	f := newFenced(t, brisk, false, testenv.FenceDead, testenv.FenceDead)
	if code, _, errs := f.lb2.run("fence", "confirm", "lb1", "--i-checked"); code != 6 || !strings.Contains(errs, "heard") {
		t.Errorf("confirmed a living peer: exit %d: %s", code, errs)
	}
	if out := f.lb2.must("status"); !strings.Contains(out, "fencing: ready") {
		t.Errorf("status:\n%s", out)
	}
	if code, out, _ := f.lb2.run("fence", "test", "first"); code != 1 || !strings.Contains(out, "connection refused") {
		t.Errorf("test of a dead device: exit %d: %s", code, out)
	}
	if err := f.lab.PortDown(f.hosts[0]); err != nil {
		t.Fatal(err)
	}
	f.lb1.kill()
	f.lb2.eventually(20*time.Second, "a fence that failed", func() bool { return strings.Contains(f.lb2.must("fence", "history"), "failed") })
	if v := f.lb2.vip("web"); v.State != "BACKUP" || v.Held {
		t.Errorf("lb2 is %s, held %v", v.State, v.Held)
	}
	f.lb2.must("fence", "confirm", "lb1", "--i-checked")
	f.takenOver()
	if out := f.lb2.must("fence", "history"); !strings.Contains(out, "states that lb1 is off") {
		t.Errorf("history:\n%s", out)
	}
	f.oneAtMost()
}

// TestFenceOverRestart: a vipd that is killed while it waits for a fence goes on when it
// is back, and remembers what happened.
func TestFenceOverRestart(t *testing.T) {
	f := newFenced(t, brisk, false, testenv.FenceDead, testenv.FenceDead)
	f.apart(false)
	f.lb2.eventually(20*time.Second, "a fence that failed to be kept", func() bool {
		text, err := os.ReadFile(filepath.Join(f.hosts[1].Dir(), "fences.jsonl"))
		return err == nil && strings.Contains(string(text), `"kind":"failed"`)
	})
	f.lb2.kill()
	for _, d := range f.devices[0] {
		d.Become(testenv.FenceWorks)
	}
	f.lb2.start()
	f.lb2.waitState("web", "ACTIVE")
	if out := f.lb2.must("fence", "history"); !strings.Contains(out, "failed") || !strings.Contains(out, "verified") {
		t.Errorf("history:\n%s", out)
	}
	f.oneAtMost()
}

// TestFenceNever: what is planned, and what is told, is never fenced for.
func TestFenceNever(t *testing.T) {
	f := newFenced(t, calm, false, testenv.FenceWorks, testenv.FenceWorks)
	f.lb1.must("drain", "web")
	f.lb2.waitState("web", "ACTIVE")
	f.lb1.must("undrain", "web")
	f.lb1.waitState("web", "ACTIVE")
	f.lb2.waitState("web", "BACKUP")
	f.lb1.must("failover", "web")
	f.lb2.waitState("web", "ACTIVE")
	f.lb1.waitState("web", "BACKUP")
	f.lb2.stop()
	f.lb1.waitState("web", "ACTIVE")
	f.lb2.start()
	f.lb2.waitState("web", "BACKUP")
	if code, out, _ := f.lb2.run("fence", "test", "first"); code != 0 || !strings.Contains(out, "reads on for lb1") {
		t.Errorf("test of a device: exit %d: %s", code, out)
	}
	f.lb1.stop()
	f.lb2.waitState("web", "ACTIVE")
	f.answeredBy(f.probes, "lb2")
	f.shots(0, 0)
}
