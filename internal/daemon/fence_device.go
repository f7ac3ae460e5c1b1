package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/fence/agent"
)

// FenceHistory implements control.Source.
func (d *Daemon) FenceHistory() fence.History { return d.fences.past() }

// TestFence implements control.Commander.
func (d *Daemon) TestFence(ctx context.Context, name string) (control.FenceTest, error) {
	cfg := d.cfg.Load()
	device, ok := fenceDevices(cfg)[name]
	if !ok {
		return control.FenceTest{}, fmt.Errorf("no fence device %s", name)
	}
	for _, peer := range slices.Sorted(maps.Keys(cfg.Engine.Fences)) {
		f := cfg.Engine.Fences[peer]
		if _, ok := f.Devices[name]; !ok {
			continue
		}
		begin := time.Now()
		end := agent.Once(ctx, fence.RunAgent{Peer: peer, Device: name, Verb: fence.VerbStatus, Timeout: f.AttemptTimeout}, device, scriptUser(cfg))
		return control.FenceTest{Device: name, Peer: peer, Power: end.Power(), Detail: end.Detail, Took: time.Since(begin)}, nil
	}
	return control.FenceTest{}, fmt.Errorf("no peer is fenced by %s", name)
}
