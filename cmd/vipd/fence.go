package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// fenceCommand is vipd fence.
func (a *app) fenceCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "fence",
		Short: "show how silent peers are cut off, read a device, or state that a peer is off",
	}, a.fenceListCommand(), a.fenceTestCommand(), a.fenceHistoryCommand(), a.fenceConfirmCommand())
}

// fenceListCommand is vipd fence list.
func (a *app) fenceListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the peers that can be cut off, and the devices that do it",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			if a.json {
				return a.document(ctx, control.PathFences())
			}
			doc, err := a.client().Fences(ctx)
			if err != nil {
				return err
			}
			if len(doc.Fences) == 0 {
				a.say("no peer is fenced: no [peer.NAME] has fence")
				return nil
			}
			a.printTable(fenceTable(doc), true)
			a.say("")
			a.printTable(deviceTable(doc), true)
			return nil
		},
	}
}

// fenceTable is one row per peer.
func fenceTable(doc control.FencesDocument) *table {
	tab := newTable("PEER", "FENCE", "SINCE", "HEARD", "SHOTS", "FAILED", "WAITING", "WHY")
	for _, f := range doc.Fences {
		row := cells(f.Peer, f.Phase, control.Age(doc.Now.Sub(f.Since)), "never", fmt.Sprint(f.Fired), fmt.Sprint(f.Misses),
			strings.Join(f.Waiting, ", "), f.Why)
		if !f.Heard.IsZero() {
			row[3].text = control.Age(doc.Now.Sub(f.Heard)) + " ago"
		}
		switch {
		case f.Proof != "":
			row[7].text = f.Proof
		case f.Unprotected && f.Why == "":
			row[7].text = "UNPROTECTED: every level has a device that does not work"
		}
		if len(f.Waiting) > 0 || f.Unprotected {
			row[1].style = red
		}
		tab.add(row...)
	}
	return tab
}

// deviceTable is one row per peer and device.
func deviceTable(doc control.FencesDocument) *table {
	tab := newTable("DEVICE", "PEER", "STATE", "READS", "SINCE", "DETAIL")
	for _, f := range doc.Fences {
		for _, d := range f.Devices {
			row := cells(d.Name, f.Peer, "not read", d.Power, "", d.Text)
			if d.Known {
				row[2].text, row[4].text = "ok", control.Age(doc.Now.Sub(d.Since))
			}
			if d.Known && !d.OK {
				row[2].text, row[2].style = "FAILED", red
			}
			tab.add(row...)
		}
	}
	return tab
}

// fenceTestCommand is vipd fence test.
func (a *app) fenceTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "test DEVICE",
		Short:             "read a device now, and change nothing; exit 0 when it says on or off",
		Args:              one("DEVICE"),
		ValidArgsFunction: a.complete(1, func(doc control.StatusDocument) []string { return control.FenceDevices(doc.Status) }),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), longTime)
			defer cancel()
			res, err := a.client().TestFence(ctx, args[0])
			if err != nil {
				return err
			}
			switch {
			case a.json:
				err = a.encodeJSON(res)
			case res.Power == "":
				a.say("%s does not tell whether %s is on: it FAILED in %s%s", res.Device, res.Peer, control.Age(res.Took), colon(res.Detail))
			default:
				a.say("%s reads %s for %s in %s", res.Device, res.Power, res.Peer, control.Age(res.Took))
			}
			if err == nil && res.Power == "" {
				return errNo
			}
			return err
		},
	}
}

// fenceHistoryCommand is vipd fence history.
func (a *app) fenceHistoryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "print what became of peers that were to be cut off, oldest first",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			doc, err := a.client().Fences(ctx)
			if err != nil {
				return err
			}
			for _, e := range doc.History {
				if a.json {
					if err := a.encodeJSON(e); err != nil {
						return err
					}
					continue
				}
				a.say("%s", historyLine(e, doc.Now))
			}
			if len(doc.History) == 0 && !a.json {
				a.say("nobody was fenced")
			}
			return nil
		},
	}
}

// historyLine is an entry in words.
func historyLine(e fence.Entry, now time.Time) string {
	return fmt.Sprintf("%s  %-9s  %-8s  %s", e.Time.In(now.Location()).Format(time.DateTime), e.Kind, clean(e.Peer), clean(e.Text))
}

// fenceConfirmCommand is vipd fence confirm.
func (a *app) fenceConfirmCommand() *cobra.Command {
	var checked bool
	cmd := &cobra.Command{
		Use:               "confirm PEER",
		Short:             "state that a silent peer is powered off, or cut off the network: what waits for that is taken over",
		Example:           "  vipd fence confirm lb1 --i-checked",
		Args:              one("PEER"),
		ValidArgsFunction: a.complete(1, waitedFor),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !checked {
				return usageError{
					error: errors.New("a host that is wrongly confirmed to be off answers beside this one: go and look, then add --i-checked"),
					hint:  fmt.Sprintf("vipd fence confirm %s --i-checked", args[0]),
				}
			}
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			ans, err := a.client().ConfirmFence(ctx, args[0])
			return a.answered(ans, err)
		},
	}
	cmd.Flags().BoolVar(&checked, "i-checked", false, "somebody has seen that it is off, or has cut it off the network")
	return cmd
}

// waitedFor are the peers whose end something waits for.
func waitedFor(doc control.StatusDocument) []string {
	var names []string
	for _, f := range doc.Fences {
		if len(f.Waiting) > 0 {
			names = append(names, f.Peer)
		}
	}
	return names
}

// fenceLine is the line about fences below the header, "" when there are none.
func (a *app) fenceLine(s engine.Status) string {
	words := control.FenceWords(s)
	switch words {
	case "":
		return ""
	case "ready":
		return "fencing: ready"
	}
	return "fencing: " + a.paint(red, clean(words))
}

// fenceNews is what is wrong with fences.
func fenceNews(s engine.Status) []item {
	var list []item
	for _, f := range s.Fences {
		switch text, urgent := control.FenceNews(f); {
		case text == "":
		case urgent:
			list = append(list, item{worstRank, red, text})
		default:
			list = append(list, item{1, yellow, text})
		}
	}
	return list
}
