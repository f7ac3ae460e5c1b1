package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// item is one line of bad news.
type item struct {
	rank  int // 0 = worstRank
	style style
	text  string
}

// worstRank is the rank of what nobody should sleep through: an address is nowhere, or
// may be in two places, or this host could not take it.
const worstRank = 0

// news is everything that is not as it should be, worst first.
func news(doc control.StatusDocument) []item {
	var list []item
	add := func(rank int, s style, format string, args ...any) {
		list = append(list, item{rank, s, fmt.Sprintf(format, args...)})
	}
	if doc.Node.Observing {
		add(1, yellow, "vipd only observes: states in brackets are what would be, and another daemon has the addresses%s", unobserved(doc))
	}
	for _, v := range doc.VIPs {
		switch {
		case v.Observed != nil:
			if len(v.Observed.Differences) > 0 {
				add(1, yellow, "%s %s (vipd why %s)", v.Name, control.ObservedWords(*v.Observed), v.Name)
			}
		case v.Drained != nil:
		case v.State == engine.Fault:
			add(worstRank, red, "%s is in FAULT: %s (vipd why %s)", v.Name, faultReason(v), v.Name)
		case v.State == engine.Active && !v.Held:
			add(worstRank, red, "%s is ACTIVE, but the kernel does not have its addresses: %s (vipd why %s)", v.Name, v.Why, v.Name)
		case v.State == engine.Active && v.Active != nil:
			add(worstRank, red, "%s is ACTIVE here, and %s advertises it as well (vipd why %s)", v.Name, v.Active.Address, v.Name)
		case v.State == engine.Initialize:
			add(4, yellow, "%s has not joined its election: %s (vipd why %s)", v.Name, v.Why, v.Name)
		}
	}
	for _, v := range doc.VIPs {
		if v.Unkept != "" && v.Since.Before(doc.Now.Add(-time.Minute)) {
			add(4, yellow, "%s: a restart gives it up: %s", v.Name, v.Unkept)
		}
	}
	for _, v := range doc.VIPs {
		if text := control.AuthNews(v, doc.Now); text != "" {
			add(2, yellow, "%s: %s (vipd why %s)", v.Name, text, v.Name)
		}
	}
	list = append(append(list, pairNews(doc)...), anycastNews(doc)...)
	list = append(append(list, fenceNews(doc.Status)...), votesNews(doc)...)
	if by := doc.Node.Config.ConfirmBy; !by.IsZero() {
		add(1, yellow, "the last reload is taken back in %s, unless you type: vipd reload --confirm", max(by.Sub(doc.Now), 0).Round(time.Second))
	}
	if c := doc.Node.Config; !c.LastReloadOK {
		add(1, red, "the last reload, %s ago, was refused: %s; %s still runs (vipd check-config)",
			control.Age(doc.Now.Sub(c.LastReload)), c.LastReloadError, shortHash(c.Hash))
	}
	if doc.Node.Config.RestartRequired {
		add(4, yellow, "[control] or [metrics] changed in %s: a restart applies that", doc.Node.Config.Path)
	}
	if doc.Node.Replaced {
		add(4, yellow, "vipd %s runs, and its program has been replaced: a restart takes the new one into use", doc.Node.Version)
	}
	for _, c := range doc.Checks {
		if c.State == checkDown {
			add(2, yellow, "%s is down: %s", c.Name, effect(doc.Status, c))
		}
	}
	for _, l := range doc.Links {
		if !l.Present {
			add(3, yellow, "interface %s is missing", l.Name)
		} else if !l.Up {
			add(3, yellow, "interface %s is down for %s", l.Name, control.Age(doc.Now.Sub(l.Since)))
		}
	}
	if ev := doc.Node.Events; ev.Error != "" {
		add(3, yellow, "events are not kept: %s; %d wait, %d are lost", ev.Error, ev.Unsaved, ev.Dropped)
	}
	if r := doc.Node.Recording; r != nil && !r.Ended {
		add(6, plain, "its input is recorded: %s, %.1f MiB (vipd replay)", r.Path, float64(r.Bytes)/(1<<20))
	}
	for _, d := range drains(doc) {
		add(5, yellow, "%s", d)
	}
	slices.SortStableFunc(list, func(a, b item) int { return cmp.Compare(a.rank, b.rank) })
	return list
}

// unobserved says what is left out of an observation.
func unobserved(doc control.StatusDocument) string {
	if doc.Node.Unobserved == 0 {
		return ""
	}
	return fmt.Sprintf("; anycast services are left out (%d)", doc.Node.Unobserved)
}

// faultReason is why a VIP is in Fault, in one line.
func faultReason(v engine.VIPStatus) string {
	if len(v.Blockers) == 0 {
		return v.Why
	}
	texts := make([]string, len(v.Blockers))
	for i, b := range v.Blockers {
		texts[i] = b.Text
	}
	return strings.Join(texts, ", ")
}

// effect says what a failing check does.
func effect(s engine.Status, c engine.CheckStatus) string {
	var words []string
	for _, v := range s.VIPs {
		for _, t := range v.Priority.Terms {
			if t.Source == "check" && t.Name == c.Name && t.Delta < 0 {
				words = append(words, fmt.Sprintf("%s runs with priority %d instead of %d (vipd why %s)",
					v.Name, v.Priority.Effective, v.Priority.Configured, v.Name))
			}
		}
	}
	for _, v := range s.Services {
		for _, t := range v.MED.Terms {
			if t.Name == c.Name && t.Delta > 0 {
				words = append(words, fmt.Sprintf("%s has MED %d instead of %d (vipd why %s)", v.Name, v.MED.Effective, v.MED.Configured, v.Name))
			}
		}
	}
	if len(words) == 0 {
		return fmt.Sprintf("vipd why %s", c.Name)
	}
	return strings.Join(words, ", ")
}

// drains tells who drained what, one line per drain command.
func drains(doc control.StatusDocument) []string {
	type drain struct {
		engine.DrainStatus
		names []string
	}
	var list []drain
	drained := func(name string, by *engine.DrainStatus) {
		if by == nil {
			return
		}
		i := slices.IndexFunc(list, func(d drain) bool { return d.DrainStatus == *by })
		if i < 0 {
			list, i = append(list, drain{DrainStatus: *by}), len(list)
		}
		list[i].names = append(list[i].names, name)
	}
	for _, v := range doc.VIPs {
		drained(v.Name, v.Drained)
	}
	for _, v := range doc.Services {
		drained(v.Name, v.Drained)
	}
	lines := make([]string, 0, len(list))
	for _, d := range list {
		what, undo := strings.Join(d.names, ", "), "vipd undrain "+strings.Join(d.names, " ")
		if len(d.names) == len(doc.VIPs)+len(doc.Services) {
			what, undo = "everything", "vipd undrain"
		}
		text := fmt.Sprintf("%s drained by %s %s ago", what, d.Actor, control.Age(doc.Now.Sub(d.Since)))
		if d.Reason != "" {
			text += ": " + d.Reason
		}
		if !d.Until.IsZero() {
			text += fmt.Sprintf("; ends by itself in %s", control.Age(d.Until.Sub(doc.Now)))
		}
		lines = append(lines, text+" ("+undo+")")
	}
	return lines
}
