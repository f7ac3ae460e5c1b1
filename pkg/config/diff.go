package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// Diff says in words what changes from one configuration to another, one line
// for each change, sorted: "vip.web: priority 150 -> 140". Nothing changes when
// it is empty.
func Diff(from, to *Config) []string {
	a, b := describe(from), describe(to)
	var lines []string
	for _, name := range sortedUnion(a, b) {
		was, is := a[name], b[name]
		switch {
		case was == nil:
			lines = append(lines, name+": added")
		case is == nil:
			lines = append(lines, name+": removed")
		default:
			for _, key := range sortedUnion(was, is) {
				if line := change(key, was[key], is[key]); line != "" {
					lines = append(lines, name+": "+line)
				}
			}
		}
	}
	return slices.Concat(lines, newPasswords(from, to), newKeys(from, to), newFenceSecrets(from, to), newWitnessKeys(from, to))
}

// change is one changed key in words, "" when it is the same.
func change(key string, was, is values) string {
	switch {
	case slices.Equal(was, is):
		return ""
	case strings.HasPrefix(key, "headers."): // their values may be passwords
		return key + " changed"
	case len(was) == 1 && len(is) == 1:
		return fmt.Sprintf("%s %s -> %s", key, was[0], is[0])
	}
	var parts []string
	for _, v := range is {
		if !slices.Contains(was, v) {
			parts = append(parts, "added "+v)
		}
	}
	for _, v := range was {
		if !slices.Contains(is, v) {
			parts = append(parts, "removed "+v)
		}
	}
	if len(parts) == 0 {
		parts = []string{"now in the order " + strings.Join(is, ", ")}
	}
	return key + ": " + strings.Join(parts, ", ")
}

// values is what one key holds, in words: one for a plain key.
type values []string

// settings is what one table holds, by the names of its keys.
type settings map[string]values

func describe(c *Config) map[string]settings {
	e := c.Engine
	m := map[string]settings{
		"node": {
			"name":          optional(e.Node),
			"zone":          optional(e.Zone),
			"startup_delay": {words(e.StartupDelay)},
			"script_user":   {c.ScriptUser},
		},
		"control": {"socket": {c.Control.Socket}, "admin_group": {c.Control.AdminGroup}},
		"metrics": {"listen": optional(c.Metrics.Listen)},
	}
	for name, v := range e.VIPs {
		m["vip."+name] = describeVIP(v)
		maps.Copy(m["vip."+name], describeHooks(c.VIPHooks[name], v.BeforeHold))
		if a, ok := c.Auth[name]; ok {
			maps.Copy(m["vip."+name], describeAuth(a))
		}
	}
	for name, members := range e.Groups {
		m["sync."+name] = settings{"vips": members}
		maps.Copy(m["sync."+name], describeHooks(c.GroupHooks[name], 0))
	}
	for name, k := range e.Checks {
		m["check."+name] = describeCheck(k)
	}
	describeBGP(m, c)
	describePair(m, c)
	describeFences(m, c)
	describeWitnesses(m, c)
	for name, s := range e.Services {
		m["anycast."+name] = describeService(s)
	}
	return m
}

func handoverWord(breaks bool) string {
	if breaks {
		return "break"
	}
	return "overlap"
}

