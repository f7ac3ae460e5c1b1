package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// checkCommand is vipd check.
func (a *app) checkCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "check",
		Short: "list the checks, or run one now",
	}, a.checkListCommand(), a.checkRunCommand())
}

// checkListCommand is vipd check list.
func (a *app) checkListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the checks",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			if a.json {
				return a.document(ctx, control.PathChecks())
			}
			doc, err := a.client().Checks(ctx)
			if err != nil {
				return err
			}
			a.printTable(checkTable(doc), true)
			return nil
		},
	}
}

// checkTable is one row per check.
func checkTable(doc control.ChecksDocument) *table {
	tab := newTable("CHECK", "TYPE", "STATE", "SINCE", "LAST", "TOOK", "RUNS", "FAILED", "DETAIL")
	for _, c := range doc.Checks {
		row := cells(c.Name, c.Type, c.State, control.Age(doc.Now.Sub(c.Since)), "never", "", fmt.Sprint(c.Runs), fmt.Sprint(c.Failures), checkDetail(c, doc.Now))
		if c.Group != nil {
			row[4].text, row[6].text, row[7].text = "", "", ""
		}
		if !c.LastRun.IsZero() {
			row[4].text = control.Age(doc.Now.Sub(c.LastRun)) + " ago"
			row[5].text = control.Age(c.LastTook)
		}
		if c.State == checkDown {
			row[2].style = red
		}
		tab.add(row...)
	}
	return tab
}

// checkDetail is what a check said last, behind what keeps that from counting.
func checkDetail(c engine.CheckStatus, now time.Time) string {
	text := c.LastDetail
	switch {
	case c.Masked != "" && text == "":
		return "masked " + c.Masked
	case c.Masked != "":
		return "masked " + c.Masked + "; " + text
	case !c.HeldUntil.IsZero():
		return fmt.Sprintf("held down for another %s; %s", control.Age(c.HeldUntil.Sub(now)), text)
	}
	return text
}

// checkRunCommand is vipd check run.
func (a *app) checkRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "run NAME",
		Short:             "make one probe now, without counting it; exit 0 when it is good",
		Args:              one("NAME"),
		ValidArgsFunction: a.complete(1, checkNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), longTime)
			defer cancel()
			res, err := a.client().RunCheck(ctx, args[0])
			if err != nil {
				return err
			}
			if a.json {
				err = a.encodeJSON(res)
			} else {
				a.say("%s %s in %s%s", res.Check, verdict(res.OK), control.Age(res.Took), colon(res.Detail))
			}
			if err == nil && !res.OK {
				return errNo
			}
			return err
		},
	}
}

// verdict is the result of a probe in a word.
func verdict(ok bool) string {
	if ok {
		return "passed"
	}
	return "FAILED"
}
