package daemon

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/netif"
	"github.com/vipd/vipd/pkg/check/probe"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/vrrp/vrrpnet"
)

// do carries out an action, or hands it to the edge that does. It never waits.
func (d *Daemon) do(now time.Time, a engine.Action) {
	if d.pretend(a) {
		return
	}
	switch a := a.(type) {
	case engine.SendAdvert:
		d.queueAdvert(a)
	case engine.SetAddresses:
		d.setAddresses(a)
	case engine.ReadLink:
		d.monitor.Again(a.Interface)
	case engine.SetGuard, engine.SetLease:
		d.leases.queue(a)
	case engine.RenewLease:
		if a.Lifetime > 0 {
			d.addresses.Prolong(a.VIP)
		} else {
			d.leases.renew = append(d.leases.renew, a.VIP)
		}
	case engine.Tell:
		d.pair.tell = a.State
	case engine.Announce:
		d.announcer.Announce(netif.Announcement{
			Owner: a.VIP, Link: a.Interface, VMAC: a.VMAC, VRID: a.VRID, Family4: a.Addresses[0].Is4(),
			Addresses: a.Addresses, Repeat: a.Repeat, Interval: a.Interval, Cause: a.Cause, Left: d.announced(a.VIP),
		})
	case engine.Hush:
		d.announcer.Cancel(a.VIP)
	case engine.AskVote:
		d.votes.asks[a.Voter] = append(d.votes.asks[a.Voter], a.Ask)
	case engine.AnswerVote:
		d.votes.answers[a.Peer] = append(d.votes.answers[a.Peer], a.Answer)
	case engine.RunFence:
		d.fences.runner.Start(a.RunAgent, func(end fence.Ended) { d.post(engine.FenceEnded{Peer: a.Peer, Ended: end}) })
	case engine.StopFence:
		d.fences.runner.Stop(a.Peer, a.ID)
	case engine.RememberFence:
		d.fences.remember(a.Entry)
	case engine.ProbeVIP:
		d.probeVIP(a)
	case engine.RememberProven:
		d.proven.remember(a)
	case engine.SetSpeaker:
		d.setSpeaker(a.Config)
	case engine.SetTable:
		if d.speaker.process != nil {
			d.speaker.process.Announce(a.Table, a.Seq)
		}
	case engine.RunCheck:
		d.probes.Start(a.Check, d.cfg.Load().Engine.Checks[a.Check], d.probed)
	case engine.WatchCheck:
		if a.On {
			d.probes.Watch(a.Check, d.cfg.Load().Engine.Checks[a.Check], d.seen)
		} else {
			d.probes.Unwatch(a.Check)
		}
	case engine.Notify:
		d.hooks.Notify(d.change(a.Change))
	case engine.RunHook:
		d.hooks.Before(d.change(a.Change), a.Seq, a.Within)
	case engine.StopHook:
		d.hooks.Stop(a.VIP, a.Seq)
	case engine.Report:
		d.journal.Add(a.Record)
		d.takeovers.reported(a.Record, d.timings)
		if a.Record.Type == engine.RecordDrain {
			d.drains.touch()
		}
	case engine.Answer:
		if c := d.waiting[a.ID]; c != nil {
			delete(d.waiting, a.ID)
			c <- a
		}
	}
}

// announced returns what to call when the first frame of an announcement has left,
// nil when it ends no takeover.
func (d *Daemon) announced(vip string) func(time.Time) {
	timed := d.takeovers.announced(vip, d.timings)
	if timed == nil {
		return nil
	}
	return func(at time.Time) {
		timed(at)
		d.spawn(func() error { // a turn may call the announcer, which waits for us
			d.post(engine.AnnouncementSent{VIP: vip})
			return nil
		})
	}
}

// serviceOwner begins the owner of the addresses of a service, unlike any name of
// a VIP.
const serviceOwner = "anycast/"

// device is where the addresses of a VIP live: the interface, or its macvlan
// with the virtual MAC.
func (d *Daemon) device(link string, vmac bool, vrid uint8, family4 bool) string {
	if !vmac {
		return link
	}
	return netif.VMACName(d.links[link].Index, family4, vrid)
}

// queueAdvert puts an advert into the batch of its port.
func (d *Daemon) queueAdvert(a engine.SendAdvert) {
	family4 := a.Advert.Addresses[0].Is4()
	p := d.ports[portKey{a.Interface, family4}]
	if p == nil {
		return // its VIP was removed by the reload that is under way
	}
	out := vrrpnet.Outgoing{Source: a.Source, Peers: a.Peers, Advert: a.Advert, Checksum: a.Checksum}
	if a.VMAC {
		out.Device = d.device(a.Interface, true, a.Advert.VRID, family4)
	}
	if len(p.out) == 0 {
		d.dirty = append(d.dirty, p)
	}
	p.out, p.vips = append(p.out, out), append(p.vips, a.VIP)
}

// refresh refreshes the leases of the VIPs that this turn advertises. Those that were
// over are given up, and not advertised.
func (d *Daemon) refresh() {
	d.pretended()
	for lost := d.leases.refresh(); len(lost) > 0; lost = d.leases.refresh() {
		for _, name := range lost {
			for _, p := range d.dirty {
				p.drop(name)
			}
			d.step(engine.LeaseLost{VIP: name, Why: "it could not be refreshed"})
		}
	}
}

// send sends what this turn has to send: adverts of VIPs whose leases are
// refreshed, then word to the peers.
func (d *Daemon) send() {
	for _, p := range d.dirty {
		if failed := p.flush(); failed != nil {
			d.step(failed...)
		}
	}
	d.dirty = d.dirty[:0]
	d.pair.send()
	d.sendVotes()
}

