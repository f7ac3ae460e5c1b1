package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/pkg/engine"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect from what the commands print now")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vipd": main})
}

// TestScript runs the commands as a user does. A script starts a daemon that is
// made of values with
//
//	daemon [WORD...]
//
// where a word is one of the keys of daemonWords, and changes it with
//
//	record TYPE NAME TEXT
//	stop SEQ
//
// of which the latter waits until a client has got the event SEQ. It checks an exit code with
//
//	exits CODE vipd [ARG...]
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("VIPD_SOCKET", filepath.Join(env.WorkDir, "vipd.sock"))
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": startDaemon,
			"exits":  checkExit,
			"stop":   stopDaemon,
			"record": addRecord,
		},
	})
}

// daemonWords change what the daemon of a script is like.
var daemonWords = map[string]func(*controltest.Daemon, *control.Options){
	"refusing": func(d *controltest.Daemon, _ *control.Options) {
		d.Refuse = "no other host advertises web: it would be nowhere"
	},
	"voting":  func(d *controltest.Daemon, _ *control.Options) { controltest.Voting(d) },
	"fencing": func(d *controltest.Daemon, _ *control.Options) { controltest.Fencing(d) },
	"protected": func(d *controltest.Daemon, _ *control.Options) {
		controltest.Fencing(d)
		controltest.Heard(&d.Doc)
	},
	"living":  func(d *controltest.Daemon, _ *control.Options) { d.Refuse = "lb2 is not off: it was heard 140ms ago" },
	"anycast": func(d *controltest.Daemon, _ *control.Options) { d.Doc = controltest.Anycast() },
	"broken": func(d *controltest.Daemon, _ *control.Options) {
		d.Broken = "lb2 holds it, but does not answer a client: no reply"
	},
	"alone": func(d *controltest.Daemon, _ *control.Options) { d.Doc.VIPs, d.Doc.Checks = nil, nil },
	"draining": func(d *controltest.Daemon, _ *control.Options) {
		controltest.Drain(&d.Doc.Services[1], d.Doc.Now)
	},
	"hanging": func(d *controltest.Daemon, _ *control.Options) { d.Hang = true },
	"holding": func(d *controltest.Daemon, _ *control.Options) { d.Stay = true },
	"mute":    func(d *controltest.Daemon, _ *control.Options) { d.Mute = errors.New("the loop hangs") },
	"empty": func(d *controltest.Daemon, _ *control.Options) {
		d.Doc.VIPs, d.Doc.Checks, d.Doc.Links = nil, nil, nil
	},
	"stranger": func(_ *controltest.Daemon, o *control.Options) {
		o.AdminGroup = "vipd-admin"
		o.Peer = func(*net.UnixConn) (control.Peer, error) { return control.Peer{UID: 4004, GID: 4004}, nil }
	},
	"badconfig": func(d *controltest.Daemon, _ *control.Options) {
		d.Reloads = control.ReloadResult{Problems: []string{
			"vipd.toml:6:8: error: vip.web.vrid: 300 is outside 1–255\n    6 | vrid = 300\n      |        ^~~",
			"vipd.toml:7:1: error: unknown key `priorty` in [vip.web]",
		}}
	},
	"well": func(d *controltest.Daemon, _ *control.Options) {
		d.Doc.Checks[0].State = "up"
	},
	"waiting": func(d *controltest.Daemon, _ *control.Options) {
		d.Doc.Node.Config.ConfirmBy = d.Doc.Now.Add(42 * time.Second)
		d.Reloads = control.ReloadResult{Refused: "the last reload waits for its confirmation, and is taken back in 42s"}
	},
	"torn": torn,
	"observing": func(d *controltest.Daemon, _ *control.Options) {
		d.Doc.Node.Observing, d.Doc.Node.Unobserved, d.Doc.Pair, d.Doc.Node.Edge.Pair = true, 2, nil, nil
		for i := range d.Doc.VIPs {
			d.Doc.VIPs[i].Held, d.Doc.VIPs[i].Observed = false, &engine.ObservedStatus{Here: i != 1}
		}
		d.Doc.VIPs[1].Observed.Holders = []netip.Addr{netip.MustParseAddr("192.0.2.3")}
		d.Doc.VIPs[2].Observed.Differences = []engine.ObservedDifference{{Kind: "advert", Text: "this host advertises priority 100, not 150", Since: d.Doc.Now.Add(-time.Minute)}}
	},
	"silent": func(d *controltest.Daemon, _ *control.Options) {
		p := &d.Doc.Pair.Peers[0]
		p.Heard, p.Last, p.Paths[0].Heard, p.Paths[1].Heard = false, d.Doc.Now.Add(-3*time.Minute), false, false
		d.Doc.Node.Edge.Pair.Peers[0].Refused = map[string]uint64{"replay": 2, "bad_key": 1800}
	},
	"unheard": func(d *controltest.Daemon, _ *control.Options) {
		p := &d.Doc.Pair.Peers[0]
		p.Heard, p.Last, p.VIPs, p.Compared, p.Paths[0].Heard, p.Paths[1].Heard = false, time.Time{}, nil, false, false, false
		seen := &d.Doc.Node.Edge.Pair.Peers[0]
		seen.Version, seen.Refused = 2, map[string]uint64{"version": 7}
		seen.Errors = []control.PathError{{Address: p.Paths[1].Address, Text: "network is unreachable"}}
	},
	"closed": func(d *controltest.Daemon, _ *control.Options) {
		d.Doc.Pair.Open, d.Doc.Pair.Err = false, "listen on [::]:5798: address already in use"
		d.Doc.Node.Edge.Pair = nil
	},
	"unchanged": func(d *controltest.Daemon, _ *control.Options) { d.Reloads.Changes = nil },
	"faulty": func(d *controltest.Daemon, _ *control.Options) {
		now := d.Doc.Now
		d.Doc.Node.Config.LastReloadOK = false
		d.Doc.Node.Config.LastReload = now.Add(-3 * time.Minute)
		d.Doc.Node.Config.LastReloadError = "vipd.toml:5:1 unknown key `priorty`"
		web := &d.Doc.VIPs[2]
		web.State, web.Stage, web.Held, web.Since = engine.Fault, engine.Eligible, false, now.Add(-12*time.Second)
		web.Reason, web.Why, web.Blockers = "interface", "interface eth0 is down", []engine.Blocker{{Kind: engine.BlockedInterface, Name: "eth0", Text: "interface eth0 is down"}}
		d.Doc.VIPs[0].State, d.Doc.VIPs[0].Held, d.Doc.VIPs[0].Why = engine.Initialize, false, "startup delay"
		d.Doc.Links[0].Up, d.Doc.Links[0].Since = false, now.Add(-12*time.Second)
		web.Auth.Last.Time = now.Add(-2 * time.Second)
		d.Doc.Checks[0].LastDetail = "rude \x1b[31mred\x07 answer"
	},
}

