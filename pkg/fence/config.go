package fence

import (
	"slices"
	"time"
)

// Config is how one peer host is fenced. It is validated already.
type Config struct {
	// Levels are tried in order until all devices of one have cut the peer off;
	// at least one, each with at least one name out of Devices.
	Levels  [][]string
	Devices map[string]Device // those of the levels, by name

	Reboot         bool          // power on again after the proof, which expires then
	Attempts       int           // per device and verb, 1 or more
	AttemptTimeout time.Duration // of each attempt, more than 0; its agent is killed then
	Verify         Verify
	Rate           Rate
	Settle         time.Duration // a host that has run for less lets the other go first; 0 or more
	BootWait       time.Duration // after it, a peer that was never heard is fenced too; 0 = never
	ConfirmTTL     time.Duration // for this long an operator's confirmation is good, more than 0
	Monitor        time.Duration // between two readings of each device, 0 = never
	// Silence is after what a peer that is not heard counts as silent: no less
	// than the longest Active_Down_Interval of the VIPs that wait for the fence.
	Silence time.Duration
	// Track is checks that must pass on this host before it may fence: of its
	// gateway, say. Whoever makes the [Situation] reads it.
	Track []string
}

// Verify is how a device must confirm that it cut a peer off.
type Verify struct {
	Reads  int           // readings of off in a row, 1 or more
	Every  time.Duration // between the starts of two of them
	Within time.Duration // after the shot; then the level has failed
}

// Rate is the brake against loops: a peer that boots is shot again, and again.
type Rate struct {
	Max int           // shots, 1 or more
	Per time.Duration // within this time
}

// Device is a device that can cut a peer off: by power, or by its port.
type Device struct {
	// Agent is a program that speaks the fence-agents API, by name or absolute
	// path, or one that is built in: AgentRedfish, AgentManual.
	Agent   string
	Options []Option // sorted by name, without secrets
}

// Option is what a device's agent is told.
type Option struct{ Name, Value string }

// The agents that are built in.
const (
	AgentManual  = "manual" // an operator, who looks, and says so
	AgentRedfish = "redfish"
)

// manual reports whether a level waits for an operator.
func (c Config) manual(level int) bool {
	return slices.ContainsFunc(c.Levels[level], func(name string) bool { return c.Devices[name].Agent == AgentManual })
}

// sameDevices reports whether two configurations fence by the same means.
func (c Config) sameDevices(o Config) bool {
	return c.Reboot == o.Reboot && slices.EqualFunc(c.Levels, o.Levels, func(a, b []string) bool {
		return slices.EqualFunc(a, b, func(x, y string) bool {
			return x == y && c.Devices[x].Agent == o.Devices[y].Agent && slices.Equal(c.Devices[x].Options, o.Devices[y].Options)
		})
	})
}
