package main

import "github.com/spf13/cobra"

// reloadCommand is vipd reload.
func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "have the daemon read its configuration again",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), longTime)
			defer cancel()
			res, err := a.client().Reload(ctx)
			if err != nil {
				return err
			}
			for _, line := range res.Warnings {
				a.talk(line)
			}
			if a.json {
				return a.encodeJSON(res)
			}
			for _, line := range res.Changes {
				a.say("%s", line)
			}
			if len(res.Changes) == 0 && !a.quiet {
				a.say("nothing changed")
			}
			return nil
		},
	}
}
