package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// statusCommand is vipd status.
func (a *app) statusCommand() *cobra.Command {
	var wide bool
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "show everything on one screen, or one vip or anycast service in full",
		Example: `  vipd status
  vipd status web --json`,
		Args:              atMostOne("NAME"),
		ValidArgsFunction: a.complete(1, vipNames, serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			if len(args) == 1 {
				return a.statusOne(ctx, args[0])
			}
			if a.json {
				return a.document(ctx, control.PathStatus())
			}
			doc, err := a.client().Status(ctx)
			if err != nil {
				return err
			}
			a.printStatus(doc, wide)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&wide, "wide", "w", false, "all addresses, what other hosts say of each vip, and lines as long as they are")
	return cmd
}

// shownPrefixes is how many prefixes of a service are shown.
const shownPrefixes = 4

// printStatus prints the screen.
func (a *app) printStatus(doc control.StatusDocument, wide bool) {
	a.say("%s", header(doc))
	for _, line := range a.pairLines(doc) {
		_, _ = fmt.Fprintln(a.out, line)
	}
	if line := a.votersLine(doc.Status); line != "" {
		_, _ = fmt.Fprintln(a.out, line)
	}
	if line := a.fenceLine(doc.Status); line != "" {
		_, _ = fmt.Fprintln(a.out, line)
	}
	if len(doc.VIPs) > 0 {
		a.say("")
		a.printTable(vipTable(doc, wide), !wide)
	}
	if wide && doc.Pair != nil {
		a.say("")
		a.printTable(peerTable(doc), false)
	}
	if len(doc.Services) > 0 {
		a.say("")
		rows := shownPrefixes
		if wide {
			rows = math.MaxInt - 1
		}
		a.printTable(serviceTable(doc, rows), !wide)
	}
	if doc.BGP != nil {
		a.say("")
		a.printTable(sessionTable(doc), !wide)
	}
	if len(doc.Checks) > 0 {
		a.say("")
		_, _ = fmt.Fprintln(a.out, a.paint(bold, "CHECKS")+"  "+strings.Join(a.checkWords(doc), "  "))
	}
	worst := news(doc)
	if len(worst) > 0 {
		a.say("")
	}
	for _, n := range worst {
		_, _ = fmt.Fprintln(a.out, a.paint(n.style, "!")+" "+clean(n.text))
	}
}

// header is the line about the daemon itself.
func header(doc control.StatusDocument) string {
	n, ago := doc.Node, func(t time.Time) string { return control.Age(doc.Now.Sub(t)) }
	words := []string{n.Name, "vipd " + n.Version, "up " + ago(doc.Started)}
	if n.Config.Hash != "" {
		words = append(words, fmt.Sprintf("config %s (%s ago)", shortHash(n.Config.Hash), ago(n.Config.Loaded)))
	}
	if n.Observing {
		return strings.Join(append(words, "OBSERVES ONLY: holds nothing, sends nothing"), "  ")
	}
	return strings.Join(append(words, service(doc.Status)), "  ")
}

// service says whether the host is in service.
func service(s engine.Status) string {
	drained, all := 0, len(s.VIPs)+len(s.Services)
	for _, v := range s.VIPs {
		if v.Drained != nil {
			drained++
		}
	}
	for _, v := range s.Services {
		if v.Drained != nil {
			drained++
		}
	}
	switch {
	case all == 0:
		return "no vip configured"
	case s.Drained || drained == all:
		return "DRAINED"
	case drained > 0:
		return fmt.Sprintf("in service, %d of %d drained", drained, all)
	default:
		return "in service"
	}
}

// shortHash is as much of a digest as a person compares.
func shortHash(hash string) string { return hash[:min(len(hash), 7)] }

// vipTable is one row per VIP.
func vipTable(doc control.StatusDocument, wide bool) *table {
	tab := newTable("VIP", "GROUP", "STATE", "PRIO", "VRID", "INTERFACE", "ADDRESSES", "SINCE", "ACTIVE", "WHY")
	for _, v := range doc.VIPs {
		state := control.ShownState(v)
		tab.add(
			cell{text: v.Name},
			cell{text: v.Group},
			cell{text: state, style: stateStyle(state)},
			cell{text: priority(v.Priority)},
			cell{text: fmt.Sprint(v.VRID)},
			cell{text: v.Interface},
			cell{text: addresses(v, wide)},
			cell{text: control.Age(doc.Now.Sub(v.Since))},
			cell{text: activeHost(v)},
			cell{text: whyCell(v)},
		)
	}
	tab.drop()
	return tab
}

// whyCell is why a VIP is as it is; of a vipd that only observes, whether that is so.
func whyCell(v engine.VIPStatus) string {
	if v.Observed != nil {
		return control.ObservedWords(*v.Observed)
	}
	return v.Why
}

// stateStyle makes states stand out.
func stateStyle(state string) style {
	switch state {
	case string(engine.Active):
		return green
	case string(engine.Fault):
		return red
	case control.Drained, string(engine.Initialize):
		return yellow
	default:
		return plain
	}
}

// priority is the effective priority, and the configured one when it differs.
func priority(p engine.PriorityStatus) string {
	if p.Effective == p.Configured {
		return fmt.Sprint(p.Effective)
	}
	return fmt.Sprintf("%d/%d", p.Effective, p.Configured)
}

// addresses are the first address and how many more there are, or all.
func addresses(v engine.VIPStatus, all bool) string {
	if all || len(v.Addresses) == 0 {
		return joinAddresses(v)
	}
	text := v.Addresses[0].Addr().String()
	if more := len(v.Addresses) - 1; more > 0 {
		text += fmt.Sprintf(" +%d", more)
	}
	return text
}

// joinAddresses lists every address with its length.
func joinAddresses(v engine.VIPStatus) string {
	words := make([]string, 0, len(v.Addresses))
	for _, p := range v.Addresses {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

// activeHost says who is Active.
func activeHost(v engine.VIPStatus) string {
	switch {
	case v.Observed != nil:
		return control.ObservedHolder(*v.Observed)
	case v.State == engine.Active:
		return "this host"
	case v.Active != nil:
		return fmt.Sprintf("%s prio %d", v.Active.Address, v.Active.Priority)
	default:
		return "nobody heard"
	}
}

// checkWords lists the checks and their states.
func (a *app) checkWords(doc control.StatusDocument) []string {
	words := make([]string, 0, len(doc.Checks))
	for _, c := range doc.Checks {
		text := c.Name + " " + c.State + masked(c)
		if c.State == checkDown {
			text = fmt.Sprintf("%s DOWN %s%s", c.Name, control.Age(doc.Now.Sub(c.Since)), inBrackets(checkDetail(c, doc.Now)))
		}
		words = append(words, a.paint(a.changes.style("CHECKS "+c.Name, c.State, plain), clean(text)))
	}
	return words
}

// masked says that a check does not count, behind its state.
func masked(c engine.CheckStatus) string {
	if c.Masked == "" {
		return ""
	}
	return " (masked " + c.Masked + ")"
}

// checkDown is the state of a check that fails, as in engine.CheckStatus.
const checkDown = "down"

// inBrackets puts a detail behind a state.
func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
