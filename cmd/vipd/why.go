package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
)

// whyCommand is vipd why.
func (a *app) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "why NAME",
		Short:             "explain the state of a vip or check, and what would change it",
		Example:           "  vipd why web",
		Args:              one("NAME"),
		ValidArgsFunction: a.complete(1, vipNames, checkNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			raw, err := a.explain(ctx, args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(raw)
			}
			var e control.Explanation
			if err := json.Unmarshal(raw, &e); err != nil {
				return fmt.Errorf("read the explanation: %w", err)
			}
			a.say("%s", strings.TrimSuffix(e.Text(), "\n"))
			return nil
		},
	}
}

// explain asks about a VIP, or else about a check, of that name.
func (a *app) explain(ctx context.Context, name string) ([]byte, error) {
	raw, err := a.client().Raw(ctx, control.PathWhyVIP(name))
	var missing *control.Problem
	if !errors.As(err, &missing) || missing.Type != control.ProblemNotFound {
		return raw, err
	}
	raw, checkErr := a.client().Raw(ctx, control.PathWhyCheck(name))
	var noCheck *control.Problem
	if errors.As(checkErr, &noCheck) && noCheck.Type == control.ProblemNotFound {
		missing.Hint += "; of checks " + noCheck.Hint
		missing.Detail = fmt.Sprintf("no vip and no check is named %q", name)
		return nil, missing
	}
	return raw, checkErr
}
