package daemon

import (
	"time"

	"github.com/vipd/vipd/internal/control/metrics"
	"github.com/vipd/vipd/pkg/engine"
)

// takeovers times how VIPs come here, from the records of the engine, until the
// first announcement of each has left. They are found by the name of the VIP.
type takeovers map[string]*takeover

// takeover is one VIP on its way here.
type takeover struct {
	record  uint64        // of the transition
	silence time.Duration // before it, 0 = not known
	since   time.Time     // of the transition
	applied time.Time     // when the kernel had the addresses
}

// reported looks at a record of the engine.
func (t takeovers) reported(r engine.Record, timings *metrics.Timings) {
	open := t[r.Name]
	switch {
	case r.Type == engine.RecordHandover && r.Reason == "taken":
		timings.Handover(metrics.Taken, r.Took)
	case r.Type == engine.RecordHandover:
		timings.Handover(metrics.NotTaken, r.Took)
	case r.Type == engine.RecordTransition && r.To == string(engine.Active):
		t[r.Name] = &takeover{record: r.Seq, silence: r.Took, since: r.Time}
		if r.Took > 0 {
			timings.Failover(metrics.Detect, r.Took)
		}
	case r.Type == engine.RecordTransition:
		delete(t, r.Name)
	case open != nil && r.Type == engine.RecordAddress && r.To == "present" && r.Cause == open.record && open.applied.IsZero():
		open.applied = r.Time
		timings.Failover(metrics.Address, r.Time.Sub(open.since))
	}
}

// announced returns what to call when the first frame of an announcement has
// left, from any goroutine; nil when it ends no takeover.
func (t takeovers) announced(vip string, timings *metrics.Timings) func(time.Time) {
	open := t[vip]
	if open == nil || open.applied.IsZero() {
		return nil
	}
	delete(t, vip)
	done := *open
	return func(at time.Time) {
		timings.Failover(metrics.Announce, at.Sub(done.applied))
		if done.silence > 0 {
			timings.Failover(metrics.Total, done.silence+at.Sub(done.since))
		}
	}
}
