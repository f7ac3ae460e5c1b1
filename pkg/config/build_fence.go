package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// takeovers are the words of vip.takeover.
var takeovers = map[string]engine.Takeover{
	"vrrp": engine.TakeoverVRRP, "fence": engine.TakeoverFence, "votes": engine.TakeoverVotes,
}

// fences fills in how each peer is fenced that can be.
func (b *builder) fences(c *Config) {
	devices := map[string]fence.Device{}
	for _, s := range b.sections("fence.device") {
		b.must(s, "agent", `"fence_ipmilan"`)
		name := s.node.name
		devices[name] = fence.Device{Agent: get[string](s, "agent"), Options: get[[]fence.Option](s, "options")}
		if secrets := b.deviceSecrets(s); len(secrets) > 0 {
			if c.FenceSecrets == nil {
				c.FenceSecrets = map[string]map[string]Secret{}
			}
			c.FenceSecrets[name] = secrets
		}
	}
	common := b.fence(c.Engine.VIPs)
	for _, s := range b.sections("peer") {
		var levels [][]string
		for _, element := range getList[[]any](s, "fence") {
			var level []string
			for _, v := range element {
				if name, ok := v.(string); ok {
					level = append(level, name)
				}
			}
			levels = append(levels, level)
		}
		if len(levels) == 0 {
			continue
		}
		f := common
		f.Levels, f.Devices = levels, map[string]fence.Device{}
		for _, name := range slices.Concat(levels...) {
			f.Devices[name] = devices[name]
		}
		if c.Engine.Fences == nil {
			c.Engine.Fences = map[string]fence.Config{}
		}
		c.Engine.Fences[s.node.name] = f
	}
}

// fence is what holds for every peer.
func (b *builder) fence(vips map[string]engine.VIP) fence.Config {
	s := section{node: b.root.table["fence"], pattern: "fence"}
	return fence.Config{
		Reboot:         get[string](s, "action") == "reboot",
		Attempts:       get[int](s, "attempts"),
		AttemptTimeout: get[time.Duration](s, "attempt_timeout"),
		Verify: fence.Verify{
			Reads: get[int](s, "verify.reads"), Every: get[time.Duration](s, "verify.every"), Within: get[time.Duration](s, "verify.within"),
		},
		Rate:       fence.Rate{Max: get[int](s, "rate.max"), Per: get[time.Duration](s, "rate.per")},
		Settle:     get[time.Duration](s, "settle"),
		BootWait:   get[time.Duration](s, "boot_wait"),
		ConfirmTTL: get[time.Duration](s, "confirm_ttl"),
		Monitor:    get[time.Duration](s, "monitor"),
		Track:      getList[string](s, "track"),
		Silence:    silence(vips),
	}
}

// leastSilence is how long a peer must be silent before it is fenced, however short its
// Active_Down_Interval is. A host that hangs for less than that gives up what it held by
// itself, and says so: with adverts 100 ms apart it would be shot for every stall of 0.4 s,
// and the takeover would come no sooner than the stall ends. It costs the takeover from a
// dead host 0.6 s at 100 ms, and nothing from 250 ms on.
const leastSilence = time.Second

// silence is the longest Active_Down_Interval of the VIPs that fence, rounded up
// to 4 intervals, and not less than leastSilence.
func silence(vips map[string]engine.VIP) time.Duration {
	longest := leastSilence
	for v := range maps.Values(vips) {
		if v.Takeover != engine.TakeoverVRRP {
			longest = max(longest, 4*v.Interval)
		}
	}
	return longest
}

// deviceSecrets reads the secrets of a device, by option.
func (b *builder) deviceSecrets(s section) map[string]Secret {
	secrets := map[string]Secret{}
	read := func(n *node, option, name string) {
		secret, err := b.reader.Secret(name)
		switch {
		case err != nil:
		case secret == "":
			err = fmt.Errorf("%s is empty", name)
		case plain(secret) != nil:
			err = fmt.Errorf("%s is not one line of text", name)
		}
		if err != nil {
			b.wrong(n, cause(err).Error(), "")
			return
		}
		secrets[option] = Secret(secret)
	}
	if name := get[string](s, "password_file"); name != "" {
		read(s.find("password_file"), "password", name)
	}
	files := get[map[string]string](s, "secret_files")
	for _, option := range names(files) {
		read(s.find("secret_files").table[option], option, files[option])
	}
	return secrets
}
