package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// after is what happens to a world that has come to rest: one more fault, to a host
// that holds, and by when others have what it held.
type after struct {
	fault  string
	within time.Duration
}

// afters are those for a kind of worlds, of which a seed has one: silence is how long
// a host that dies is waited for.
func afters(silence func(s shape) time.Duration, faults ...string) func(s shape) []after {
	return func(s shape) (list []after) {
		hook := time.Duration(0)
		if s.hooks {
			hook = hookWithin
		}
		for _, f := range faults {
			within := s.interval // who leaves is followed within one
			switch f {
			case "drain":
			case "dead device": // the longest rest before it is tried again
				within = 30*time.Second + silence(s)
			default:
				within = silence(s)
			}
			list = append(list, after{f, within*21/20 + hook + settleSlack}) // clocks are wrong by up to 5 %
		}
		return list
	}
}

// settleSlack is what kernels, wires and hooks take in addition.
const settleSlack = 150 * time.Millisecond

// down is how long a Backup waits at most for an Active that fell silent, and then for
// another Backup that comes first.
func down(s shape) time.Duration { return 5 * s.interval }

// followed has the holder of web die, hang or leave: others have all that it held in
// time, and nothing moves more often than that takes.
func (p plan) followed(w *sim.World) (wrong []string) {
	list := p.kind.after(p.shape)
	a, h := list[p.seed%uint64(len(list))], w.Host(w.Holders("web")[0])
	var held []string
	for _, vip := range p.shape.vips() {
		if slices.Equal(w.Holders(vip), []string{h.Name()}) {
			held = append(held, vip)
		}
	}
	if !slices.ContainsFunc(w.Hosts(), func(o *sim.Host) bool { return o != h && o.Running() }) {
		return nil // the others were cut off when peace began
	}
	moves, note := map[string]int{}, w.Record
	w.Record = func(host string, now time.Time, ev engine.Event, did []engine.Action) {
		note(host, now, ev, did)
		for _, d := range did {
			if r, ok := d.(engine.Report); ok && r.Record.Type == engine.RecordTransition && r.Record.To == string(engine.Active) {
				moves[r.Record.Name]++
			}
		}
	}
	switch a.fault {
	case "crash":
		h.Crash()
	case "kill":
		h.Kill()
	case "pause":
		h.Pause(time.Hour)
	case "drain":
		h.Do(engine.Drain{Actor: swarmActor})
	case "dead device": // that is repaired later
		h.SetDevice(sim.DeviceDead)
		h.Crash()
		w.Run(20 * time.Second)
		h.SetDevice(sim.DeviceWorks)
	}
	began := w.Now()
	taken := func(vip string) bool {
		holders := w.Holders(vip)
		return len(holders) == 1 && holders[0] != h.Name()
	}
	w.RunUntil(a.within, func() bool { return !slices.ContainsFunc(held, func(vip string) bool { return !taken(vip) }) })
	took := w.Now() - began
	w.Run(2*time.Second + 10*p.shape.interval)
	if braked(w) {
		return nil
	}
	for _, vip := range held {
		if !taken(vip) || took >= a.within {
			wrong = append(wrong, fmt.Sprintf("%v after the %s of %s %s is held by %v, not within %v", took, a.fault, h.Name(), vip, w.Holders(vip), a.within))
		}
		if moves[vip] > 2 {
			wrong = append(wrong, fmt.Sprintf("%s moved %d times after the %s of %s", vip, moves[vip], a.fault, h.Name()))
		}
	}
	return wrong
}

// braked reports whether a host says that it fenced another one too often.
func braked(w *sim.World) bool {
	return slices.ContainsFunc(w.Hosts(), func(h *sim.Host) bool {
		return h.Running() && slices.ContainsFunc(h.Status().Fences, func(f engine.FenceStatus) bool {
			return len(f.Waiting) > 0 && strings.Contains(f.Why, "it was fenced")
		})
	})
}