func (d *Daemon) setAddresses(a engine.SetAddresses) {
	if a.Service != "" {
		d.addresses.Set(netif.Wanted{Owner: serviceOwner + a.Service, Link: a.Interface, Addresses: a.Addresses, Present: a.Present, Seq: a.Seq})
		return
	}
	if !a.Present {
		d.announcer.Cancel(a.VIP)
	}
	d.addresses.Set(netif.Wanted{
		Owner: a.VIP, Link: a.Interface, VMAC: a.VMAC, VRID: a.VRID, Family4: a.Addresses[0].Addr().Is4(),
		Addresses: a.Addresses, Routes: routes(a.Routes), Present: a.Present, Lifetime: a.Lifetime, Seq: a.Seq,
	})
}

// applied brings the kernel's answer.
func (d *Daemon) applied(a netif.Applied) {
	ev := engine.AddressesApplied{VIP: a.Owner, Seq: a.Seq, Took: a.Took}
	if service, ok := strings.CutPrefix(a.Owner, serviceOwner); ok {
		ev.VIP, ev.Service = "", service
	}
	if a.Err != nil {
		ev.Err = a.Err.Error()
	}
	d.post(ev)
}

// probed brings the result of a probe.
func (d *Daemon) probed(name string, r probe.Result) {
	d.post(engine.CheckDone{Check: name, OK: r.OK, Detail: r.Detail, Took: r.Took})
}

// seen brings how a watched check stands. Watches begin and end within turns:
// what comes from one that has ended is not heard.
func (d *Daemon) seen(ctx context.Context, name string, s probe.Seen) {
	d.turn(func(time.Time) {
		if ctx.Err() == nil {
			d.step(engine.CheckSeen{Check: name, OK: s.OK, Detail: s.Detail, Weight: s.Weight})
		}
	})
}

// linkSeen brings the state of an interface.
func (d *Daemon) linkSeen(l netif.Link) {
	d.turn(func(time.Time) { d.linkChanged(l) })
}

// linkChanged remembers a link and tells the engine and the port about it. What
// is seen of a macvlan with a virtual MAC counts for its parent.
func (d *Daemon) linkChanged(l netif.Link) {
	d.links[l.Name] = l
	cfg := d.cfg.Load()
	for _, parent := range d.parents(l.Name) {
		d.step(engine.LinkChanged{Link: d.engineLink(parent)})
		for _, family4 := range []bool{true, false} {
			if p := d.ports[portKey{parent, family4}]; p != nil {
				p.set(d.membership(cfg, p.key))
			}
		}
	}
	d.watch(cfg)
}

// hearing tells the engine that adverts are heard on a link, or not any more.
func (d *Daemon) hearing(ctx context.Context, link string) {
	d.turn(func(time.Time) {
		if _, seen := d.links[link]; seen && ctx.Err() == nil {
			d.step(engine.LinkChanged{Link: d.engineLink(link)})
		}
	})
}

// watch tells the edges of links what to look at and listen for.
func (d *Daemon) watch(cfg *config.Config) {
	d.monitor.SetNames(d.watched(cfg))
	if d.shadow != nil {
		return // what others announce is theirs
	}
	claims := map[int][]netip.Addr{}
	for _, v := range cfg.Engine.VIPs {
		if l := d.links[v.Interface]; l.Present {
			for _, p := range v.Addresses {
				claims[l.Index] = append(claims[l.Index], p.Addr())
			}
		}
	}
	d.claims.Watch(claims)
}

// claimed brings another machine's announcement.
func (d *Daemon) claimed(c netif.Claim) {
	d.turn(func(time.Time) {
		for _, l := range d.links {
			if l.Present && l.Index == c.Index {
				d.step(engine.AddressClaimed{Interface: l.Name, Address: c.Address, MAC: c.MAC.String()})
			}
		}
	})
}

// parents returns the interface itself and, for a macvlan of ours, the one that
// it belongs to.
func (d *Daemon) parents(name string) []string {
	for _, v := range d.cfg.Load().Engine.VIPs {
		if v.VMAC && d.device(v.Interface, true, v.VRID, v.Family4()) == name {
			return []string{v.Interface}
		}
	}
	return []string{name}
}

// engineLink is a link as the engine sees it, with the addresses of the macvlans
// that vipd put on it.
func (d *Daemon) engineLink(name string) engine.Link {
	l := d.links[name]
	out := engine.Link{
		Name: name, Present: l.Present, Up: l.Up, MAC: l.MAC.String(), Addresses: slices.Clone(l.Addresses), Read: l.Read,
		Deaf4: d.ports[portKey{name, true}].deafness(), Deaf6: d.ports[portKey{name, false}].deafness(),
	}
	vips := d.cfg.Load().Engine.VIPs
	for _, v := range vips {
		if v.VMAC && v.Interface == name {
			child := d.links[d.device(name, true, v.VRID, v.Family4())]
			out.Addresses = append(out.Addresses, child.Addresses...)
			if child.Read.After(out.Read) { // all are read together: the rest was as it is here
				out.Read = child.Read
			}
		}
	}
	if d.shadow != nil {
		out.Addresses = d.shadow.seenAs(name, out.Addresses, vips)
	}
	return out
}

// ownAddresses are the addresses of a link, as sources that nobody else may use.
func (d *Daemon) ownAddresses(name string) []netip.Addr {
	var own []netip.Addr
	for _, p := range d.engineLink(name).Addresses {
		own = append(own, p.Addr())
	}
	return own
}
