package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=0.1.0".
var version = "0.1.0-dev"

// versionDocument is vipd.version/v1.
type versionDocument struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// versionCommand is vipd version.
func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version of this program (vipd status has the daemon's)",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			doc := versionDocument{Schema: "vipd.version/v1", Version: version, Revision: revision(), Go: runtime.Version()}
			if a.json {
				return a.encodeJSON(doc)
			}
			line := "vipd " + doc.Version
			if doc.Revision != "" {
				line += " (" + shortHash(doc.Revision) + ")"
			}
			a.say("%s %s %s/%s", line, doc.Go, runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// revision is the commit that the program was built from, "" when the build did
// not say.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
