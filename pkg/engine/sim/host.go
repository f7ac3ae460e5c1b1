package sim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// stuckAfter is more events than any world handles at one instant.
const stuckAfter = 100_000

// Host is one machine: its power, its kernel, and the daemon that may run on it.
type Host struct {
	w        *World
	name     string
	index    int
	cfg      engine.Config
	powered  bool
	eng      *engine.Engine // nil while the daemon is not running
	life     uint64         // which run of the daemon: answers to an earlier one are void
	links    map[string]*nic
	kernel   map[string]*present // VIPs whose addresses the kernel has
	stolen   map[string]bool     // VIPs whose addresses somebody removed, until they are back
	failing  map[string]bool     // checks that fail
	watched  map[string]bool     // checks that the daemon watches
	weights  map[string]int      // what watched checks report
	masked   map[string]string   // what the daemon says masks a check
	moved    bool                // something changed that the invariants of checks are about
	hook     Hook                // how before_hold ends
	waiting  map[string]uint64   // Seq of the before_hold that runs, by VIP
	speaker  speaker             // the process that speaks BGP
	away     map[string]bool     // neighbors that do not answer
	filter   filter
	noFilter string               // why the kernel has no packet filter, "" = it has
	paused   bool                 // the daemon does not run, and will go on
	queued   []waiting            // what waits for it then
	offered  map[string]string    // what was being handed over when the daemon was killed
	opened   map[string]time.Time // when VIPs were opened last
	device   Device               // how what can cut it off behaves
	fenced   bool                 // it is off since another host cut it off
	stall    time.Duration        // it is paused as soon as it decides something
	refuses  string               // what the kernel answers to address changes, "" = it obeys
	wakeAt   time.Time
	newest   map[string]uint64 // Seq of the last SetAddresses, by VIP
	said     map[string]uint8  // priority last traced, by VIP
}

// Hook is how the before_hold programs of a host end.
type Hook string

// The ways in which they end. A slow one may take longer than it is given.
const (
	HookFast  Hook = "" // and well
	HookSlow  Hook = "slow"
	HookFails Hook = "fails"
	HookHangs Hook = "hangs" // whoever runs it never answers
)

// waiting is an event that waits for a daemon which is paused.
type waiting struct {
	ev    engine.Event
	since time.Time
}

type nic struct {
	index int
	up    bool
}

type present struct {
	link      string
	addresses []netip.Prefix
	ends      time.Time // zero = never
}

// AddHost adds a host with one address on each named interface, powers it and
// starts its daemon. Hosts see each other on interfaces of the same name.
func (w *World) AddHost(name string, cfg engine.Config, interfaces ...string) *Host {
	h := &Host{
		w: w, name: name, index: len(w.hosts), cfg: cfg, links: map[string]*nic{}, opened: map[string]time.Time{},
		stolen: map[string]bool{}, away: map[string]bool{}, failing: map[string]bool{}, weights: map[string]int{}, said: map[string]uint8{},
	}
	for i, ifname := range interfaces {
		h.links[ifname] = &nic{index: i, up: true}
	}
	w.hosts = append(w.hosts, h)
	w.byName[name] = h
	h.Boot()
	return h
}

// Host returns a host by name, nil when there is none.
func (w *World) Host(name string) *Host { return w.byName[name] }

// Hosts returns all hosts in the order they were added.
func (w *World) Hosts() []*Host { return slices.Clone(w.hosts) }

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Running reports whether the daemon runs.
func (h *Host) Running() bool { return h.eng != nil }

// Crash takes the power away: the kernel forgets everything.
func (h *Host) Crash() {
	h.Kill()
	h.powered = false
	h.kernel = nil
}

// Kill ends the daemon without a word. The kernel keeps the addresses.
func (h *Host) Kill() {
	h.offered = map[string]string{}
	for name := range h.cfg.VIPs {
		h.offered[name] = h.offers(name)
	}
	h.eng = nil
	h.life++
	h.paused, h.queued, h.stall = false, nil, 0
	h.endSpeaker()
}

