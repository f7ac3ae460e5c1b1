package control

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

// WhyService explains an anycast service. The error is a [Problem] that says
// which there are.
func WhyService(s engine.Status, name string) (Explanation, error) {
	v, err := findService(s, name)
	if err != nil {
		return Explanation{}, err
	}
	e := &Explanation{
		Schema: schemaWhy, Kind: "anycast", Name: name, Node: s.Node, State: string(v.State),
		Since: v.Since, Reason: v.Reason, Because: []string{}, Remedies: []string{},
	}
	e.Headline = fmt.Sprintf("%s is %s on %s %s.", name, v.State, s.Node, since(v.Since, s.Now))
	switch v.State {
	case engine.ServiceAnnounced:
		e.because("Its checks pass, and its addresses are there.")
	case engine.ServiceWaiting:
		whyWaiting(e, s, v)
	case engine.ServiceLast:
		whyLast(e, s, v)
	case engine.ServiceDraining:
		e.because("It still works here, and neighbors are asked to send traffic elsewhere (graceful-shutdown).")
		e.remedy("it is withdrawn at %s (in %s)", clock(v.DrainUntil, s.Now), Age(v.DrainUntil.Sub(s.Now)))
	case engine.ServiceDrained, engine.ServiceWithdrawn:
	}
	whyDrained(e, s, v.Name, v.Drained)
	whyServiceBlocked(e, s, v)
	if v.Told {
		whyRoutes(e, v)
		if v.State != engine.ServiceLast {
			whyMED(e, s, v)
		}
	}
	if v.State == engine.ServiceAnnounced {
		withdrawTracks(e, s, v)
		e.remedy("vipd drain %s   takes it out of service here until: vipd undrain %s", name, name)
	}
	return *e, nil
}

// whyWaiting says what a service waits for that nothing blocks.
func whyWaiting(e *Explanation, s engine.Status, v engine.ServiceStatus) {
	if len(v.Blockers) > 0 {
		return
	}
	e.because("Nothing is wrong with it: %s.", bare(v.Why))
	switch {
	case !v.RiseDue.IsZero():
		e.remedy("it stays healthy: announced at %s (in %s)", clock(v.RiseDue, s.Now), Age(v.RiseDue.Sub(s.Now)))
	case v.Reason == "speaker":
		e.remedy("the speaker is started again by itself; see: vipd events --type bgp_speaker")
	case v.Reason == "session":
		e.remedy("a session comes up; see: vipd bgp")
	}
}

// whyLast says why a service is announced that fails.
func whyLast(e *Explanation, s engine.Status, v engine.ServiceStatus) {
	e.because("It is announced all the same, as the last resort: with the highest MED, a longer path and graceful-shutdown, so that neighbors prefer any other host.")
	if v.MinAnnouncers > 0 {
		others := "none"
		if len(v.Others) > 0 {
			others = strings.Join(v.Others, ", ")
		}
		e.because("min_announcers is %d; other hosts that are seen to announce it: %s.", v.MinAnnouncers, others)
	}
	switch {
	case !v.RiseDue.IsZero():
		e.remedy("it stays healthy: preferred as before at %s (in %s)", clock(v.RiseDue, s.Now), Age(v.RiseDue.Sub(s.Now)))
	case v.Reason == "withdraw_budget":
		e.because("Checks have withdrawn services too often lately: bgp.withdraw_budget.")
	case v.Reason == "min_announcers":
		e.remedy("another host announces it: withdrawn here 3 s later; see vipd why %s there", v.Name)
	}
	e.remedy("vipd drain %s   withdraws it here in any case", v.Name)
}

// whyServiceBlocked lists what keeps it from being announced.
func whyServiceBlocked(e *Explanation, s engine.Status, v engine.ServiceStatus) {
	first := true
	for _, b := range v.Blockers {
		if b.Kind == engine.BlockedDrain {
			continue // told already
		}
		if first && v.State == engine.ServiceLast {
			e.because("It would be withdrawn here because:")
			first = false
		}
		if first {
			e.because("It may not be announced here because:")
			first = false
		}
		e.because("  - %s", bare(b.Text))
		switch b.Kind {
		case engine.BlockedVIP:
			e.remedy("vip %s comes here; see: vipd why %s", b.Name, b.Name)
		default:
			if fix := unblock(s, engine.VIPStatus{}, b); fix != "" {
				e.remedy("%s", fix)
			}
		}
	}
}

