package config

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/check"
)

// unitText is the name of a unit of systemd, .service if it has no suffix.
var unitText = text{what: "a unit of systemd: haproxy.service", check: checkUnit}

// unitSuffixes are the types of units.
var unitSuffixes = []string{
	".automount", ".device", ".mount", ".path", ".scope", ".service", ".slice", ".socket", ".swap", ".target", ".timer",
}

func checkUnit(s string) error {
	wrong := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(`:-_.\@`, r)
	}
	if len(s) > 247 || strings.ContainsFunc(s, wrong) || strings.HasPrefix(s, ".") {
		return errors.New("is not the name of a unit")
	}
	return nil
}

// checkProgram is for names of programs, as ps shows them.
func checkProgram(s string) error {
	if strings.Contains(s, "/") {
		return fmt.Errorf("is a path: write its last part, %q", path.Base(s))
	}
	return nil
}

// fullUnit adds the suffix that systemctl adds.
func fullUnit(name string) string {
	if name == "" || slices.Contains(unitSuffixes, path.Ext(name)) {
		return name
	}
	return name + ".service"
}

func fileSpec(b *builder, s section) check.Spec {
	b.must(s, "path", `"/run/maintenance"`)
	f := check.File{Path: get[string](s, "path"), Absent: !get[bool](s, "exists"), Value: get[bool](s, "value")}
	if n := s.find("exists"); f.Absent && f.Value {
		b.atKey(n, Error, fmt.Sprintf("%s: `exists = false` and `value` exclude each other", s.node), "a file that is not there holds no weight")
	}
	return f
}

func processSpec(b *builder, s section) check.Spec {
	p := check.Process{
		PIDFile: get[string](s, "pid_file"),
		Unit:    fullUnit(get[string](s, "unit")),
		Name:    get[string](s, "name"),
		Owner:   get[string](s, "owner"),
		AtLeast: get[int](s, "processes"),

		Listen:    get[string](s, "listen"),
		ListenUDP: get[string](s, "listen_udp"),
	}
	file, unit, number := s.find("pid_file"), s.find("unit"), s.find("processes")
	switch {
	case file == nil && unit == nil:
		b.must(s, "name", `"haproxy"`)
	case file != nil && unit != nil:
		b.atKey(file, Error, fmt.Sprintf("%s: `pid_file` and `unit` exclude each other", s.node), "systemd knows the main process without a file")
	case number != nil:
		b.atKey(number, Error, fmt.Sprintf("%s: `processes` counts those of a `name`", s.node), "a pid file and a unit name one process")
	}
	return p
}

func unitSpec(b *builder, s section) check.Spec {
	b.must(s, "unit", `"haproxy.service"`)
	return check.Unit{Name: fullUnit(get[string](s, "unit")), SubState: get[string](s, "sub_state")}
}

// describeWatched lists what a check watches, for a diff.
func describeWatched(spec check.Spec) settings {
	switch spec := spec.(type) {
	case check.File:
		s := settings{"path": {spec.Path}, "exists": {fmt.Sprint(!spec.Absent)}}
		if spec.Value {
			s["value"] = values{"true"}
		}
		return s
	case check.Process:
		return settings{
			"pid_file": optional(spec.PIDFile), "unit": optional(spec.Unit), "name": optional(spec.Name), "owner": optional(spec.Owner),
			"processes": {fmt.Sprint(spec.AtLeast)}, "listen": optional(spec.Listen), "listen_udp": optional(spec.ListenUDP),
		}
	case check.Unit:
		return settings{"unit": {spec.Name}, "sub_state": optional(spec.SubState)}
	}
	return nil
}
