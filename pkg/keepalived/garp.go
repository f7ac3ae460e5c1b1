package keepalived

import (
	"slices"
	"time"
)

// garpInterval takes the space between frames: the longer one of ARP and
// neighbour advertisements, which vipd does not tell apart.
func (c *converter) garpInterval(g *garp, s *statement) {
	d, ok := c.seconds(s, 0, time.Second)
	if !ok {
		return
	}
	if g.interval != nil && *g.interval != d {
		longer := max(*g.interval, d)
		g.interval = &longer
		c.note(s, Changed, "garp.interval = %q: one for ARP and neighbour advertisements", span(longer))
		return
	}
	g.interval = &d
}

func (c *converter) garpDelay(g *garp, s *statement) {
	if d, ok := c.seconds(s, 0, time.Minute); ok {
		g.delay = &d
	}
}

func (c *converter) garpRepeat(g *garp, s *statement) {
	if n, ok := c.number(s, 1, 100); ok {
		g.repeat = &n
	}
}

func (c *converter) garpRefresh(g *garp, s *statement) {
	d, ok := seconds(s.word(1))
	if ok && d == 0 {
		g.refresh = &d
		return
	}
	if d, ok := c.seconds(s, time.Second, 24*time.Hour); ok {
		g.refresh = &d
	}
}

func (c *converter) garpRefreshRepeat(s *statement) {
	if s.word(1) != "1" {
		c.note(s, Changed, "a refresh is one frame for each address")
	}
}

// garpGroupKeywords stand in garp_group.
var garpGroupKeywords = table[*spacing]{
	"garp_interval": does(func(c *converter, g *spacing, s *statement) { c.garpInterval(&g.garp, s) }),
	"gna_interval":  does(func(c *converter, g *spacing, s *statement) { c.garpInterval(&g.garp, s) }),
	"interface":     does(func(_ *converter, g *spacing, s *statement) { g.interfaces = s.words[1:] }),
	"interfaces":    does(func(_ *converter, g *spacing, s *statement) { g.interfaces = s.values() }),
}

// garpGroup spaces the frames of some interfaces.
func garpGroup(c *converter, _ struct{}, s *statement) {
	one := &spacing{}
	walk(c, garpGroupKeywords, s.block, one)
	if one.interval != nil {
		c.spacings = append(c.spacings, one)
	}
	c.note(s, Changed, "garp.interval of the VIPs on these interfaces; each VIP keeps it for itself")
}

// spaced gives a VIP the spacing of its interface.
func (c *converter) spaced(v *vip) {
	for _, s := range c.spacings {
		if slices.Contains(s.interfaces, v.iface) {
			v.garp.interval = s.interval
		}
	}
}
