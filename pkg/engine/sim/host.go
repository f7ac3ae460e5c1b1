package sim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/pair"
)

// stuckAfter is more events than any world handles at one instant.
const stuckAfter = 100_000

// Host is one machine: its power, its kernel, and the daemon that may run on it.
type Host struct {
	w        *World
	clock    clock
	name     string
	index    int
	cfg      engine.Config
	powered  bool
	eng      *engine.Engine // nil while the daemon is not running
	awake    time.Time      // since when the daemon runs without a pause
	life     uint64         // which run of the daemon: answers to an earlier one are void
	links    map[string]*nic
	linkList []string             // their names, sorted
	networks []string             // those of them that lead to other hosts
	kernel   map[string]*present  // VIPs whose addresses the kernel has
	stolen   map[string]bool      // VIPs whose addresses somebody removed, until they are back
	failing  map[string]bool      // checks that fail
	failedAt map[string]time.Time // since when
	watched  map[string]bool      // checks that the daemon watches
	weights  map[string]int       // what watched checks report
	masked   map[string]string    // what the daemon says masks a check
	moved    bool                 // something changed that the invariants of checks are about
	hook     Hook                 // how before_hold ends
	waiting  map[string]uint64    // Seq of the before_hold that runs, by VIP
	speaker  speaker              // the process that speaks BGP
	away     map[string]bool      // neighbors that do not answer
	filter   filter
	noFilter string                 // why the kernel has no packet filter, "" = it has
	paused   bool                   // the daemon does not run, and will go on
	queued   []waiting              // what waits for it then
	offered  map[string]string      // what was being handed over when the daemon was killed
	opened   map[string]time.Time   // when VIPs were opened last
	took     map[string]time.Time   // those that were handed to it, until it announces them
	device   Device                 // how what can cut it off behaves
	history  fence.History          // of fences, on its disk
	cut      map[string][]time.Time // when it cut others off, as it knows
	fenced   bool                   // it is off since another host cut it off
	stall    time.Duration          // it is paused as soon as it decides something
	slow     time.Duration          // the kernel takes up to so much longer for a change
	deaf     bool                   // its services answer no client
	refuses  string                 // what the kernel answers to address changes, "" = it obeys
	restart  *time.Duration         // the daemon is ending, and is started again after that time
	left     map[string]engine.Kept // to the next run
	resumed  map[string]bool        // VIPs that this run goes on with, at its start
	wakeAt   time.Time
	did      []engine.Action   // what the engine decided last
	word     *pair.State       // what is to be told to peers
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
		w: w, clock: clock{w: w}, name: name, index: len(w.hosts), cfg: cfg, links: map[string]*nic{}, opened: map[string]time.Time{}, cut: map[string][]time.Time{},
		stolen: map[string]bool{}, away: map[string]bool{}, failing: map[string]bool{}, failedAt: map[string]time.Time{}, weights: map[string]int{}, said: map[string]uint8{},
	}
	for i, ifname := range interfaces {
		h.links[ifname] = &nic{index: i, up: true}
	}
	h.linkList = slices.Sorted(slices.Values(interfaces))
	h.networks = slices.DeleteFunc(slices.Clone(h.linkList), func(name string) bool { return name == "lo" })
	w.hosts = append(w.hosts, h)
	w.byName[name] = h
	h.Boot()
	return h
}

// Host returns a host by name, nil when there is none.
func (w *World) Host(name string) *Host { return w.byName[name] }

// Hosts returns all hosts in the order they were added.
func (w *World) Hosts() []*Host { return slices.Clone(w.hosts) }

// SetDeaf says whether its services answer no client.
func (h *Host) SetDeaf(deaf bool) { h.deaf = deaf }

// World returns the world that it is in.
func (h *Host) World() *World { return h.w }

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Running reports whether the daemon runs.
func (h *Host) Running() bool { return h.eng != nil }

// Paused reports whether the daemon is stopped, and will go on.
func (h *Host) Paused() bool { return h.paused }

// Crash takes the power away: the kernel forgets everything.
func (h *Host) Crash() {
	h.Kill()
	h.powered = false
	h.kernel = nil
}

// Kill ends the daemon without a word. The kernel keeps the addresses.
func (h *Host) Kill() {
	offered := map[string]string{}
	for name := range h.cfg.VIPs {
		offered[name] = h.offers(name) // of a dead one: as when it was killed first
	}
	h.offered, h.eng = offered, nil
	h.life++
	h.paused, h.queued, h.stall, h.restart, h.word = false, nil, 0, nil, nil
	h.endSpeaker()
}

// Restart ends the daemon politely, has it leave what it can to the next run, and
// starts that some time after it has ended.
func (h *Host) Restart(after time.Duration) {
	if h.eng == nil || h.restart != nil {
		return
	}
	h.restart = &after
	h.step(engine.Stop{Keep: slices.Sorted(maps.Keys(h.cfg.VIPs))})
}

