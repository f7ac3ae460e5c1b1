package keepalived

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// finish settles what depends on everything that was read: the weights of
// checks, and what all VIPs have in common.
func (c *converter) finish() {
	c.vips = slices.DeleteFunc(c.vips, func(v *vip) bool { return v.dropped })
	for _, k := range c.used() {
		if k.value {
			continue
		}
		var weights []int
		for _, v := range c.vips {
			for _, t := range v.track {
				if t.name == k.name {
					weights = append(weights, t.weight)
				}
			}
		}
		if slices.Min(weights) == slices.Max(weights) {
			k.weight = weights[0]
		}
	}
	for _, k := range c.checks {
		if !slices.Contains(c.used(), k) && !k.reverse {
			c.note(k.at, Changed, "no VIP tracks it: left out")
		}
	}
	for _, v := range c.vips {
		c.mixed(v)
	}
	if c.scriptUser == "" && len(c.programs) > 0 {
		c.note(c.programs[0], Changed,
			"programs run as the user vipd, without capabilities, not as keepalived_script or root: name another one by node.script_user")
	}
}

// mixed leaves files out whose number is the weight, where another check of the
// VIP needs a table of weights: such a table has a number for each.
func (c *converter) mixed(v *vip) {
	if c.listed(v) {
		return
	}
	v.track = slices.DeleteFunc(v.track, func(t track) bool {
		if t.own {
			c.note(t.at, Refused, "left out: beside a check with a weight of its own here, the number in a file cannot count")
		}
		return t.own
	})
}

// listed reports whether all weights of a VIP are those of its checks.
func (m *vipd) listed(v *vip) bool {
	return !slices.ContainsFunc(v.track, func(t track) bool {
		return slices.ContainsFunc(m.checks, func(k *check) bool { return k.name == t.name && !k.value && k.weight != t.weight })
	})
}

// output is a file while it is written.
type output struct{ strings.Builder }

// toml writes the configuration.
func (m *vipd) toml(from string) string {
	var o output
	o.comment(append([]string{"Converted from " + from + " by vipd import-keepalived."}, m.comments...))
	o.table("node", m.node())
	o.table("vip_defaults", m.defaults())
	for _, v := range m.vips {
		o.section(v.comments)
		o.table("vip."+key(v.name), m.vip(v))
	}
	for _, g := range m.groups {
		o.section(g.comments)
		var names []string
		for _, v := range g.members {
			names = append(names, v.name)
		}
		keys := append([]setting{{"vips", quotedList(names)}}, notifyKeys(g.notify)...)
		if m.fifo != "" {
			keys = append(keys, setting{"notify_fifo", quote(m.fifo)})
		}
		o.table("sync."+key(g.name), keys)
	}
	for _, k := range m.used() {
		o.section(k.comments)
		keys := append([]setting{{"type", quote(k.kind)}}, k.keys...)
		if k.weight != 0 && !k.value {
			keys = append(keys, setting{"weight", strconv.Itoa(k.weight)})
		}
		o.table("check."+key(k.name), keys)
	}
	return o.String()
}

func (m *vipd) node() (keys []setting) {
	if m.nodeName != "" {
		keys = append(keys, setting{"name", quote(m.nodeName)})
	}
	if m.startupDelay > 0 {
		keys = append(keys, setting{"startup_delay", quote(span(m.startupDelay))})
	}
	if m.scriptUser != "" {
		keys = append(keys, setting{"script_user", quote(m.scriptUser)})
	}
	return keys
}

// defaults are what keepalived sets for all instances. The version is always
// written: keepalived's default is 2, vipd's is 3.
func (m *vipd) defaults() []setting {
	if len(m.vips) == 0 {
		return nil
	}
	keys := []setting{{"version", strconv.Itoa(m.common())}}
	keys = append(keys, m.garp.keys()...)
	if m.fifo != "" {
		keys = append(keys, setting{"notify_fifo", quote(m.fifo)})
	}
	return keys
}

// common is the version of all VIPs, or else of those that say nothing.
func (m *vipd) common() int {
	for _, v := range m.vips {
		if v.version != m.vips[0].version {
			return max(m.version, 2)
		}
	}
	return m.vips[0].version
}

