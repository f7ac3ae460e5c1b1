package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

// bgpCommand is vipd bgp.
func (a *app) bgpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bgp",
		Short: "show the BGP sessions, and what each neighbor has been told",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			if a.json {
				return a.document(ctx, control.PathBGP())
			}
			doc, err := a.client().Status(ctx)
			if err != nil {
				return err
			}
			a.printBGP(doc)
			return nil
		},
	}
}

// printBGP prints who speaks, the sessions, and the routes.
func (a *app) printBGP(doc control.StatusDocument) {
	b := doc.BGP
	if b == nil {
		a.say("nobody speaks BGP here: there is no [bgp] table")
		return
	}
	a.say("%s", fmt.Sprintf("AS %d, router id %s, %s", b.LocalAS, b.RouterID, speakerWords(b.Speaker, doc.Now)))
	if !b.KeptUntil.IsZero() {
		a.say("neighbors keep the routes of the last run for %s more; sessions open when every service is decided", control.Age(b.KeptUntil.Sub(doc.Now)))
	}
	a.say("")
	a.printTable(sessionTable(doc), false)
	if len(doc.Services) > 0 {
		a.say("")
		a.printTable(routeTable(doc), false)
	}
}

// speakerWords tells about the process that speaks BGP.
func speakerWords(s engine.SpeakerStatus, now time.Time) string {
	switch {
	case s.Up:
		return fmt.Sprintf("speaker pid %d for %s%s", s.PID, control.Age(now.Sub(s.Since)), times(s.Losses, ", ended before: %d ×"))
	case s.Error != "":
		return "the speaker has ended: " + s.Error
	}
	return "the speaker is being started"
}

