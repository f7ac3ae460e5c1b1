package sim

import (
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// agentDelay is how long a fence agent takes.
var agentDelay = span{5 * time.Millisecond, 300 * time.Millisecond}

// blurredFor is for how long hosts go by what each of them heard of the other, or did
// not, while most of all messages were lost, or a third of a second late. Then they can take the same turn.
const blurredFor = 30 * time.Second

// Device is how the fence devices of a host behave.
type Device string

// The ways.
const (
	DeviceWorks Device = ""
	DeviceDead  Device = "dead"  // nobody answers
	DeviceHangs Device = "hangs" // the agent is killed at its timeout
	DeviceLies  Device = "lies"  // it says off, and does nothing; it reads on
	DeviceWrong Device = "wrong" // it is plugged into who works it, and cuts that one off
	DeviceShare Device = "share" // those of the first level have no power but the host's
)

// SetDevice makes the devices that can cut a host off behave in another way.
func (h *Host) SetDevice(how Device) { h.device = how }

// fence works a device of another host.
func (h *Host) fence(a engine.RunFence) {
	plug, life := h.w.byName[a.Peer], h.life
	takes, exit, acts := agentDelay, 0, true
	switch plug.device {
	case DeviceDead:
		exit, acts = 1, false
	case DeviceShare:
		if first := h.cfg.Fences[a.Peer].Levels[0]; !plug.powered && slices.Contains(first, a.Device) {
			exit, acts = 1, false
		}
	case DeviceWrong:
		plug = h
	case DeviceHangs:
		takes, exit, acts = span{a.Timeout, a.Timeout + time.Millisecond}, -1, false
	case DeviceLies:
		acts = false
	case DeviceWorks:
	}
	h.w.after(takes, func() {
		cut := acts && a.Verb == fence.VerbOff && plug.powered
		if acts {
			h.work(a, plug)
		}
		if a.Verb == fence.VerbStatus && exit == 0 && !plug.powered {
			exit = 2
		}
		if h.life == life {
			if cut {
				h.brakes(a.Peer)
			}
			h.step(engine.FenceEnded{Peer: a.Peer, Ended: fence.Ended{ID: a.ID, Exit: exit, Late: exit < 0, Detail: "simulated"}})
		}
	})
}

// work switches the power of a host.
func (h *Host) work(a engine.RunFence, target *Host) {
	switch a.Verb {
	case fence.VerbOff:
		h.w.trace(h.name, "cuts the power of %s", target.name)
		if target.powered {
			target.Crash()
			target.fenced = target != h
		}
		blurred := h.w.now.Sub(h.w.blurred) < blurredFor
		if !blurred && !slices.ContainsFunc(h.w.hosts, func(o *Host) bool { return !o.fenced }) {
			h.w.breaks("every host was fenced")
		}
	case fence.VerbOn:
		target.Boot()
	case fence.VerbStatus:
	}
}
