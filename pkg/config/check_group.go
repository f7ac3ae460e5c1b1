package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// groupKeys are the keys of a group of checks: those that make it one, and those
// that it has in common with other checks.
var groupKeys = []string{"all", "any", "at_least", "of", "weight", "after"}

// isGroup reports whether the table of a check is that of a group.
func isGroup(s section) bool {
	return slices.ContainsFunc(groupKeys[:4], func(key string) bool { return s.find(key) != nil })
}

// group builds a group from its keys, which exclude each other.
func (b *builder) group(s section) check.Spec {
	all, any, least, of := s.find("all"), s.find("any"), s.find("at_least"), s.find("of")
	for _, n := range s.node.children() {
		if row := rowOf()[s.pattern+"."+n.name]; !slices.Contains(groupKeys, n.name) && (row != nil || n.name == "hold_down") {
			b.atKey(n, Error, fmt.Sprintf("%s: a group has no `%s`", s.node, n.name),
				"a group has no probe: it follows its members, and has `weight` and `after` besides")
		}
	}
	switch {
	case all != nil && any != nil, (all != nil || any != nil) && (least != nil || of != nil):
		b.atValue(s.node, Error, fmt.Sprintf("%s: only one of `all`, `any`, and `at_least` with `of`", s.node), "a group may be a member of a group")
	case all != nil:
		members := getList[string](s, "all")
		return check.Group{Members: members, Need: len(members)}
	case any != nil:
		return check.Group{Members: getList[string](s, "any"), Need: 1}
	default:
		if !b.must(s, "at_least", "1") || !b.must(s, "of", `["a", "b", "c"]`) {
			return check.Group{}
		}
		g := check.Group{Members: getList[string](s, "of"), Need: get[int](s, "at_least")}
		if len(g.Members) > 0 && g.Need > len(g.Members) {
			b.wrong(least, fmt.Sprintf("%d of %d can never be", g.Need, len(g.Members)), "")
		}
		return g
	}
	return check.Group{}
}

// dependRules checks what checks say about each other and about VIPs.
func (b *builder) dependRules(c engine.Config) {
	for _, s := range b.sections("check") {
		for _, key := range []string{"after", "all", "any", "of"} {
			b.namesChecks(s, key, c.Checks)
		}
		b.holdDownRules(s, c.Checks[s.node.name])
		if n := s.find("while_held"); n != nil && n.parsed != nil {
			if _, ok := c.VIPs[n.parsed.(string)]; !ok {
				b.wrong(n, fmt.Sprintf("there is no VIP %q", n.parsed), vipHint(n.parsed.(string), c.VIPs))
			}
			if first := s.find("init"); first != nil {
				b.atValue(first, Warning, fmt.Sprintf("%s has no effect with `while_held`", first), "such a check counts as good until it fails")
			}
		}
	}
	b.cycles(c.Checks)
}

// namesChecks checks a list of names of checks.
func (b *builder) namesChecks(s section, key string, checks map[string]check.Config) {
	n := s.find(key)
	if n == nil || n.parsed == nil {
		return
	}
	if len(n.list) == 0 {
		b.wrong(n, "the list is empty", "")
	}
	seen := map[string]bool{}
	for _, element := range n.list {
		name, ok := element.parsed.(string)
		_, known := checks[name]
		switch {
		case !ok:
		case seen[name]:
			b.wrong(element, fmt.Sprintf("%q is listed twice", name), "")
		case !known:
			b.wrong(element, fmt.Sprintf("there is no check %q", name), checkHint(name, checks))
		case key == "after" && checks[name].WhileHeld != "":
			b.wrong(element, fmt.Sprintf("%s says nothing while %s is not held", name, checks[name].WhileHeld),
				"nothing comes after a check with `while_held`: it would be masked on all other hosts")
		}
		seen[name] = true
	}
}

func checkHint(name string, checks map[string]check.Config) string {
	if near := nearest(name, names(checks)); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Sprintf("add a [check.%s] table", name)
}

// holdDownRules checks the keys of hold_down against each other.
func (b *builder) holdDownRules(s section, c check.Config) {
	h := c.HoldDown
	switch n := s.find("hold_down.most"); {
	case s.find("hold_down") == nil:
	case h.Time == 0 && c.WhileHeld == "" && s.find("hold_down.time") == nil:
		b.atKey(s.find("hold_down"), Warning, fmt.Sprintf("%s: hold_down has no effect without `time`", s.node), "add `hold_down.time = \"10s\"`")
	case n != nil && h.Most > 0 && h.Most < h.Time:
		b.wrong(n, fmt.Sprintf("%s is less than the time, %s", words(h.Most), words(h.Time)), "")
	}
}

// cycles refuses checks that depend on themselves: one that is masked by what it
// makes fail could never come back.
func (b *builder) cycles(checks map[string]check.Config) {
	told := map[string]bool{}
	for _, s := range b.sections("check") {
		path := cycle(s.node.name, checks)
		if path == nil || slices.ContainsFunc(path, func(name string) bool { return told[name] }) {
			continue
		}
		for _, name := range path {
			told[name] = true
		}
		b.atValue(s.node, Error, fmt.Sprintf("%s depends on itself: %s", s.node, strings.Join(path, " -> ")),
			"`after` and the members of groups must not lead back")
	}
}

// cycle returns the way from a check back to itself, nil when there is none.
func cycle(start string, checks map[string]check.Config) []string {
	seen := map[string]bool{}
	var walk func(path []string) []string
	walk = func(path []string) []string {
		for _, next := range checks[path[len(path)-1]].DependsOn() {
			if next == start {
				return append(path, next)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if found := walk(append(slices.Clip(path), next)); found != nil {
				return found
			}
		}
		return nil
	}
	return walk([]string{start})
}
