package sim

import (
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// seenBy is when a daemon that runs has seen what is to be seen on its own host.
const seenBy = 10 * time.Millisecond

// pausedMost is longer than a daemon is stopped, which makes a fence last longer.
const pausedMost = 10 * time.Second

// heardBy is by when a daemon has heard of one that tells of itself, beyond the
// silence that it is allowed.
const heardBy = time.Second

// decidesRightly looks at what the daemon has decided, before it does any of it.
func (h *Host) decidesRightly(did []engine.Action) {
	for i, a := range did {
		switch a := a.(type) {
		case engine.RenewLease:
			h.renewsFirst(a.VIP, did[:i])
		case engine.Announce:
			if h.leaseOver(a.VIP) {
				h.w.breaks("%s decides to announce %s, whose lease is over", h.name, a.VIP)
			}
		case engine.RunFence:
			if a.Verb == fence.VerbOff {
				h.shootsRightly(a)
			}
		}
	}
}

// renewsFirst: a lease is refreshed before the advert leaves that makes others wait.
func (h *Host) renewsFirst(vip string, before []engine.Action) {
	advertised := func(a engine.Action) bool {
		s, ok := a.(engine.SendAdvert)
		return ok && s.VIP == vip && s.Advert.Priority != vrrp.PriorityRelease
	}
	renewed := func(a engine.Action) bool { r, ok := a.(engine.RenewLease); return ok && r.VIP == vip }
	if slices.ContainsFunc(before, advertised) && !slices.ContainsFunc(before, renewed) {
		h.w.breaks("%s advertises %s before it refreshes its lease", h.name, vip)
	}
}

// leaseOver reports whether the packet filter lets a VIP that it guards answer no
// more.
func (h *Host) leaseOver(vip string) bool {
	_, guarded := h.filter.guarded[vip]
	return guarded && !h.w.now.Before(h.filter.until[vip])
}

// shootsRightly: nobody is cut off by a host that may be the isolated one, and
// nobody who is well and can be heard.
func (h *Host) shootsRightly(a engine.RunFence) {
	now, cfg := h.w.now, h.cfg.Fences[a.Peer]
	for _, name := range cfg.Track {
		if h.failing[name] && now.Sub(h.failedAt[name]) > seenBy && now.Sub(h.awake) > seenBy {
			h.w.breaks("%s fences %s while its check %s fails", h.name, a.Peer, name)
		}
	}
	p := h.w.byName[a.Peer]
	long := func(since time.Time) bool { return now.Sub(since) > cfg.Silence+heardBy }
	if p.runs() && p.powered && long(p.awake) && long(h.awake) && long(h.w.healed) && h.w.talk(h, p) {
		h.w.breaks("%s fences %s, which is well", h.name, a.Peer)
	}
}

// brakes: nobody is cut off more often than the brake allows, over restarts of the
// daemon as well. The levels of one fence count once, even if somebody gave the power
// back between them.
func (h *Host) brakes(peer string) {
	now, cfg := h.clock.now(), h.cfg.Fences[peer]
	level := cfg.Verify.Within + time.Duration(cfg.Attempts)*(cfg.AttemptTimeout+time.Second)
	if list := h.cut[peer]; len(list) > 0 {
		since := now.Sub(list[len(list)-1])
		if h.w.now.Sub(h.awake) < since {
			level += pausedMost
		}
		if since < level {
			return
		}
	}
	h.cut[peer] = slices.DeleteFunc(append(h.cut[peer], now), func(t time.Time) bool { return now.Sub(t) >= cfg.Rate.Per })
	if n := len(h.cut[peer]); n > cfg.Rate.Max {
		h.w.breaks("%s cuts %s off %d times within %s", h.name, peer, n, cfg.Rate.Per)
	}
}

// numbersRightly: who begins to hold by a majority has a higher epoch than all who did
// before, unless a voter has started anew since it may have promised its vote to the
// last of them, and has forgotten it. A fence that stands for a vote agrees to any number.
func (h *Host) numbersRightly(vip string) {
	if h.cfg.VIPs[vip].Takeover != engine.TakeoverVotes || len(h.cfg.Fences) > 0 || h.eng == nil {
		return
	}
	v, _ := h.VIP(vip)
	last := h.w.epochs[vip]
	if forgot := h.w.started.After(last.promised); forgot {
		last = reign{}
	}
	if v.Epoch < last.number || v.Epoch == last.number && h != last.host {
		h.w.breaks("%s holds %s in epoch %d, after %s did in %d", h.name, vip, v.Epoch, last.host.name, last.number)
	}
	ttl := h.clock.lasts(vote.AutoTTL(h.filter.guarded[vip], h.cfg.VIPs[vip].Interval))
	h.w.epochs[vip] = reign{v.Epoch, h, h.w.now.Add(-ttl)}
}

// reign is who held a VIP last by a majority, and in which epoch.
type reign struct {
	number   uint64
	host     *Host
	promised time.Time // to it, at the earliest
}

// talk reports whether two hosts hear each other. Who is heard and hears nothing
// cannot prove that what it says is new.
func (w *World) talk(a, b *Host) bool {
	return w.Loss == 0 && w.Lag == 0 && len(w.cutOn) == 0 && !w.cuts[[2]string{a.name, b.name}] && !w.cuts[[2]string{b.name, a.name}]
}

// handsBackRightly: a vote is handed back when the kernel answers for the VIP no
// more.
func (h *Host) handsBackRightly(a engine.AskVote) {
	if a.Ask.Kind == vote.Release && h.opens(a.Ask.VIP) {
		h.w.breaks("%s hands the vote of %s on %s back and holds it still", h.name, a.Voter, a.Ask.VIP)
	}
}

// releasesRightly: so does a release leave.
func (h *Host) releasesRightly(a engine.SendAdvert) {
	if a.Advert.Priority == vrrp.PriorityRelease && h.opens(a.VIP) {
		h.w.breaks("%s releases %s and holds it still", h.name, a.VIP)
	}
}
