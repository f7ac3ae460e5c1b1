package labs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hooked is a host whose hooks write down what they are told, and whose
// before_hold ends when the test lets it.
type hooked struct {
	*agent
	told, gate string
}

// hooks starts an agent with hooks.
func (p *pair) hooks(i, priority int) hooked {
	p.t.Helper()
	h := p.hosts[i]
	told, gate := filepath.Join(h.Dir(), "told"), filepath.Join(h.Dir(), "gate")
	open := fmt.Sprintf("grep -q '%s$' /proc/net/fib_trie && open=open || open=closed\n", vip4)
	notify := p.script(h.Dir(), "notify.sh", open+`read -r event
echo "$* $VIPD_PREV_STATE $VIPD_STATE $VIPD_REASON $VIPD_ADDRESSES $VIPD_NODE $open|$event" >> `+told+"\n")
	before := p.script(h.Dir(), "before.sh", open+`echo "before $* $VIPD_STATE $open|" >> `+told+`
until [ -e `+gate+` ]; do sleep 0.01; done
echo committed
`)
	config := "script_user = \"root\"\n" + web(priority, 100*time.Millisecond, fmt.Sprintf(`
notify = ["%s", "--lab"]
before_hold = ["%s", "primary"]
before_hold_timeout = "30s"
`, notify, before))
	return hooked{p.vipd(h, config), told, gate}
}

