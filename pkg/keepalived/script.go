package keepalived

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// definitions are the statements that others refer to.
var definitions = table[struct{}]{
	"vrrp_script":        does(scriptBlock),
	"track_file":         does(fileBlock),
	"vrrp_track_file":    does(fileBlock),
	"vrrp_track_process": does(processBlock),
	"garp_group":         does(garpGroup),
}

// scriptKeywords stand in vrrp_script.
var scriptKeywords = table[*script]{
	"script": does(func(c *converter, k *script, s *statement) { k.command = s }),
	"interval": does(func(c *converter, k *script, s *statement) {
		if d, ok := c.seconds(s, 10*time.Millisecond, 24*time.Hour); ok {
			k.interval = d
		}
	}),
	"timeout": does(func(c *converter, k *script, s *statement) {
		if d, ok := c.seconds(s, time.Millisecond, 24*time.Hour); ok {
			k.timeout = d
		}
	}),
	"weight":    does(func(c *converter, k *script, s *statement) { c.checkWeight(k.check, s) }),
	"rise":      does(func(c *converter, k *script, s *statement) { c.results(&k.rise, s) }),
	"fall":      does(func(c *converter, k *script, s *statement) { c.results(&k.fall, s) }),
	"user":      does(scriptOwner),
	"init_fail": does(func(c *converter, k *script, s *statement) {}),
}

// script is a vrrp_script while it is read.
type script struct {
	*check
	command           *statement
	interval, timeout time.Duration
	rise, fall        int
	user              string
}

func scriptBlock(c *converter, _ struct{}, s *statement) {
	k := c.newCheck(s, "vrrp_script")
	if k == nil {
		return
	}
	// One second, and the first result decides: keepalived's defaults.
	one := &script{check: k, interval: time.Second, rise: 1, fall: 1}
	before := len(c.findings)
	walk(c, scriptKeywords, s.block, one)
	var argv []string
	if one.command != nil {
		argv = c.argv(one.command)
	}
	if len(argv) == 0 || argv[0] == "" {
		c.note(s, Refused, "there is no script in it")
		return
	}
	c.checks = append(c.checks, k)
	if c.watched(one, argv) {
		c.unpolled(s, before)
		return
	}
	k.keys = append(k.keys, setting{"interval", quote(span(one.interval))})
	if one.timeout > one.interval {
		c.note(s.find("timeout"), Changed, "not longer than the interval: %s", span(one.interval))
	} else if one.timeout > 0 {
		k.keys = append(k.keys, setting{"timeout", quote(span(one.timeout))})
	}
	k.keys = append(k.keys, setting{"rise", strconv.Itoa(one.rise)}, setting{"fall", strconv.Itoa(one.fall)})
	switch {
	case k.kind != "exec":
	case one.user != "":
		k.keys = append(k.keys, setting{"user", quote(one.user)})
	default:
		c.programs = append(c.programs, one.command)
	}
	c.note(s, Converted, "[check.%s]", k.name)
}

// newCheck makes the check that a block defines.
func (c *converter) newCheck(s *statement, keyword string) *check {
	if s.word(1) == "" {
		c.note(s, Refused, "a name is missing")
		return nil
	}
	name := unique(label(s.word(1)), func(n string) bool {
		for _, k := range c.checks {
			if k.name == n {
				return true
			}
		}
		return false
	})
	return &check{at: s, comments: s.comments, name: name, source: keyword + " " + s.word(1), kind: "exec"}
}

// results reads rise and fall.
func (c *converter) results(n *int, s *statement) {
	if v, ok := c.number(s, 1, 1000); ok {
		*n = v
	}
}

func scriptOwner(c *converter, k *script, s *statement) {
	k.user = s.word(1)
	if k.user == "root" {
		c.note(s, Changed, "even root's checks run without capabilities: they can read, but not change the system")
	}
}

// argv splits the command of a script. Without quotes keepalived would run its
// first word alone.
func (c *converter) argv(s *statement) []string {
	if len(s.words) > 2 {
		c.note(s, Changed, "arguments without quotes: keepalived ran %q without them, vipd runs all of it", s.word(1))
	}
	return arguments(strings.Join(s.words[1:], " "))
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	shellTCP  = regexp.MustCompile(`^<\s*/dev/tcp/([^/\s]+)/(\d+)$`)
	killPID   = regexp.MustCompile("^(?:/\\S*/)?kill -(?:0|s 0) (?:\\$\\(\\s*(?:cat|<)\\s*(/\\S+)\\s*\\)|`cat (/\\S+)`)$")
)

