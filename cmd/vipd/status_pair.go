package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// pairLines are the lines about the other hosts, one for each, below the header.
func (a *app) pairLines(doc control.StatusDocument) []string {
	switch p := doc.Pair; {
	case p == nil:
		return nil
	case !p.Open:
		return []string{"pair: " + a.paint(red, "NOT OPEN") + clean(colon(p.Err))}
	}
	var lines []string
	for _, p := range doc.Pair.Peers {
		lines = append(lines, "pair: "+a.peerLine(doc.Status, p))
	}
	return lines
}

// peerLine is how one other host is heard, and whether its configuration is ours.
func (a *app) peerLine(s engine.Status, p engine.PeerStatus) string {
	heard, silent := control.PathWords(p)
	switch {
	case !p.Heard && p.Channel != 0:
		return fmt.Sprintf("%s %s of the channel on %s", clean(p.Name), a.paint(red, fmt.Sprintf("SPEAKS VERSION %d", p.Channel)), strings.Join(silent, ", "))
	case !p.Heard && p.Last.IsZero():
		return fmt.Sprintf("%s %s on %s", clean(p.Name), a.paint(red, "NEVER HEARD"), strings.Join(silent, ", "))
	case !p.Heard:
		return fmt.Sprintf("%s %s for %s on %s", clean(p.Name), a.paint(red, "SILENT"), control.Age(s.Now.Sub(p.Last)), strings.Join(silent, ", "))
	}
	words := []string{fmt.Sprintf("%s %s heard %s ago", clean(p.Name), strings.Join(heard, ", "), control.Age(s.Now.Sub(p.Last)))}
	if len(silent) > 0 {
		words = append(words, a.paint(yellow, "not on "+strings.Join(silent, ", ")))
	}
	switch {
	case len(p.Drift) > 0:
		words = append(words, a.paint(yellow, "OTHER CONFIG")+" ("+driftWords(p, 1)+")")
	case p.Compared:
		words = append(words, "same config")
	}
	return strings.Join(words, ", ")
}

// driftWords names the first settings that differ, and how many more there are.
func driftWords(p engine.PeerStatus, most int) string {
	var words []string
	for _, d := range p.Drift[:min(most, len(p.Drift))] {
		words = append(words, clean(d.String()))
	}
	text := strings.Join(words, "; ")
	if more := len(p.Drift) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// peerTable is one row for each VIP of each other host, by its own word.
func peerTable(doc control.StatusDocument) *table {
	tab := newTable("PEER", "VIP", "STATE", "HELD", "PRIO", "EPOCH", "WHY NOT")
	for _, p := range doc.Pair.Peers {
		for i, v := range p.VIPs {
			state, held := v.Role, ""
			if !p.Heard {
				state += " " + control.Age(doc.Now.Sub(p.Last)) + " ago"
			}
			if v.Held {
				held = "yes"
			}
			tab.add(cells(once(i, p.Name), v.Name, state, held, fmt.Sprint(v.Priority), fmt.Sprint(v.Epoch), v.Blocker)...)
		}
	}
	return tab
}

// leaseWords is what ends the hold of a host that hangs.
func leaseWords(l engine.LeaseStatus, now time.Time) string {
	text := l.Kind
	if l.Time > 0 {
		text += fmt.Sprintf(" for %s", l.Time)
	}
	if l.Armed {
		text += fmt.Sprintf(", armed, %s left, renewed %d times", control.Age(l.Until.Sub(now)), l.Renewals)
	}
	if l.Late > 0 {
		text += fmt.Sprintf("; given up %d × after a late wake", l.Late)
	}
	if l.Why != "" {
		text += " (" + l.Why + ")"
	}
	return text
}

// pairNews is what is wrong with the channel to other hosts, with leases, and with
// those who should take over.
func pairNews(doc control.StatusDocument) []item {
	var list []item
	add := func(rank int, s style, format string, args ...any) {
		list = append(list, item{rank, s, fmt.Sprintf(format, args...)})
	}
	for _, why := range leaseNews(doc) {
		add(1, yellow, "%s", why)
	}
	if doc.Pair == nil {
		return list
	}
	if !doc.Pair.Open {
		add(1, red, "the pair channel is not open%s: no handover without a gap, and other hosts are known by their adverts only", colon(doc.Pair.Err))
		return list
	}
	for _, p := range doc.Pair.Peers {
		_, silent := control.PathWords(p)
		switch {
		case !p.Heard && p.Last.IsZero():
			add(1, red, "peer %s has never been heard on the pair channel%s", p.Name, hindrance(doc, p.Name))
		case !p.Heard:
			add(1, red, "peer %s is silent on the pair channel for %s%s", p.Name, control.Age(doc.Now.Sub(p.Last)), hindrance(doc, p.Name))
		case len(silent) > 0:
			add(3, yellow, "peer %s is not heard on %s%s", p.Name, strings.Join(silent, ", "), hindrance(doc, p.Name))
		}
		if len(p.Drift) > 0 {
			add(2, yellow, "the configuration differs from %s: %s", p.Name, driftWords(p, 3))
		}
	}
	for _, v := range doc.VIPs {
		if text := control.StandbyNews(doc.Status, v); text != "" {
			add(2, yellow, "%s is ACTIVE here, and %s (vipd why %s)", v.Name, text, v.Name)
		}
	}
	return list
}

// leaseNews has one line for all VIPs whose leases are not as they should be for one
// reason.
func leaseNews(doc control.StatusDocument) []string {
	var order []string
	names := map[string][]string{}
	for _, v := range doc.VIPs {
		text := control.LeaseNews(v)
		if text == "" {
			continue
		}
		if names[text] == nil {
			order = append(order, text)
		}
		names[text] = append(names[text], v.Name)
	}
	for i, text := range order {
		order[i] = strings.Join(names[text], ", ") + ": " + text
	}
	return order
}

// hindrance says what may be the reason why a peer is not heard: refused messages,
// and what cannot be sent.
func hindrance(doc control.StatusDocument, peer string) string {
	if doc.Node.Edge.Pair == nil {
		return ""
	}
	i := slices.IndexFunc(doc.Node.Edge.Pair.Peers, func(p control.PeerCount) bool { return p.Name == peer })
	if i < 0 {
		return ""
	}
	p := doc.Node.Edge.Pair.Peers[i]
	var words []string
	if p.Version > 0 {
		words = append(words, fmt.Sprintf("it speaks version %d of the channel", p.Version))
	}
	var causes []string
	for cause, n := range p.Refused {
		causes = append(causes, fmt.Sprintf("%d %s", n, cause))
	}
	if len(causes) > 0 {
		slices.Sort(causes)
		words = append(words, "messages refused: "+strings.Join(causes, ", "))
	}
	for _, w := range p.Errors {
		words = append(words, fmt.Sprintf("%s: %s", w.Address, w.Text))
	}
	return colon(strings.Join(words, "; "))
}
