package main

import (
	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// isActiveCommand is vipd is-active.
func (a *app) isActiveCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "is-active NAME",
		Short:             "print the state of a vip or service; exit 0 only when it is ACTIVE, or ANNOUNCED, here",
		Example:           "  vipd is-active -q web && echo here",
		Args:              one("NAME"),
		ValidArgsFunction: a.complete(1, vipNames, serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			vip, service, err := a.serviceOrVIP(ctx, args[0])
			if err != nil {
				return err
			}
			var path, state string
			var active bool
			if vip != nil {
				path, state, active = control.PathVIP(args[0]), control.ShownState(vip.VIP), vip.VIP.State == engine.Active && vip.VIP.Observed == nil
			} else {
				path, state, active = control.PathService(args[0]), string(service.Service.State), service.Service.State == engine.ServiceAnnounced
			}
			switch {
			case a.json:
				if err := a.document(ctx, path); err != nil {
					return err
				}
			case !a.quiet:
				a.say("%s", state)
			}
			if !active {
				return errNo
			}
			return nil
		},
	}
}