// watched converts what a script looks for into a check that does it without a
// program, where that is the same; else it is a check of type exec. It reports
// whether the check is watched instead of polled.
func (c *converter) watched(k *script, argv []string) bool {
	text := strings.Join(argv, " ")
	if len(argv) == 3 && (path.Base(argv[0]) == "sh" || path.Base(argv[0]) == "bash") && argv[1] == "-c" {
		text = strings.TrimSpace(argv[2])
		argv = arguments(text)
	}
	if m := shellTCP.FindStringSubmatch(text); m != nil {
		k.kind = "tcp"
		k.keys = append(k.keys, setting{"address", quote(bracketed(m[1]) + ":" + m[2])})
		c.note(k.command, Changed, "type tcp: connects without a shell")
		return false
	}
	if m := killPID.FindStringSubmatch(text); m != nil {
		k.kind = "process"
		k.keys = append(k.keys, setting{"pid_file", quote(m[1] + m[2])})
		c.note(k.command, Changed, "type process: the kernel tells when the process ends, and no program is run")
		return true
	}
	if name := processOf(argv); name != "" {
		k.kind = "process"
		k.keys = append(k.keys, setting{"name", quote(name)})
		c.note(k.command, Changed, "type process: the kernel tells when the process ends; checks may not signal others, as killall -0 does")
		return true
	}
	if unit := unitOf(argv); unit != "" {
		k.kind = "unit"
		k.keys = append(k.keys, setting{"unit", quote(unit)})
		c.note(k.command, Changed, "type unit: systemd tells of every change, and no program is run")
		return true
	}
	c.program(k, arguments(strings.Join(k.command.words[1:], " ")))
	return false
}

// processOf returns the process that a command looks for and does nothing else.
func processOf(argv []string) string {
	var names []string
	zero := false
	for i := 1; i < len(argv); i++ {
		switch a := argv[i]; {
		case a == "-0":
			zero = true
		case a == "-s" && i+1 < len(argv) && argv[i+1] == "0":
			zero, i = true, i+1
		case a == "-q" || a == "-x" || a == "-s" || a == "--quiet":
		default:
			names = append(names, a)
		}
	}
	if len(names) != 1 || !plainName.MatchString(names[0]) {
		return ""
	}
	switch path.Base(argv[0]) {
	case "killall", "pkill":
		if !zero {
			return ""
		}
	case "pidof", "pgrep":
	default:
		return ""
	}
	return names[0]
}

// unitOf returns the unit whose state a command asks for.
func unitOf(argv []string) string {
	if len(argv) == 0 || path.Base(argv[0]) != "systemctl" {
		return ""
	}
	var words []string
	for _, a := range argv[1:] {
		if a != "-q" && a != "--quiet" {
			words = append(words, a)
		}
	}
	if len(words) != 2 || words[0] != "is-active" && words[0] != "status" || !plainName.MatchString(strings.ReplaceAll(words[1], "@", "-")) {
		return ""
	}
	return words[1]
}

// bracketed puts an IPv6 address into brackets.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// unpolled notes that a check is watched, and that what is about polling is left
// out.
func (c *converter) unpolled(s *statement, from int) {
	for i := from; i < len(c.findings); i++ {
		f := &c.findings[i]
		switch key, _, _ := strings.Cut(f.Text, " "); {
		case f.Verdict != Converted:
		case key == "interval", key == "timeout", key == "rise", key == "fall":
			f.Verdict, f.Note = Changed, "nothing is polled: every change is seen within milliseconds and counts at once"
		case key == "user":
			f.Verdict, f.Note = Changed, "no program is run"
		}
	}
	c.note(s, Converted, "[check.%s]", c.checks[len(c.checks)-1].name)
}

// usual are programs that people name without a path, and where Debian and Red
// Hat have them.
var usual = map[string]string{
	"arping": "/usr/sbin/arping", "conntrackd": "/usr/sbin/conntrackd", "ethtool": "/usr/sbin/ethtool",
	"ip": "/usr/sbin/ip", "ipvsadm": "/usr/sbin/ipvsadm", "iptables": "/usr/sbin/iptables",
	"lsof": "/usr/bin/lsof", "sh": "/bin/sh", "bash": "/bin/bash", "pidof": "/usr/bin/pidof",
}

// advice is for programs that a type of check does without.
var advice = map[string]string{
	"curl": "type http asks without a program", "wget": "type http asks without a program",
	"nc": "type tcp connects without a program", "ncat": "type tcp connects without a program",
	"dig": "type dns asks without a program", "nslookup": "type dns asks without a program",
	"ping": "type icmp asks without a program, and with the capability that it needs",
}

// program makes a check of type exec.
func (c *converter) program(k *script, argv []string) {
	hint := advice[path.Base(argv[0])]
	if !path.IsAbs(argv[0]) {
		name := argv[0]
		argv[0] = "/usr/bin/" + path.Base(name)
		if known, ok := usual[path.Base(name)]; ok {
			argv[0] = known
		}
		note := fmt.Sprintf("there is no PATH: %s is a guess, see `command -v %s`", argv[0], name)
		if hint != "" {
			note += "; " + hint
		}
		c.note(k.command, Changed, "%s", note)
	} else if hint != "" {
		c.note(k.command, Converted, "%s", hint)
	}
	for _, a := range argv[1:] {
		if slices.Contains([]string{"|", "||", "&&", ";", ">", ">/dev/null", "2>&1"}, a) {
			c.note(k.command, Changed, "%q is an argument, as it is to keepalived: there is no shell; put the line into a script", a)
			break
		}
	}
	k.keys = append(k.keys, setting{"command", quotedList(argv)})
}
