package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
)

// defaultConfig is the configuration file that is meant when none is named.
const defaultConfig = "/etc/vipd/vipd.toml"

// checkConfigCommand is vipd check-config.
func (a *app) checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check-config [FILE]",
		Short:   "report every problem of a configuration file at once",
		Example: "  vipd check-config ./vipd.toml",
		Args:    atMostOne("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			file := defaultConfig
			if len(args) == 1 {
				file = args[0]
			}
			conf, problems := disk.Load(file)
			return a.reportConfig(file, conf, problems)
		},
	}
}

// reportConfig prints what was found in a configuration file.
func (a *app) reportConfig(file string, conf *config.Config, problems *config.Problems) error {
	var err error
	if a.json {
		err = a.encodeJSON(problems)
	} else {
		err = problems.Format(a.err, a.errColor)
	}
	switch {
	case err != nil:
		return fmt.Errorf("print the problems: %w", err)
	case problems.Errors() > 0:
		return errConfig
	case !a.json && !a.quiet:
		e := conf.Engine
		found := count(len(e.VIPs), "vip") + ", " + count(len(e.Checks), "check")
		if e.Pair != nil {
			found += ", " + count(len(e.Pair.Peers), "peer")
		}
		a.say("%s is valid: %s", file, found)
	}
	return nil
}

// count writes "1 vip", "2 vips".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
