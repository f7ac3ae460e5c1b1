package controltest

import (
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// Fencing makes lb2 silent: mail waits for the proof that it is off, the first
// device has failed, and the second one is under way.
func Fencing(d *Daemon) {
	now := d.Doc.Now
	m := &d.Doc.VIPs[1]
	m.Stage, m.Since, m.Active, m.ActiveDownDue = engine.Cleared, now.Add(-18*time.Second), nil, time.Time{}
	if d.Doc.Pair != nil {
		p := &d.Doc.Pair.Peers[0]
		p.Heard, p.Since, p.Last = false, now.Add(-18*time.Second), now.Add(-18400*time.Millisecond)
		for i := range p.Paths {
			p.Paths[i].Heard, p.Paths[i].Last = false, p.Last
		}
	}
	m.Why = "waits for the proof that lb2 holds nothing (fence cutting)"
	d.Doc.Fences = []engine.FenceStatus{{
		Peer: "lb2", Phase: string(fence.Cutting), Since: now.Add(-18 * time.Second), Waiting: []string{"mail"},
		Heard: now.Add(-18400 * time.Millisecond), Fired: 3, Misses: 2,
		Lines: []string{
			"fence of lb2  RUNNING",
			"  level 1 lb2-ipmi failed after 12.1s (exit 4, connection lost)",
			"  level 2 lb2-pdu running for 5.9s, limit 40s",
			"  level 3 by-hand not reached",
			"If you are sure that lb2 is powered off:   vipd fence confirm lb2",
		},
		Devices: []engine.FenceDeviceStatus{
			{Name: "lb2-ipmi", Known: true, Since: now.Add(-6 * time.Second), Text: "exit 4, connection lost"},
			{Name: "lb2-pdu", Known: true, OK: true, Power: "on", Since: now.Add(-3 * time.Hour)},
			{Name: "by-hand"},
		},
	}}
	d.Fenced = fence.History{
		{Time: At(13, 40, 0), Peer: "lb2", Kind: fence.Shot, Level: 1, Devices: []string{"lb2-ipmi"}, Text: "lb2-ipmi cut lb2 off"},
		{Time: At(13, 41, 0), Peer: "lb2", Kind: fence.Confirmed, By: "anna (uid 1004)", Text: "anna (uid 1004) states that lb2 is off"},
	}
	d.Devices = map[string]control.FenceTest{
		"lb2-pdu":  {Peer: "lb2", Power: "on", Detail: "exit 0", Took: 140 * time.Millisecond},
		"lb2-ipmi": {Peer: "lb2", Detail: "exit 4, connection lost", Took: 5 * time.Second},
	}
}

// Heard makes lb2 talk again, after [Fencing].
func Heard(doc *control.StatusDocument) {
	f := &doc.Fences[0]
	f.Phase, f.Waiting, f.Heard, f.Lines = string(fence.Idle), nil, doc.Now.Add(-140*time.Millisecond), nil
	f.Devices[0] = engine.FenceDeviceStatus{Name: "lb2-ipmi", Known: true, OK: true, Power: "on", Since: f.Since}
	doc.VIPs[1] = mail()
}
