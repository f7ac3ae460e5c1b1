package labs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// binary is the vipd under test.
var binary string

func TestMain(m *testing.M) {
	if code, is := testenv.FenceAgent(); is {
		os.Exit(code)
	}
	if path := os.Getenv("VIPD_BIN"); path != "" {
		binary = path
		os.Exit(testenv.Main(m))
	}
	dir, err := os.MkdirTemp("", "vipd-labs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "vipd")
	build := exec.Command("go", "build", "-o", binary, "github.com/vipd/vipd/cmd/vipd")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		if os.Setenv("VIPD_BIN", binary) == nil {
			code = testenv.Main(m)
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Addresses of every lab: the hosts of a pair, the client, a stranger, the VIP.
var (
	vip4   = netip.MustParseAddr("192.0.2.100")
	hosts4 = []string{"192.0.2.2/24", "192.0.2.3/24"}
)

const servicePort = 8080

// pair is a client and two hosts, each with the service on it.
type pair struct {
	t        *testing.T
	lab      *testenv.Lab
	client   *testenv.Host
	hosts    []*testenv.Host      // lb1, lb2
	services []*testenv.Responder // theirs
	taps     []*testenv.Observer  // of the client and the hosts, see listen
	stalls   *testenv.Stalls      // of the machine, see slowed
	late     int                  // planned moves that the machine was too slow for
}

// bare is a lab with no host yet.
func bare(t *testing.T, programs ...string) *pair {
	t.Helper()
	lab := testenv.TestLab(t, programs...)
	return &pair{t: t, lab: lab, stalls: lab.Stalls()}
}

// newPair builds the lab. Programs that it needs beside vipd are named.
func newPair(t *testing.T, programs ...string) *pair {
	t.Helper()
	p := bare(t, programs...)
	p.client = p.host("client", "192.0.2.10/24", "fd00:2::10/64")
	for i, prefix := range hosts4 {
		h := p.host(fmt.Sprintf("lb%d", i+1), prefix, fmt.Sprintf("fd00:2::%d/64", i+2))
		service, err := h.Respond(servicePort)
		if err != nil {
			t.Fatal(err)
		}
		p.services = append(p.services, service)
		p.hosts = append(p.hosts, h)
	}
	return p
}

func (p *pair) host(name string, prefixes ...string) *testenv.Host {
	p.t.Helper()
	h, err := p.lab.Host(name, prefixes...)
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// agent is a vipd on one host.
type agent struct {
	t      *testing.T
	host   *testenv.Host
	proc   *testenv.Process
	config string
	socket string
	args   []string // more of vipd run
	slow   int      // upgrades that the machine was too slow for

	earlier string // printed before it was started again

	program string // the vipd that it runs, "" = the one under test
}

// vipd starts an agent on a host with the given configuration, and more
// arguments of vipd run.
func (p *pair) vipd(h *testenv.Host, config string, args ...string) *agent {
	p.t.Helper()
	return p.runs("", h, config, args...)
}

// runs starts an agent of a program, "" = the one under test.
func (p *pair) runs(program string, h *testenv.Host, config string, args ...string) *agent {
	p.t.Helper()
	a := &agent{t: p.t, host: h, args: args, program: program, config: filepath.Join(h.Dir(), "vipd.toml"), socket: filepath.Join(h.Dir(), "vipd.sock")}
	a.write(config)
	a.start()
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("%s:\n%s", h.Name, a.earlier+a.proc.Output())
		}
	})
	return a
}

func (a *agent) write(config string) {
	a.t.Helper()
	if err := os.WriteFile(a.config, []byte("[node]\nname = \""+a.host.Name+"\"\n"+config), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// start runs the daemon, again after it ended.
func (a *agent) start() {
	a.t.Helper()
	if a.proc != nil {
		a.earlier += a.proc.Output()
	}
	var err error
	args := append([]string{"run", "--config", a.config, "--socket", a.socket, "--state-dir", a.host.Dir()}, a.args...)
	a.proc, err = a.host.Start(exec.Command(cmp.Or(a.program, binary), args...))
	if err != nil {
		a.t.Fatal(err)
	}
}

// stop ends the daemon politely and waits for it.
func (a *agent) stop() {
	a.t.Helper()
	a.signal(syscall.SIGTERM)
	a.wait(10*time.Second, "the daemon to end", func(ctx context.Context) error { return a.proc.Wait(ctx) })
}

// kill ends the daemon without a word, and waits until it is gone.
func (a *agent) kill() {
	a.t.Helper()
	a.signal(syscall.SIGKILL)
	a.wait(10*time.Second, "the daemon to be gone", func(ctx context.Context) error {
		select {
		case <-a.proc.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (a *agent) signal(sig syscall.Signal) {
	a.t.Helper()
	if err := a.proc.Signal(sig); err != nil {
		a.t.Fatalf("%s: signal %v: %v\n%s", a.host.Name, sig, err, a.proc.Output())
	}
}

func (a *agent) wait(limit time.Duration, what string, do func(context.Context) error) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), limit)
	defer cancel()
	if err := do(ctx); err != nil {
		a.t.Fatalf("%s: wait for %s: %v\n%s", a.host.Name, what, err, a.proc.Output())
	}
}

// run runs a vipd command against the agent and returns its exit code and
// outputs.
func (a *agent) run(args ...string) (code int, stdout, stderr string) {
	a.t.Helper()
	return a.asked(binary, args...)
}

// asked is what a command of another vipd says of the agent.
func (a *agent) asked(program string, args ...string) (code int, stdout, stderr string) {
	a.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program, append([]string{"--socket", a.socket}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		a.t.Fatalf("vipd %v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// must runs a vipd command that has to succeed and returns what it printed.
func (a *agent) must(args ...string) string {
	a.t.Helper()
	code, out, errs := a.run(args...)
	if code != 0 {
		a.t.Fatalf("%s: vipd %v: exit %d: %s%s\n%s", a.host.Name, args, code, out, errs, a.proc.Output())
	}
	return out
}

// status is the part of vipd.status/v1 that the labs look at.
type status struct {
	VIPs []vipStatus `json:"vips"`
	Pair *pairStatus `json:"pair"`
	Node struct {
		Config configStatus `json:"config"`
		Edge   struct {
			Dropped []struct {
				Family string `json:"family"`
				Reason string `json:"reason"`
				Count  int    `json:"count"`
			} `json:"packets_dropped"`
		} `json:"edge"`
	} `json:"node"`
}

type pairStatus struct {
	Peers []struct {
		Name    string `json:"name"`
		Heard   bool   `json:"heard"`
		HearsUs bool   `json:"hears_us"`
		Paths   []struct {
			Heard bool `json:"heard"`
		} `json:"paths"`
	} `json:"peers"`
}

type configStatus struct {
	Hash            string `json:"hash"`
	LastReloadOK    bool   `json:"last_reload_ok"`
	LastReloadError string `json:"last_reload_error"`
}

type vipStatus struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Held     bool      `json:"held"`
	Since    time.Time `json:"since"`
	Why      string    `json:"why"`
	Blockers []struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	} `json:"blockers"`
	Restored    int            `json:"addresses_restored"`
	Sent        int            `json:"adverts_sent"`
	Transitions map[string]int `json:"transitions"`
	Disbelieved int            `json:"adverts_disbelieved"`
	Priority    struct {
		Effective int `json:"effective"`
	} `json:"priority"`
}

func (a *agent) status() (s status, err error) {
	code, out, errs := a.run("status", "--json")
	if code != 0 {
		return s, fmt.Errorf("vipd status: exit %d: %s", code, errs)
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// vip returns the status of one VIP.
func (a *agent) vip(name string) vipStatus {
	s, err := a.status()
	if err != nil {
		return vipStatus{}
	}
	for _, v := range s.VIPs {
		if v.Name == name {
			return v
		}
	}
	return vipStatus{}
}

// configured returns what the agent says about its configuration.
func (a *agent) configured() configStatus {
	a.t.Helper()
	s, err := a.status()
	if err != nil {
		a.t.Fatalf("%v\n%s", err, a.proc.Output())
	}
	return s.Node.Config
}

// transitions counts the changes of state since the start.
func (a *agent) transitions(name string) int {
	n := 0
	for _, c := range a.vip(name).Transitions {
		n += c
	}
	return n
}

// over reports whether the daemon has ended.
func (a *agent) over() bool {
	select {
	case <-a.proc.Done():
		return true
	default:
		return false
	}
}

// waitState waits until the agent says that the VIP is in a state, and, when
// that is ACTIVE, that it holds it.
func (a *agent) waitState(name, state string) {
	a.t.Helper()
	var last vipStatus
	a.wait(15*time.Second, name+" to be "+state, func(ctx context.Context) error {
		err := testenv.Until(ctx, func() bool {
			last = a.vip(name)
			return a.over() || last.State == state && (state != "ACTIVE" || last.Held)
		})
		if a.over() {
			return errors.New("it ended")
		}
		if err != nil {
			return fmt.Errorf("it is %+v: %w", last, err)
		}
		return nil
	})
}

// web is a configuration with one VIP.
func web(priority int, interval time.Duration, more string) string {
	return fmt.Sprintf(`
[vip.web]
interface       = "eth0"
vrid            = 51
priority        = %d
advert_interval = "%s"
addresses       = ["%s/24"]
%s`, priority, interval, vip4, more)
}

// eventually waits for a condition; when it does not come, the test ends with
// what the agent says about itself.
func (a *agent) eventually(within time.Duration, what string, cond func() bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), within)
	defer cancel()
	if err := testenv.Until(ctx, cond); err != nil {
		_, out, errs := a.run("status")
		a.t.Fatalf("%s: %s: not within %v\n%s%s\n%s", a.host.Name, what, within, out, errs, a.proc.Output())
	}
}
