package doctor

import (
	"cmp"
	"fmt"
	"slices"
)

// Level says how bad a finding is.
type Level int

// The levels, from good to bad.
const (
	Pass Level = iota
	Skip       // could not be looked at
	Warn       // works, but not as it should, or not for long
	Fail       // does not work
)

// String is the word that is printed.
func (l Level) String() string { return [...]string{"pass", "skip", "warn", "fail"}[l] }

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is the outcome of one check, about one subject at most.
type Finding struct {
	Check string `json:"check"` // one word: kernel, firewall, clock …
	Level Level  `json:"level"`
	Text  string `json:"text"`          // what is, in one line
	Fix   string `json:"fix,omitempty"` // what to do about it, in one line
}

// checks are all that there is to look at, in the order in which it is printed.
var checks = []struct {
	name string
	look func(n Needs, f Facts) []Finding
}{
	{"kernel", kernel},
	{"capabilities", capabilities},
	{"interfaces", interfaces},
	{"addresses", addresses},
	{"sysctls", sysctls},
	{"firewall", firewall},
	{"snooping", snooping},
	{"mtu", mtu},
	{"managers", managers},
	{"clock", clock},
	{"secrets", secrets},
	{"socket", socket},
	{"journal", journal},
	{"capacity", capacity},
	{"conflict", conflict},
	{"vrid", vrids},
	{"zone", zones},
	{"restart", restart},
}

// Examine makes every check. Each has one finding at least.
func Examine(n Needs, f Facts) []Finding {
	var list []Finding
	for _, c := range checks {
		for _, found := range c.look(n, f) {
			found.Check = c.name
			list = append(list, found)
		}
	}
	return list
}

// Worst is the worst level among findings.
func Worst(list []Finding) Level {
	if len(list) == 0 {
		return Pass
	}
	return slices.MaxFunc(list, func(a, b Finding) int { return cmp.Compare(a.Level, b.Level) }).Level
}

// or is the findings of a check, or that all is well.
func or(list []Finding, format string, args ...any) []Finding {
	if len(list) > 0 {
		return list
	}
	return []Finding{{Level: Pass, Text: fmt.Sprintf(format, args...)}}
}

func finding(l Level, fix, format string, args ...any) Finding {
	return Finding{Level: l, Text: fmt.Sprintf(format, args...), Fix: fix}
}

// used are the names of the interfaces of VIPs, sorted.
func (n Needs) used() []string {
	var names []string
	for _, v := range n.VIPs {
		names = append(names, v.Interface)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
