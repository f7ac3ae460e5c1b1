package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
)

const (
	defaultSocket = "/run/vipd/vipd.sock"
	shortTime     = 5 * time.Second // default of --timeout
	longTime      = time.Minute     // the same for commands that wait for something to happen
)

// app is one run of the program: its output, and the flags that every
// subcommand has.
type app struct {
	tui
	socket  string
	json    bool
	timeout time.Duration // 0 = the default of the subcommand
	started bool          // the arguments are understood; what goes wrong from here on is no wrong usage
}

// execute runs the program and returns its exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	a := &app{tui: newTUI(stdout, stderr)}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := a.root()
	root.SetArgs(args)
	return a.finish(root.ExecuteContextC(ctx))
}

// root makes the command line.
func (a *app) root() *cobra.Command {
	root := a.group(&cobra.Command{
		Use:               "vipd",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.start() },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	},
		a.runCommand(),
		a.checkConfigCommand(),
		a.statusCommand(),
		a.watchCommand(),
		a.whyCommand(),
		a.whatIfCommand(),
		a.isActiveCommand(),
		a.eventsCommand(),
		a.healthCommand(),
		a.replayCommand(),
		a.checkCommand(),
		a.bgpCommand(),
		a.drainCommand(),
		a.undrainCommand(),
		a.failoverCommand(),
		a.drillCommand(),
		a.fenceCommand(),
		a.doctorCommand(),
		a.reloadCommand(),
		a.diffCommand(),
		a.initCommand(),
		a.importCommand(),
		a.demoCommand(),
		a.labCommand(),
		a.demoRouterCommand(),
		a.speakerCommand(),
		a.witnessCommand(),
		a.completionCommand(),
		a.versionCommand(),
	)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetHelpCommand(a.helpCommand())
	flags := root.PersistentFlags()
	flags.StringVar(&a.socket, "socket", envOr("VIPD_SOCKET", defaultSocket), "control socket of the daemon (VIPD_SOCKET)")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	flags.BoolVar(&a.noColor, "no-color", false, "print no colours (NO_COLOR)")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print errors and what was asked for, nothing else")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "say what is asked of the daemon")
	flags.DurationVar(&a.timeout, "timeout", 0, "give up after this time (default 5s, 1m when waiting)")
	usual := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd != root {
			usual(cmd, args)
			return
		}
		a.say("%s", usage)
	})
	return root
}

// start notes that the arguments are understood.
func (a *app) start() error {
	if a.timeout < 0 {
		return fmt.Errorf("--timeout %s is below zero", a.timeout)
	}
	a.started = true
	a.settle()
	return nil
}

// client is how the daemon is reached.
func (a *app) client() control.Client {
	c := control.Client{Socket: a.socket}
	if a.verbose {
		c.Trace = func(method, path string, status int, took time.Duration) {
			a.note("%s %s: %d in %s", method, path, status, control.Age(took))
		}
	}
	return c
}

// within bounds a command by --timeout, or else by its own default.
func (a *app) within(ctx context.Context, usual time.Duration) (context.Context, context.CancelFunc) {
	if a.timeout > 0 {
		usual = a.timeout
	}
	return context.WithTimeout(ctx, usual)
}

// document prints the JSON of a path as the daemon wrote it.
func (a *app) document(ctx context.Context, path string) error {
	raw, err := a.client().Raw(ctx, path)
	if err != nil {
		return err
	}
	return a.printJSON(raw)
}

// group makes a command that only has subcommands.
func (a *app) group(cmd *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(cmd, args[0])
		case cmd.HasParent():
			return usageError{error: fmt.Errorf("%s needs a subcommand", cmd.CommandPath())}
		default:
			return cmd.Help()
		}
	}
	cmd.AddCommand(subs...)
	return cmd
}

// unknownCommand is the error for a subcommand that does not exist.
func unknownCommand(cmd *cobra.Command, name string) error {
	err := usageError{error: fmt.Errorf("%s has no command %q", cmd.CommandPath(), name)}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err.hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), near[0])
	}
	return err
}

// one takes exactly one argument.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one %s, not %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// atMostOne takes one argument or none.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s takes one %s at most, not %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// none takes no argument.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no argument: %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// helpCommand is vipd help.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "show how a command is used",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(found, args[len(args)-1])
			}
			return found.Help()
		},
	}
}

// envOr is the value of an environment variable, or a default.
func envOr(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}