// times fills a number into a text, "" for none.
func times(n uint64, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

// sessionTable is one row per BGP neighbor.
func sessionTable(doc control.StatusDocument) *table {
	tab := newTable("BGP", "STATE", "AS", "ADDRESS", "SINCE", "SENT", "BFD", "FLAPS", "LAST ERROR")
	for _, n := range doc.BGP.Neighbors {
		address, as := "-", "-"
		if n.Address.IsValid() {
			address = n.Address.String()
		} else if n.Interface != "" {
			address = "on " + n.Interface
		}
		if n.RemoteAS != 0 {
			as = fmt.Sprint(n.RemoteAS)
		}
		sent := "-"
		if n.State == bgp.Established {
			sent = fmt.Sprint(n.Announced)
		}
		last := n.LastError
		if n.State == bgp.Established {
			last = ""
		}
		tab.add(cell{text: n.Name}, cell{text: string(n.State), style: sessionStyle(n)}, cell{text: as}, cell{text: address},
			cell{text: control.Age(doc.Now.Sub(n.Since))}, cell{text: sent}, cell{text: n.BFD}, cell{text: times(n.Flaps, "%d")}, cell{text: last})
	}
	tab.drop()
	return tab
}

// sessionStyle makes states of sessions stand out.
func sessionStyle(n engine.NeighborStatus) style {
	if n.State == bgp.Established {
		return green
	}
	return red
}

// serviceStyle makes states of services stand out.
func serviceStyle(v engine.ServiceStatus) style {
	switch {
	case v.State == engine.ServiceAnnounced:
		return green
	case v.State == engine.ServiceWithdrawn && v.Reason != string(engine.BlockedVIP), v.State == engine.ServiceLast:
		return red
	case v.State == engine.ServiceWithdrawn:
		return plain
	}
	return yellow
}

// serviceTable is one row per prefix of an anycast service, up to rows of each.
func serviceTable(doc control.StatusDocument, rows int) *table {
	neighbors := neighborNames(doc)
	head := []string{"ANYCAST", "STATE", "PREFIX", "MED"}
	for _, n := range neighbors {
		head = append(head, strings.ToUpper(n))
	}
	tab := newTable(append(head, "SINCE", "WHY")...)
	for _, v := range doc.Services {
		for i, p := range v.Prefixes {
			if i >= rows && len(v.Prefixes) > rows+1 {
				more := cells("", "", fmt.Sprintf("and %d more", len(v.Prefixes)-rows))
				tab.add(append(more, make([]cell, len(head)-1)...)...)
				break
			}
			row := []cell{{}, {}, {text: p.Prefix.String()}, {text: medWords(v.MED)}}
			if i == 0 {
				row[0], row[1] = cell{text: v.Name}, cell{text: string(v.State), style: serviceStyle(v)}
			}
			for _, n := range neighbors {
				row = append(row, cell{text: told(p, n)})
			}
			since, why := "", ""
			if i == 0 {
				since, why = control.Age(doc.Now.Sub(v.Since)), serviceWhy(v)
			}
			tab.add(append(row, cell{text: since}, cell{text: why})...)
		}
	}
	tab.drop()
	return tab
}

// serviceWhy is the last column: what it follows when all is well.
func serviceWhy(v engine.ServiceStatus) string {
	switch {
	case v.State == engine.ServiceAnnounced && v.Follow != "":
		return "follows " + v.Follow
	case v.State == engine.ServiceAnnounced:
		return ""
	}
	return v.Why
}

// told says whether a neighbor has a prefix; "-" when it is not for it.
func told(p engine.PrefixStatus, neighbor string) string {
	has, meant := p.Neighbors[neighbor]
	switch {
	case !meant:
		return "-"
	case has:
		return "yes"
	}
	return "no"
}

// medWords is the effective metric, and the configured one when it differs.
func medWords(m engine.MEDStatus) string {
	if m.Effective == m.Configured {
		return fmt.Sprint(m.Effective)
	}
	return fmt.Sprintf("%d/%d", m.Effective, m.Configured)
}

// routeTable lists every prefix with all that is announced about it.
func routeTable(doc control.StatusDocument) *table {
	tab := newTable("PREFIX", "ANYCAST", "MED", "COMMUNITIES", "TOLD", "NOT TOLD")
	for _, v := range doc.Services {
		for _, p := range v.Prefixes {
			var has, lacks []string
			for _, n := range slices.Sorted(maps.Keys(p.Neighbors)) {
				if p.Neighbors[n] {
					has = append(has, n)
				} else {
					lacks = append(lacks, n)
				}
			}
			tab.add(cells(p.Prefix.String(), v.Name, medWords(v.MED), strings.Join(v.Communities, " "), strings.Join(has, " "), strings.Join(lacks, " "))...)
		}
	}
	tab.drop()
	return tab
}

// neighborNames are the names of the BGP neighbors.
func neighborNames(doc control.StatusDocument) []string {
	var names []string
	if doc.BGP != nil {
		for _, n := range doc.BGP.Neighbors {
			names = append(names, n.Name)
		}
	}
	return names
}

// serviceNames are the names of the anycast services.
func serviceNames(doc control.StatusDocument) []string {
	var names []string
	for _, v := range doc.Services {
		names = append(names, v.Name)
	}
	return names
}

// anycastNews is what is not as it should be about services and sessions.
func anycastNews(doc control.StatusDocument) []item {
	var list []item
	add := func(rank int, s style, format string, args ...any) {
		list = append(list, item{rank, s, fmt.Sprintf(format, args...)})
	}
	for _, v := range doc.Services {
		switch {
		case v.Drained != nil, v.State == engine.ServiceAnnounced, v.Reason == string(engine.BlockedVIP):
		case v.State == engine.ServiceLast:
			add(worstRank, red, "%s is the last resort: %s (vipd why %s)", v.Name, v.Why, v.Name)
		case v.State == engine.ServiceWithdrawn:
			add(worstRank, red, "%s is withdrawn: %s (vipd why %s)", v.Name, v.Why, v.Name)
		case v.Reason == "session" || v.Reason == "speaker":
			add(worstRank, red, "%s is not announced: %s (vipd why %s)", v.Name, v.Why, v.Name)
		default:
			add(4, yellow, "%s is not announced: %s (vipd why %s)", v.Name, v.Why, v.Name)
		}
	}
	if doc.BGP == nil {
		return list
	}
	if sp := doc.BGP.Speaker; !sp.Up && sp.Error != "" {
		add(1, red, "the BGP speaker has ended: %s", sp.Error)
	}
	for _, n := range doc.BGP.Neighbors {
		if n.State != bgp.Established {
			add(2, yellow, "neighbor %s is %s for %s%s (vipd why %s)", n.Name, n.State, control.Age(doc.Now.Sub(n.Since)), colon(n.LastError), n.Name)
		}
	}
	return list
}
