package control_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

// TestWhyService compares explanations of services with testdata/why.
func TestWhyService(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(v *engine.ServiceStatus){
		"announced": func(*engine.ServiceStatus) {},
		"draining":  func(v *engine.ServiceStatus) { controltest.Drain(v, whyNow) },
		"last":      func(v *engine.ServiceStatus) { controltest.Last(v, whyNow) },
		"budget": func(v *engine.ServiceStatus) {
			controltest.Last(v, whyNow)
			v.Reason, v.MinAnnouncers = "withdraw_budget", 0
		},
		"drained": func(v *engine.ServiceStatus) {
			controltest.Drain(v, whyNow)
			v.State, v.Told, v.DrainUntil, v.Held = engine.ServiceDrained, false, time.Time{}, false
			v.Drained.Until = whyNow.Add(2 * time.Hour)
		},
		"rise": func(v *engine.ServiceStatus) {
			v.Told = false
			v.State, v.Reason, v.Why, v.RiseDue = engine.ServiceWaiting, "rise_delay", "healthy again, must stay so for 10s", whyNow.Add(4*time.Second)
		},
		"no-session": func(v *engine.ServiceStatus) {
			v.State, v.Reason, v.Why = engine.ServiceWaiting, "session", "no session is up, of 2"
		},
		"no-speaker": func(v *engine.ServiceStatus) {
			v.State, v.Reason, v.Why = engine.ServiceWaiting, "speaker", "the BGP speaker has ended: signal: killed"
		},
		"link": func(v *engine.ServiceStatus) {
			v.Told = false
			v.State, v.Reason, v.Why = engine.ServiceWithdrawn, "interface", "interface eth1 is down"
			v.Blockers = []engine.Blocker{{Kind: engine.BlockedInterface, Name: "eth1", Text: v.Why}}
		},
	} {
		doc := controltest.Anycast()
		doc.Links[1].Up = name != "link"
		change(&doc.Services[1])
		why, err := control.WhyService(doc.Status, "resolver")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "why/service-"+name+".txt", why.Text())
	}
	doc := controltest.Anycast()
	for _, name := range []string{"ntp", "web"} {
		if name == "web" {
			v := &doc.Services[2]
			v.Told = false
			v.State, v.Reason, v.Why = engine.ServiceWithdrawn, "vip", "vip web is not held here"
			v.Blockers = []engine.Blocker{{Kind: engine.BlockedVIP, Name: "web", Text: v.Why}}
		}
		why, err := control.WhyService(doc.Status, name)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "why/service-"+name+".txt", why.Text())
	}
	if _, err := control.WhyService(doc.Status, "nothing"); err == nil || err.Error() == "" {
		t.Error("a service that there is not is explained")
	}
}

// TestWhyNeighbor does the same with sessions.
func TestWhyNeighbor(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *engine.BGPStatus){
		"tor-a":   func(*engine.BGPStatus) {},
		"tor-b":   func(*engine.BGPStatus) {},
		"speaker": func(b *engine.BGPStatus) { b.Speaker = engine.SpeakerStatus{Error: "signal: killed"} },
		"open":    func(b *engine.BGPStatus) { b.Neighbors[1].State = bgp.OpenSent },
		"unseen":  func(b *engine.BGPStatus) { b.Neighbors[1].Address = netip.Addr{} },
	} {
		doc := controltest.Anycast()
		change(doc.BGP)
		of := name
		if of != "tor-a" {
			of = "tor-b"
		}
		why, err := control.WhyNeighbor(doc.Status, of)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "why/neighbor-"+name+".txt", why.Text())
	}
	if _, err := control.WhyNeighbor(controltest.Pair().Status, "tor-a"); err == nil {
		t.Error("a neighbor that there is not is explained")
	}
}
