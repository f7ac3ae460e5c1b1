package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vipd/vipd/testenv"
)

// Where Debian puts the rivals of the anycast measurements.
const (
	birdPath   = "/usr/sbin/bird"
	exabgpPath = "/usr/sbin/exabgp"
	pythonPath = "/usr/bin/python3" // the one that has exabgp
)

// vipdSpeaker is a vipd that announces.
type vipdSpeaker struct {
	*vipd
	count int
}

// announceVipd starts the vipd of this run.
func announceVipd(k *rack) (speaker, error) {
	h := k.host
	v := &vipd{binary: os.Getenv(binaryVar), host: h, config: filepath.Join(h.Dir(), "vipd.toml"), socket: filepath.Join(h.Dir(), "vipd.sock")}
	if err := os.WriteFile(v.config, []byte(k.vipdConfig()), 0o600); err != nil {
		return nil, err
	}
	var err error
	v.proc, err = h.Start(exec.Command(v.binary, "run", "--config", v.config, "--socket", v.socket, "--state-dir", h.Dir()))
	return vipdSpeaker{v, k.count}, err
}

func (k *rack) vipdConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[node]\nname = %q\n[bgp]\nlocal_as = %d\nrouter_id = %q\n", k.host.Name, hostAS, hostAddress)
	if k.listens {
		b.WriteString("listen_port = 179\n")
	}
	fmt.Fprintf(&b, "[bgp.neighbor.tor]\naddress = %q\nremote_as = %d\nhold_time = \"%s\"\n", torAddress, torAS, holdTime)
	if k.bfd {
		fmt.Fprintf(&b, "bfd = \"fast\"\n[bfd.fast]\ntransmit_interval = \"%s\"\nreceive_interval = \"%s\"\n", bfdEvery, bfdEvery)
	}
	fmt.Fprintf(&b, "[anycast.service]\ndevice = %q\nprefixes = [\n", k.device)
	for _, p := range hostRoutes(k.count) {
		fmt.Fprintf(&b, "%q,\n", p)
	}
	b.WriteString("]\n")
	switch k.watch {
	case byEvent:
		fmt.Fprintf(&b, "track = [\"service\"]\n[check.service]\ntype = \"process\"\nname = %q\n", filepath.Base(service(k.host)))
	case byPoll:
		fmt.Fprintf(&b, "track = [\"service\"]\n[check.service]\ntype = \"exec\"\ncommand = [%q]\nuser = \"root\"\ninterval = \"%s\"\nrise = 1\nfall = 2\n",
			script(k.host), pollEvery)
	}
	return b.String()
}

func (v vipdSpeaker) processes() []*testenv.Process { return []*testenv.Process{v.proc} }
func (v vipdSpeaker) checker() (int, error)         { return v.proc.Pid(), nil }
func (v vipdSpeaker) talker() (int, error)          { return childOf(v.proc.Pid(), "speaker") }

// sessionEnded returns when the session with the ToR ended, as the history tells.
func (v vipdSpeaker) sessionEnded(ctx context.Context, after time.Time) (at time.Time, err error) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = testenv.Until(within, func() bool {
		text, err := v.host.Run(within, v.binary, "--socket", v.socket, "events", "--json", "--type", "bgp_session")
		for line := range strings.Lines(text) {
			var e struct {
				Time time.Time `json:"time"`
				From string    `json:"from"`
			}
			if json.Unmarshal([]byte(line), &e) == nil && e.From == "ESTABLISHED" && e.Time.After(after) {
				at = e.Time
			}
		}
		return err == nil && !at.IsZero()
	})
	if err != nil {
		return at, fmt.Errorf("wait for the end of vipd's session: %w", err)
	}
	return at, nil
}

// bird is BIRD 2 with static routes, and a loop in sh that takes them away.
type bird struct {
	proc, loop *testenv.Process
	ctl        string
}

// announceBIRD starts both, the loop only where there is something to watch.
func announceBIRD(k *rack) (speaker, error) {
	path := func(name string) string { return filepath.Join(k.host.Dir(), name) }
	if err := os.WriteFile(path("bird.conf"), []byte(k.birdConfig()), 0o600); err != nil {
		return nil, err
	}
	s := &bird{ctl: path("bird.ctl")}
	var err error
	if s.proc, err = k.host.Start(exec.Command(birdPath, "-f", "-c", path("bird.conf"), "-s", s.ctl, "-P", path("bird.pid"))); err != nil {
		return nil, err
	}
	if k.watch == "" {
		return s, nil
	}
	if err := os.WriteFile(path("loop"), []byte(fmt.Sprintf(birdLoop, script(k.host), s.ctl, pollEvery.Seconds())), 0o700); err != nil { //nolint:gosec // a program
		return nil, err
	}
	s.loop, err = k.host.Start(exec.Command(path("loop")))
	return s, err
}

