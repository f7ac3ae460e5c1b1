package probe

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// privateBus is a system bus of the test's own.
type privateBus struct {
	address, config string
	cmd             *exec.Cmd
}

func newPrivateBus(t *testing.T) *privateBus {
	t.Helper()
	testenv.Require(t, "dbus-daemon")
	dir := t.TempDir()
	b := &privateBus{address: "unix:path=" + filepath.Join(dir, "bus"), config: filepath.Join(dir, "bus.conf")}
	writeFile(t, b.config, `<busconfig><type>session</type><listen>`+b.address+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.address)
	t.Cleanup(b.stop)
	return b
}

// start runs the daemon, and returns when it listens.
func (b *privateBus) start(t *testing.T) {
	t.Helper()
	ready, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.cmd = exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--config-file="+b.config, "--print-address=3")
	b.cmd.ExtraFiles = []*os.File{w}
	err = b.cmd.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := ready.Read(make([]byte, 100)); n == 0 {
		t.Fatalf("the bus does not start: %v", err)
	}
	_ = ready.Close()
}

func (b *privateBus) stop() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait() // killed
		b.cmd = nil
	}
}

// fakeSystemd answers for units on a bus.
type fakeSystemd struct {
	conn *dbus.Conn

	mu    sync.Mutex
	units map[string]unitState // by every name
}

