package sim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

// Delays of the process that speaks BGP.
var (
	speakerDelay = span{5 * time.Millisecond, 40 * time.Millisecond} // until it runs
	restartDelay = span{200 * time.Millisecond, 2 * time.Second}     // until it runs again
	sessionDelay = span{time.Millisecond, 300 * time.Millisecond}    // until a session is up
	tableDelay   = span{50 * time.Microsecond, 3 * time.Millisecond} // until the neighbors know a table
)

// speaker is the process that speaks BGP for a host, and what its neighbors know.
type speaker struct {
	life     uint64 // which run of the process; 0 = none
	runs     uint64
	cfg      bgp.Config
	sessions map[string]bool
	wanted   engine.SetTable
	applied  bgp.Table
	moved    bool                               // something changed that the invariants of routes are about
	stale    map[string]bool                    // neighbors that keep what an earlier run told them
	told     map[string]map[netip.Prefix]string // by neighbor: prefix and how it is announced, as traced
}

// owner names who has addresses: a VIP, or anycast/NAME.
func owner(a engine.SetAddresses) string {
	if a.Service != "" {
		return "anycast/" + a.Service
	}
	return a.VIP
}

// KillSpeaker ends the process that speaks BGP. It is started again.
func (h *Host) KillSpeaker() {
	if h.speaker.life == 0 {
		return
	}
	h.endSpeaker()
	h.step(engine.SpeakerDown{Err: "signal: killed"})
	h.startSpeaker(restartDelay)
}

// SetNeighbor lets a neighbor answer, or not.
func (h *Host) SetNeighbor(name string, answers bool) {
	h.away[name] = !answers
	if h.speaker.life == 0 {
		return
	}
	if answers {
		h.connect(name)
	} else if h.speaker.sessions[name] {
		h.session(name, false)
	}
}

// Routes returns what a neighbor has been told: prefixes and how they are
// announced.
func (h *Host) Routes(neighbor string) map[netip.Prefix]string {
	return maps.Clone(h.speaker.told[neighbor])
}

// adopt removes what an earlier run left, but for addresses that the services still
// have, and VIPs that go on.
func (h *Host) adopt(left map[string]engine.Kept) {
	goes, _ := h.cfg.Resumes(h.clock.now(), left)
	stays, leases := map[string]*present{}, map[string]time.Time{}
	h.resumed = map[string]bool{}
	for name := range goes {
		h.resumed[name] = true
		leases[name] = h.filter.until[name]
		if p := h.kernel[name]; p != nil {
			stays[name] = p
		}
	}
	for name, s := range h.cfg.Services {
		p := h.kernel["anycast/"+name]
		if p == nil || p.link != s.Device {
			continue
		}
		wanted := s.Addresses()
		list := slices.DeleteFunc(slices.Clone(p.addresses), func(a netip.Prefix) bool { return !slices.Contains(wanted, a) })
		if len(list) > 0 {
			stays["anycast/"+name] = &present{link: s.Device, addresses: list}
		}
	}
	h.kernel, h.filter.until = stays, leases
}

// kept is what the neighbors know from the run that ends now, and until when they
// keep it.
func (h *Host) kept() (until time.Time, told map[string]map[netip.Prefix]string) {
	if h.eng != nil {
		if within, ok := h.eng.Keeps(); ok && h.eng.Done(h.clock.now()) {
			return h.clock.now().Add(within), h.speaker.told
		}
	}
	return time.Time{}, map[string]map[netip.Prefix]string{}
}

func (h *Host) setSpeaker(cfg bgp.Config) {
	first := len(h.speaker.cfg.Neighbors) == 0
	h.speaker.cfg = cfg
	switch {
	case len(cfg.Neighbors) == 0:
		h.endSpeaker()
	case first && h.speaker.life == 0:
		h.startSpeaker(speakerDelay)
	case h.speaker.life != 0:
		for _, name := range slices.Sorted(maps.Keys(cfg.Neighbors)) {
			h.connect(name)
		}
	}
	h.hear()
}

func (h *Host) startSpeaker(delay span) {
	life := h.life
	h.w.after(delay, func() {
		if h.life != life || h.speaker.life != 0 || len(h.speaker.cfg.Neighbors) == 0 {
			return
		}
		h.speaker.runs++
		h.speaker.life = h.speaker.runs
		h.step(engine.SpeakerUp{PID: int(h.speaker.runs)})
		for _, name := range slices.Sorted(maps.Keys(h.speaker.cfg.Neighbors)) {
			h.connect(name)
		}
	})
}

// endSpeaker ends the process: its neighbors forget what it told.
func (h *Host) endSpeaker() {
	h.speaker.life, h.speaker.applied = 0, nil
	clear(h.speaker.sessions)
	h.hear()
}

// connect lets a session come up.
func (h *Host) connect(name string) {
	if h.speaker.sessions[name] || h.away[name] || h.speaker.wanted.Seq == 0 {
		return
	}
	life, run := h.life, h.speaker.life
	h.w.after(sessionDelay, func() {
		_, there := h.speaker.cfg.Neighbors[name]
		if h.life == life && h.speaker.life == run && there && !h.away[name] && !h.speaker.sessions[name] {
			h.session(name, true)
		}
	})
}

