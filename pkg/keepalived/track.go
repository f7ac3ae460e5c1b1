package keepalived

import (
	"path"
	"strconv"
	"strings"
)

// maxWeight is the largest change of a priority.
const maxWeight = 253

// watchedFile is a track_file while it is read.
type watchedFile struct {
	*check
	path     string
	weight   int
	weightAt *statement
}

// fileKeywords stand in track_file.
var fileKeywords = table[*watchedFile]{
	"file": does(func(c *converter, f *watchedFile, s *statement) { f.path = s.word(1) }),
	"weight": does(func(c *converter, f *watchedFile, s *statement) {
		n, err := strconv.Atoi(s.word(1))
		if err != nil {
			c.note(s, Refused, "%q is not a number", s.word(1))
			return
		}
		f.weight, f.weightAt, f.reverse = n, s, s.word(2) == "reverse"
	}),
}.alike(Refused, "vipd writes no file: make it when the host boots, with systemd-tmpfiles for example", "init_file")

func fileBlock(c *converter, _ struct{}, s *statement) {
	k := c.newCheck(s, "track_file")
	if k == nil {
		return
	}
	f := &watchedFile{check: k, weight: 1}
	k.kind = "file"
	walk(c, fileKeywords, s.block, f)
	at := s
	if f.weightAt != nil {
		at = f.weightAt
	}
	switch {
	case !path.IsAbs(f.path):
		c.note(s, Refused, "there is no absolute path in it")
		return
	case f.reverse || f.weight != 0 && f.weight != 1:
		c.note(at, Refused, "vipd adds the number in the file as it is: write %s times as much into it", factor(f))
		f.reverse = true
		c.checks = append(c.checks, k)
		return
	case f.weight == 0:
		k.kind = "exec"
		k.keys = []setting{{"command", quotedList([]string{"/usr/bin/grep", "-Eqx", "[+-]?0+", f.path})},
			{"interval", quote("1s")}, {"rise", "1"}, {"fall", "1"}}
		c.note(at, Changed, "a program looks for 0 in the file every second, and fails without the file")
	default:
		k.value = true
		k.keys = []setting{{"path", quote(f.path)}, {"value", "true"}}
	}
	c.checks = append(c.checks, k)
	c.note(s, Changed, "[check.%s]; without the file the check fails, where keepalived takes it as 0", k.name)
}

// factor is what keepalived multiplies the number in a file with.
func factor(f *watchedFile) string {
	n := f.weight
	if f.reverse {
		n = -n
	}
	return strconv.Itoa(n)
}

// processKeywords stand in vrrp_track_process.
var processKeywords = table[*check]{
	"process": does(processName),
	"weight":  does(func(c *converter, k *check, s *statement) { c.checkWeight(k, s) }),
	"quorum":  does(quorum),
}.
	alike(Refused, "vipd knows a least number of processes only: `processes`", "quorum_max").
	alike(Refused, "vipd compares the name of the program only", "full_command", "param_match").
	alike(Changed, "a process counts as running as soon as it does: give the check a `hold_down` against flapping", "fork_delay", "delay").
	alike(Changed, "going down is never delayed: give the check a `hold_down` against flapping, or watch the unit", "terminate_delay")

func processBlock(c *converter, _ struct{}, s *statement) {
	k := c.newCheck(s, "vrrp_track_process")
	if k == nil {
		return
	}
	k.kind = "process"
	walk(c, processKeywords, s.block, k)
	if len(k.keys) == 0 {
		c.note(s, Refused, "there is no process in it")
		return
	}
	c.checks = append(c.checks, k)
	c.note(s, Converted, "[check.%s]", k.name)
}

func processName(c *converter, k *check, s *statement) {
	words := arguments(strings.Join(s.words[1:], " "))
	if len(words) == 0 {
		return
	}
	k.keys = append(k.keys, setting{"name", quote(path.Base(words[0]))})
	if len(words) > 1 {
		c.note(s, Changed, "the name alone: vipd does not compare the arguments")
	}
}

func quorum(c *converter, k *check, s *statement) {
	if n, ok := c.number(s, 1, 1000); ok {
		k.keys = append(k.keys, setting{"processes", strconv.Itoa(n)})
	}
}

// checkWeight reads the weight of a check: weight N [reverse].
func (c *converter) checkWeight(k *check, s *statement) {
	n, err := strconv.Atoi(s.word(1))
	if err != nil {
		c.note(s, Refused, "%q is not a number", s.word(1))
		return
	}
	k.weight = min(max(n, -maxWeight), maxWeight)
	switch {
	case s.word(2) == "reverse":
		k.reverse = true
		c.note(s, Refused, noteReverse)
	case k.weight != n:
		c.note(s, Changed, "weight = %d, the largest that can matter", k.weight)
	}
}

const noteReverse = "vipd has no reverse: turn the check around, so that it fails when the priority shall drop"

// tracked converts the names in track_script, track_file and track_process.
func (c *converter) tracked(s *statement, keyword string, add func(track)) {
	for _, line := range s.block {
		k := c.definition(keyword + " " + line.name())
		switch {
		case k == nil:
			c.note(line, Refused, "there is no %s %s, or it was refused", keyword, line.name())
		case len(line.words) == 1 && k.reverse:
			c.note(line, Refused, "%s cannot be tracked as it is, see there: left out", line.name())
		default:
			if k.at.order > line.order {
				c.note(line, Changed, "keepalived ignores it, since %s is defined further below (%s): vipd does not care", line.name(), k.at.place)
			}
			c.weigh(line, track{at: line, name: k.name, weight: k.weight, own: k.value}, add)
		}
	}
}

// definition finds a check by its keyword and name in keepalived.conf.
func (c *converter) definition(source string) *check {
	for _, k := range c.checks {
		if k.source == source {
			return k
		}
	}
	return nil
}

// weigh adds something tracked with the weight behind its name, if there is one.
func (c *converter) weigh(line *statement, t track, add func(track)) {
	before := len(c.findings)
	if len(line.words) > 1 {
		n, err := strconv.Atoi(line.word(2))
		switch {
		case line.word(1) != "weight" || err != nil:
			c.note(line, Refused, "not understood: NAME weight NUMBER")
			return
		case line.word(3) == "reverse":
			c.note(line, Refused, noteReverse+"; left out")
			return
		case t.own && n != 1:
			c.note(line, Refused, "vipd adds the number in the file as it is: left out")
			return
		case t.own:
		case n < -maxWeight || n > maxWeight:
			n = min(max(n, -maxWeight), maxWeight)
			c.note(line, Changed, "%d, the largest that can matter", n)
			fallthrough
		default:
			t.weight = n
		}
	}
	add(t)
	if len(c.findings) == before {
		c.note(line, Converted, "")
	}
}

// trackedLinks converts the interfaces in track_interface.
func (c *converter) trackedLinks(s *statement, own string, add func(track)) {
	for _, line := range s.block {
		if line.name() == own {
			if len(line.words) > 1 {
				c.note(line, Changed, "a VIP is never fit while its own interface is down")
			} else {
				c.note(line, Converted, "always so for its own interface")
			}
			continue
		}
		c.weigh(line, track{at: line, name: line.name()}, add)
	}
}