// whyRoutes says which neighbors have its prefixes.
func whyRoutes(e *Explanation, v engine.ServiceStatus) {
	for _, p := range v.Prefixes {
		var has, lacks []string
		for _, name := range slices.Sorted(maps.Keys(p.Neighbors)) {
			if p.Neighbors[name] {
				has = append(has, name)
			} else {
				lacks = append(lacks, name)
			}
		}
		text := "nobody has it"
		if len(has) > 0 {
			text = strings.Join(has, ", ") + " has it"
			if len(has) > 1 {
				text = strings.Join(has, ", ") + " have it"
			}
		}
		if len(lacks) > 0 && len(has) > 0 {
			text += "; not " + strings.Join(lacks, ", ")
		}
		for _, name := range slices.Sorted(maps.Keys(p.NotTold)) {
			text += fmt.Sprintf("; %s is not told: %s", name, p.NotTold[name])
		}
		e.because("%s: %s.", p.Prefix, text)
	}
}

// whyMED explains the metric, term by term.
func whyMED(e *Explanation, s engine.Status, v engine.ServiceStatus) {
	if len(v.MED.Terms) == 0 {
		e.because("Its MED is %d, as configured.", v.MED.Effective)
		return
	}
	e.because("Its MED is %d; the lowest is preferred:", v.MED.Effective)
	e.because("  %5d  configured", v.MED.Configured)
	for _, t := range v.MED.Terms {
		e.because("  %+5d  %s", t.Delta, describe(s, t.Source, t.Name))
		if t.Delta > 0 {
			e.remedy("%s: MED %d less", comesBack(s, t.Source, t.Name), t.Delta)
		}
	}
}

// withdrawTracks says what would withdraw an announced service.
func withdrawTracks(e *Explanation, s engine.Status, v engine.ServiceStatus) {
	for _, t := range v.Tracks {
		c, ok := checkByName(s, t.Name)
		switch {
		case !ok || !t.Fault:
		case c.Group != nil || c.Watched:
			e.remedy("check %s goes down: it is withdrawn", t.Name)
		default:
			e.remedy("check %s fails %s in a row: it is withdrawn", t.Name, count(c.Fall, "time"))
		}
	}
	if v.Follow != "" {
		e.remedy("vip %s goes to another host: it is withdrawn here", v.Follow)
	}
}

// WhyNeighbor explains a BGP session. The error is a [Problem] that says which
// neighbors there are.
func WhyNeighbor(s engine.Status, name string) (Explanation, error) {
	n, err := findNeighbor(s, name)
	if err != nil {
		return Explanation{}, err
	}
	e := &Explanation{
		Schema: schemaWhy, Kind: "neighbor", Name: name, Node: s.Node, State: string(n.State), Since: n.Since, Because: []string{}, Remedies: []string{},
	}
	e.Headline = fmt.Sprintf("%s is %s on %s %s.", name, n.State, s.Node, since(n.Since, s.Now))
	if n.State == bgp.Established {
		e.because("The session with AS %d at %s is up; %s announced.", n.RemoteAS, n.Address, plural(n.Announced, "prefix is", "prefixes are"))
	} else {
		e.because("%s", whyNoSession(s, n))
	}
	if n.Received > 0 {
		e.because("It sends %s; none is used.", plural(int(n.Received), "prefix", "prefixes"))
	}
	if n.LastError != "" {
		e.because("The last session ended: %s.", bare(n.LastError))
	}
	if n.BFD != "" {
		e.because("BFD is %s.", n.BFD)
	}
	if n.Flaps > 0 {
		e.because("Sessions ended %s since the start.", count(int(n.Flaps), "time"))
	}
	if n.State != bgp.Established {
		whatNeighborNeeds(e, s, n)
	}
	return *e, nil
}

// whyNoSession says how far a session has come.
func whyNoSession(s engine.Status, n engine.NeighborStatus) string {
	switch sp := s.BGP.Speaker; {
	case !sp.Up && sp.Error != "":
		return "The BGP speaker has ended: " + bare(sp.Error) + "."
	case !sp.Up:
		return "The BGP speaker is being started."
	case !n.Address.IsValid():
		return fmt.Sprintf("No router has announced itself on %s.", n.Interface)
	case n.State == bgp.OpenSent || n.State == bgp.OpenConfirm:
		return fmt.Sprintf("%s answers on port 179, and does not agree yet.", n.Address)
	}
	return fmt.Sprintf("%s does not answer on port 179.", n.Address)
}

// whatNeighborNeeds says what to look at on both sides.
func whatNeighborNeeds(e *Explanation, s engine.Status, n engine.NeighborStatus) {
	switch {
	case !s.BGP.Speaker.Up:
		e.remedy("the speaker is started again by itself; see: vipd events --type bgp_speaker")
	case !n.Address.IsValid():
		e.remedy("the router sends router advertisements on %s; see: ip -6 neighbor show dev %s", n.Interface, n.Interface)
	default:
		where := n.Address.WithZone("").String()
		if zone := n.Address.Zone(); zone != "" {
			where += " dev " + zone
		}
		e.remedy("%s is reached; see: ip route get %s", n.Address, where)
		e.remedy("%s has this host as a neighbor in AS %d, with the same password and ttl_security", n.Name, s.BGP.LocalAS)
	}
}

// plural writes "1 prefix is", "2 prefixes are".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
