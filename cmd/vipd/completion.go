package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
)

// completionCommand is vipd completion.
func (a *app) completionCommand() *cobra.Command {
	shell := func(name, example string, write func(*cobra.Command) error) *cobra.Command {
		return &cobra.Command{
			Use:     name,
			Short:   "print the completion script for " + name,
			Example: "  " + example,
			Args:    none,
			RunE:    func(cmd *cobra.Command, _ []string) error { return write(cmd.Root()) },
		}
	}
	return a.group(&cobra.Command{
		Use:   "completion",
		Short: "print a completion script for a shell",
	},
		shell("bash", "vipd completion bash > /usr/share/bash-completion/completions/vipd",
			func(root *cobra.Command) error { return root.GenBashCompletionV2(a.out, true) }),
		shell("zsh", "vipd completion zsh > /usr/share/zsh/site-functions/_vipd",
			func(root *cobra.Command) error { return root.GenZshCompletion(a.out) }),
		shell("fish", "vipd completion fish > /usr/share/fish/vendor_completions.d/vipd.fish",
			func(root *cobra.Command) error { return root.GenFishCompletion(a.out, true) }),
	)
}

// completeTime bounds how long a shell waits for a daemon.
const completeTime = 300 * time.Millisecond

// completeFunc completes an argument.
type completeFunc = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// complete offers the names that the daemon knows, less those given already, up
// to most of them.
func (a *app) complete(most int, picks ...func(control.StatusDocument) []string) completeFunc {
	return func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(given) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completeTime)
		defer cancel()
		doc, err := a.client().Status(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, pick := range picks {
			names = append(names, pick(doc)...)
		}
		names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(given, n) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// vipNames are the names of the VIPs.
func vipNames(doc control.StatusDocument) []string {
	names := make([]string, 0, len(doc.VIPs))
	for _, v := range doc.VIPs {
		names = append(names, v.Name)
	}
	return names
}

// checkNames are the names of the checks.
func checkNames(doc control.StatusDocument) []string {
	names := make([]string, 0, len(doc.Checks))
	for _, c := range doc.Checks {
		names = append(names, c.Name)
	}
	return names
}
