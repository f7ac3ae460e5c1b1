package daemon

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/observe"
	"github.com/vipd/vipd/pkg/vrrp"
)

// shadow is what a daemon has that only observes (vipd run --observe). The edges that
// change the host or speak are not told what the engine wants: pretend answers in
// their place that all went well, so what the engine decides is what vipd would do.
// What others really do is seen by an edge of its own, and compared.
type shadow struct {
	// Used in turns only.
	answers []engine.Event                 // of the edges that are left out
	held    map[string]engine.SetAddresses // what the engine has, by VIP
	watches map[string]context.CancelFunc  // of adverts, by interface

	mu      sync.Mutex
	routers map[router]string // name of the VIP
	judges  map[portKey]*judge
	world   observe.World
}

// router names a virtual router of a host.
type router struct {
	link    string
	vrid    uint8
	family4 bool
}

func newShadow() *shadow {
	return &shadow{held: map[string]engine.SetAddresses{}, watches: map[string]context.CancelFunc{}, routers: map[router]string{}, judges: map[portKey]*judge{}}
}

// observing is the part of a configuration that is observed: checks and elections.
// What needs another host's word, or is announced, cannot be without being said.
func observing(cfg engine.Config) engine.Config {
	cfg.Pair, cfg.Witnesses, cfg.Fences = nil, nil, nil
	cfg.BGP, cfg.Services, cfg.Keep = nil, nil, false
	cfg.GroupNotify = nil
	vips := make(map[string]engine.VIP, len(cfg.VIPs))
	for name, v := range cfg.VIPs {
		v.Takeover, v.Lease, v.Notify, v.BeforeHold = engine.TakeoverVRRP, engine.LeaseNone, false, 0
		vips[name] = v
	}
	cfg.VIPs = vips
	return cfg
}

// decides is the configuration that the engine gets.
func (d *Daemon) decides(cfg *config.Config) engine.Config {
	if d.shadow != nil {
		return observing(cfg.Engine)
	}
	return cfg.Engine
}

// pretend takes every action that would change the host, or say something to anybody,
// and reports whether it did: what is left are probes, records and answers. It
// belongs into a turn.
func (d *Daemon) pretend(a engine.Action) bool {
	s := d.shadow
	if s == nil {
		return false
	}
	switch a := a.(type) {
	case engine.RunCheck, engine.WatchCheck, engine.ReadLink, engine.Answer:
		return false
	case engine.Report:
		d.journal.Add(wouldBe(a.Record))
	case engine.SetAddresses:
		if a.Present {
			s.held[a.VIP] = a
		} else {
			delete(s.held, a.VIP)
		}
		s.answers = append(s.answers, engine.AddressesApplied{VIP: a.VIP, Service: a.Service, Seq: a.Seq})
		if l, seen := d.links[a.Interface]; seen {
			s.answers = append(s.answers, engine.LinkChanged{Link: d.engineLink(l.Name)})
		}
	case engine.SetGuard:
		s.answers = append(s.answers, engine.GuardSet{Seq: a.Seq})
	case engine.SetLease:
		s.answers = append(s.answers, engine.LeaseSet{VIP: a.VIP, On: a.On, Seq: a.Seq})
	case engine.Notify:
		s.answers = append(s.answers, engine.NotifyDone{Group: a.Group, Name: a.Name, State: a.State, Cause: a.Record.Seq})
	case engine.RunHook:
		s.answers = append(s.answers, engine.HookDone{VIP: a.Name, Seq: a.Seq, Result: engine.HookOK})
	case engine.SetTable:
		s.answers = append(s.answers, engine.TableAnnounced{Seq: a.Seq})
	case engine.SendAdvert, engine.RenewLease, engine.Announce, engine.Hush, engine.Tell, engine.RunFence, engine.StopFence, engine.RememberFence,
		engine.AskVote, engine.AnswerVote, engine.ProbeVIP, engine.RememberProven, engine.SetSpeaker, engine.StopHook:
	}
	return true
}

// wouldBe makes the record of what was only decided say so.
func wouldBe(r engine.Record) engine.Record {
	switch r.Type {
	case engine.RecordTransition, engine.RecordPriority, engine.RecordAddress, engine.RecordLost, engine.RecordConflict:
		r.Text = "would be: " + r.Text
		r.Severity = engine.Info // nothing has happened
	default: // has happened
	}
	return r
}

// pretended gives the engine the answers of the edges that are left out. It belongs
// into a turn.
func (d *Daemon) pretended() {
	for d.shadow != nil && len(d.shadow.answers) > 0 {
		evs := d.shadow.answers
		d.shadow.answers = nil
		d.step(evs...)
	}
}

// seenAs is how the engine sees the addresses of a link: with the VIPs that it
// has, and not those that another daemon has.
func (s *shadow) seenAs(link string, addresses []netip.Prefix, vips map[string]engine.VIP) []netip.Prefix {
	theirs := map[netip.Addr]bool{}
	for name, v := range vips {
		if v.Priority == vrrp.PriorityOwner {
			continue // the addresses are the host's own
		}
		for _, p := range append(slices.Clone(v.Addresses), s.held[name].Addresses...) {
			theirs[p.Addr()] = true
		}
	}
	out := slices.DeleteFunc(slices.Clone(addresses), func(p netip.Prefix) bool { return theirs[p.Addr()] })
	for _, a := range s.held {
		if a.Interface == link {
			out = append(out, a.Addresses...)
		}
	}
	return out
}

// lookEvery is how often decisions are compared with what is: differences that are
// told have lasted for seconds.
const lookEvery = 250 * time.Millisecond

// Patience with differences: at least patient, and as long as two takeovers take.
const patient = 3 * time.Second

// decisions are what vipd would do.
func decisions(s engine.Status) []observe.Decision {
	list := make([]observe.Decision, len(s.VIPs))
	for i, v := range s.VIPs {
		d := observe.Decision{
			VIP: v.Name, Decided: v.State != engine.Initialize, Hold: v.State == engine.Active, Why: v.Why, Patience: max(patient, 2*v.ActiveDown),
		}
		if d.Hold {
			d.Why = v.Entered
		}
		d.Advert.Version, d.Advert.VRID, d.Advert.Priority, d.Advert.Interval = v.Version, v.VRID, v.Priority.Effective, v.Interval
		for _, p := range v.Addresses {
			d.Addresses = append(d.Addresses, p.Addr())
			if p.Addr().Is4() == (v.Family == "ipv4") {
				d.Advert.Addresses = append(d.Advert.Addresses, p.Addr())
			}
		}
		list[i] = d
	}
	return list
}
