package engine_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestScenarios runs every transcript in testdata. A transcript is blocks of
// commands, each followed by a line "----", what the hosts then did, and an
// empty line. README of the commands: scenario.run below.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("transcript differs (-file +run), -update rewrites it:\n%s", diff)
			}
		})
	}
}

// scenario is one world and the transcript it writes.
type scenario struct {
	t   *testing.T
	w   *sim.World
	out bytes.Buffer

	witness *sim.Witness // nil = there is none
}

// play runs a transcript and returns it with the output it really has.
func play(t *testing.T, text string) string {
	t.Helper()
	s := &scenario{t: t, w: sim.New(1)}
	s.w.Trace = func(at time.Duration, host, line string) {
		fmt.Fprintf(&s.out, "+%.3fs %s: %s\n", at.Seconds(), host, line)
	}
	inOutput := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			inOutput = false
			s.out.WriteString("\n")
		case inOutput:
		case line == "----":
			inOutput = true
		case strings.HasPrefix(line, "#"):
			s.out.WriteString(line + "\n")
		default:
			s.command(line)
		}
	}
	if broken := s.w.Broken(); len(broken) > 0 {
		t.Errorf("invariants: %s", strings.Join(broken, "\n"))
	}
	return s.out.String()
}

// command writes a command and what it leads to. The lines of one block stay
// together: all commands first, then "----", then the output.
func (s *scenario) command(line string) {
	s.t.Helper()
	rest := bytes.Clone(s.out.Bytes())
	s.out.Reset()
	s.run(strings.Fields(line))
	output := bytes.Clone(s.out.Bytes())
	s.out.Reset()
	if i := bytes.LastIndex(rest, []byte("\n----\n")); i >= 0 && !bytes.Contains(rest[i+6:], []byte("\n\n")) {
		s.out.Write(rest[:i+1])
		s.out.WriteString(line + "\n----\n")
		s.out.Write(rest[i+6:])
	} else {
		s.out.Write(rest)
		s.out.WriteString(line + "\n----\n")
	}
	s.out.Write(output)
}

// run carries out one command.
func (s *scenario) run(f []string) {
	s.t.Helper()
	host := func() *sim.Host {
		h := s.w.Host(f[1])
		if h == nil {
			s.t.Fatalf("no host %q in %q", f[1], f)
		}
		return h
	}
	switch f[0] {
	case "nodes": // nodes lb1=150 lb2=100 key=value …: see nodes
		s.nodes(f[1:])
	case "run": // run 500ms
		s.w.Run(s.duration(f[1]))
	case "crash": // the host loses power
		host().Crash()
	case "kill": // the daemon ends without a word
		host().Kill()
	case "boot": // power and daemon are back
		host().Boot()
	case "link": // link lb1 eth0 down
		host().SetLink(f[2], f[3] == "up")
	case "check": // check lb1 haproxy fail
		host().SetCheck(f[2], f[3] == "ok")
	case "weigh": // weigh lb1 load -30: a watched check reports a weight
		n, err := strconv.Atoi(f[3])
		s.must(err)
		host().Weigh(f[2], n)
	case "checks": // checks lb1
		for _, c := range host().Status().Checks {
			line := fmt.Sprintf("%s is %s, %d up, %d down", c.Name, c.State, c.BecameUp, c.BecameDown)
			if c.Masked != "" {
				line += ", masked " + c.Masked
			}
			if c.HoldDown > 0 {
				line += fmt.Sprintf(", must stay good for %s", c.HoldDown)
			}
			fmt.Fprintf(&s.out, "%s: %s\n", line, c.LastDetail)
		}
	case "cut": // cut lb1 lb2: what lb1 sends does not reach lb2
		s.w.Cut(f[1], f[2])
	case "witness": // witness dies, or witness starts
		s.runWitness(f[1])
	case "heal":
		s.w.Heal()
	case "loss": // loss 0.3
		loss, err := strconv.ParseFloat(f[1], 64)
		s.must(err)
		s.w.Loss = loss
	case "drain": // drain lb1 [web …]
		host().Do(engine.Drain{Names: f[2:], Actor: anna})
	case "drain-for": // drain-for lb1 2s
		host().Do(engine.Drain{Actor: anna, Reason: "kernel upgrade", For: s.duration(f[2])})
	case "undrain":
		host().Do(engine.Undrain{Names: f[2:], Actor: anna})
	case "failover": // failover lb1 web
		host().Do(engine.Failover{Name: f[2], Actor: anna})
	case "stop":
		host().Do(engine.Stop{})
	case "steal": // somebody removes the addresses of a VIP
		host().RemoveAddresses(f[2])
	case "refuse": // refuse lb1 operation not permitted
		host().Refuse(strings.Join(f[2:], " "))
	case "hook": // hook lb1 hangs: how before_hold ends, see sim.Hook
		host().SetHook(sim.Hook(strings.TrimPrefix(f[2], "fast")))
	case "reload": // reload lb1 web priority=50 …, or reload lb1 web removed
		s.reload(host(), f[2], f[3:])
	case "status": // status lb1 web
		v, ok := host().VIP(f[2])
		if !ok {
			s.t.Fatalf("no status: %q", f)
		}
		fmt.Fprintf(&s.out, "%s on %s is %s (stage %s), priority %d, %s\n", v.Name, f[1], v.State, v.Stage, v.Priority.Effective, v.Why+fellBack(v))
	default:
		s.runService(f, host())
	}
}