// Boot gives power back, if it was away, and starts the daemon.
func (h *Host) Boot() {
	if !h.powered {
		h.powered, h.filter = true, newFilter()
	}
	h.fenced = false
	h.kernel = map[string]*present{} // a start removes what an earlier run left
	h.kernel = h.adopted()
	clear(h.filter.until)
	stale, told := h.kept()
	h.life++
	h.wakeAt, h.newest, h.watched, h.masked = time.Time{}, map[string]uint64{}, map[string]bool{}, map[string]string{}
	h.waiting = map[string]uint64{}
	h.speaker = speaker{sessions: map[string]bool{}, told: told, stale: map[string]bool{}}
	h.eng = engine.New(h.w.now)
	if !stale.IsZero() {
		for name := range told {
			h.speaker.stale[name] = true
		}
		h.step(engine.Resume{Until: stale})
	}
	h.step(engine.Configure{Config: h.cfg})
	if h.cfg.Pair != nil {
		h.step(engine.PairUp{Boot: h.life})
	}
	for _, name := range slices.Sorted(maps.Keys(h.links)) {
		h.step(engine.LinkChanged{Link: h.snapshot(name)})
	}
}

// Configure gives the daemon another configuration.
func (h *Host) Configure(cfg engine.Config) {
	h.cfg = cfg
	h.step(engine.Configure{Config: cfg})
}

// Config returns the configuration in force. Do not change the maps in it.
func (h *Host) Config() engine.Config { return h.cfg }

// SetLink sets an interface up or down.
func (h *Host) SetLink(name string, up bool) {
	h.links[name].up = up
	h.sight(name)
}

// SetHook makes before_hold programs end in another way from the next one on.
func (h *Host) SetHook(how Hook) { h.hook = how }

// Refuse makes the kernel answer every change of addresses with an error; ""
// makes it obey again.
func (h *Host) Refuse(err string) { h.refuses = err }

// RemoveAddresses removes the addresses of a VIP, or of a service as anycast/NAME,
// behind the daemon's back.
func (h *Host) RemoveAddresses(vip string) {
	if p := h.kernel[vip]; p != nil {
		delete(h.kernel, vip)
		h.stolen[vip] = true
		h.w.trace(h.name, "somebody removes the addresses of %s", vip)
		h.sight(p.link)
	}
}

// Engine returns the engine of the daemon, nil while it does not run.
func (h *Host) Engine() *engine.Engine { return h.eng }

// Do hands an operator's event to the daemon, if it runs.
func (h *Host) Do(ev engine.Event) { h.step(ev) }

// VIP returns the status of one VIP.
func (h *Host) VIP(name string) (engine.VIPStatus, bool) {
	if h.eng == nil {
		return engine.VIPStatus{}, false
	}
	s := h.eng.Status(h.w.now)
	i := slices.IndexFunc(s.VIPs, func(v engine.VIPStatus) bool { return v.Name == name })
	if i < 0 {
		return engine.VIPStatus{}, false
	}
	return s.VIPs[i], true
}

// Status returns the whole status of a running daemon.
func (h *Host) Status() engine.Status { return h.eng.Status(h.w.now) }

// reaches reports whether frames pass the host's interface.
func (h *Host) reaches(ifname string) bool {
	l := h.links[ifname]
	return h.powered && l != nil && l.up
}

// sight lets the daemon see an interface as it will be in a moment.
func (h *Host) sight(ifname string) {
	life := h.life
	h.w.after(sightDelay, func() {
		if h.life == life {
			h.step(engine.LinkChanged{Link: h.snapshot(ifname)})
		}
	})
}

func (h *Host) mac(ifname string) string {
	return fmt.Sprintf("02:00:00:00:%02x:%02x", h.links[ifname].index, h.index)
}

