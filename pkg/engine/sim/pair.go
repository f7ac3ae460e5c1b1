package sim

import (
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/pair"
)

// tell brings a state to every other host on every network that both are on.
func (h *Host) tell(s *pair.State) {
	for _, to := range h.w.hosts {
		if to == h || h.w.cuts[[2]string{h.name, to.name}] {
			continue
		}
		for _, ifname := range h.networks {
			if !h.reaches(ifname) || h.w.cutOn[[3]string{ifname, h.name, to.name}] || h.w.loses() {
				continue
			}
			boot, path := h.life, address(h.links[ifname].index, h.index).Addr()
			echo, sent := h.w.echoes[[2]string{h.name, to.name}], h.w.now
			h.w.send(func() {
				if !to.reaches(ifname) || to.eng == nil {
					return
				}
				if at := [2]string{to.name, h.name}; sent.After(h.w.echoes[at]) { // others overtook it
					h.w.echoes[at] = sent
				}
				since := sent
				if !echo.IsZero() {
					since = echo // no more is known of it
				}
				to.step(engine.PeerHeard{Peer: h.name, Boot: boot, Path: path, Whole: true, Age: to.clock.counts(to.w.now.Sub(since)), State: *s})
			})
		}
	}
}

// CutOn stops everything that from sends on a network from reaching to.
func (w *World) CutOn(network, from, to string) { w.cutOn[[3]string{network, from, to}] = true }
