package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Agent is a vipd on a [Host]: the daemon, and the commands that talk to it.
// Configuration, control socket and state are in the directory of the host.
type Agent struct {
	Host   *Host
	Config string // path of the configuration
	Socket string // path of the control socket

	program string

	mu   sync.Mutex
	runs []*Process // every daemon that was started, in order
}

// Vipd starts a vipd on the host. program is its path, such as /proc/self/exe,
// and config its configuration, in front of which the host's name is put.
func (h *Host) Vipd(program, config string) (*Agent, error) {
	a := h.VipdLater(program)
	config = fmt.Sprintf("[node]\nname = %q\n\n%s", h.Name, config)
	if err := os.WriteFile(a.Config, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("configure vipd on %s: %w", h.Name, err)
	}
	return a, a.Start()
}

// VipdLater is a vipd on the host that is not started yet: the caller writes its
// configuration first.
func (h *Host) VipdLater(program string) *Agent {
	return &Agent{
		Host: h, program: program,
		Config: filepath.Join(h.dir, "vipd.toml"), Socket: filepath.Join(h.dir, "vipd.sock"),
	}
}

// Start starts the daemon, also again after it ended.
func (a *Agent) Start() error {
	cmd := exec.Command(a.program, "run", "--config", a.Config, "--socket", a.Socket, "--state-dir", a.Host.dir)
	cmd.Args[0] = "vipd"
	cmd.Env = ownEnviron()
	p, err := a.Host.Start(cmd)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs = append(a.runs, p)
	return nil
}

// ownEnviron is the environment without what would tie a daemon to the service
// or the daemon of the caller.
func ownEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "VIPD_SOCKET"}, name)
	})
}

// Process is the daemon that was started last.
func (a *Agent) Process() *Process {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.runs) == 0 {
		return nil
	}
	return a.runs[len(a.runs)-1]
}

// Command is a vipd command, such as status, that talks to the daemon. It does
// not run inside the host: a control socket is a file.
func (a *Agent) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, a.program, append([]string{"--socket", a.Socket}, args...)...)
	cmd.Args[0] = "vipd"
	return cmd
}

// Log is what every daemon has written, each the last MiB of it.
func (a *Agent) Log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all strings.Builder
	for _, p := range a.runs {
		all.WriteString(p.Output())
	}
	return all.String()
}
