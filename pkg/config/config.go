package config

import (
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// Config is a configuration that was checked.
type Config struct {
	Engine     engine.Config // Node is "" when the file names none: the short hostname is meant
	Control    Control
	Metrics    Metrics
	VIPHooks   map[string]Hooks // by VIP
	GroupHooks map[string]Hooks // by sync group
	Pair       Pair             // the channel to the other hosts
	ScriptUser string           // runs hooks, and the checks of type exec that name no user of their own; "" = not said
	Files      []string         // that were read, the first one first

	Text *Text // prints it
	// Passwords are the secrets of BGP neighbors (RFC 2385), by neighbor. They are
	// kept apart from all that is recorded or shown.
	Passwords map[string]Secret
	// Auth is how adverts are authenticated, by VIP; those of others are not. Its
	// secrets are kept apart in the same way.
	Auth map[string]vrrp.Auth
	// FenceSecrets are the secret options of the agents of fence devices, by device
	// and option, kept apart likewise.
	FenceSecrets map[string]map[string]Secret
	// Witnesses is how those of Engine.Witnesses are reached.
	Witnesses map[string]Witness
}

// Secret is a text that is never printed.
type Secret string

// String hides the secret, also within what holds it.
func (Secret) String() string { return "***" }

// Control is how commands reach the daemon.
type Control struct {
	Socket     string // absolute path, at most 107 bytes
	AdminGroup string // may change things, as root may; a group that does not exist has no members
}

// Metrics is where metrics are served besides the control socket.
type Metrics struct {
	Listen string // IP:port or :port, "" = nowhere else
}

// Load reads the file name, and all that it includes, from r. The problems are
// never nil and hold warnings as well; with an error among them there is no
// Config.
func Load(r Reader, name string) (*Config, *Problems) {
	l := &loader{fs: r}
	config, root, problems := l.config(name)
	if config != nil {
		config.Text = newText(r, root)
	}
	return config, problems
}

// config loads a file and all that it includes, and gives the tree as well.
func (l *loader) config(name string) (*Config, *node, *Problems) {
	root := l.load(name)
	if root != nil {
		whole := l.kept[Error] == 0
		l.checkTable(root, "")
		if whole { // otherwise what seems to be missing may be in what was not read
			b := &builder{reporter: &l.reporter, reader: l.fs, root: root}
			config := b.build()
			b.rules(config)
			problems := l.result(name, l.files)
			if problems.Errors() > 0 {
				return nil, nil, problems
			}
			for _, f := range l.files {
				config.Files = append(config.Files, f.name)
			}
			return config, root, problems
		}
	}
	return nil, nil, l.result(name, l.files)
}
