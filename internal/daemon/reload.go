package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/hook"
	"github.com/vipd/vipd/pkg/check/probe"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// reloads remembers how the last reload went.
type reloads struct {
	one   sync.Mutex     // one reload at a time
	waits *unconfirmed   // nil = none; with one
	armed chan time.Time // when to take it back, zero = never

	mu     sync.Mutex
	status control.ConfigStatus
}

func (r *reloads) loaded(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Loaded, r.status.LastReloadOK = now, true
}

func (r *reloads) tried(now time.Time, problem string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.LastReload, r.status.LastReloadOK, r.status.LastReloadError = now, problem == "", problem
	if problem == "" {
		r.status.Loaded = now
	}
}

// restartRequired reports whether a configuration asks for something that only
// takes effect with a restart.
func (d *Daemon) restartRequired(cfg *config.Config) bool {
	return cfg.Control != d.first.Control || cfg.Metrics != d.first.Metrics
}

// plan reads the configuration again and says what it would change. The
// configuration is nil when it is invalid.
func (d *Daemon) plan() (*config.Config, control.ReloadResult, error) {
	old := d.cfg.Load()
	cfg, problems := disk.Load(d.opts.ConfigPath)
	result := control.ReloadResult{Hash: hash(old)}
	if cfg == nil {
		result.Problems = texts(problems, config.Error)
		return nil, result, nil
	}
	if err := nameNode(cfg); err != nil {
		return nil, result, err
	}
	result.Hash, result.Changes, result.Warnings = hash(cfg), config.Diff(old, cfg), texts(problems, config.Warning)
	if d.restartRequired(cfg) {
		result.Warnings = append(result.Warnings, "[control] and [metrics] change only with a restart")
	}
	return cfg, result, nil
}

// Reload implements control.Commander.
func (d *Daemon) Reload(_ context.Context, actor engine.Actor, how control.ReloadKind) (control.ReloadResult, error) {
	d.reloads.one.Lock()
	defer d.reloads.one.Unlock()
	if how.Dry {
		_, result, err := d.plan()
		return result, err
	}
	if why := d.reloads.waits.refusal(); why != "" {
		return control.ReloadResult{Hash: hash(d.cfg.Load()), Refused: why}, nil
	}
	d.notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic().Microseconds()))
	defer d.notify("READY=1")
	former := d.cfg.Load()
	cfg, result, err := d.plan()
	if err != nil {
		return result, err
	}
	if cfg == nil {
		d.reloads.tried(time.Now(), result.Problems[0])
		d.log.Error("configuration not reloaded, the old one goes on", "path", d.opts.ConfigPath, "by", actor.Name,
			"problems", len(result.Problems), "first", result.Problems[0])
		return result, nil
	}
	d.log.Info("configuration reloaded", "by", actor.Name, "changes", strings.Join(result.Changes, "; "))
	if !d.turn(func(time.Time) { d.configure(cfg, actor) }) {
		return result, errEnded
	}
	d.reloads.tried(time.Now(), "")
	if how.ConfirmWithin > 0 && len(result.Changes) > 0 {
		result.ConfirmBy = time.Now().Add(how.ConfirmWithin)
		d.reloads.wait(&unconfirmed{former: former, within: how.ConfirmWithin, by: result.ConfirmBy})
		if !d.noteReload(engine.Notice, actor, fmt.Sprintf("the former configuration comes back in %s unless this one is confirmed", how.ConfirmWithin)) {
			return result, errEnded
		}
	}
	return result, nil
}

// texts prints the problems of one severity as check-config does.
func texts(problems *config.Problems, severity config.Severity) []string {
	var list []string
	for _, p := range problems.List {
		if p.Severity == severity {
			list = append(list, fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Severity, p.Message))
		}
	}
	return list
}

// scriptUser is who runs the programs of checks that name nobody: not root, as
// far as that is ours to decide.
func scriptUser(cfg *config.Config) string {
	if cfg.ScriptUser != "" || os.Geteuid() != 0 {
		return cfg.ScriptUser
	}
	if _, err := user.Lookup("vipd"); err == nil {
		return "vipd"
	}
	return "nobody"
}

