package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/daemon"
)

// speakerGC has the speaker collect garbage early: it is a small process beside a
// service, and its work comes in short bursts.
const speakerGC = 50

// speakerCommand is vipd speaker, which only vipd run starts.
func (a *app) speakerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "speaker",
		Short:  "speak BGP for the vipd run that started this",
		Args:   none,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if a.verbose {
				level = slog.LevelDebug
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(speakerGC)
			}
			// A service manager ends all processes at once. This one ends after
			// vipd run, which withdraws first: a closed pipe is all it heeds.
			ctx := context.WithoutCancel(cmd.Context())
			return daemon.Speak(ctx, os.Stdin, os.Stdout, slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
		},
	}
}
