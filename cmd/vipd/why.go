package main

import (
	"context"
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
		Short:             "explain the state of a vip, anycast service, BGP neighbor or check, and what would change it",
		Example:           "  vipd why web",
		Args:              one("NAME"),
		ValidArgsFunction: a.complete(1, vipNames, serviceNames, neighborNames, checkNames),
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
			if err := control.Decode(raw, "why", &e); err != nil {
				return err
			}
			a.say("%s", strings.TrimSuffix(e.Text(), "\n"))
			return nil
		},
	}
}

// explain asks about a VIP, or else about an anycast service, a BGP neighbor or a
// check, of that name.
func (a *app) explain(ctx context.Context, name string) ([]byte, error) {
	var first *control.Problem
	for _, kind := range []struct {
		path func(string) string
		of   string
	}{
		{control.PathWhyVIP, ""}, {control.PathWhyService, "anycast services"}, {control.PathWhyNeighbor, "BGP neighbors"}, {control.PathWhyCheck, "checks"},
	} {
		raw, err := a.client().Raw(ctx, kind.path(name))
		var missing *control.Problem
		switch {
		case !errors.As(err, &missing) || missing.Type != control.ProblemNotFound:
			return raw, err
		case first == nil:
			first = missing
		case strings.HasPrefix(missing.Hint, "there is") || kind.of == "checks":
			first.Hint += "; of " + kind.of + " " + missing.Hint
		}
	}
	first.Detail = fmt.Sprintf("no vip, service, neighbor or check is named %q", name)
	return nil, first
}
