package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
)

// drainCommand is vipd drain.
func (a *app) drainCommand() *cobra.Command {
	var (
		req    control.DrainRequest
		length time.Duration
	)
	cmd := &cobra.Command{
		Use:   "drain [NAME...]",
		Short: "take vips and anycast services, or everything, out of service politely",
		Example: `  vipd drain --wait --reason "kernel upgrade CHG-1201"
  vipd drain web --for 2h`,
		ValidArgsFunction: a.complete(999, vipNames, serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Names = args
			if cmd.Flags().Changed("for") {
				req.For = length.String()
			}
			usual := shortTime
			if req.Wait {
				usual = longTime
			}
			ctx, cancel := a.within(cmd.Context(), usual)
			defer cancel()
			ans, err := a.client().Drain(ctx, req)
			return a.answered(ans, err)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&length, "for", 0, "come back into service by itself after this time")
	flags.StringVar(&req.Reason, "reason", "", "why, for status and events")
	flags.BoolVar(&req.Wait, "wait", false, "wait until nothing of it is held here any more")
	return cmd
}

// undrainCommand is vipd undrain.
func (a *app) undrainCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "undrain [NAME...]",
		Short:             "put vips and anycast services, or everything, back into service",
		ValidArgsFunction: a.complete(999, vipNames, serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			ans, err := a.client().Undrain(ctx, args)
			return a.answered(ans, err)
		},
	}
}

// failoverCommand is vipd failover.
func (a *app) failoverCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:               "failover NAME",
		Short:             "give a vip that is ACTIVE here to a peer",
		Args:              one("NAME"),
		ValidArgsFunction: a.complete(1, vipNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			usual := shortTime
			if wait {
				usual = longTime
			}
			ctx, cancel := a.within(cmd.Context(), usual)
			defer cancel()
			ans, err := a.client().Failover(ctx, args[0])
			return a.answered(ans, err)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait up to a minute, not 5s, for a peer to have it")
	return cmd
}

// answered prints what was done.
func (a *app) answered(ans control.AnswerDocument, err error) error {
	switch {
	case err != nil:
		return err
	case a.json:
		return a.encodeJSON(ans)
	case !a.quiet:
		a.say("%s", strings.TrimSpace(ans.Text))
	}
	return nil
}
