package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/daemon"
)

// Bounds of --max-ttl.
const (
	leastTTL = time.Second
	mostTTL  = 5 * time.Minute
)

// witnessCommand is vipd witness.
func (a *app) witnessCommand() *cobra.Command {
	var opts daemon.WitnessOptions
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "the third vote of a pair, on a third machine",
		Args:  none,
		PreRunE: func(*cobra.Command, []string) error {
			if opts.MaxTTL < leastTTL || opts.MaxTTL > mostTTL || opts.MaxTTL%time.Millisecond != 0 {
				return errors.New("--max-ttl is a time of 1s–5m, in whole milliseconds")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Log = a.logger()
			return daemon.Witness(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Listen, "listen", ":5798", "UDP port, and address, to be asked on")
	cmd.Flags().StringVar(&opts.KeyFile, "key-file", "witness-key", "file with the key that the hosts share, or the name of a credential")
	cmd.Flags().StringVar(&opts.Name, "name", "", "answer only hosts that call it so in [witness.NAME]")
	cmd.Flags().StringVar(&opts.Metrics, "metrics", "", "serve metrics on this address and port")
	cmd.Flags().DurationVar(&opts.MaxTTL, "max-ttl", 10*time.Second, "longest promise, and how long it promises nothing when it has started")
	return cmd
}