// birdLoop asks the script of the service: one good answer enables the routes, two
// bad ones in a row disable them.
const birdLoop = `#!/bin/sh
up=no bad=0
while :; do
	if %[1]s; then
		bad=0
		[ $up = yes ] || ! birdc -s %[2]s enable vips || up=yes
	else
		bad=$((bad + 1))
		[ $up = no ] || [ $bad -lt 2 ] || ! birdc -s %[2]s disable vips || up=no
	fi
	sleep %[3]g
done
`

func (k *rack) birdConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, "log stderr { warning, error, fatal, bug };\nrouter id %s;\nprotocol device { scan time 10; }\n", hostAddress)
	if k.bfd {
		fmt.Fprintf(&b, "protocol bfd { interface \"*\" { interval %d ms; multiplier 3; }; }\n", bfdEvery.Milliseconds())
	}
	b.WriteString("protocol static vips {\n  ipv4;\n")
	if k.watch != "" {
		b.WriteString("  disabled;\n")
	}
	for _, p := range hostRoutes(k.count) {
		fmt.Fprintf(&b, "  route %s blackhole;\n", p)
	}
	fmt.Fprintf(&b, "}\nprotocol bgp tor {\n  local as %d;\n  neighbor %s as %d;\n  hold time %d;\n"+
		"  connect delay time 1;\n  connect retry time 1;\n  error wait time 1, 1;\n", hostAS, torAddress, torAS, int(holdTime.Seconds()))
	if k.bfd {
		b.WriteString("  bfd on;\n")
	}
	b.WriteString("  ipv4 { import none; export where source = RTS_STATIC; };\n}\n")
	return b.String()
}

// order gives an order to BIRD's own control socket, without the time that birdc
// takes to start.
func (s *bird) order(text string) error {
	c, err := net.DialTimeout("unix", s.ctl, patience)
	if err != nil {
		return fmt.Errorf("ask bird: %w", err)
	}
	defer func() { _ = c.Close() }() // it has answered
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	answers := bufio.NewScanner(c)
	answered := func() error {
		for answers.Scan() {
			if line := answers.Text(); len(line) > 4 && line[4] == ' ' { // 0001-welcome has a further line
				if line[0] >= '8' {
					return fmt.Errorf("ask bird for %q: %s", text, line)
				}
				return nil
			}
		}
		return errors.Join(errors.New("ask bird: no answer"), answers.Err())
	}
	if err := answered(); err != nil { // its welcome
		return err
	}
	if _, err := c.Write([]byte(text + "\n")); err != nil {
		return fmt.Errorf("ask bird: %w", err)
	}
	return answered()
}

func (s *bird) processes() []*testenv.Process {
	if s.loop == nil {
		return []*testenv.Process{s.proc}
	}
	return []*testenv.Process{s.loop, s.proc}
}

func (s *bird) output() string {
	text := ""
	for _, p := range s.processes() {
		text += p.Output()
	}
	return text
}

func (s *bird) checker() (int, error) { return s.loop.Pid(), nil }
func (s *bird) talker() (int, error)  { return s.proc.Pid(), nil }

// exabgp is ExaBGP 4 with the health check that it brings.
type exabgp struct{ proc *testenv.Process }

func announceExaBGP(k *rack) (speaker, error) {
	config := filepath.Join(k.host.Dir(), "exabgp.conf")
	var b strings.Builder
	if k.watch != "" {
		fmt.Fprintf(&b, "process check {\n  run %s -m exabgp healthcheck --no-syslog --command %s --interval %g --fast-interval %g --rise 1 --fall 2 "+
			"--withdraw-on-down --no-ip-setup", pythonPath, script(k.host), pollEvery.Seconds(), pollEvery.Seconds())
		for _, p := range hostRoutes(k.count) {
			fmt.Fprintf(&b, " --ip %s", p)
		}
		b.WriteString(";\n  encoder text;\n}\n")
	}
	fmt.Fprintf(&b, "neighbor %s {\n  router-id %s;\n  local-address %s;\n  local-as %d;\n  peer-as %d;\n  hold-time %d;\n  family { ipv4 unicast; }\n",
		torAddress, hostAddress, hostAddress, hostAS, torAS, int(holdTime.Seconds()))
	if k.watch != "" {
		b.WriteString("  api { processes [ check ]; }\n")
	} else {
		b.WriteString("  static {\n")
		for _, p := range hostRoutes(k.count) {
			fmt.Fprintf(&b, "    route %s next-hop self;\n", p)
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(exabgpPath, config)
	cmd.Env = append(os.Environ(), "exabgp.daemon.drop=false", "exabgp.api.cli=false", "exabgp.log.level=WARNING")
	proc, err := k.host.Start(cmd)
	return exabgp{proc}, err
}

func (s exabgp) processes() []*testenv.Process { return []*testenv.Process{s.proc} }
func (s exabgp) output() string                { return s.proc.Output() }
func (s exabgp) checker() (int, error)         { return childOf(s.proc.Pid(), "healthcheck") }
func (s exabgp) talker() (int, error)          { return s.proc.Pid(), nil }