// configure puts a configuration in force: ports first, so that no advert is
// missed, then the engine. It belongs into a turn.
func (d *Daemon) configure(cfg *config.Config, actor engine.Actor) {
	for name := range d.cfg.Load().Engine.VIPs {
		if _, stays := cfg.Engine.VIPs[name]; !stays {
			d.leaving[name] = true
		}
	}
	for name := range cfg.Engine.VIPs {
		delete(d.leaving, name)
	}
	for name := range d.cfg.Load().Engine.Services {
		d.leaving[serviceOwner+name] = true
	}
	for name := range cfg.Engine.Services {
		delete(d.leaving, serviceOwner+name)
	}
	if d.shadow == nil {
		d.configureHooks(d.cfg.Load(), cfg)
	}
	d.cfg.Store(cfg)
	d.probes.Configure(probe.Settings{User: scriptUser(cfg), Log: d.log})
	d.openPorts(cfg)
	if d.shadow == nil {
		d.configureFences(cfg)
		d.configurePair(cfg)
		d.configureVotes(cfg)
	} else {
		d.configureShadow(cfg)
	}
	d.step(engine.Configure{Config: d.decides(cfg), Actor: actor})
	d.watch(cfg)
}

// watched lists the interfaces to watch: those of VIPs, their macvlans, and the
// tracked ones.
func (d *Daemon) watched(cfg *config.Config) []string {
	names := map[string]bool{}
	for _, v := range cfg.Engine.VIPs {
		names[v.Interface] = true
		if v.VMAC && d.links[v.Interface].Present {
			names[d.device(v.Interface, true, v.VRID, v.Family4())] = true
		}
		for link := range v.TrackLinks {
			names[link] = true
		}
	}
	for _, s := range cfg.Engine.Services {
		if s.Device != "" {
			names[s.Device] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// openPorts starts a port for each interface and family in use and gives all of
// them their memberships. A port that is no longer needed keeps running without
// members until the engine has released what it held there.
func (d *Daemon) openPorts(cfg *config.Config) {
	for _, v := range cfg.Engine.VIPs {
		key := portKey{v.Interface, v.Family4()}
		if d.ports[key] != nil {
			continue
		}
		p := newPort(key, d.log)
		ctx, cancel := context.WithCancel(d.run)
		p.cancel = cancel
		d.ports[key] = p
		d.spawn(func() error {
			defer cancel()
			p.run(ctx, d.advertised, func() { d.hearing(ctx, key.link) })
			return nil
		})
	}
	list := slices.Collect(maps.Values(d.ports))
	d.portList.Store(&list)
	for _, p := range list {
		p.set(d.membership(cfg, p.key))
	}
}

// forget drops what belonged to VIPs that a reload removed, once the engine has
// released them.
func (d *Daemon) forget(ev engine.Event) {
	if len(d.leaving) == 0 {
		return
	}
	switch ev.(type) {
	case engine.AdvertReceived, engine.Wake:
		return
	}
	for name := range d.leaving {
		if service, ok := strings.CutPrefix(name, serviceOwner); ok {
			if !d.eng.HasService(service) {
				delete(d.leaving, name)
				d.addresses.Forget(name)
			}
			continue
		}
		if !d.eng.Has(name) {
			delete(d.leaving, name)
			d.addresses.Forget(name)
			d.announcer.Cancel(name)
			d.hooks.Forget(hook.Subject{Name: name})
		}
	}
	if len(d.leaving) > 0 {
		return
	}
	used := map[portKey]bool{}
	for _, v := range d.cfg.Load().Engine.VIPs {
		used[portKey{v.Interface, v.Family4()}] = true
	}
	for key, p := range d.ports {
		if !used[key] {
			p.cancel()
			delete(d.ports, key)
		}
	}
	list := slices.Collect(maps.Values(d.ports))
	d.portList.Store(&list)
}

// membership lists the virtual routers of a port, and the addresses that no
// other host may send from.
func (d *Daemon) membership(cfg *config.Config, key portKey) *membership {
	m := &membership{own: d.ownAddresses(key.link)}
	for name, v := range cfg.Engine.VIPs {
		if v.Interface != key.link || v.Family4() != key.family4 {
			continue
		}
		mem := vrrp.Membership{VRID: v.VRID, Version: v.Version, Interval: v.Interval, Peers: v.UnicastPeers}
		for _, p := range v.Addresses {
			if p.Addr().Is4() == key.family4 {
				mem.Addresses = append(mem.Addresses, p.Addr())
			}
		}
		if a, ok := cfg.Auth[name]; ok {
			mem.Auth = &a
		}
		m.members = append(m.members, mem)
	}
	return m
}

// hash is the short digest of a configuration in force.
func hash(cfg *config.Config) string {
	plain := *cfg
	plain.Text, plain.Engine.BGP, plain.Engine.Pair = nil, nil, nil // one says the same again, the others are pointers
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v %s", plain, speaks(cfg)))
	return fmt.Sprintf("%x", sum[:4])[:7]
}

// speaks is what a configuration says about BGP and the pair channel, without
// pointers.
func speaks(cfg *config.Config) []byte {
	text, err := json.Marshal([]any{cfg.Engine.BGP, cfg.Engine.Pair})
	if err != nil {
		return nil // nothing in it can fail
	}
	return text
}
