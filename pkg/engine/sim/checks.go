package sim

import "github.com/vipd/vipd/pkg/engine"

// SetCheck makes a check pass or fail: a watched one in a moment, any other from
// its next probe on.
func (h *Host) SetCheck(name string, ok bool) {
	if ok == h.failing[name] {
		h.failing[name], h.failedAt[name] = !ok, h.w.now
	}
	if h.watched[name] {
		h.see(name)
	}
}

// Weigh makes a watched check report a weight.
func (h *Host) Weigh(name string, weight int) {
	h.weights[name] = weight
	if h.watched[name] {
		h.see(name)
	}
}

// watch begins or ends to watch a check. The first sight comes in a moment.
func (h *Host) watch(a engine.WatchCheck) {
	h.watched[a.Check] = a.On
	if a.On {
		h.see(a.Check)
	}
}

// see lets the daemon see how a watched check stands in a moment.
func (h *Host) see(name string) {
	life := h.life
	h.w.after(sightDelay, func() {
		if h.life == life && h.watched[name] {
			ev := engine.CheckSeen{Check: name, OK: !h.failing[name], Detail: "simulated"}
			if weight, ok := h.weights[name]; ok {
				ev.Weight = &weight
			}
			h.step(ev)
		}
	})
}

// servesRightly looks at everything that the checks have a say in.
func (h *Host) servesRightly() {
	s := h.Status()
	if h.moved {
		h.heedsChecks(s)
	}
	if h.speaker.moved {
		h.routesRightly(s)
	}
	h.moved, h.speaker.moved = false, false
}

// heedsChecks: a VIP is not Active here while a check that it needs is down and
// not masked. Of one that goes on from the last run it may not be known yet.
func (h *Host) heedsChecks(s engine.Status) {
	byName := map[string]engine.CheckStatus{}
	for _, c := range s.Checks {
		byName[c.Name] = c
	}
	for _, v := range s.VIPs {
		for _, t := range v.Tracks {
			c, ok := byName[t.Name]
			if c.State == "unknown" && (h.resumed[v.Name] || c.Since.After(v.Since)) {
				continue // a reload made it so, and takes nothing away by itself
			}
			if ok && t.Source == "check" && t.Fault && c.Weight == nil && !c.Healthy && c.Masked == "" && v.State == engine.Active && v.Handover == nil {
				h.w.breaks("%s is Active on %s while its check %s is %s", v.Name, h.name, c.Name, c.State)
			}
		}
	}
	for _, c := range s.Checks {
		h.dependsRightly(c, byName)
	}
}

// dependsRightly: a group is up with enough members and only then, and a check is
// masked while one that it comes after is down.
func (h *Host) dependsRightly(c engine.CheckStatus, byName map[string]engine.CheckStatus) {
	if g := c.Group; g != nil && c.Masked == "" {
		up := 0
		for _, name := range g.Members {
			if byName[name].Healthy {
				up++
			}
		}
		if c.Healthy != (up >= g.Need) {
			h.w.breaks("%s: group %s is %s with %d of %d up, needs %d", h.name, c.Name, c.State, up, len(g.Members), g.Need)
		}
	}
	for _, name := range c.After {
		if a := byName[name]; (a.State == "down" || a.Masked != "") && c.Masked == "" {
			h.w.breaks("%s: check %s comes after %s, which is %s, and is not masked", h.name, c.Name, name, a.State)
		}
	}
}
