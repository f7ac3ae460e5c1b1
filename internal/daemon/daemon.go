package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/metrics"
	"github.com/vipd/vipd/internal/hook"
	"github.com/vipd/vipd/internal/journal"
	"github.com/vipd/vipd/internal/netif"
	"github.com/vipd/vipd/pkg/check/probe"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence/agent"
)

// errEnded answers who wants a turn after the last one.
var errEnded = errors.New("vipd is ending")

// errStopped ends the edges after the last turn.
var errStopped = errors.New("stopped")

// Options says how a daemon is run.
type Options struct {
	ConfigPath string
	StateDir   string // where drains and events are kept over restarts
	Socket     string // control socket instead of the configured one, "" = configured
	Record     string // file that gets all that the engine is given, "" = none
	RecordMax  int64  // bytes of it
	Observe    bool   // decide and do nothing; nothing is kept then either
	Version    string
	Revision   string
	Log        *slog.Logger
}

// Daemon is one running vipd.
type Daemon struct {
	opts    Options
	log     *slog.Logger
	started time.Time
	cfg     atomic.Pointer[config.Config]
	first   *config.Config // that the daemon started with
	reloads reloads
	drains  *drains

	one       sync.Mutex    // of the turns: one after the other
	ended     chan struct{} // closed after the last turn
	questions sync.Mutex    // one of vipd what-if at a time

	// Used in turns only.
	eng      *engine.Engine
	clock    *clock
	done     bool
	ports    map[portKey]*port
	dirty    []*port // with adverts to send in this turn
	links    map[string]netif.Link
	losses   []engine.Event  // of the first turn: what the last run left and nobody can read
	leaving  map[string]bool // owners of addresses that a reload removed and the engine still releases
	waiting  map[uint64]chan engine.Answer
	commands uint64
	run      context.Context // of the edges
	spawn    func(func() error)
	fail     func(error) // ends the edges

	monitor   *netif.Monitor
	addresses *netif.Addresses
	announcer *netif.Announcer
	claims    *netif.Claims
	probes    *probe.Runner
	hooks     *hook.Runner
	journal   *journal.Journal
	recorder  *journal.Recorder // nil when nothing is recorded
	timings   *metrics.Timings
	takeovers takeovers // used in turns only
	leases    *leases
	fences    *fences
	proven    *proven
	client    *client // of a drill, nil = none looks; used in turns only
	pair      pairing
	votes     *votes
	shadow    *shadow // nil unless it only observes
	speaker   bgpSpeaker
	pings     atomic.Uint64           // of systemd's watchdog
	portList  atomic.Pointer[[]*port] // the same as ports, for readers outside of turns
}

// New reads the configuration and prepares a daemon. It touches nothing of the
// host yet. The problems are never nil; the daemon is nil when one is an error.
func New(opts Options) (*Daemon, *config.Problems, error) {
	cfg, problems := disk.Load(opts.ConfigPath)
	if cfg == nil {
		return nil, problems, problems.Err()
	}
	if err := nameNode(cfg); err != nil {
		return nil, problems, err
	}
	clock, err := newClock()
	if err != nil {
		return nil, problems, err
	}
	var watching *shadow
	if opts.Observe {
		watching, opts.StateDir = newShadow(), "" // what a vipd that acts will keep there is none of ours
	}
	log := opts.Log
	d := &Daemon{
		opts: opts, log: log, clock: clock, drains: newDrains(opts.StateDir),
		ended: make(chan struct{}), reloads: reloads{armed: make(chan time.Time, 1)},
		ports: map[portKey]*port{}, links: map[string]netif.Link{}, leaving: map[string]bool{}, waiting: map[uint64]chan engine.Answer{},
		monitor: netif.NewMonitor(log), addresses: netif.NewAddresses(log), announcer: netif.NewAnnouncer(log), claims: netif.NewClaims(log),
		probes: probe.NewRunner(probe.Settings{User: scriptUser(cfg), Log: log}), hooks: hook.NewRunner(log), first: cfg, timings: metrics.NewTimings(), takeovers: takeovers{},
		leases: newLeases(), fences: newFences(opts.StateDir, agent.NewRunner(log)), votes: newVotes(), shadow: watching, proven: newProven(opts.StateDir),
	}
	d.cfg.Store(cfg)
	d.journal = journal.Open(journal.Options{
		Dir: opts.StateDir, Node: func() string { return d.cfg.Load().Engine.Node }, Log: log, Journald: journal.Connected(),
	})
	d.portList.Store(&[]*port{})
	return d, problems, nil
}

// nameNode fills in the short hostname when the file names no node.
func nameNode(cfg *config.Config) error {
	if cfg.Engine.Node != "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name this node: %w", err)
	}
	short, _, _ := strings.Cut(host, ".")
	cfg.SetNode(short)
	return nil
}

