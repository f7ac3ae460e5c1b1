package main

import (
	_ "embed"
	"fmt"

	"github.com/spf13/cobra"
)

// startVIP is the starting file for a first pair.
//
//go:embed start_vip.toml
var startVIP string

// startAnycast is the starting file for a first anycast service.
//
//go:embed start_anycast.toml
var startAnycast string

// initCommand is vipd init.
func (a *app) initCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "init",
		Short: "print a commented starting file",
	}, &cobra.Command{
		Use:     "vip",
		Short:   "print the starting file for a pair of hosts with one address",
		Example: "  vipd init vip > /etc/vipd/vipd.toml",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.out, startVIP)
			return err
		},
	}, &cobra.Command{
		Use:     "anycast",
		Short:   "print the starting file for the hosts of an anycast service",
		Example: "  vipd init anycast > /etc/vipd/vipd.toml",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.out, startAnycast)
			return err
		},
	})
}
