package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// checkTypes says how the table of each type of check becomes what its probe
// does.
var checkTypes = map[string]func(*builder, section) check.Spec{
	"exec":    execSpec,
	"tcp":     tcpSpec,
	"file":    fileSpec,
	"http":    httpSpec,
	"tls":     tlsSpec,
	"grpc":    grpcSpec,
	"process": processSpec,
	"unit":    unitSpec,
	"dns":     dnsSpec,
	"icmp":    icmpSpec,
}

// checkType is a choice of the types of checks.
type checkType struct{}

func (checkType) choice() choice { return slices.Sorted(maps.Keys(checkTypes)) }

func (k checkType) allowed() string { return k.choice().allowed() }

func (k checkType) parse(r *reporter, n *node) (any, bool) { return k.choice().parse(r, n) }

func (b *builder) check(s section) check.Config {
	c := check.Config{
		Interval:     get[time.Duration](s, "interval"),
		Timeout:      get[time.Duration](s, "timeout"),
		FastInterval: get[time.Duration](s, "fast_interval"),
		Rise:         get[int](s, "rise"),
		Fall:         get[int](s, "fall"),
		InitOK:       get[string](s, "init") == "ok",
		Jitter:       get[time.Duration](s, "jitter"),
		Weight:       get[check.Weight](s, "weight"),
		After:        getList[string](s, "after"),
		WhileHeld:    get[string](s, "while_held"),
	}
	if s.find("hold_down") != nil {
		c.HoldDown = check.HoldDown{
			Time:   get[time.Duration](s, "hold_down.time"),
			Most:   get[time.Duration](s, "hold_down.most"),
			Flaps:  get[int](s, "hold_down.flaps"),
			Within: get[time.Duration](s, "hold_down.within"),
		}
	}
	if isGroup(s) {
		return check.Config{Spec: b.group(s), Weight: c.Weight, After: c.After}
	}
	if s.find("timeout") == nil {
		c.Timeout = c.Interval
	}
	if !b.must(s, "type", `"tcp"`) {
		return c
	}
	kind := get[string](s, "type")
	if make := checkTypes[kind]; make != nil {
		c.Spec = make(b, s)
	}
	b.onlyOf(s, kind, check.IsWatched(c.Spec))
	return c
}

func execSpec(b *builder, s section) check.Spec {
	b.must(s, "command", `["/usr/local/bin/check"]`)
	return check.Exec{Command: getList[string](s, "command"), User: get[string](s, "user")}
}

// onlyOf reports keys of other types of check.
func (b *builder) onlyOf(s section, kind string, watched bool) {
	if kind != "" {
		b.onlyOfIn(s.node, s, s.pattern, kind, watched)
	}
}

// onlyOfIn does so for one table of a check.
func (b *builder) onlyOfIn(table *node, s section, pattern, kind string, watched bool) {
	for _, n := range table.children() {
		path := pattern + "." + n.name
		row, key := rowOf()[path], strings.TrimPrefix(path, s.pattern+".")
		what := fmt.Sprintf("%s: a check of type %s has no `%s`", s.node, kind, key)
		switch {
		case row == nil:
			b.onlyOfIn(n, s, path, kind, watched)
		case watched && row.polled:
			b.atKey(n, Error, what, "it is watched, not polled: what it sees counts at once")
		case len(row.only) > 0 && !slices.Contains(row.only, kind):
			b.atKey(n, Error, what, fmt.Sprintf("`%s` is for `type = \"%s\"`", key, strings.Join(row.only, "\" or \"")))
		}
	}
}