// begin puts it on the bus with what its units are by now.
func (f *fakeSystemd) begin(t *testing.T, b *privateBus) {
	t.Helper()
	conn, err := dbus.Connect(b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f.conn = conn
	subscribe := map[string]any{"Subscribe": func() *dbus.Error { return nil }}
	err = conn.ExportMethodTable(subscribe, systemdPath, managerFace)
	for name := range f.units {
		methods := map[string]any{
			"GetAll": func(string) (map[string]dbus.Variant, *dbus.Error) { return f.properties(name), nil },
			"Get": func(_, property string) (dbus.Variant, *dbus.Error) {
				v, ok := f.properties(name)[property]
				if !ok {
					return v, dbus.MakeFailedError(errors.New("no such property"))
				}
				return v, nil
			},
		}
		err = errors.Join(err, conn.ExportMethodTable(methods, unitPath(name), propertiesFace))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(systemdName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeSystemd) properties(name string) map[string]dbus.Variant {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.units[name]
	all := map[string]dbus.Variant{
		"Id": dbus.MakeVariant(s.name), "LoadState": dbus.MakeVariant(s.load),
		"ActiveState": dbus.MakeVariant(s.active), "SubState": dbus.MakeVariant(s.sub),
	}
	if strings.HasSuffix(s.name, ".service") {
		all["MainPID"] = dbus.MakeVariant(uint32(s.mainPID))
	}
	return all
}

// set changes a unit, known by these names of which the first is its own, and
// says so.
func (f *fakeSystemd) set(t *testing.T, s unitState, names ...string) {
	t.Helper()
	f.mu.Lock()
	s.name = names[0]
	for _, name := range names {
		f.units[name] = s
	}
	f.mu.Unlock()
	if f.conn == nil {
		return
	}
	err := f.conn.Emit(unitPath(s.name), propertiesFace+".PropertiesChanged", systemdName+".Unit",
		map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(s.active)}, []string{})
	if err != nil {
		t.Fatal(err)
	}
}

func serviceState(active, sub string) unitState {
	return unitState{load: "loaded", active: active, sub: sub}
}

// What systemd says is told at once; who asks by another name hears it too.
func TestWatchUnit(t *testing.T) {
	b, f := newPrivateBus(t), &fakeSystemd{units: map[string]unitState{}}
	f.set(t, serviceState("inactive", "dead"), "db.service", "mysql.service")
	f.set(t, unitState{load: "not-found", active: "inactive", sub: "dead"}, "no.service")
	f.set(t, unitState{load: "masked", active: "inactive", sub: "dead"}, "off.service")
	f.set(t, serviceState("active", "listening"), "d.socket")
	b.start(t)
	f.begin(t, b)
	for _, tt := range []struct {
		spec check.Unit
		want string
	}{
		{check.Unit{Name: "no.service"}, "false systemd knows no unit no.service"},
		{check.Unit{Name: "off.service"}, "false off.service is masked"},
		{check.Unit{Name: "d.socket"}, "true d.socket is active (listening)"},
		{check.Unit{Name: "d.socket", SubState: "running"}, "false d.socket is active (listening), not running"},
		{check.Unit{Name: "mysql.service"}, "false mysql.service is inactive (dead)"},
	} {
		got := Once(t.Context(), config(tt.spec, 10*time.Second), Settings{})
		if text := fmt.Sprint(got.OK, " ", got.Detail); text != tt.want {
			t.Errorf("once: got %q, want %q", text, tt.want)
		}
		watching(t, slow(tt.spec)).expect(t, tt.want)
	}
	own, other := watching(t, slow(check.Unit{Name: "db.service", SubState: "running"})), watching(t, slow(check.Unit{Name: "mysql.service"}))
	own.expect(t, "false db.service is inactive (dead)")
	other.expect(t, "false mysql.service is inactive (dead)")
	for range 3 {
		for _, step := range []struct{ state, sub, own, other string }{
			{"activating", "start", "false", "false"},
			{"active", "exited", "false", "true"},
			{"active", "running", "true", "true"},
			{"reloading", "reload", "true", "true"},
			{"failed", "failed", "false", "false"},
		} {
			f.set(t, serviceState(step.state, step.sub), "db.service", "mysql.service")
			is := fmt.Sprintf("is %s (%s)", step.state, step.sub)
			if step.sub == "exited" {
				own.expect(t, step.own+" db.service "+is+", not running")
			} else {
				own.expect(t, step.own+" db.service "+is)
			}
			other.expect(t, step.other+" mysql.service "+is)
		}
	}
}

// A bus that is not there is told, after a grace when it was; a bus that is only
// restarted is not, and neither is a systemd that does the same.
func TestWatchUnitWithoutBus(t *testing.T) {
	b, f := newPrivateBus(t), &fakeSystemd{units: map[string]unitState{}}
	f.set(t, serviceState("active", "running"), "web.service")
	cfg := config(check.Unit{Name: "web.service"}, 20*time.Second)
	cfg.Interval = 10 * time.Second // the grace
	s := watching(t, cfg)
	const active = "true web.service is active (running)"
	s.expect(t, "false connect to the system bus: no such file or directory")
	b.start(t)
	s.until(t, "false ask systemd about web.service: The name org.freedesktop.systemd1 was not provided by any .service files")
	f.begin(t, b)
	s.until(t, active)

	b.stop()
	b.start(t)
	f.begin(t, b)
	f.set(t, serviceState("reloading", "reload"), "web.service")
	s.expect(t, "true web.service is reloading (reload)")
	if err := f.conn.Close(); err != nil {
		t.Fatal(err)
	}
	f.begin(t, b)
	f.set(t, serviceState("active", "running"), "web.service")
	s.expect(t, active)

	cfg.Interval = 50 * ms
	hasty := watching(t, cfg)
	hasty.expect(t, active)
	b.stop()
	hasty.until(t, "false connect to the system bus: connection refused")
	b.start(t)
	f.begin(t, b)
	hasty.until(t, active)
}

// The main process of a unit is watched itself: its end is told before systemd
// says so, and goes on being known while systemd cannot be asked.
func TestWatchMainProcess(t *testing.T) {
	b, f := newPrivateBus(t), &fakeSystemd{units: map[string]unitState{}}
	spec := check.Process{Unit: "web.service"}
	f.set(t, serviceState("inactive", "dead"), "web.service")
	s := watching(t, config(spec, time.Second))
	s.expect(t, "false connect to the system bus: no such file or directory")
	b.start(t)
	f.begin(t, b)
	s.until(t, "false web.service has no main process, it is inactive (dead)")
	for range 3 {
		pid, c := sleeper(t, "vipd-main")
		running := serviceState("active", "running")
		running.mainPID, _ = strconv.Atoi(pid)
		f.set(t, running, "web.service")
		s.expect(t, "true main process "+pid+" of web.service runs")
		if got := Once(t.Context(), config(spec, 10*time.Second), Settings{}); !got.OK {
			t.Errorf("once: %s", got.Detail)
		}
		c.kill(t)
		s.expect(t, "false main process "+pid+" of web.service is gone")
	}
	pid, c := sleeper(t, "vipd-main")
	running := serviceState("active", "running")
	running.mainPID, _ = strconv.Atoi(pid)
	f.set(t, running, "web.service")
	s.expect(t, "true main process "+pid+" of web.service runs")
	b.stop()
	c.kill(t)
	s.expect(t, "false main process "+pid+" of web.service is gone")
}
