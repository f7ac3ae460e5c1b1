package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vipd/vipd/internal/daemon"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
)

const defaultConfig = "/etc/vipd/vipd.toml"

// errConfig is a configuration whose problems are printed already: exit code 4.
var errConfig = errors.New("configuration invalid")

// runCommand is vipd run.
func (a *app) runCommand() *cobra.Command {
	var path, stateDir string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "the daemon",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts := daemon.Options{ConfigPath: path, StateDir: stateDir, Version: version, Revision: revision(), Log: a.logger()}
			if cmd.Flags().Changed("socket") || os.Getenv("VIPD_SOCKET") != "" {
				opts.Socket = a.socket
			}
			return a.run(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", defaultConfig, "configuration file")
	cmd.Flags().StringVar(&stateDir, "state-dir", "/var/lib/vipd", "where drains are kept over restarts")
	return cmd
}

func (a *app) run(ctx context.Context, opts daemon.Options) error {
	d, problems, err := daemon.New(opts)
	if problems.Errors()+problems.Warnings() > 0 {
		if err := problems.Format(a.err, a.colorErr()); err != nil {
			return err
		}
	}
	if problems.Errors() > 0 {
		return errConfig
	}
	if err != nil {
		return err
	}
	return d.Run(ctx)
}

// logger writes the log to standard error: without a time when journald adds it.
func (a *app) logger() *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	switch {
	case a.verbose:
		opts.Level = slog.LevelDebug
	case a.quiet:
		opts.Level = slog.LevelWarn
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		opts.ReplaceAttr = func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		}
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}

// checkConfigCommand is vipd check-config.
func (a *app) checkConfigCommand() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "check-config [FILE]",
		Short: "read a configuration and tell everything that is wrong with it",
		Args:  atMostOne("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			path := defaultConfig
			if len(args) == 1 {
				path = args[0]
			}
			_, problems := disk.Load(path)
			if err := a.printProblems(path, problems); err != nil {
				return err
			}
			if problems.Errors() > 0 || strict && problems.Warnings() > 0 {
				return errConfig
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "count warnings as errors")
	return cmd
}

// colorErr reports whether standard error may be coloured: when standard output
// may be, and both are terminals.
func (a *app) colorErr() bool {
	f, ok := a.err.(*os.File)
	return a.color && ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) printProblems(path string, problems *config.Problems) error {
	switch {
	case a.json:
		return a.encodeJSON(problems)
	case problems.Errors()+problems.Warnings() > 0:
		return problems.Format(a.err, a.colorErr())
	case !a.quiet:
		a.say("%s is valid", path)
	}
	return nil
}
