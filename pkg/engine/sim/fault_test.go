package sim_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// swarmActor is the operator of all worlds.
var swarmActor = engine.Actor{Name: "swarm"}

// words are those of a fault, and what is wrong with them.
type words struct {
	list  []string
	wrong error
}

// at returns a word, "" when there are not so many.
func (f *words) at(i int) string {
	if i >= len(f.list) {
		return ""
	}
	return f.list[i]
}

func (f *words) number(i int) float64 {
	n, err := strconv.ParseFloat(f.at(i), 64)
	f.wrong = errors.Join(f.wrong, err)
	return n
}

func (f *words) duration(i int) time.Duration {
	d, err := time.ParseDuration(f.at(i))
	f.wrong = errors.Join(f.wrong, err)
	return d
}

// host returns the host that a word names.
func (f *words) host(w *sim.World, i int) *sim.Host {
	h := w.Host(f.at(i))
	if h == nil {
		f.wrong = errors.Join(f.wrong, fmt.Errorf("no host is %q", f.at(i)))
		return w.Hosts()[0]
	}
	return h
}

// do does one thing to a world, or to the host that its second word names. Most
// words are those of the transcripts of the engine.
func do(w *sim.World, line string) error {
	f := &words{list: strings.Fields(line)}
	switch f.at(0) {
	case "cut": // cut lb1 rack3: what lb1 sends does not reach rack3
		w.Cut(f.at(1), f.at(2))
	case "isolate": // isolate lb1: nobody hears it, it hears nobody, and its gateway does not answer
		isolate(w, f.host(w, 1), true)
	case "rejoin": // rejoin lb1: all of that ends at once
		isolate(w, f.host(w, 1), false)
	case "loss": // loss 0.25
		w.Loss = f.number(1)
	case "burst": // burst 0.9 300ms: that part of all messages is lost, for that time
		w.Burst(f.number(1), f.duration(2))
	case "twice": // twice 0.25: that part of all messages comes twice
		w.Twice = f.number(1)
	case "lag": // lag 300ms: a message takes up to that much longer
		w.Lag = f.duration(1)
	case "heal": // cuts, losses and delays end
		w.Heal()
	case "clock": // clock lb1 -700: the clock of lb1, or of the witness, is slower by that many millionths
		if w.Witness(f.at(1)) != nil || f.host(w, 1).Name() == f.at(1) {
			w.SetClock(f.at(1), int(f.number(2)))
		}
	case "witness":
		doToWitness(w, f)
	case "reload": // reload priorities 120: all hosts, see reload
		reload(w, f.at(1), uint8(f.number(2)))
	default:
		doTo(f.host(w, 1), f)
	}
	return f.wrong
}

// doToWitness: witness dies; or witness starts, and has forgotten everything.
func doToWitness(w *sim.World, f *words) {
	x := w.Witness(witnessName)
	switch {
	case x == nil:
		f.wrong = errors.New("there is no witness")
	case f.at(1) == "dies":
		x.Kill()
	default:
		x.Restart()
	}
}

// isolate cuts a host off from everybody, and from its gateway, or ends that.
func isolate(w *sim.World, h *sim.Host, cut bool) {
	names := []string{witnessName}
	for _, o := range w.Hosts() {
		names = append(names, o.Name())
	}
	do := w.Mend
	if cut {
		do = w.Cut
	}
	for _, name := range names {
		do(h.Name(), name)
		do(name, h.Name())
	}
	h.SetCheck("gateway", !cut)
}

// doTo does something to a host.
func doTo(h *sim.Host, f *words) {
	switch f.at(0) {
	case "crash":
		h.Crash()
	case "kill":
		h.Kill()
	case "boot":
		switch { // boot lb1 2s: its daemon is started that long after it has power
		case h.Running():
		case f.at(2) != "":
			h.BootSlowly(f.duration(2))
		default:
			h.Boot()
		}
	case "restart": // restart lb1 50ms: an upgrade in place, which is back after that time
		h.Restart(f.duration(2))
	case "pause":
		h.Pause(f.duration(2))
	case "stall":
		h.Stall(f.duration(2))
	case "slow": // slow lb1 300ms: the kernel takes up to that long for a change
		h.SetSlow(f.duration(2))
	case "link": // link lb1 eth0 down
		h.SetLink(f.at(2), f.at(3) == "up")
	case "check": // check lb1 svc fail
		h.SetCheck(f.at(2), f.at(3) == "ok")
	case "steal": // somebody removes addresses
		h.RemoveAddresses(f.at(2))
	case "hook": // hook lb1 hangs
		h.SetHook(sim.Hook(strings.TrimPrefix(f.at(2), "fast")))
	case "device": // device lb1 lies: those that could cut lb1 off
		h.SetDevice(sim.Device(f.at(2)))
	case "speaker": // speaker lb1 dies
		h.KillSpeaker()
	case "neighbor": // neighbor lb1 tor-a away
		h.SetNeighbor(f.at(2), f.at(3) != "away")
	case "checks", "services": // checks lb1 12345: other ones, drawn from the number
		if h.Running() {
			h.Configure(otherConfig(f.at(0), rand.New(rand.NewPCG(uint64(f.number(2)), 0)), h.Config()))
		}
	default:
		operate(h, f)
	}
}

