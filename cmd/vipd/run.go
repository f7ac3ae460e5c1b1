package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/daemon"
	"github.com/vipd/vipd/internal/journal"
)

// runCommand is vipd run.
func (a *app) runCommand() *cobra.Command {
	opts := daemon.Options{Version: version, Revision: revision(), RecordMax: 64 << 20}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "the daemon: what systemd starts",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Log = a.logger()
			if cmd.Flags().Changed("socket") || os.Getenv("VIPD_SOCKET") != "" {
				opts.Socket = a.socket
			}
			return a.run(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVarP(&opts.ConfigPath, "config", "c", defaultConfig, "configuration file")
	cmd.Flags().StringVar(&opts.StateDir, "state-dir", "/var/lib/vipd", "directory for what outlives a restart")
	cmd.Flags().StringVar(&opts.Record, "record", "", "record all that decides to this file, for vipd replay")
	cmd.Flags().BoolVar(&opts.Observe, "observe", false, "hear, check and decide, and do nothing: report where what is differs")
	cmd.Flags().Var(&size{&opts.RecordMax}, "record-max", "end the recording at this size")
	return cmd
}

// run is the life of a daemon.
func (a *app) run(ctx context.Context, opts daemon.Options) error {
	d, problems, err := daemon.New(opts)
	if problems.Errors()+problems.Warnings() > 0 {
		if err := problems.Format(a.err, a.errColor); err != nil {
			return err
		}
	}
	switch {
	case problems.Errors() > 0:
		return errConfig
	case err != nil:
		return err
	}
	return d.Run(ctx)
}

// logger writes the log to standard error: without the time when journald adds
// its own.
func (a *app) logger() *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	switch {
	case a.verbose:
		opts.Level = slog.LevelDebug
	case a.quiet:
		opts.Level = slog.LevelWarn
	}
	if journal.Connected() {
		opts.ReplaceAttr = func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		}
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}