func (p *pair) script(dir, name, text string) string {
	p.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// pass lets before_hold end, from now on.
func (h hooked) pass() {
	h.t.Helper()
	if err := os.WriteFile(h.gate, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// waits waits until the agent is Active and its before_hold runs.
func (h hooked) waits() {
	h.t.Helper()
	h.eventually(10*time.Second, "its before_hold to run", func() bool {
		text, _ := os.ReadFile(h.told)
		return strings.HasSuffix(string(text), "before primary ACTIVE closed|\n") && h.vip("web").State == "ACTIVE"
	})
}

// wasTold waits for lines, without the events in them, and checks the events.
func (h hooked) wasTold(want ...string) {
	h.t.Helper()
	var got []string
	h.eventually(10*time.Second, fmt.Sprintf("to tell %q", want), func() bool {
		got = nil
		text, err := os.ReadFile(h.told)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(text)) {
			told, event, _ := strings.Cut(strings.TrimSpace(line), "|")
			got = append(got, told)
			var e struct {
				Schema, Node, Type, Name, To string
				ID                           int
			}
			if event != "" && (json.Unmarshal([]byte(event), &e) != nil || e.Schema != "vipd.event/v1" || e.Node != h.host.Name ||
				e.Type != "vrrp_transition" || e.Name != "web" || e.ID == 0 || !strings.Contains(told, " "+e.To+" ")) {
				h.t.Fatalf("%s: event %s with %s", h.host.Name, event, told)
			}
		}
		return len(got) >= len(want)
	})
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		h.t.Errorf("%s was told\n%s\nwant\n%s", h.host.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestHooks: a takeover by release, a fail-back and a drain with hooks that write
// down all they get. before_hold delays the opening of the address, and at
// fail-back the old holder answers until it is done.
func TestHooks(t *testing.T) {
	p := newPair(t)
	lb1 := p.hooks(0, 150)
	lb1.waits()
	lb1.pass()
	lb1.waitState("web", "ACTIVE")
	lb2 := p.hooks(1, 100)
	lb2.waitState("web", "BACKUP")
	backup := func(from, reason, node string, priority int) string {
		return fmt.Sprintf("--lab INSTANCE web BACKUP %d %s BACKUP %s %s/24 %s closed", priority, from, reason, vip4, node)
	}
	master := func(reason, node string, priority int) string {
		return fmt.Sprintf("--lab INSTANCE web MASTER %d BACKUP ACTIVE %s %s/24 %s open", priority, reason, vip4, node)
	}
	first := []string{backup("INIT", "listen", "lb1", 150), "before primary ACTIVE closed", master("no-response", "lb1", 150)}
	lb1.wasTold(first...)

	lb1.stop()
	if err := os.Remove(lb1.gate); err != nil {
		t.Fatal(err)
	}
	stopped := fmt.Sprintf("--lab INSTANCE web STOP 150 ACTIVE INIT stop %s/24 lb1", vip4)
	text, err := os.ReadFile(lb1.told)
	if err != nil || !strings.Contains(string(text), stopped) {
		t.Errorf("it ended before its hook was told of it: %s (%v)", text, err)
	}
	if err := os.Remove(lb1.told); err != nil {
		t.Fatal(err)
	}

	lb2.waits()
	lb2.eventually(10*time.Second, "adverts while before_hold runs", func() bool { return lb2.vip("web").Sent > 5 })
	if v := lb2.vip("web"); v.Held || lb2.host.Holds(vip4) || !strings.Contains(v.Why, "waits for before_hold") {
		t.Errorf("while before_hold runs: %+v, held %v", v, lb2.host.Holds(vip4))
	}
	lb2.expect(0, "waits for before_hold of web", "why", "web")
	lb2.pass()
	lb2.waitState("web", "ACTIVE")
	if !lb2.host.Holds(vip4) {
		t.Error("the address is not there after before_hold")
	}
	second := []string{backup("INIT", "listen", "lb2", 100), "before primary ACTIVE closed", master("release", "lb2", 100)}
	lb2.wasTold(second...)

	lb1.start()
	lb1.waits()
	if v := lb2.vip("web"); v.State != "ACTIVE" || !v.Held || lb1.host.Holds(vip4) {
		t.Errorf("while before_hold of lb1 runs: lb2 is %+v, lb1 holds %v", v, lb1.host.Holds(vip4))
	}
	lb1.pass()
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	lb1.wasTold(backup("INIT", "listen", "lb1", 150), "before primary ACTIVE closed", master("preempted", "lb1", 150))
	before := lb1.events("before_hold") // of both runs
	if len(before) != 2 {
		t.Errorf("events %+v, want two", before)
	}
	for _, e := range before {
		if e.Reason != "ok" || !strings.Contains(e.Text, "exit 0: committed") {
			t.Errorf("event %+v", e)
		}
	}
	for _, e := range lb1.events("notify") {
		if e.Reason != "ok" || e.Name != "web" {
			t.Errorf("event %+v", e)
		}
	}
}

// TestHooksThatFail: a before_hold that hangs and ignores SIGTERM delays a
// takeover by its timeout, one that fails by nothing; a reload puts another notify
// program in force for the next change; a FIFO that nobody reads costs nothing.
func TestHooksThatFail(t *testing.T) {
	p := newPair(t)
	dir := p.hosts[0].Dir()
	told := filepath.Join(dir, "told")
	hangs := p.script(dir, "hangs.sh", "trap '' TERM; while :; do sleep 60; done\n")
	one, two := p.script(dir, "one.sh", "echo one $3 >> "+told+"\n"), p.script(dir, "two.sh", "echo two $3 >> "+told+"\nexit 5\n")
	config := func(notify string) string {
		return "script_user = \"root\"\n" + web(150, 100*time.Millisecond, fmt.Sprintf(
			"notify = \"%s\"\nbefore_hold = \"%s\"\nbefore_hold_timeout = \"300ms\"\nnotify_fifo = \"%s\"\n", notify, hangs, filepath.Join(dir, "fifo")))
	}
	a := p.vipd(p.hosts[0], config(one))
	a.waitState("web", "ACTIVE")
	late := a.events("before_hold")
	if len(late) != 1 || late[0].Reason != "timeout" || !strings.Contains(late[0].Text, "held anyway") {
		t.Errorf("events %+v", late)
	}
	change := a.events("vrrp_transition")
	if took := late[0].Time.Sub(change[len(change)-1].Time); took < 300*time.Millisecond || took > time.Second {
		t.Errorf("waited %v for a before_hold of 300ms", took)
	}
	read := func(want string) func() bool {
		return func() bool { text, _ := os.ReadFile(told); return string(text) == want }
	}
	a.eventually(10*time.Second, "the first program to be told", read("one BACKUP\none MASTER\n"))
	a.write(config(two))
	a.expect(0, "notify "+one+" -> "+two, "reload")
	a.expect(0, "drained", "drain", "web")
	a.eventually(10*time.Second, "the second program to be told", read("one BACKUP\none MASTER\ntwo STOP\n"))
	a.eventually(10*time.Second, "the event of its end", func() bool {
		list := a.events("notify")
		last := list[len(list)-1]
		return last.Reason == "failed" && strings.Contains(last.Text, "exit 5")
	})
	info, err := os.Stat(filepath.Join(dir, "fifo"))
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the FIFO was not made: %v (%v)", info, err)
	}
}