func (h *Host) snapshot(ifname string) engine.Link {
	l := h.links[ifname]
	s := engine.Link{Name: ifname, Present: true, Up: l.up, MAC: h.mac(ifname)}
	s.Addresses = append(s.Addresses, address(l.index, h.index))
	for _, name := range slices.Sorted(maps.Keys(h.kernel)) {
		if p := h.kernel[name]; p.link == ifname {
			s.Addresses = append(s.Addresses, p.addresses...)
		}
	}
	return s
}

// step hands one event to the engine, carries out the actions and plans the next
// wake-up.
func (h *Host) step(ev engine.Event) {
	if h.eng == nil {
		return
	}
	if h.paused {
		h.queued = append(h.queued, waiting{ev, h.w.now})
		return
	}
	h.w.steps++
	if h.w.stuck++; h.w.stuck > stuckAfter {
		h.w.breaks("%s asks to be woken again and again without time going on", h.name)
		h.Kill()
		return
	}
	did := slices.Clone(h.eng.Step(h.w.now, ev))
	if h.w.Record != nil {
		h.w.Record(h.name, h.w.now, ev, did)
	}
	if h.stall > 0 && len(did) > 0 {
		h.w.trace(h.name, "is stopped for %v before it does what it decided", h.stall)
		h.pause(h.stall, did)
		h.stall = 0
		return
	}
	h.carryOut(did)
	h.heedsChecks()
	h.routesRightly()
	h.plan()
}

func (h *Host) plan() {
	next := h.eng.Next()
	if next.IsZero() || !h.wakeAt.IsZero() && !next.Before(h.wakeAt) {
		return
	}
	h.wakeAt = next
	life := h.life
	h.w.at(next, func() {
		if h.life != life || !h.wakeAt.Equal(next) {
			return
		}
		h.wakeAt = time.Time{}
		h.step(engine.Wake{})
	})
}

// act does what the daemon would do.
func (h *Host) act(a engine.Action) {
	life := h.life
	switch a := a.(type) {
	case engine.SendAdvert:
		h.traceAdvert(a)
		h.w.carry(h, a)
	case engine.SetAddresses:
		h.newest[owner(a)] = a.Seq
		h.w.after(kernelDelay, func() { h.apply(life, a) })
	case engine.SetGuard:
		h.setGuard(a)
	case engine.SetLease:
		h.setLease(a)
	case engine.RenewLease: // done already
	case engine.RunFence:
		h.fence(a)
	case engine.StopFence, engine.RememberFence:
	case engine.Tell:
		h.tell(a.State)
	case engine.Announce:
		h.announce(a)
	case engine.Hush: // a burst takes no time here
	case engine.SetSpeaker:
		h.setSpeaker(a.Config)
	case engine.SetTable:
		h.setTable(a)
	case engine.RunCheck:
		if by := h.masked[a.Check]; by != "" {
			h.w.breaks("%s probes %s, which is masked %s", h.name, a.Check, by)
		}
		h.w.after(probeDelay, func() {
			if h.life == life {
				h.step(engine.CheckDone{Check: a.Check, OK: !h.failing[a.Check], Detail: "simulated"})
			}
		})
	case engine.WatchCheck:
		h.watch(a)
	case engine.Notify:
		h.w.trace(h.name, "tells that %s is %s", a.Name, a.State)
		h.w.after(hookDelay, func() {
			if h.life == life {
				h.step(engine.NotifyDone{Group: a.Group, Name: a.Name, State: a.State})
			}
		})
	case engine.RunHook:
		h.runHook(a)
	case engine.StopHook:
		if h.waiting[a.VIP] == a.Seq {
			delete(h.waiting, a.VIP)
			h.w.trace(h.name, "stops before_hold of %s", a.VIP)
		}
	case engine.Report:
		h.moved, h.speaker.moved = true, true
		if a.Record.Type == engine.RecordMask {
			h.masked[a.Record.Name] = a.Record.To
		}
		h.w.trace(h.name, "%s", a.Record.Text)
	case engine.Answer:
		h.w.trace(h.name, "answers: %s", a.Text)
	}
}

