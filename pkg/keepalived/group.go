package keepalived

// groups holds the one statement about groups.
var groups = table[struct{}]{"vrrp_sync_group": does(groupBlock)}

// groupKeywords stand in vrrp_sync_group.
var groupKeywords = table[*group]{
	"group": does(members),
	"track_interface": does(func(c *converter, g *group, s *statement) {
		c.trackedLinks(s, "", func(t track) { g.links = append(g.links, t) })
	}),
	"track_script":  does(func(c *converter, g *group, s *statement) { c.tracked(s, "vrrp_script", g.tracks) }),
	"track_file":    does(func(c *converter, g *group, s *statement) { c.tracked(s, "track_file", g.tracks) }),
	"track_process": does(func(c *converter, g *group, s *statement) { c.tracked(s, "vrrp_track_process", g.tracks) }),

	"notify":                  does(func(c *converter, g *group, s *statement) { c.notifyAlways(&g.notify, s) }),
	"notify_master":           does(func(c *converter, g *group, s *statement) { c.notifyState(&g.notify, "MASTER", s) }),
	"notify_backup":           does(func(c *converter, g *group, s *statement) { c.notifyState(&g.notify, "BACKUP", s) }),
	"notify_fault":            does(func(c *converter, g *group, s *statement) { c.notifyState(&g.notify, "FAULT", s) }),
	"notify_stop":             does(func(c *converter, g *group, s *statement) { c.notifyState(&g.notify, "STOP", s) }),
	"notify_priority_changes": does(func(c *converter, _ *group, s *statement) { c.priorityChanges(s) }),
	"smtp_alert":              does(func(c *converter, _ *group, s *statement) { c.mail(s) }),
}.
	alike(Changed, "a VIP that a reload removes is told STOP, by `notify`", "notify_deleted").
	alike(Changed, "what one member tracks moves all of them here: they must track the same", "global_tracking", "sync_group_tracking_weight").
	alike(Refused, noteBFD, "track_bfd")

func (g *group) tracks(t track) { g.track = append(g.track, t) }

func members(c *converter, g *group, s *statement) {
	for _, name := range s.values() {
		v := c.instance(name)
		switch {
		case v == nil:
			c.note(s, Refused, "there is no vrrp_instance %s", name)
		case v.dropped:
			c.note(s, Refused, "%s was left out", name)
		case v.group != nil:
			c.note(s, Refused, "%s is a member of %s already", name, v.group.name)
		default:
			v.group = g
			g.members = append(g.members, v)
		}
	}
}

// instance finds a VIP by its name in keepalived.conf.
func (c *converter) instance(name string) *vip {
	for _, v := range c.vips {
		if v.at.word(1) == name {
			return v
		}
	}
	return nil
}

func groupBlock(c *converter, _ struct{}, s *statement) {
	g := &group{at: s, comments: s.comments, name: unique(label(s.word(1)), func(n string) bool {
		for _, other := range c.groups {
			if other.name == n {
				return true
			}
		}
		return false
	})}
	walk(c, groupKeywords, s.block, g)
	if s.word(1) == "" || len(g.members) == 0 {
		c.note(s, Refused, "no member of it is left")
		return
	}
	c.groups = append(c.groups, g)
	c.agree(g)
	if len(g.members) == 1 {
		c.note(s, Changed, "[sync.%s]: a group of one VIP changes nothing", g.name)
		return
	}
	c.note(s, Converted, "[sync.%s]", g.name)
}

// agree gives all members what they must have in common. Weights of one member
// do not count in a group, in keepalived neither; those of the group do.
func (c *converter) agree(g *group) {
	noPreempt := false
	for _, v := range g.members {
		noPreempt = noPreempt || v.noPreempt
	}
	for _, v := range g.members {
		if v.noPreempt != noPreempt {
			v.noPreempt, v.delay = noPreempt, 0
			c.note(v.at, Changed, "preempt = false: the members of a group agree, and another one of %s has nopreempt", g.name)
		}
		v.track = c.weightless(g, v.track)
		v.interfaces = c.weightless(g, v.interfaces)
		for _, t := range g.track {
			v.tracks(t)
		}
		for _, t := range g.links {
			if t.name != v.iface {
				v.interfaces = append(v.interfaces, t)
			}
		}
		if v.priority == 255 {
			v.track, v.interfaces = c.faultsOnly(v, v.track), c.faultsOnly(v, v.interfaces)
		}
	}
	for i, t := range g.links {
		if t.weight == 0 {
			continue
		}
		for _, v := range g.members {
			if v.iface == t.name {
				c.note(g.links[i].at, Changed, "%s is the interface of %s: that it is down makes the group unfit, whatever the weight", t.name, v.name)
				g.unweighted(t.name)
				break
			}
		}
	}
}

// unweighted takes the weight off an interface in all members: one of them is
// unfit without it.
func (g *group) unweighted(link string) {
	for _, v := range g.members {
		for i := range v.interfaces {
			if v.interfaces[i].name == link {
				v.interfaces[i].weight = 0
			}
		}
	}
}

// weightless leaves out what has a weight in one member of a group.
func (c *converter) weightless(g *group, all []track) []track {
	var kept []track
	for _, t := range all {
		if t.weight == 0 && !t.own {
			kept = append(kept, t)
			continue
		}
		if t.own {
			c.note(t.at, Refused, "left out: in a sync group keepalived takes any number but 0 as a failure; write weight 0, or track it in %s", g.name)
			continue
		}
		c.note(t.at, Changed, "left out: keepalived ignores a weight in one member of a group; track it in %s, and it counts for all", g.name)
	}
	return kept
}
