package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vipd/vipd/testenv"
)

// Keepalived is a running keepalived, VRRP part only.
type Keepalived struct {
	Process *testenv.Process

	host    *testenv.Host
	dir     string
	routers []router

	asking  sync.Mutex // one question at a time: the answer is a file
	started bool       // it was seen to take signals
}

// RequireKeepalived skips the test where there is no keepalived, see
// [testenv.Require].
func RequireKeepalived(t testing.TB) {
	t.Helper()
	testenv.Require(t, "keepalived")
}

// StartKeepalived starts keepalived on the host, with pid files and temporary
// files of its own, so that several can run at once.
func StartKeepalived(h *testenv.Host, c Config) (*Keepalived, error) {
	dir, err := os.MkdirTemp(h.Dir(), "keepalived-")
	if err != nil {
		return nil, fmt.Errorf("start keepalived: %w", err)
	}
	k := &Keepalived{host: h, dir: dir}
	if err := k.write(c); err != nil {
		return nil, err
	}
	for _, r := range k.routers {
		if r.VMAC {
			if err := virtualMACOnly(h, r.Device); err != nil {
				return nil, fmt.Errorf("start keepalived: %w", err)
			}
		}
	}
	cmd := exec.Command("keepalived", "--dont-fork", "--log-console", "--log-detail", "--no-syslog", "--vrrp",
		"--use-file", k.path("keepalived.conf"), "--pid", k.path("keepalived.pid"),
		"--vrrp_pid", k.path("vrrp.pid"), "--checkers_pid", k.path("checkers.pid"), "--bfd_pid", k.path("bfd.pid"))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // where it writes its answers
	if k.Process, err = h.Start(cmd); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Keepalived) path(name string) string { return filepath.Join(k.dir, name) }

func (k *Keepalived) write(c Config) error {
	routers, err := c.complete()
	if err != nil {
		return fmt.Errorf("configure keepalived: %w", err)
	}
	k.routers = routers
	text := c.Text
	if text == "" {
		text = keepalivedConfig(k.host.Name, c.Extra, routers)
	}
	if err := os.WriteFile(k.path("keepalived.conf"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("configure keepalived: %w", err)
	}
	return nil
}

// Reload gives keepalived another configuration.
func (k *Keepalived) Reload(c Config) error {
	if err := k.write(c); err != nil {
		return err
	}
	return k.Process.Signal(syscall.SIGHUP)
}

// Stop implements [Peer] by SIGTERM.
func (k *Keepalived) Stop(ctx context.Context) error {
	if err := k.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop keepalived: %w", err)
	}
	return k.Process.Wait(ctx)
}

// Kill implements [Peer].
func (k *Keepalived) Kill() { k.Process.Kill() }

// dump is what keepalived writes about one virtual router when asked.
type dump struct {
	Data struct {
		Name     string `json:"iname"`
		State    int    `json:"state"`
		Priority int    `json:"effective_priority"`
	} `json:"data"`
	Stats struct {
		Sent     int `json:"advert_sent"`
		Received int `json:"advert_rcvd"`
	} `json:"stats"`
}

// keepalivedStates are its numbers for the states.
var keepalivedStates = map[int]State{0: Initialize, 1: Backup, 2: Active, 3: Fault}

// jsonSignal asks the program which signal makes it write its state as JSON.
var jsonSignal = sync.OnceValues(func() (syscall.Signal, error) {
	out, err := exec.Command("keepalived", "--signum=JSON").Output()
	if err != nil {
		return 0, fmt.Errorf("ask keepalived for its JSON signal: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	return syscall.Signal(n), err
})

// Status implements [Peer] by the JSON that keepalived writes on a signal.
func (k *Keepalived) Status(ctx context.Context) (map[string]Status, error) {
	k.asking.Lock()
	defer k.asking.Unlock()
	sig, err := jsonSignal()
	if err != nil {
		return nil, err
	}
	// Before its own signal handler is in place, that signal would end it.
	if !k.started {
		if err := k.Process.WaitOutput(ctx, "Startup complete"); err != nil {
			return nil, err
		}
		k.started = true
	}
	answer := k.path("keepalived.json")
	if err := os.Remove(answer); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("ask keepalived: %w", err)
	}
	if err := k.Process.Signal(sig); err != nil {
		return nil, fmt.Errorf("ask keepalived: %w", err)
	}
	var all []dump
	err = testenv.Until(ctx, func() bool {
		text, err := os.ReadFile(answer)
		return err == nil && json.Unmarshal(text, &all) == nil // not while it is half written
	})
	if err != nil {
		return nil, fmt.Errorf("ask keepalived: %w", err)
	}
	out := map[string]Status{}
	for _, d := range all {
		out[d.Data.Name] = Status{
			State: keepalivedStates[d.Data.State], Priority: d.Data.Priority,
			Sent: d.Stats.Sent, Received: d.Stats.Received,
		}
	}
	return out, nil
}

// keepalivedConfig writes the configuration file.
func keepalivedConfig(host, extra string, routers []router) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n  router_id %s\n  vrrp_version 3\n}\n%s\n", host, extra)
	for _, r := range routers {
		fmt.Fprintf(&b, "vrrp_instance %s {\n  state BACKUP\n  interface %s\n  version %d\n  virtual_router_id %d\n  priority %d\n  advert_int %g\n",
			r.Name, r.Device, r.Version, r.VRID, r.Priority, r.Interval.Seconds())
		if r.NoPreempt {
			b.WriteString("  nopreempt\n")
		}
		if r.VMAC {
			b.WriteString("  use_vmac\n  vmac_xmit_base\n")
		}
		if r.is6() {
			b.WriteString("  native_ipv6\n")
		}
		if r.UnicastSource != "" {
			fmt.Fprintf(&b, "  unicast_src_ip %s\n", r.UnicastSource)
		}
		block(&b, "unicast_peer", r.UnicastPeers)
		var addrs []string
		for _, a := range r.addresses {
			addrs = append(addrs, a.String())
		}
		block(&b, "virtual_ipaddress", addrs)
		if r.Extra != "" {
			b.WriteString(r.Extra + "\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func block(b *strings.Builder, name string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "  %s {\n    %s\n  }\n", name, strings.Join(lines, "\n    "))
}