// vip writes one VIP.
func (m *vipd) vip(v *vip) []setting {
	keys := []setting{{"interface", quote(v.iface)}, {"vrid", strconv.Itoa(v.vrid)}, {"priority", strconv.Itoa(v.priority)}}
	if v.version != m.common() {
		keys = append(keys, setting{"version", strconv.Itoa(v.version)})
	}
	keys = append(keys, setting{"advert_interval", quote(span(v.interval))})
	var addresses []string
	for _, p := range v.addresses {
		addresses = append(addresses, address(p))
	}
	keys = append(keys, setting{"addresses", quotedList(addresses)})
	if v.noPreempt {
		keys = append(keys, setting{"preempt", "false"})
	}
	if v.delay > 0 {
		keys = append(keys, setting{"preempt_delay", quote(span(v.delay))})
	}
	if v.source.IsValid() {
		keys = append(keys, setting{"unicast_source", quote(v.source.String())})
	}
	if len(v.peers) > 0 {
		var peers []string
		for _, p := range v.peers {
			peers = append(peers, p.String())
		}
		keys = append(keys, setting{"unicast_peers", quotedList(peers)})
	}
	if v.vmac {
		keys = append(keys, setting{"vmac", "true"})
	}
	if v.auth != nil {
		keys = append(keys, v.auth.setting())
	}
	if len(v.track) > 0 {
		keys = append(keys, setting{"track", tracks(v.track, m.listed(v))})
	}
	if len(v.interfaces) > 0 {
		faults := !slices.ContainsFunc(v.interfaces, func(t track) bool { return t.weight != 0 })
		keys = append(keys, setting{"track_interfaces", tracks(v.interfaces, faults)})
	}
	keys = append(keys, v.garp.keys()...)
	if len(v.routes) > 0 {
		keys = append(keys, setting{"routes", routes(v.routes)})
	}
	return append(keys, notifyKeys(v.notify)...)
}

// tracks writes names as a list, or as a table with their weights.
func tracks(all []track, list bool) string {
	var parts []string
	for _, t := range all {
		switch {
		case list:
			parts = append(parts, quote(t.name))
		case t.weight == 0:
			parts = append(parts, key(t.name)+` = "fault"`)
		default:
			parts = append(parts, key(t.name)+" = "+strconv.Itoa(t.weight))
		}
	}
	if list {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func routes(all []route) string {
	var parts []string
	for _, r := range all {
		text := "{ to = " + quote(r.to.String())
		if r.via.IsValid() {
			text += ", via = " + quote(r.via.String())
		}
		if r.table != 0 {
			text += ", table = " + strconv.Itoa(r.table)
		}
		parts = append(parts, text+" }")
	}
	if len(parts) == 1 {
		return "[" + parts[0] + "]"
	}
	return "[\n    " + strings.Join(parts, ",\n    ") + ",\n]"
}

// keys writes what is set. The first burst is at once, as keepalived's is.
func (g garp) keys() []setting {
	var parts []string
	if g.repeat != nil {
		parts = append(parts, "repeat = "+strconv.Itoa(*g.repeat))
	}
	if g.interval != nil {
		parts = append(parts, "interval = "+quote(span(*g.interval)))
	}
	if g.delay != nil {
		bursts := []time.Duration{0}
		if *g.delay > 0 {
			bursts = append(bursts, *g.delay)
		}
		var texts []string
		for _, d := range bursts {
			texts = append(texts, span(d))
		}
		parts = append(parts, "bursts = "+quotedList(texts))
	}
	if g.refresh != nil {
		parts = append(parts, "refresh = "+quote(span(*g.refresh)))
	}
	if parts == nil {
		return nil
	}
	return []setting{{"garp", "{ " + strings.Join(parts, ", ") + " }"}}
}

func notifyKeys(n notify) []setting {
	argv := n.command()
	switch {
	case len(argv) == 0:
		return nil
	case len(argv) == 1:
		return []setting{{"notify", quote(argv[0])}}
	case len(n.states) == 0:
		return []setting{{"notify", quotedList(argv)}}
	}
	// The program of the shell on lines of its own.
	return []setting{{"notify", fmt.Sprintf("[%s, %s, %s, %s]", quote(argv[0]), quote(argv[1]), lines(argv[2]), quote(argv[3]))}}
}

// section leaves a line free and writes comments.
func (o *output) section(comments []string) {
	o.WriteByte('\n')
	o.comment(comments)
}

func (o *output) comment(lines []string) {
	for _, l := range lines {
		o.WriteString(strings.TrimRight("# "+printable(l), " ") + "\n")
	}
}

// table writes a header and its keys, aligned; nothing when there are none.
func (o *output) table(name string, keys []setting) {
	if len(keys) == 0 {
		return
	}
	if !strings.Contains(name, ".") {
		o.WriteByte('\n')
	}
	width := len(slices.MaxFunc(keys, func(a, b setting) int { return cmp.Compare(len(a.key), len(b.key)) }).key)
	o.WriteString("[" + name + "]\n")
	for _, k := range keys {
		fmt.Fprintf(&o.Builder, "%-*s = %s\n", width, k.key, k.value)
	}
}

var bare = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// key writes a name as TOML has it in a header.
func key(name string) string {
	if bare.MatchString(name) {
		return name
	}
	return quote(name)
}

// quote writes a string as TOML has it.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// lines writes a text of several lines, as it is where TOML can.
func lines(text string) string {
	if strings.Contains(text, "'''") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		return quote(text)
	}
	return "'''\n" + text + "'''"
}

func quotedList(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = quote(s)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// printable takes control characters out of a comment.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
