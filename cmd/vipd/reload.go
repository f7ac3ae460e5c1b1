package main

import "github.com/spf13/cobra"

// reloadCommand is vipd reload.
func (a *app) reloadCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "have the daemon read its configuration again",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), longTime)
			defer cancel()
			res, err := a.client().Reload(ctx, dry)
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
			switch {
			case len(res.Changes) > 0 || a.quiet:
			case dry:
				a.say("nothing would change")
			default:
				a.say("nothing changed")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	return cmd
}