// nodes adds hosts (name=priority) with one VIP "web" on eth0, or those of
// vips=web@eth0,inside@eth1, and these keys: interval, preempt, preempt_delay,
// vmac, startup_delay, group, track=check:weight,… (or check:own for the check's
// own), track_link=eth1:weight, notify, before_hold=web:500ms,
// check.NAME=… as in changeCheck, and service.NAME=… as in changeService, with
// drain_wait=2s; vips=none for services alone. lease, handover and pair=on, or
// pair=eth0,eth1, are about several hosts: see leaseMode and peering. takeover=fence
// lets each host cut off the others, see fencing; takeover=votes has them vote, see
// voting, and takeover=hold go on without a majority.
func (s *scenario) nodes(args []string) {
	s.t.Helper()
	var hosts [][2]string
	keys := map[string]string{"vips": "web@eth0"}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			s.t.Fatalf("not key=value: %q", a)
		}
		if strings.HasPrefix(k, "lb") {
			hosts = append(hosts, [2]string{k, v})
			continue
		}
		keys[k] = v
	}
	for _, h := range hosts {
		cfg := engine.Config{Node: h[0], Keep: keys["keep"] != "", VIPs: map[string]engine.VIP{}, Groups: map[string][]string{}, Checks: map[string]check.Config{}}
		if v := keys["startup_delay"]; v != "" {
			cfg.StartupDelay = s.duration(v)
		}
		links := map[string]bool{"eth0": true}
		for k, v := range keys {
			if name, ok := strings.CutPrefix(k, "check."); ok {
				cfg.Checks[name] = s.changeCheck(someCheck, v)
			}
		}
		s.services(&cfg, keys, links)
		s.peering(&cfg, keys["pair"], hosts, links)
		s.fencing(&cfg, keys["takeover"])
		s.voting(&cfg, keys["takeover"])
		for i, name := range strings.Split(keys["vips"], ",") {
			name, link, _ := strings.Cut(name, "@")
			if name == "none" {
				break
			}
			links[link] = true
			v := s.vip(i, link, h[1], keys, cfg.Checks, links)
			v.Notify = keys["notify"] == "on"
			if hooked, within, _ := strings.Cut(keys["before_hold"], ":"); hooked == name {
				v.BeforeHold = s.duration(within)
			}
			cfg.VIPs[name] = v
			if keys["group"] != "" {
				cfg.Groups[keys["group"]] = append(cfg.Groups[keys["group"]], name)
				cfg.GroupNotify = map[string]bool{keys["group"]: keys["notify"] == "on"}
			}
		}
		s.w.AddHost(h[0], cfg, slices.Sorted(maps.Keys(links))...)
	}
}

func (s *scenario) vip(i int, link, priority string, keys map[string]string, checks map[string]check.Config, links map[string]bool) engine.VIP {
	s.t.Helper()
	v := engine.VIP{
		Interface: link, VRID: uint8(51 + i), Version: 3, Interval: 100 * time.Millisecond, Preempt: true,
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}), 32)},
		GARP: engine.GARP{Repeat: 5, Interval: time.Millisecond, Refresh: time.Minute,
			Bursts: []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, time.Second}},
		Track: map[string]check.Weight{}, TrackLinks: map[string]check.Weight{},
	}
	s.change(&v, []string{"priority=" + priority})
	for k, value := range keys {
		switch k {
		case "interval", "preempt", "preempt_delay", "vmac", "lease", "handover", "takeover":
			s.change(&v, []string{k + "=" + value})
		case "track":
			for entry := range strings.SplitSeq(value, ",") {
				name, weight, _ := strings.Cut(entry, ":")
				if _, ok := checks[name]; !ok {
					checks[name] = someCheck
				}
				v.Track[name] = s.weight(weight)
			}
		case "track_link":
			name, weight, _ := strings.Cut(value, ":")
			v.TrackLinks[name] = s.weight(weight)
			links[name] = true
		}
	}
	return v
}

