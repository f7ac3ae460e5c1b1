package engine_test

import (
	"net/netip"
	"testing"

	"github.com/vipd/vipd/pkg/engine"
)

// TestDeaf: who cannot hear adverts takes part in no election of that family, and lets
// go of what it holds; a start waits quietly.
func TestDeaf(t *testing.T) {
	t.Parallel()
	vip := netip.MustParsePrefix("192.0.2.100/24")
	e, now, link := active(t, vip)
	link.Addresses = append(link.Addresses, vip)
	for _, step := range []struct {
		deaf4, deaf6 string
		want         engine.State
		why          string
	}{
		{"", "operation not permitted", engine.Active, ""},
		{"operation not permitted", "", engine.Fault, "adverts on eth0 cannot be heard: operation not permitted"},
		{"", "", engine.Backup, ""},
	} {
		link.Deaf4, link.Deaf6 = step.deaf4, step.deaf6
		for _, a := range e.Step(now, engine.LinkChanged{Link: link}) {
			switch a := a.(type) {
			case engine.SetAddresses:
				e.Step(now, engine.AddressesApplied{VIP: a.VIP, Seq: a.Seq})
			case engine.SetLease:
				e.Step(now, engine.LeaseSet{VIP: a.VIP, On: a.On, Seq: a.Seq})
			}
		}
		if v := e.Status(now).VIPs[0]; v.State != step.want || step.why != "" && v.Why != step.why {
			t.Errorf("deaf %q, %q: %s, %s", step.deaf4, step.deaf6, v.State, v.Why)
		}
	}
	link.Deaf4 = "no socket yet"
	link.Addresses = link.Addresses[:1]
	fresh := engine.New(now)
	fresh.Step(now, engine.Configure{Config: e.Config()})
	fresh.Step(now, engine.LinkChanged{Link: link})
	if v := fresh.Status(now).VIPs[0]; v.State != engine.Initialize || v.Why != "adverts on eth0 cannot be heard: no socket yet" {
		t.Errorf("a start: %s, %s", v.State, v.Why)
	}
}