// torn is a pair that could not be moved about.
func torn(d *controltest.Daemon, _ *control.Options) {
	p := &d.Doc.Pair.Peers[0]
	p.Paths[1].Heard = false
	p.Drift = []engine.Drift{
		{Key: "vip.mail.vrid", Ours: "61", Theirs: "62"}, {Key: "vip.old", Theirs: "configured"},
		{Key: "vip.web.addresses", Ours: "192.0.2.10/24", Theirs: "192.0.2.10/32"}, {Key: "vip.web.vmac", Ours: "false", Theirs: "true"},
	}
	p.VIPs[2].Role, p.VIPs[2].Eligible, p.VIPs[2].Blocker = "out", false, "check haproxy fails: connection refused"
	inside, web := &d.Doc.VIPs[0], &d.Doc.VIPs[2]
	inside.Lease.Kind, inside.Lease.Time, inside.Lease.Why = "address", 2*time.Second, "open nf_tables: operation not supported"
	web.Standby = "lb2 is not ready: check haproxy fails: connection refused"
	web.Lease.Late, web.Disbelieved = 1, 4711
}

// daemons finds the running daemon of a script by its socket.
var daemons sync.Map

// running is a daemon and what ends it.
type running struct {
	*controltest.Daemon
	stop func() error
}