// someCheck is every check of the scenarios.
var someCheck = check.Config{Spec: check.TCP{Address: "127.0.0.1:80"}, Interval: 50 * time.Millisecond, Timeout: 50 * time.Millisecond, Rise: 2, Fall: 2}

// seenCheck is the Spec of every watched check of the scenarios.
type seenCheck struct{}

func (seenCheck) Type() string { return "seen" }
func (seenCheck) Watched()     {}

// changeCheck sets keys of a check, separated by commas: watched, init:ok,
// after:net, held:web, all:a+b, any:a+b, 2of:a+b+c, hold:1s (from the second time
// down within a minute, 4s at most).
func (s *scenario) changeCheck(c check.Config, settings string) check.Config {
	s.t.Helper()
	for set := range strings.SplitSeq(settings, ",") {
		k, value, _ := strings.Cut(set, ":")
		names := strings.Split(value, "+")
		switch k {
		case "watched":
			c.Spec = seenCheck{}
		case "init":
			c.InitOK = value == "ok"
		case "after":
			c.After = names
		case "held":
			c.WhileHeld = value
		case "hold":
			c.HoldDown = check.HoldDown{Time: s.duration(value), Most: 4 * time.Second, Flaps: 2, Within: time.Minute}
		case "all":
			c.Spec = check.Group{Members: names, Need: len(names)}
		case "any":
			c.Spec = check.Group{Members: names, Need: 1}
		case "2of":
			c.Spec = check.Group{Members: names, Need: 2}
		case "no":
			c.After, c.WhileHeld, c.HoldDown = nil, "", check.HoldDown{}
		default:
			s.t.Fatalf("unknown key %q of a check", k)
		}
	}
	return c
}

// change sets keys of a VIP.
func (s *scenario) change(v *engine.VIP, settings []string) {
	s.t.Helper()
	for _, set := range settings {
		k, value, _ := strings.Cut(set, "=")
		switch k {
		case "priority":
			n, err := strconv.ParseUint(value, 10, 8)
			s.must(err)
			v.Priority = uint8(n)
		case "interval":
			v.Interval = s.duration(value)
		case "preempt":
			v.Preempt = value != "off"
		case "preempt_delay":
			v.PreemptDelay = s.duration(value)
		case "vmac":
			v.VMAC = value == "on"
		case "lease":
			v.Lease = s.leaseMode(value)
		case "takeover":
			v.Takeover = map[string]engine.Takeover{"fence": engine.TakeoverFence, "votes": engine.TakeoverVotes, "hold": engine.TakeoverVotes}[value]
			v.HoldOn = value == "hold"
		case "handover":
			v.Break = value == "break"
		case "vrid":
			n, err := strconv.ParseUint(value, 10, 8)
			s.must(err)
			v.VRID = uint8(n)
		case "track":
			v.Track = maps.Clone(v.Track)
			v.Track[value] = check.Weight{Fault: true}
		case "address":
			p, err := netip.ParsePrefix(value)
			s.must(err)
			v.Addresses = []netip.Prefix{p}
		default:
			s.t.Fatalf("unknown key %q", k)
		}
	}
}

// reload gives a host a configuration with one VIP changed or removed.
func (s *scenario) reload(h *sim.Host, name string, settings []string) {
	s.t.Helper()
	cfg := h.Config()
	cfg.VIPs = maps.Clone(cfg.VIPs)
	v := cfg.VIPs[name]
	if slices.Equal(settings, []string{"removed"}) {
		delete(cfg.VIPs, name)
	} else {
		cfg.Checks = maps.Clone(cfg.Checks)
		for _, set := range settings {
			k, value, _ := strings.Cut(set, "=")
			check, ok := strings.CutPrefix(k, "check.")
			switch was, there := cfg.Checks[check]; {
			case !ok:
				s.change(&v, []string{set})
			case there:
				cfg.Checks[check] = s.changeCheck(was, value)
			default:
				cfg.Checks[check] = s.changeCheck(someCheck, value)
			}
		}
		cfg.VIPs[name] = v
		for check := range v.Track {
			if _, ok := cfg.Checks[check]; !ok {
				cfg.Checks[check] = someCheck
			}
		}
	}
	h.Configure(cfg)
}
