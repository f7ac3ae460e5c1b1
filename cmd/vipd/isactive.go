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
		Short:             "print the state of a vip; exit 0 only when it is ACTIVE here",
		Example:           "  vipd is-active -q web && echo here",
		Args:              one("NAME"),
		ValidArgsFunction: a.complete(1, vipNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			doc, err := a.client().VIP(ctx, args[0])
			if err != nil {
				return err
			}
			switch {
			case a.json:
				if err := a.document(ctx, control.PathVIP(args[0])); err != nil {
					return err
				}
			case !a.quiet:
				a.say("%s", control.ShownState(doc.VIP))
			}
			if doc.VIP.State != engine.Active {
				return errNo
			}
			return nil
		},
	}
}
