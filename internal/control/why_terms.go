package control

import (
	"fmt"
	"slices"

	"github.com/vipd/vipd/pkg/engine"
)

// checkUp is the state of a check that passes, as in engine.CheckStatus.
const checkUp = "up"

// whyPriority explains the effective priority, term by term.
func whyPriority(e *Explanation, s engine.Status, v engine.VIPStatus) {
	p := v.Priority
	if len(p.Terms) == 0 {
		e.because("Our priority is %d, as configured.", p.Effective)
		return
	}
	e.because("Our priority is %d:", p.Effective)
	e.because("  %5d  configured", p.Configured)
	sum := int(p.Configured)
	for _, t := range p.Terms {
		e.because("  %+5d  %s", t.Delta, describe(s, t.Source, t.Name))
		sum += t.Delta
	}
	if sum != int(p.Effective) {
		e.because("  %5d  is what comes out, kept within 1–254", p.Effective)
	}
}

// lostTerms says what each check or interface would do to the priority of an
// Active if it changed.
func lostTerms(e *Explanation, s engine.Status, v engine.VIPStatus) {
	for i, t := range v.Priority.Terms {
		then := priorityWithout(v.Priority, i)
		if t.Delta < 0 {
			e.remedy("%s: priority %d", comesBack(s, t.Source, t.Name), then)
		} else if t.Delta > 0 {
			e.remedy("%s %s goes down: priority %d", t.Source, t.Name, then)
		}
	}
}

// priorityWithout is what the priority would be without one of its terms.
func priorityWithout(p engine.PriorityStatus, term int) int {
	sum := int(p.Configured)
	for i, t := range p.Terms {
		if i != term {
			sum += t.Delta
		}
	}
	return min(max(sum, 1), 254)
}

// describe says how a check or interface is doing.
func describe(s engine.Status, source, name string) string {
	if c, ok := checkByName(s, name); ok && source == "check" {
		text := fmt.Sprintf("check %s is %s %s", name, c.State, since(c.Since, s.Now))
		if c.Masked != "" {
			text += ", masked " + c.Masked
		}
		if c.LastDetail != "" {
			text += ": " + bare(c.LastDetail)
		}
		return text
	}
	if l, ok := linkByName(s, name); ok && source == "interface" {
		return fmt.Sprintf("interface %s is %s %s", name, linkWord(l), since(l.Since, s.Now))
	}
	return source + " " + name
}

// comesBack says what a failing check or interface needs.
func comesBack(s engine.Status, source, name string) string {
	c, ok := checkByName(s, name)
	if !ok || source != "check" {
		return fmt.Sprintf("%s %s comes up", source, name)
	}
	return fmt.Sprintf("%s comes back (%s)", name, needs(s, c))
}

// goodSoFar counts the good results in a row.
func goodSoFar(c engine.CheckStatus) int {
	if c.LastOK {
		return c.Consecutive
	}
	return 0
}

// unblock says what would take a blocker away, "" when nobody can say.
func unblock(s engine.Status, v engine.VIPStatus, b engine.Blocker) string {
	switch b.Kind {
	case engine.BlockedCheck:
		return comesBack(s, "check", b.Name) + "; see: vipd why " + b.Name
	case engine.BlockedInterface:
		l, _ := linkByName(s, b.Name)
		switch {
		case !l.Present:
			return fmt.Sprintf("interface %s appears; see: ip link", b.Name)
		case !l.Up:
			return fmt.Sprintf("interface %s comes up with carrier; see: ip link show %s", b.Name, b.Name)
		}
		return fmt.Sprintf("interface %s gets the address; see: ip address show %s", b.Name, b.Name)
	case engine.BlockedSync:
		return fmt.Sprintf("%s recovers; see: vipd why %s", b.Name, b.Name)
	case engine.BlockedKernel:
		return fmt.Sprintf("the kernel takes the addresses; this host tries again in %s", Age(b.Ends.Sub(s.Now)))
	case engine.BlockedStartup:
		if _, ok := checkByName(s, b.Name); ok && b.Ends.IsZero() {
			return comesBack(s, "check", b.Name) + "; see: vipd why " + b.Name
		}
		if b.Ends.IsZero() {
			return fmt.Sprintf("interface %s is looked at, which takes moments", b.Name)
		}
		return fmt.Sprintf("the startup delay ends in %s (node.startup_delay)", Age(b.Ends.Sub(s.Now)))
	case engine.BlockedDrill:
		return fmt.Sprintf("the drill ends, in %s at most; vipd undrain %s ends it now", Age(b.Ends.Sub(s.Now)), v.Name)
	case engine.BlockedDrain, engine.BlockedStop, engine.BlockedReload, engine.BlockedVIP:
	}
	return ""
}

// faultTracks says what would take an Active out of service.
func faultTracks(e *Explanation, s engine.Status, v engine.VIPStatus) {
	for _, t := range v.Tracks {
		c, ok := checkByName(s, t.Name)
		switch {
		case !t.Fault:
		case t.Source == "check" && ok && (c.Group != nil || c.Watched):
			e.remedy("check %s goes down: another host takes over", t.Name)
		case t.Source == "check" && ok:
			e.remedy("check %s fails %s in a row: another host takes over", t.Name, count(c.Fall, "time"))
		case t.Source == "interface":
			e.remedy("interface %s goes down: another host takes over", t.Name)
		}
	}
}

// linkWord is the state of an interface in a word.
func linkWord(l engine.LinkStatus) string {
	switch {
	case !l.Present:
		return "missing"
	case !l.Up:
		return "down"
	default:
		return "up"
	}
}

// checkByName finds a check.
func checkByName(s engine.Status, name string) (engine.CheckStatus, bool) {
	i := slices.IndexFunc(s.Checks, func(c engine.CheckStatus) bool { return c.Name == name })
	if i < 0 {
		return engine.CheckStatus{}, false
	}
	return s.Checks[i], true
}

// linkByName finds an interface.
func linkByName(s engine.Status, name string) (engine.LinkStatus, bool) {
	i := slices.IndexFunc(s.Links, func(l engine.LinkStatus) bool { return l.Name == name })
	if i < 0 {
		return engine.LinkStatus{}, false
	}
	return s.Links[i], true
}
