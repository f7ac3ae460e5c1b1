package labs

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// replayed is the part of vipd.replay/v1 that the labs look at.
type replayed struct {
	Events     int             `json:"events"`
	Records    []event         `json:"records"`
	Difference json.RawMessage `json:"difference"`
}

// replay replays a file and demands that nothing differs.
func (a *agent) replay(file string, more ...string) (r replayed) {
	a.t.Helper()
	out := a.must(append([]string{"replay", file, "--json"}, more...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		a.t.Fatal(err)
	}
	if r.Difference != nil || r.Events == 0 {
		a.t.Errorf("%s: %d events, difference %s", file, r.Events, r.Difference)
	}
	return r
}

// same compares what was replayed with what the daemon said when it happened.
func same(t *testing.T, replayed, happened []event) {
	t.Helper()
	if len(replayed) < len(happened) || len(happened) == 0 {
		t.Fatalf("%d records replayed, %d happened", len(replayed), len(happened))
	}
	for i, want := range happened {
		got := replayed[i]
		if apart := got.Time.Sub(want.Time).Abs(); apart > time.Millisecond {
			t.Errorf("%q happened at %v, in the replay at %v", want.Text, want.Time, got.Time)
		}
		got.Time = want.Time
		got.ID, got.Cause = want.ID, want.Cause // counted over restarts
		if got != want {
			t.Errorf("record %d: replayed %+v, happened %+v", i, got, want)
		}
	}
}

// TestReplay: a failover, a drain, a dead port and a reload, recorded on both
// hosts, are decided again as they were, also when a recording ends with kill -9.
func TestReplay(t *testing.T) {
	p := newPair(t)
	var agents []*agent
	for i, h := range p.hosts {
		agents = append(agents, p.vipd(h, web(150-50*i, 100*time.Millisecond, ""), "--record", filepath.Join(h.Dir(), "recording.jsonl")))
	}
	lb1, lb2 := agents[0], agents[1]
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	lb1.must("failover", "web")
	lb2.waitState("web", "ACTIVE")
	lb1.must("undrain")
	lb1.waitState("web", "ACTIVE")
	lb1.must("drain", "--wait", "--reason", "new kernel")
	lb2.waitState("web", "ACTIVE")
	lb1.must("undrain")
	lb1.waitState("web", "ACTIVE")
	if err := p.lab.PortDown(p.hosts[0]); err != nil {
		t.Fatal(err)
	}
	lb1.waitState("web", "FAULT")
	lb2.waitState("web", "ACTIVE")
	if err := p.lab.PortUp(p.hosts[0]); err != nil {
		t.Fatal(err)
	}
	lb1.waitState("web", "ACTIVE")
	lb1.write(web(140, 100*time.Millisecond, "") + `
[check.ok]
type = "file"
path = "/proc/self/stat"
interval = "50ms"
`)
	lb1.must("reload")
	lb2.waitState("web", "BACKUP")
	lb1.expect(0, "its input is recorded", "status")
	for _, a := range agents {
		all := a.events()
		last := all
		for i, e := range all {
			if e.Type == "start" {
				last = all[i:] // of this run
			}
		}
		a.kill()
		file := filepath.Join(a.host.Dir(), "recording.jsonl")
		r := a.replay(file)
		t.Logf("%s: %d events, %d records", a.host.Name, r.Events, len(r.Records))
		same(t, r.Records, last)
		some := a.replay(file, "web", "--until", "300ms")
		if len(some.Records) == 0 || len(some.Records) > 5 {
			t.Errorf("%+v", some.Records)
		}
	}
}

// TestRecordMax: a recording that is full ends, with an event, and what it has is
// still good.
func TestRecordMax(t *testing.T) {
	p := newPair(t)
	h := p.hosts[0]
	file := filepath.Join(h.Dir(), "recording.jsonl")
	a := p.vipd(h, web(150, 10*time.Millisecond, ""), "--record", file, "--record-max", "8K")
	a.waitState("web", "ACTIVE")
	a.eventually(10*time.Second, "the recording to end", func() bool {
		list := a.events("recording")
		return len(list) > 0 && list[len(list)-1].To == "ended"
	})
	a.replay(file)
	if info, err := os.Stat(file); err != nil || info.Size() > 8<<10 || info.Size() < 7<<10 {
		t.Errorf("%v, %v", info, err)
	}
	a.waitState("web", "ACTIVE")
}

// TestHistory: events are there after a restart and after kill -9; no number
// comes twice, and every cause is found.
func TestHistory(t *testing.T) {
	_, lb1, lb2, _ := started(t, 100*time.Millisecond, "")
	lb1.must("drain", "--wait", "--reason", "first run")
	lb2.waitState("web", "ACTIVE")
	lb1.stop()
	lb1.start()
	lb1.waitState("web", "INIT")
	lb1.must("undrain")
	lb1.waitState("web", "ACTIVE")
	lb1.kill()
	lb1.start()
	lb1.waitState("web", "ACTIVE")
	all := lb1.events()
	byID := map[uint64]event{}
	starts, text := 0, ""
	for i, e := range all {
		if i > 0 && e.ID <= all[i-1].ID {
			t.Errorf("%d follows %d", e.ID, all[i-1].ID)
		}
		if _, ok := byID[e.Cause]; e.Cause != 0 && !ok {
			t.Errorf("nothing has the id %d, the cause of %q", e.Cause, e.Text)
		}
		byID[e.ID] = e
		if e.Type == "start" {
			starts++
		}
		text += e.Text + "\n"
	}
	if starts != 3 || !strings.Contains(text, "first run") {
		t.Errorf("%d starts in:\n%s", starts, text)
	}
}

// TestHistoryFullDisk: with a full disk under the state directory the daemon goes
// on, says so, and keeps what it can when there is room again.
func TestHistoryFullDisk(t *testing.T) {
	p := newPair(t)
	h := p.hosts[0]
	state := filepath.Join(h.Dir(), "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	ballast := filepath.Join(state, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 64<<10), 0o600) // as much as fits
	a := p.vipd(h, web(150, 100*time.Millisecond, ""), "--state-dir", state)
	a.waitState("web", "ACTIVE")
	a.expect(0, "events are not kept", "status")
	a.expect(0, "no space left on device", "status")
	a.must("drain", "--wait")
	a.must("undrain")
	a.waitState("web", "ACTIVE")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	a.eventually(20*time.Second, "the events to be written", func() bool {
		text, err := os.ReadFile(filepath.Join(state, "events.jsonl"))
		return err == nil && strings.Contains(string(text), "drained by") && !strings.Contains(a.must("status"), "events are not kept")
	})
}

// TestWhatIf: what the daemon answers is what then happens.
func TestWhatIf(t *testing.T) {
	p, lb1, lb2, _ := started(t, 100*time.Millisecond, "")
	lb1.expect(0, "web: ACTIVE -> FAULT (interface eth0 is down)", "what-if", "link", "eth0", "down")
	lb1.expect(0, "whether a peer takes web over", "what-if", "drain")
	lb2.expect(0, "web: BACKUP -> ACTIVE (no advert from 192.0.2.2", "what-if", "peer", "192.0.2.2", "silent")
	lb2.expect(0, "web: BACKUP -> ACTIVE (192.0.2.2 advertises 150, own 200)", "what-if", "priority", "web", "200")
	lb2.expect(0, "nothing happens", "what-if", "link", "eth0", "up")
	lb1.expect(1, "there is", "what-if", "link", "eth9", "down")
	if lb1.vip("web").State != "ACTIVE" || lb2.vip("web").State != "BACKUP" || lb2.transitions("web") != 1 {
		t.Error("a question changed something")
	}
	if err := p.lab.PortDown(p.hosts[0]); err != nil {
		t.Fatal(err)
	}
	lb1.waitState("web", "FAULT")
	lb2.waitState("web", "ACTIVE")
}

// TestJournal: with journald behind standard error, events go there with fields.
func TestJournal(t *testing.T) {
	p := newPair(t)
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/run", unix.MNT_DETACH) })
	if err := os.MkdirAll("/run/systemd/journal", 0o755); err != nil {
		t.Fatal(err)
	}
	journald, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/run/systemd/journal/socket", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journald.Close() })
	h := p.hosts[0]
	config := filepath.Join(h.Dir(), "vipd.toml")
	if err := os.WriteFile(config, []byte(web(150, 100*time.Millisecond, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	proc, err := h.Start(exec.Command("/bin/sh", "-c", `JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
exec "$0" "$@"`, binary, "run", "--config", config, "--socket", filepath.Join(h.Dir(), "s"), "--state-dir", h.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := journald.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := journald.Read(buf)
		if err != nil {
			t.Fatalf("no takeover in the journal: %v\n%s", err, proc.Output())
		}
		entry := "\n" + string(buf[:n])
		if !strings.Contains(entry, "\nVIPD_TO=ACTIVE\n") {
			continue
		}
		for _, field := range []string{"VIPD_EVENT=vrrp_transition", "VIPD_NAME=web", "VIPD_FROM=BACKUP", "VIPD_REASON=no-response", "PRIORITY=5"} {
			if !strings.Contains(entry, "\n"+field+"\n") {
				t.Errorf("no %s in %s", field, entry)
			}
		}
		break
	}
	if out := proc.Output(); strings.Contains(out, "vrrp_transition") || strings.Contains(out, "time=") {
		t.Errorf("also on standard error:\n%s", out)
	}
}