// runHook runs a before_hold.
func (h *Host) runHook(a engine.RunHook) {
	h.w.trace(h.name, "runs before_hold of %s", a.Name)
	if _, runs := h.waiting[a.Name]; runs {
		h.w.breaks("%s runs two before_hold of %s at once", h.name, a.Name)
	}
	h.waiting[a.Name] = a.Seq
	result, takes := engine.HookOK, hookDelay
	switch h.hook {
	case HookHangs:
		return
	case HookFails:
		result = engine.HookFailed
	case HookSlow:
		takes = slowHook
	case HookFast:
	}
	life := h.life
	h.w.after(takes, func() {
		if h.life != life || h.waiting[a.Name] != a.Seq {
			return
		}
		delete(h.waiting, a.Name)
		h.step(engine.HookDone{VIP: a.Name, Seq: a.Seq, Result: result, Detail: "simulated"})
	})
}

// traceAdvert writes the first advert of a series: those that repeat it say
// nothing new.
func (h *Host) traceAdvert(a engine.SendAdvert) {
	if a.Advert.Priority == vrrp.PriorityRelease {
		delete(h.said, a.VIP)
	} else if h.said[a.VIP] == a.Advert.Priority {
		return
	} else {
		h.said[a.VIP] = a.Advert.Priority
	}
	from := ""
	if a.VMAC {
		from = " from the virtual MAC"
	}
	h.w.trace(h.name, "advertises %s with priority %d%s", a.VIP, a.Advert.Priority, from)
}

// apply is the kernel changing its addresses, and telling.
func (h *Host) apply(life uint64, a engine.SetAddresses) {
	if h.life != life || !h.powered || h.newest[owner(a)] != a.Seq {
		return // the newest wish replaces older ones
	}
	if _, runs := h.waiting[a.VIP]; runs && a.Present {
		h.w.breaks("%s opens %s while its before_hold runs", h.name, a.VIP)
	}
	who := owner(a)
	had := h.kernel[who]
	switch {
	case h.refuses != "":
	case a.Present:
		h.kernel[who] = &present{link: a.Interface, addresses: a.Addresses}
		if a.Lifetime > 0 {
			h.kernel[who].ends = h.w.now.Add(a.Lifetime)
		}
		h.stolen[who] = false
		h.w.exclusive(a.VIP, h)
	default:
		delete(h.kernel, who)
		h.stolen[who] = false
	}
	if a.Service != "" {
		h.leavesAfterRoutes(had, h.kernel[who])
	}
	if now := h.kernel[who]; (now == nil) != (had == nil) || now != nil && !slices.Equal(now.addresses, had.addresses) {
		h.sight(a.Interface)
	}
	h.step(engine.AddressesApplied{VIP: a.VIP, Service: a.Service, Seq: a.Seq, Err: h.refuses, Took: time.Millisecond})
}

// announce turns the clients of a VIP to this host, if its frames get out. Only
// who holds the addresses may announce them.
func (h *Host) announce(a engine.Announce) {
	v, _ := h.VIP(a.VIP)
	if v.State != engine.Active {
		h.w.breaks("%s announces %s while it is %s", h.name, a.VIP, v.State)
	}
	if v.Handover != nil {
		h.w.breaks("%s announces %s, which it hands to %s", h.name, a.VIP, v.Handover.To)
	}
	if h.kernel[a.VIP] == nil && !h.stolen[a.VIP] && v.Priority.Configured != vrrp.PriorityOwner {
		h.w.breaks("%s announces %s without having its addresses", h.name, a.VIP)
	}
	if !h.reaches(a.Interface) {
		return
	}
	if h.w.cache[a.VIP] != h.name {
		h.w.trace(h.name, "garp for %s (%s) turns the clients", a.VIP, a.Cause)
	}
	h.w.cache[a.VIP] = h.name
	h.w.claim(h, a)
	life := h.life
	h.w.at(h.w.now.Add(announceDelay), func() {
		if h.life == life {
			h.step(engine.AnnouncementSent{VIP: a.VIP})
		}
	})
}