// Run works until ctx ends, releases what it holds, and returns when all of its
// goroutines have. SIGHUP reloads.
func (d *Daemon) Run(ctx context.Context) error {
	cfg := d.cfg.Load()
	page, err := metrics.Page(d, d.timings)
	if err != nil {
		return err
	}
	server := control.New(d, control.Options{
		Socket: cmp.Or(d.opts.Socket, cfg.Control.Socket), AdminGroup: cfg.Control.AdminGroup, MetricsListen: cfg.Metrics.Listen, Metrics: page, Log: d.log,
	})
	if err := server.Listen(); err != nil {
		return err
	}
	d.started = time.Now()
	left, stay := d.goesOn(cfg)
	d.tidy(append(stay, stays(cfg)...))
	d.reloads.loaded(d.started)
	d.eng = engine.New(d.started)
	if err := d.record(cfg.Engine.Node); err != nil {
		return err
	}

	// The edges outlive ctx: the polite end needs them.
	base, endEdges := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endEdges(nil)
	edges, run := errgroup.WithContext(base)
	d.run, d.spawn, d.fail = run, edges.Go, endEdges
	edges.Go(func() error { return d.monitor.Run(run, d.linkSeen) })
	edges.Go(func() error { return d.addresses.Run(run, d.applied) })
	edges.Go(func() error { return d.announcer.Run(run) })
	edges.Go(func() error { return d.claims.Run(run, d.claimed) })
	edges.Go(func() error { d.probes.Run(run); return nil })
	edges.Go(func() error { d.hooks.Run(run, d.hookDone); return nil })
	edges.Go(func() error { d.journal.Run(run); return nil })
	edges.Go(func() error { return d.clock.Run(run, d.alarm) })
	edges.Go(func() error { d.guard(run); return nil })
	edges.Go(func() error { return server.Run(run) })
	edges.Go(func() error { d.hangups(run); return nil })
	edges.Go(func() error { d.reverts(run); return nil })

	if d.shadow != nil {
		edges.Go(func() error { d.look(run); return nil })
	}
	if d.recorder != nil {
		edges.Go(func() error { d.recorder.Run(run, d.recordingEnded); return nil })
	}
	d.begin(cfg, left)
	edges.Go(func() error { d.keepDrains(run); return nil })
	edges.Go(func() error { d.keepProven(run); return nil })
	edges.Go(func() error { d.fence(run); return nil }) // writes what has been read by now
	d.notify("READY=1\nSTATUS=" + d.word() + " with " + d.opts.ConfigPath)
	edges.Go(func() error { d.watchdog(run); return nil })

	err = d.work(ctx, run)
	d.keepRoutes()
	d.leases.held = err == nil && d.leaveHeld()
	endEdges(errStopped)
	edgeErr := edges.Wait()
	if !d.leases.held {
		d.endLeases(err == nil)
	}
	d.endFences()
	for _, e := range []error{err, edgeErr} {
		if e != nil && !errors.Is(e, errStopped) {
			return e
		}
	}
	return nil
}

// tidy removes what an earlier run left, but for stay. Who only observes touches
// nothing.
func (d *Daemon) tidy(stay []netif.Wanted) {
	if d.shadow != nil {
		d.log.Warn("observes only: adds no address and sends nothing", "config", d.opts.ConfigPath)
		return
	}
	if err := netif.RemoveLeftovers(d.log, stay); err != nil {
		d.log.Warn("look for leftovers of an earlier run", "error", err)
	}
}

// word is what the daemon does, in one.
func (d *Daemon) word() string {
	if d.shadow != nil {
		return "observing"
	}
	return "running"
}

// begin is the first turn: the configuration, and what the last run left and knew.
func (d *Daemon) begin(cfg *config.Config, left map[string]engine.Kept) {
	resume := d.resumes(d.started)
	kept, err := d.drains.load()
	d.lose("drains of the last run are lost", err)
	d.turn(func(now time.Time) {
		d.speaker.resumes = !resume.IsZero()
		if d.speaker.resumes || len(left) > 0 {
			d.step(engine.Resume{Until: resume, VIPs: left})
		}
		d.configure(cfg, engine.Actor{})
		d.restoreFences(now)
		d.restoreProven()
		for _, loss := range d.losses {
			d.step(loss)
		}
		d.recordingBegun()
		if len(kept.Drains)+len(kept.Services) > 0 {
			d.step(engine.RestoreDrains{Drains: kept.Drains, Services: kept.Services})
		}
	})
}

// hangups reloads at each SIGHUP.
func (d *Daemon) hangups(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			result, err := d.Reload(ctx, engine.Actor{Name: "SIGHUP"}, control.ReloadKind{})
			switch {
			case err != nil:
				d.log.Error("reload", "error", err)
			case result.Refused != "":
				d.log.Error("reload refused", "by", "SIGHUP", "why", result.Refused)
			}
		case <-ctx.Done():
			return
		}
	}
}

// notify tells systemd, when vipd was started by it.
func (d *Daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Warn("notify systemd", "error", err)
	}
}

// watchdog feeds systemd's watchdog with a turn: an engine that is stuck is not
// fed.
func (d *Daemon) watchdog(ctx context.Context) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if d.turn(func(time.Time) {}) {
				d.notify("WATCHDOG=1")
				d.pings.Add(1)
			}
		case <-ctx.Done():
			return
		}
	}
}