// comesBack plans the next run when the one before it has ended.
func (h *Host) comesBack() {
	if h.restart == nil || h.paused || !h.eng.Done(h.clock.now()) {
		return
	}
	after, life := *h.restart, h.life
	h.restart = nil
	h.w.at(h.w.now, func() {
		if h.life != life {
			return
		}
		h.left = h.eng.Left()
		h.Kill()
		life := h.life
		h.w.at(h.w.now.Add(after), func() {
			if h.life == life && h.powered {
				h.Boot()
			}
		})
	})
}

// BootSlowly gives power back, if it was away, and starts the daemon some time later.
func (h *Host) BootSlowly(after time.Duration) {
	if !h.powered {
		h.powered, h.filter, h.kernel, h.fenced = true, newFilter(), map[string]*present{}, false
	}
	life := h.life
	h.w.at(h.w.now.Add(after), func() {
		if h.life == life && h.powered && h.eng == nil {
			h.Boot()
		}
	})
}

// Powered reports whether it has power.
func (h *Host) Powered() bool { return h.powered }

// Boot gives power back, if it was away, and starts the daemon.
func (h *Host) Boot() {
	if !h.powered && h.w.BootTakes > 0 {
		h.BootSlowly(h.w.BootTakes)
		return
	}
	if !h.powered {
		h.powered, h.filter = true, newFilter()
	}
	h.fenced = false
	left := h.left
	h.left = nil
	h.adopt(left) // a start removes what an earlier run left, and it does not go on with
	stale, told := h.kept()
	h.life++
	h.w.started = h.w.now
	h.wakeAt, h.newest, h.watched, h.masked = time.Time{}, map[string]uint64{}, map[string]bool{}, map[string]string{}
	h.waiting, h.took = map[string]uint64{}, map[string]time.Time{}
	h.speaker = speaker{sessions: map[string]bool{}, told: told, stale: map[string]bool{}}
	h.eng, h.awake = engine.New(h.clock.now()), h.w.now
	for name := range told {
		h.speaker.stale[name] = true
	}
	if !stale.IsZero() || len(left) > 0 {
		h.step(engine.Resume{Until: stale, VIPs: left})
	}
	h.step(engine.Configure{Config: h.cfg})
	if len(h.history) > 0 {
		h.step(engine.RestoreFences{History: h.history})
	}
	if h.cfg.Pair != nil {
		h.step(engine.PairUp{Boot: h.life})
	}
	for _, name := range h.linkList {
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
	was := h.links[name].up
	h.links[name].up = up
	h.sight(name)
	for _, vip := range slices.Sorted(maps.Keys(h.cfg.VIPs)) {
		if up && !was {
			h.w.exclusive(vip, h)
		}
	}
}

// SetHook makes before_hold programs end in another way from the next one on.
func (h *Host) SetHook(how Hook) { h.hook = how }

// SetSlow makes the kernel take up to so much longer for every change.
func (h *Host) SetSlow(d time.Duration) { h.slow = d }

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
	return h.eng.VIP(h.clock.now(), name)
}

// Status returns the whole status of a running daemon.
func (h *Host) Status() engine.Status { return h.eng.Status(h.clock.now()) }

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
		if _, timer := ev.(engine.Wake); !timer { // which come when everything else has been heard
			h.queued = append(h.queued, waiting{ev, h.w.now})
		}
		return
	}
	h.w.steps++
	if h.w.stuck++; h.w.stuck > stuckAfter {
		h.w.breaks("%s asks to be woken again and again without time going on", h.name)
		h.Kill()
		return
	}
	did := h.decide(ev)
	if h.stall > 0 && len(did) > 0 {
		h.w.trace(h.name, "is stopped for %v before it does what it decided", h.stall)
		h.pause(h.stall, slices.Clone(did))
		h.stall = 0
		return
	}
	h.carryOut(did)
	if h.eng == nil {
		return
	}
	if h.moved || h.speaker.moved {
		h.servesRightly()
	}
	h.plan()
	h.comesBack()
}

// decide hands one event to the engine. What it decides is good until the next one.
func (h *Host) decide(ev engine.Event) []engine.Action {
	h.did = append(h.did[:0], h.eng.Step(h.clock.now(), ev)...)
	h.decidesRightly(h.did)
	if h.w.Record != nil {
		h.w.Record(h.name, h.w.now, ev, h.did)
	}
	return h.did
}

func (h *Host) plan() {
	next := h.eng.Next()
	if next.IsZero() || !h.wakeAt.IsZero() && !next.Before(h.wakeAt) {
		return
	}
	h.wakeAt = next
	life := h.life
	h.w.at(h.clock.when(next), func() {
		if h.life != life || !h.wakeAt.Equal(next) {
			return
		}
		h.wakeAt = time.Time{}
		h.step(engine.Wake{})
	})
}
