package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
)

// drillSlack is what a drill may take beside the times that it was given.
const drillSlack = 30 * time.Second

// drillCommand is vipd drill.
func (a *app) drillCommand() *cobra.Command {
	var (
		req          control.DrillRequest
		within, hold time.Duration
	)
	cmd := &cobra.Command{
		Use:   "drill NAME",
		Short: "prove that a peer can take a vip that is ACTIVE here, and take it back",
		Example: `  vipd drill web
  vipd drill web --kind link --within 2s --probe 192.0.2.10:443`,
		Args:              one("NAME"),
		ValidArgsFunction: a.complete(1, vipNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("within") {
				req.Within = within.String()
			}
			if cmd.Flags().Changed("hold") {
				req.Hold = hold.String()
			}
			ctx, cancel := a.within(cmd.Context(), max(longTime, within+hold+drillSlack))
			defer cancel()
			doc, err := a.client().Drill(ctx, args[0], req)
			switch {
			case err != nil:
				return err
			case a.json:
				err = a.encodeJSON(doc)
			case !a.quiet:
				a.printDrill(doc)
			}
			if err == nil && !doc.Passed {
				return errNo
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Kind, "kind", "check", "how it is given up: "+strings.Join(control.DrillKinds(), ", "))
	flags.DurationVar(&within, "within", 0, "how long a peer may take, and a client may wait (default by the kind and the intervals)")
	flags.DurationVar(&hold, "hold", time.Second, "how long the peer serves before it comes back")
	flags.BoolVar(&req.Stay, "stay", false, "leave it with the peer, until vipd undrain NAME")
	flags.StringVar(&req.Probe, "probe", "", "HOST:PORT that a client on this host connects to, or none (default echo of the vip)")
	_ = cmd.RegisterFlagCompletionFunc("kind", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return control.DrillKinds(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// printDrill prints what happened and when, and how it ended.
func (a *app) printDrill(doc control.DrillDocument) {
	a.say("drill of %s on %s, by %s: %s", strings.Join(doc.VIPs, ", "), doc.Node, doc.By, doc.Kind)
	for _, s := range doc.Steps {
		a.say("  %9.3fs  %s", s.After.Seconds(), s.Text)
	}
	verdict, words := a.paint(green, "PASS"), ""
	switch {
	case !doc.Passed:
		verdict, words = a.paint(red, "FAIL"), "  "+doc.Why
	case doc.Peer != "":
		words = fmt.Sprintf("  %s held it after %s (limit %s)", doc.Peer, control.Age(doc.Took), doc.Limit)
	}
	_, _ = fmt.Fprintln(a.out, verdict+clean(words))
}