func (h *Host) session(name string, up bool) {
	h.speaker.sessions[name] = up
	s := bgp.Session{Neighbor: name, State: bgp.Established, Address: netip.AddrFrom4([4]byte{10, 0, 1, 1}), RemoteAS: 65001, BFD: "up", Graceful: h.cfg.BGP != nil && h.cfg.BGP.GracefulRestart > 0}
	if !up {
		s.State, s.BFD, s.LastError = bgp.Idle, "down", "hold timer expired"
	}
	h.hear()
	h.step(engine.SessionChanged{Session: s})
}

// setTable is the process that gets a table and tells the neighbors.
func (h *Host) setTable(a engine.SetTable) {
	first := h.speaker.wanted.Seq == 0
	h.speaker.wanted, h.speaker.moved = a, true
	if first && h.speaker.life != 0 {
		for _, name := range slices.Sorted(maps.Keys(h.speaker.cfg.Neighbors)) {
			h.connect(name) // not before there is something to tell
		}
	}
	if h.speaker.life == 0 {
		return // it gets the newest one when it runs
	}
	life, run := h.life, h.speaker.life
	h.w.after(tableDelay, func() {
		if h.life != life || h.speaker.life != run || h.speaker.wanted.Seq != a.Seq {
			return
		}
		h.speaker.applied = a.Table
		h.hear()
		h.step(engine.TableAnnounced{Seq: a.Seq})
	})
}

// hear lets the neighbors know what they are told, and writes down what is new.
func (h *Host) hear() {
	names := slices.Sorted(maps.Keys(h.speaker.told))
	for name := range h.speaker.cfg.Neighbors {
		if h.speaker.told[name] == nil {
			h.speaker.told[name] = map[netip.Prefix]string{}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if h.speaker.stale[name] && (!h.speaker.sessions[name] || h.speaker.applied == nil) {
			continue // until it is told again
		}
		delete(h.speaker.stale, name)
		now := map[netip.Prefix]string{}
		for _, r := range h.speaker.applied[name] {
			if _, there := h.speaker.cfg.Neighbors[name]; there && h.speaker.sessions[name] {
				now[r.Prefix] = routeText(r)
			}
		}
		h.traceRoutes(name, h.speaker.told[name], now)
		h.speaker.told[name] = now
	}
}

func routeText(r bgp.Route) string {
	text := fmt.Sprintf("MED %d", r.Attributes.MED)
	for _, c := range r.Attributes.Communities {
		text += " " + c.String()
	}
	return text
}

func (h *Host) traceRoutes(name string, was, is map[netip.Prefix]string) {
	sorted := func(m map[netip.Prefix]string) []netip.Prefix {
		return slices.SortedFunc(maps.Keys(m), netip.Prefix.Compare)
	}
	for _, p := range sorted(was) {
		if _, still := is[p]; !still {
			h.w.trace(h.name, "%s has %s no more", name, p)
		}
	}
	for _, p := range sorted(is) {
		if was[p] != is[p] {
			h.w.trace(h.name, "%s has %s, %s", name, p, is[p])
		}
	}
}

// leavesAfterRoutes: an address goes only after its route. Of a daemon that was stopped
// the speaker has withdrawn everything by itself, which is not simulated.
func (h *Host) leavesAfterRoutes(had, has *present) {
	if had == nil || h.w.now.Sub(h.awake) < time.Second {
		return
	}
	for _, p := range had.addresses {
		if has != nil && slices.Contains(has.addresses, p) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(h.speaker.told)) {
			if _, told := h.speaker.told[name][p]; told {
				h.w.breaks("%s removes %s while %s still has its route", h.name, p, name)
			}
		}
	}
}

// routesRightly: a prefix is in the newest table only while the checks that can
// withdraw it are up, the VIP that it follows is held, and its address is there.
func (h *Host) routesRightly(s engine.Status) {
	wanted := map[netip.Prefix]bool{}
	for _, routes := range h.speaker.wanted.Table {
		for _, r := range routes {
			wanted[r.Prefix] = true
		}
	}
	for _, v := range s.Services {
		for _, p := range v.Prefixes {
			if wanted[p.Prefix] {
				h.routeRightly(s, v, p.Prefix)
			}
		}
	}
}

func (h *Host) routeRightly(s engine.Status, v engine.ServiceStatus, p netip.Prefix) {
	for _, t := range v.Tracks {
		if v.State == engine.ServiceLast {
			break // it fails, and every neighbor knows
		}
		i := slices.IndexFunc(s.Checks, func(c engine.CheckStatus) bool { return c.Name == t.Name })
		if i >= 0 && t.Fault && s.Checks[i].Weight == nil && !s.Checks[i].Healthy {
			h.w.breaks("%s announces %s while check %s is %s", h.name, p, t.Name, s.Checks[i].State)
		}
	}
	if v.Follow != "" {
		i := slices.IndexFunc(s.VIPs, func(vip engine.VIPStatus) bool { return vip.Name == v.Follow })
		if i < 0 || s.VIPs[i].State != engine.Active || !s.VIPs[i].Held {
			h.w.breaks("%s announces %s while %s is not held", h.name, p, v.Follow)
		}
	}
	k, who := h.kernel["anycast/"+v.Name], "anycast/"+v.Name
	if v.Device != "" && p.IsSingleIP() && !h.stolen[who] && (k == nil || !slices.Contains(k.addresses, p)) {
		h.w.breaks("%s announces %s without having its address", h.name, p)
	}
}
