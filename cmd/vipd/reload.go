package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
)

// reloadCommand is vipd reload.
func (a *app) reloadCommand() *cobra.Command {
	var (
		req     control.ReloadRequest
		within  time.Duration
		confirm bool
	)
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "have the daemon read its configuration again",
		Example: `  vipd reload --confirm-within 60s
  vipd reload --confirm`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f := cmd.Flags(); f.Changed("dry-run") && (f.Changed("confirm-within") || confirm) || f.Changed("confirm-within") && confirm {
				return usageError{error: errors.New("--dry-run, --confirm-within and --confirm exclude each other")}
			}
			ctx, cancel := a.within(cmd.Context(), longTime)
			defer cancel()
			if confirm {
				return a.confirmReload(ctx)
			}
			if cmd.Flags().Changed("confirm-within") {
				req.ConfirmWithin = within.String()
			}
			res, err := a.client().Reload(ctx, req)
			if err != nil {
				return err
			}
			if err := a.printChanges(res); err != nil || a.json {
				return err
			}
			switch {
			case a.quiet:
			case len(res.Changes) == 0 && req.DryRun:
				a.say("nothing would change")
			case len(res.Changes) == 0:
				a.say("nothing changed")
			case !res.ConfirmBy.IsZero():
				a.note("all of it is taken back in %s, unless you type: vipd reload --confirm", within)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&req.DryRun, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().DurationVar(&within, "confirm-within", 0, "take it back after this time, unless it is confirmed")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "keep what the last reload changed")
	return cmd
}

// confirmReload is vipd reload --confirm.
func (a *app) confirmReload(ctx context.Context) error {
	res, err := a.client().Confirm(ctx)
	switch {
	case err != nil:
		return err
	case a.json:
		return a.encodeJSON(res)
	case !a.quiet:
		a.say("confirmed: config %s stays", shortHash(res.Hash))
	}
	return nil
}

// diffCommand is vipd diff.
func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff",
		Short: "say what a reload would change; exit 1 if it is something",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			res, err := a.client().Diff(ctx)
			if err != nil {
				return err
			}
			if err := a.printChanges(res); err != nil {
				return err
			}
			if len(res.Changes) > 0 {
				return errNo
			}
			return nil
		},
	}
}

// printChanges prints what changes, or all of it as JSON.
func (a *app) printChanges(res control.ReloadResult) error {
	for _, line := range res.Warnings {
		a.talk(line)
	}
	if a.json {
		return a.encodeJSON(res)
	}
	for _, line := range res.Changes {
		a.say("%s", line)
	}
	return nil
}