// operate does what an operator does, or other announcers do.
func operate(h *sim.Host, f *words) {
	switch f.at(0) {
	case "drain":
		h.Do(engine.Drain{Actor: swarmActor})
	case "undrain":
		h.Do(engine.Undrain{Actor: swarmActor})
	case "failover":
		h.Do(engine.Failover{Name: f.at(2), Actor: swarmActor})
	case "confirm": // confirm lb1 lb2: somebody looks whether lb2 is off, and states so at lb1
		if !f.host(h.World(), 2).Powered() {
			h.Do(engine.ConfirmFence{Peer: f.at(2), Actor: swarmActor})
		}
	case "drill": // drill lb1 link 2s
		h.Do(engine.Drill{Name: "web", Kind: engine.DrillKind(f.at(2)), Hold: f.duration(3), Actor: swarmActor})
	case "announcers": // announcers lb1 0 2: two others announce the first prefix
		prefix, others := int(f.number(2)), int(f.number(3))
		h.Do(engine.AnnouncersSeen{Prefix: services()["dns"].Prefixes[prefix], Others: []string{"AS 65102", "AS 65103"}[:others]})
	default:
		f.wrong = errors.Join(f.wrong, fmt.Errorf("no fault is %q", strings.Join(f.list, " ")))
	}
}

// otherConfig changes what checks depend on, or the services.
func otherConfig(what string, r *rand.Rand, cfg engine.Config) engine.Config {
	if what == "services" {
		return otherServices(r, cfg)
	}
	cfg.Checks = otherChecks(r, cfg)
	return cfg
}

// otherChecks changes what checks depend on.
func otherChecks(r *rand.Rand, cfg engine.Config) map[string]check.Config {
	list := maps.Clone(cfg.Checks)
	name := []string{"api", "proc", "front", "two"}[r.IntN(4)]
	c := list[name]
	switch g, isGroup := c.Spec.(check.Group); {
	case isGroup && r.IntN(2) == 0:
		c.Spec = check.Group{Members: g.Members, Need: 1 + r.IntN(len(g.Members))}
	case len(c.After) > 0:
		c.After = nil
	default:
		c.After = []string{"net"}
	}
	c.HoldDown.Time = time.Duration(r.IntN(2)) * 200 * time.Millisecond
	list[name] = c
	return list
}

// reload gives all hosts a configuration that differs in something from the one
// in force; the hosts agree on what they must agree on.
func reload(w *sim.World, what string, value uint8) {
	for i, h := range w.Hosts() {
		cfg := h.Config()
		cfg.VIPs = maps.Clone(cfg.VIPs)
		for _, name := range slices.Sorted(maps.Keys(cfg.VIPs)) {
			v := cfg.VIPs[name]
			switch what {
			case "priorities":
				v.Priority = uint8(1 + (int(value)+100*i)%254)
			case "vrids":
				v.VRID = v.VRID%2 + 101 + uint8(2*(int(v.VRID)/2%20))
			case "addresses":
				v.Addresses = append(slices.Clip(v.Addresses), netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, value, v.VRID}), 32))
			case "refresh":
				v.GARP.Refresh = time.Duration(value) * time.Second / 10
			}
			cfg.VIPs[name] = v
		}
		switch what {
		case "drop":
			delete(cfg.VIPs, "web")
		case "web": // another one, or anew
			mail := cfg.VIPs["mail"]
			web := config(h.Name(), value, mail.Interval, true, false).VIPs["web"]
			web.Lease, web.Takeover = mail.Lease, mail.Takeover
			cfg.VIPs["web"] = web
		}
		h.Configure(cfg) // also of one that is down: it reads the new file when it starts
	}
}

// heal ends all faults: every host runs, hears everybody and is eligible, with
// the configuration that it began with.
func heal(w *sim.World, began []engine.Config) {
	w.Heal()
	if x := w.Witness(witnessName); x != nil {
		x.Restart()
	}
	for _, h := range w.Hosts() {
		h.SetLink("eth0", true)
		h.SetLink("eth1", true)
		h.SetNeighbor("tor-a", true)
		h.SetNeighbor("tor-b", true)
		for _, name := range append([]string{"gateway"}, checkNames...) {
			h.SetCheck(name, true)
		}
		h.SetHook(sim.HookFast)
		h.SetDevice(sim.DeviceWorks)
		h.SetSlow(0)
		if !h.Running() {
			h.Boot()
		}
		h.Do(engine.Undrain{Actor: swarmActor})
	}
	for i, cfg := range began {
		w.Hosts()[i].Configure(cfg)
	}
}

// printed writes a transcript to the terminal.
func printed(at time.Duration, host, line string) { fmt.Printf("%v %s: %s\n", at, host, line) }
