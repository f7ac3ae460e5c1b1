package metrics

import "github.com/vipd/vipd/pkg/engine"

var (
	descObserving = desc("observing", "Whether vipd only observes (vipd run --observe); metrics of VIPs are missing then.")
	descWouldHold = desc("observe_would_hold", "Whether vipd would hold the VIP on this host; while it observes.", "vip")
	descHeldHere  = desc("observe_held_here", "Whether another daemon of this host has the addresses of the VIP; while it observes.", "vip")
	descDiffers   = desc("observe_differs", "Whether what is differs from what vipd would do, for longer than a takeover takes; while it observes.", "vip", "kind")
	descDiffered  = desc("observe_differences_total", "How often such a difference began to count; while it observes.", "vip", "kind")
)

// observed sends what is known of a VIP of a daemon that only observes.
func (s sink) observed(v engine.VIPStatus) {
	o := v.Observed
	if o == nil {
		return
	}
	s.gauge(descWouldHold, truth(v.State == engine.Active), v.Name)
	s.gauge(descHeldHere, truth(o.Here), v.Name)
	now := map[string]bool{}
	for _, d := range o.Differences {
		now[d.Kind] = true
	}
	for kind, n := range o.Begun {
		s.gauge(descDiffers, truth(now[kind]), v.Name, kind)
		s.counter(descDiffered, n, v.Name, kind)
	}
}
