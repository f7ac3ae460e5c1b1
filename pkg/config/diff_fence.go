package config

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/vipd/vipd/pkg/fence"
)

// describeFences adds how peers are fenced, and by which devices.
func describeFences(m map[string]settings, c *Config) {
	for peer, f := range c.Engine.Fences {
		levels := make(values, len(f.Levels))
		for i, names := range f.Levels {
			levels[i] = "[" + strings.Join(names, ", ") + "]"
		}
		if m["peer."+peer] == nil {
			m["peer."+peer] = settings{}
		}
		m["peer."+peer]["fence"] = levels
		m["fence"] = describeFence(f) // the same for every peer
		for name, d := range f.Devices {
			m["fence.device."+name] = describeDevice(d, c.FenceSecrets[name])
		}
	}
}

func describeFence(f fence.Config) settings {
	action := "off"
	if f.Reboot {
		action = "reboot"
	}
	return settings{
		"action":          {action},
		"track":           f.Track,
		"attempts":        {strconv.Itoa(f.Attempts)},
		"attempt_timeout": {words(f.AttemptTimeout)},
		"verify.reads":    {strconv.Itoa(f.Verify.Reads)},
		"verify.every":    {words(f.Verify.Every)},
		"verify.within":   {words(f.Verify.Within)},
		"rate.max":        {strconv.Itoa(f.Rate.Max)},
		"rate.per":        {words(f.Rate.Per)},
		"settle":          {words(f.Settle)},
		"boot_wait":       {words(f.BootWait)},
		"confirm_ttl":     {words(f.ConfirmTTL)},
		"monitor":         {words(f.Monitor)},
	}
}

// describeDevice says that a secret changed, and not what it is.
func describeDevice(d fence.Device, secrets map[string]Secret) settings {
	s := settings{"agent": {d.Agent}}
	for _, o := range d.Options {
		s["options."+o.Name] = values{o.Value}
	}
	for name, v := range secrets {
		s["options."+name] = secretly(v)
	}
	return s
}

// newFenceSecrets lists the devices with another secret.
func newFenceSecrets(from, to *Config) []string {
	var lines []string
	for _, name := range names(to.FenceSecrets) {
		if was := from.FenceSecrets[name]; was != nil && !maps.Equal(was, to.FenceSecrets[name]) {
			lines = append(lines, fmt.Sprintf("fence.device.%s: another secret", name))
		}
	}
	return lines
}