// startDaemon is the command daemon.
func startDaemon(ts *testscript.TestScript, neg bool, words []string) {
	if neg {
		ts.Fatalf("daemon cannot be negated")
	}
	d := &controltest.Daemon{
		Doc:     controltest.Pair(),
		Reloads: control.ReloadResult{Hash: "77aa01b", Changes: []string{"vip.web.priority: 150 -> 140"}, Warnings: []string{"vipd.toml:9:1: warning: w"}},
		Probes: map[string]control.CheckResult{
			"haproxy": {OK: true, Detail: "connected to 127.0.0.1:443", Took: 900 * time.Microsecond},
			"api":     {Detail: "exit 1: backend 3 of 5", Took: 212 * time.Millisecond},
		},
	}
	d.Record(controltest.History()...)
	opts := control.Options{
		Socket: ts.Getenv("VIPD_SOCKET"),
		Peer:   func(*net.UnixConn) (control.Peer, error) { return control.Peer{}, nil },
	}
	for _, w := range words {
		change, ok := daemonWords[w]
		if !ok {
			ts.Fatalf("daemon knows no word %q", w)
		}
		change(d, &opts)
	}
	srv := control.New(d, opts)
	ts.Check(srv.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	ts.Defer(func() { ts.Check(stop()) })
	ts.Setenv("DAEMON", opts.Socket)
	daemons.Store(opts.Socket, running{d, stop})
}

// stopDaemon is the command stop.
func stopDaemon(ts *testscript.TestScript, _ bool, args []string) {
	seq, err := strconv.ParseUint(strings.Join(args, " "), 10, 64)
	ts.Check(err)
	d := daemonOf(ts)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); d.Asked() < seq; <-tick.C {
		if time.Now().After(deadline) {
			ts.Fatalf("no client has got event %d", seq)
		}
	}
	ts.Check(d.stop())
}

// daemonOf is the daemon of a script.
func daemonOf(ts *testscript.TestScript) running {
	d, ok := daemons.Load(ts.Getenv("DAEMON"))
	if !ok {
		ts.Fatalf("no daemon")
	}
	return d.(running)
}

// checkExit is the command exits.
func checkExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// addRecord is the command record.
func addRecord(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: record TYPE NAME TEXT")
	}
	daemonOf(ts).Record(engine.Record{
		Time: controltest.At(14, 5, 3), Type: engine.RecordType(args[0]), Name: args[1], Text: args[2], Severity: engine.Info,
	})
}

// TestUsage compares the hand-written usage with the commands.
func TestUsage(t *testing.T) {
	t.Parallel()
	a := &app{tui: newTUI(io.Discard, io.Discard)}
	root := a.root()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if !cmd.Hidden && !strings.Contains(usage, "    vipd "+cmd.Name()) {
			t.Errorf("usage does not name vipd %s", cmd.Name())
		}
	}
	for line := range strings.Lines(usage) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "vipd" || !strings.HasPrefix(line, "    vipd") {
			continue
		}
		if cmd, _, err := root.Find(words[1:2]); err != nil || cmd == root {
			t.Errorf("usage names vipd %s, which does not exist", words[1])
		}
	}
	for _, line := range strings.Split(usage, "\n") {
		if len(line) > 90 {
			t.Errorf("usage: %d columns: %s", len(line), line)
		}
	}
}

// TestTerminal prints the status as a terminal of 80 columns would get it.
func TestTerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	a := &app{tui: newTUI(&out, io.Discard)}
	a.color, a.width = true, 80
	doc := controltest.Pair()
	a.printStatus(doc, false)
	for line := range strings.Lines(out.String()) {
		text := line
		for _, s := range []style{bold, red, green, yellow} {
			text = strings.ReplaceAll(text, "\x1b["+string(s)+"m", "")
		}
		text = strings.TrimSuffix(strings.ReplaceAll(text, "\x1b[0m", ""), "\n")
		if strings.HasPrefix(text, "web") || strings.HasPrefix(text, "VIP") {
			if n := len([]rune(text)); n > 80 {
				t.Errorf("%d columns: %q", n, text)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Errorf("a stray escape: %q", text)
		}
	}
	if !strings.Contains(out.String(), "\x1b[32mACTIVE\x1b[0m") {
		t.Errorf("ACTIVE is not green:\n%q", out.String())
	}
	if strings.Contains(out.String(), "?[") {
		t.Errorf("our own escapes were cleaned:\n%s", out.String())
	}
}

// TestSettle prints no colour where there is no terminal.
func TestSettle(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ui := newTUI(f, f)
	ui.settle()
	if ui.color || ui.width != 0 {
		t.Errorf("color %v, width %d in a file", ui.color, ui.width)
	}
}