func describeVIP(v engine.VIP) settings {
	source := ""
	if v.UnicastSource.IsValid() {
		source = v.UnicastSource.String()
	}
	checksum := ""
	for word, c := range checksums {
		if c == v.Checksum {
			checksum = word
		}
	}
	s := settings{
		"interface":        {v.Interface},
		"vrid":             {strconv.Itoa(int(v.VRID))},
		"version":          {strconv.Itoa(int(v.Version))},
		"priority":         {strconv.Itoa(int(v.Priority))},
		"advert_interval":  {words(v.Interval)},
		"addresses":        each(v.Addresses),
		"preempt":          {strconv.FormatBool(v.Preempt)},
		"preempt_delay":    {words(v.PreemptDelay)},
		"unicast_peers":    each(v.UnicastPeers),
		"unicast_source":   optional(source),
		"vmac":             {strconv.FormatBool(v.VMAC)},
		"checksum":         {checksum},
		"lease":            {v.Lease.String()},
		"handover":         {handoverWord(v.Break)},
		"takeover":         {v.Takeover.String()},
		"no_majority":      {map[bool]string{false: "release", true: "hold"}[v.HoldOn]},
		"track":            eachWeight(v.Track),
		"track_interfaces": eachWeight(v.TrackLinks),
		"garp.repeat":      {strconv.Itoa(v.GARP.Repeat)},
		"garp.interval":    {words(v.GARP.Interval)},
		"garp.refresh":     {words(v.GARP.Refresh)},
	}
	for _, d := range v.GARP.Bursts {
		s["garp.bursts"] = append(s["garp.bursts"], words(d))
	}
	for _, r := range v.Routes {
		text := r.To.String()
		if r.Via.IsValid() {
			text += " via " + r.Via.String()
		}
		if r.Table != 0 {
			text += " table " + strconv.Itoa(r.Table)
		}
		s["routes"] = append(s["routes"], text)
	}
	return s
}

func describeHooks(h Hooks, beforeHold time.Duration) settings {
	s := settings{
		"notify":          optional(strings.Join(h.Notify, " ")),
		"notify_timeout":  {words(h.NotifyTimeout)},
		"notify_coalesce": {strconv.FormatBool(h.Coalesce)},
		"notify_fifo":     optional(h.NotifyFIFO),
		"before_hold":     optional(strings.Join(h.BeforeHold, " ")),
	}
	if beforeHold > 0 {
		s["before_hold_timeout"] = values{words(beforeHold)}
	}
	return s
}

func describeCheck(c check.Config) settings {
	first := "fail"
	if c.InitOK {
		first = "ok"
	}
	if g, ok := c.Spec.(check.Group); ok {
		return settings{"group": {g.String()}, "weight": {weightWord(c.Weight)}, "after": c.After}
	}
	fast := c.FastInterval
	if fast == 0 {
		fast = c.Interval
	}
	s := settings{
		"interval":      {words(c.Interval)},
		"timeout":       {words(c.Timeout)},
		"fast_interval": {words(fast)},
		"rise":          {strconv.Itoa(c.Rise)},
		"fall":          {strconv.Itoa(c.Fall)},
		"weight":        {weightWord(c.Weight)},
		"init":          {first},
		"type":          {c.Spec.Type()},
		"jitter":        {words(c.Jitter)},
		"after":         c.After,
		"while_held":    optional(c.WhileHeld),
	}
	if h := c.HoldDown; h.Time > 0 {
		s["hold_down.time"], s["hold_down.most"] = values{words(h.Time)}, values{words(h.Most)}
		s["hold_down.flaps"], s["hold_down.within"] = values{strconv.Itoa(h.Flaps)}, values{words(h.Within)}
	}
	switch spec := c.Spec.(type) {
	case check.Exec:
		s["command"] = values{strings.Join(spec.Command, " ")}
		s["user"] = optional(spec.User)
	case check.DNS:
		describeDNS(s, spec)
	case check.ICMP:
		describeICMP(s, spec)
	case check.TCP:
		describeTCP(s, spec)
	case check.TLS:
		describeTLS(s, spec)
	case check.GRPC:
		describeGRPC(s, spec)
	case check.HTTP:
		describeHTTP(s, spec)
	default:
		maps.Copy(s, describeWatched(spec))
	}
	return s
}

func weightWord(w check.Weight) string {
	if w.Fault {
		return "fault"
	}
	return strconv.Itoa(w.Delta)
}

func eachWeight(m map[string]check.Weight) values {
	var list values
	for _, name := range names(m) {
		list = append(list, name+" = "+weightWord(m[name]))
	}
	return list
}

func each[T fmt.Stringer](items []T) values {
	var list values
	for _, item := range items {
		list = append(list, item.String())
	}
	return list
}

func optional(s string) values {
	if s == "" {
		return nil
	}
	return values{s}
}

// sortedUnion returns the names that are in either map.
func sortedUnion[T any](a, b map[string]T) []string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return names(both)
}
