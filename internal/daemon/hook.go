package daemon

import (
	"maps"
	"slices"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/hook"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
)

// configureHooks puts the hooks of a configuration in force. Those of a VIP that
// it removes stay until the engine has released that.
func (d *Daemon) configureHooks(from, to *config.Config) {
	hooks := map[hook.Subject]hook.Hooks{}
	for name, h := range to.VIPHooks {
		hooks[hook.Subject{Name: name}] = hooksOf(h)
	}
	for name, h := range to.GroupHooks {
		hooks[hook.Subject{Group: true, Name: name}] = hooksOf(h)
	}
	d.hooks.Configure(hook.Settings{Node: to.Engine.Node, User: scriptUser(to)}, hooks)
	for name := range from.GroupHooks {
		if _, stays := to.GroupHooks[name]; !stays {
			d.hooks.Forget(hook.Subject{Group: true, Name: name})
		}
	}
}

func hooksOf(h config.Hooks) hook.Hooks {
	return hook.Hooks{Notify: h.Notify, Timeout: h.NotifyTimeout, Coalesce: h.Coalesce, FIFO: h.NotifyFIFO, BeforeHold: h.BeforeHold}
}

// change is what a hook is told, as its edge has it.
func (d *Daemon) change(c engine.Change) hook.Change {
	return hook.Change{
		Subject: hook.Subject{Group: c.Group, Name: c.Name},
		State:   string(c.State), From: string(c.From), Reason: c.Reason, Priority: c.Priority,
		Interface: c.Interface, VRID: c.VRID, Addresses: c.Addresses, Peer: c.Peer, SyncGroup: c.SyncGroup,
		ID: c.Record.Seq, Time: c.Record.Time, Event: c.Record.Document(d.cfg.Load().Engine.Node),
	}
}

// hookDone brings the end of a hook to the loop.
func (d *Daemon) hookDone(h hook.Done) {
	c, result := h.Change, engine.HookResult(h.Result) // the same words
	if h.Kind == hook.BeforeHold {
		d.post(engine.HookDone{VIP: c.Name, Seq: h.Seq, Result: result, Detail: h.Detail, Took: h.Took})
		return
	}
	d.post(engine.NotifyDone{
		Group: c.Group, Name: c.Name, State: engine.State(c.State), Result: result, Detail: h.Detail, Took: h.Took, Cause: c.ID,
	})
}

// hookCounts are the counters of hooks, sorted by kind.
func hookCounts(c hook.Counters) []control.HookCount {
	byKind := map[hook.Kind]*control.HookCount{}
	for run, n := range c.Runs {
		k := byKind[run.Kind]
		if k == nil {
			took := c.Took[run.Kind]
			k = &control.HookCount{Kind: string(run.Kind), Ends: map[string]uint64{}, Runs: took.Count, Took: took.Sum}
			byKind[run.Kind] = k
		}
		k.Ends[string(run.Result)] = n
	}
	var list []control.HookCount
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		list = append(list, *byKind[kind])
	}
	return list
}
