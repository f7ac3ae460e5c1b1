package sim_test

import (
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

// do does one thing to a world, or to the host that its second word names. Most
// words are those of the transcripts of the engine.
func do(w *sim.World, line string) {
	f := append(strings.Fields(line), "", "", "")
	switch f[0] {
	case "cut": // cut lb1 rack3: what lb1 sends does not reach rack3
		w.Cut(f[1], f[2])
	case "loss": // loss 0.25
		w.Loss = number(f[1])
	case "twice": // twice 0.25: that part of all messages comes twice
		w.Twice = number(f[1])
	case "lag": // lag 300ms: a message takes up to that much longer
		w.Lag = duration(f[1])
	case "heal": // cuts, losses and delays end
		w.Heal()
	case "witness":
		if f[1] == "dies" {
			w.Witness(witnessName).Kill()
		} else { // starts, and has forgotten everything
			w.Witness(witnessName).Restart()
		}
	case "reload": // reload priorities 120: all hosts, see reload
		reload(w, f[1], uint8(number(f[2])))
	default:
		doTo(w.Host(f[1]), f)
	}
}

func doTo(h *sim.Host, f []string) {
	switch f[0] {
	case "crash":
		h.Crash()
	case "kill":
		h.Kill()
	case "boot":
		if !h.Running() {
			h.Boot()
		}
	case "restart": // restart lb1 50ms: an upgrade in place, which is back after that time
		h.Restart(duration(f[2]))
	case "pause":
		h.Pause(duration(f[2]))
	case "stall":
		h.Stall(duration(f[2]))
	case "slow": // slow lb1 300ms: the kernel takes up to that long for a change
		h.SetSlow(duration(f[2]))
	case "link": // link lb1 eth0 down
		h.SetLink(f[2], f[3] == "up")
	case "check": // check lb1 svc fail
		h.SetCheck(f[2], f[3] == "ok")
	case "drain":
		h.Do(engine.Drain{Actor: swarmActor})
	case "undrain":
		h.Do(engine.Undrain{Actor: swarmActor})
	case "failover":
		h.Do(engine.Failover{Name: f[2], Actor: swarmActor})
	case "drill": // drill lb1 link 2s
		h.Do(engine.Drill{Name: "web", Kind: engine.DrillKind(f[2]), Hold: duration(f[3]), Actor: swarmActor})
	case "steal": // somebody removes addresses
		h.RemoveAddresses(f[2])
	case "hook": // hook lb1 hangs
		h.SetHook(sim.Hook(strings.TrimPrefix(f[2], "fast")))
	case "device": // device lb1 lies: those that could cut lb1 off
		h.SetDevice(sim.Device(f[2]))
	case "speaker": // speaker lb1 dies
		h.KillSpeaker()
	case "neighbor": // neighbor lb1 tor-a away
		h.SetNeighbor(f[2], f[3] != "away")
	case "announcers": // announcers lb1 0 2: two others announce the first prefix
		h.Do(engine.AnnouncersSeen{Prefix: services()["dns"].Prefixes[int(number(f[2]))], Others: []string{"AS 65102", "AS 65103"}[:int(number(f[3]))]})
	case "checks", "services": // checks lb1 12345: other ones, drawn from the number
		if h.Running() {
			h.Configure(otherConfig(f[0], rand.New(rand.NewPCG(uint64(number(f[2])), 0)), h.Config()))
		}
	default:
		panic("no fault is " + strings.Join(f, " "))
	}
}

func number(word string) float64 {
	n, err := strconv.ParseFloat(word, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func duration(word string) time.Duration {
	d, err := time.ParseDuration(word)
	if err != nil {
		panic(err)
	}
	return d
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

// drawAny draws one of all faults but those of the pair channel.
func drawAny(d *drawing) {
	h, other := d.host()
	switch d.IntN(29) {
	case 0:
		d.add("crash %s", h)
	case 1:
		d.add("kill %s", h)
	case 2, 3:
		d.add("boot %s", h)
	case 4:
		d.add("link %s %s %s", h, d.one("eth0", "eth1"), d.one("up", "down"))
	case 5:
		d.add("cut %s %s", h, other)
	case 6:
		d.add("loss %.2f", d.Float64()*0.8)
	case 7, 15, 16, 17, 18:
		d.drawCheck(h)
	case 8:
		d.add("drain %s", h)
	case 9:
		d.add("undrain %s", h)
	case 10:
		d.add("failover %s web", h)
	case 11:
		d.add("steal %s web", h)
	case 12, 13, 14:
		d.drawReload()
	case 19:
		d.add("checks %s %d", h, d.IntN(1e6))
	case 20, 21:
		d.add("hook %s %s", h, d.one("fast", "slow", "fails", "hangs"))
	case 22:
		d.add("speaker %s dies", h)
	case 23, 24:
		d.add("neighbor %s %s %s", h, d.one("tor-a", "tor-b"), d.one("away", "back"))
	case 25:
		d.add("services %s %d", h, d.IntN(1e6))
	case 26:
		d.add("steal %s anycast/dns", h)
	case 27, 28:
		d.add("announcers %s %d %d", h, d.IntN(3), d.IntN(3))
	}
}

func (d *drawing) drawCheck(h string) {
	d.add("check %s %s %s", h, d.one(checkNames...), d.one("ok", "fail"))
}

func (d *drawing) drawReload() {
	d.add("reload %s %d", d.one("priorities", "vrids", "addresses", "refresh", "drop", "web"), 1+d.IntN(254))
}

// drawAtHost draws something that happens to a host, and nothing to the network.
func drawAtHost(d *drawing) {
	h, other := d.host()
	interval := d.plan.shape.interval
	pause := d.upTo(10 * interval)
	if d.IntN(3) == 0 {
		pause = d.upTo(5 * time.Second)
	}
	switch d.IntN(18) {
	case 0:
		d.add("crash %s", h)
	case 1:
		d.add("kill %s", h)
	case 2:
		d.add("boot %s", h)
	case 3, 4: // killed, and back before anybody takes over
		d.add("kill %s", h)
		d.at += 50*time.Millisecond + d.upTo(450*time.Millisecond)
		d.add("boot %s", h)
	case 5, 6, 7:
		d.add("pause %s %s", h, pause)
	case 8, 9:
		d.add("stall %s %s", h, pause)
	case 10:
		d.drawCheck(h)
	case 11:
		d.add("drain %s", h)
	case 12:
		d.add("undrain %s", h)
	case 13:
		d.add("failover %s web", h)
	case 14:
		d.add("steal %s web", h)
	case 15:
		d.drawReload()
	case 16: // what is offered waits at the other host
		d.add("pause %s %s", other, d.upTo(80*time.Millisecond))
		d.at += d.upTo(20 * time.Millisecond)
		d.add("failover %s web", h)
	case 17: // an upgrade in place, in time or not
		d.add("restart %s %s", h, d.upTo(6*interval))
	}
}

// drawCut draws something that happens to the network, a host or a fence device.
func drawCut(d *drawing) {
	h, other := d.host()
	interval := d.plan.shape.interval
	switch d.IntN(15) {
	case 0:
		d.add("crash %s", h)
	case 1:
		d.add("kill %s", h)
	case 2, 3:
		d.add("cut %s %s", h, other)
		d.add("cut %s %s", other, h)
	case 4:
		d.add("cut %s %s", h, other)
	case 5:
		d.add("loss %.2f", d.Float64()*0.9)
	case 6:
		d.add("pause %s %s", h, d.upTo(20*interval))
	case 7:
		d.add("heal")
	case 8:
		d.add("boot %s", h)
	case 9:
		d.add("device %s %s", h, d.one("dead", "hangs", "lies"))
	case 10:
		d.add("check %s gateway %s", h, d.one("ok", "fail"))
	case 11:
		d.add("stall %s %s", h, d.upTo(10*interval))
	case 12:
		d.drawSlow(h)
	case 13:
		d.drawLag()
	case 14:
		d.add("twice %.2f", d.Float64())
	}
}

// drawVote draws something that happens to the network, a host or the witness.
func drawVote(d *drawing) {
	h, other := d.host()
	witness := d.plan.shape.witness != ""
	switch n := d.IntN(15); {
	case n < 4 && !witness:
	case n == 0:
		d.add("witness dies")
	case n == 1:
		d.add("witness starts")
	case n == 2:
		d.add("cut %s %s", h, witnessName)
	case n == 3:
		d.add("cut %s %s", witnessName, h)
	case n == 4:
		d.add("cut %s %s", h, other)
		d.add("cut %s %s", other, h)
	case n == 5:
		d.add("cut %s %s", h, other)
	case n == 6:
		d.add("loss %.2f", d.Float64()*0.9)
	case n == 7:
		d.add("heal")
	case n == 8:
		d.drawSlow(h)
	case n == 9:
		d.drawLag()
	case n == 10:
		d.add("twice %.2f", d.Float64())
	default:
		drawAtHost(d)
	}
}

// drawLag makes the network slow, or ends that.
func (d *drawing) drawLag() {
	d.add("lag %s", d.upTo(500*time.Millisecond)*time.Duration(d.IntN(2)))
}

// drawSlow makes a kernel slow, or ends that. Where nothing but adverts guards a
// VIP it is none of the faults: who takes over finds out only after it has opened
// that the other host does not wait for it any more.
func (d *drawing) drawSlow(h string) {
	d.add("slow %s %s", h, d.upTo(300*time.Millisecond)*time.Duration(d.IntN(2)))
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
