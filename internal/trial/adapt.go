package trial

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// adapted is a file as a host of the lab has it.
type adapted struct {
	text    string
	secrets []string // names that the file gives, each a file in the directory of the host
	checks  []string // that are made to pass, each such a file as well
	notes   []string // what is not as in the file
}

// adapter rewrites a file, whose keys stand one on a line.
type adapter struct {
	adapted
	dir    string // of the host
	file   *File
	checks bool              // they stay as they are
	agents map[string]string // by peer: what cuts it off in the lab
}

// Tables that a lab has no use for, by their first word.
var dropped = map[string]string{
	"control": "", "metrics": "",
	"bgp": "there is no router in the lab", "bfd": "", "anycast": "there is no router in the lab",
}

// adapt rewrites the file for a host whose files are in dir.
func (f *File) adapt(dir string, withChecks bool, agents map[string]string) adapted {
	a := &adapter{dir: dir, file: f, checks: withChecks, agents: agents}
	a.text = fmt.Sprintf("[node]\nname = %q\nscript_user = \"root\"\n", f.Name)
	header, lines := "", []string(nil)
	for line := range strings.Lines(f.cfg.Text.Written() + "[end]\n") {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "[") {
			lines = append(lines, line)
			continue
		}
		a.table(header, lines)
		header, lines = strings.Trim(line, "[]"), nil
	}
	slices.Sort(a.secrets)
	a.secrets = slices.Compact(a.secrets)
	return a.adapted
}

// table rewrites one table.
func (a *adapter) table(header string, lines []string) {
	kind, name, _ := strings.Cut(header, ".")
	name = strings.Trim(name, `"'`)
	why, drop := dropped[kind]
	switch {
	case header == "" || drop && why == "":
		return
	case drop:
		a.note("[%s]: %s", header, why)
		return
	case kind == "node":
		lines = keep(lines, "startup_delay")
		header = ""
	case kind == "check" && !a.checks:
		lines = a.check(name, lines)
	case kind == "vip" || kind == "vip_defaults" || kind == "sync":
		lines = a.vip(header, lines)
	case header == "fence" || strings.HasPrefix(header, "fence."):
		a.fence(header, name, lines)
		return
	case kind == "witness":
		a.note("%s does not answer: the lab has no third host", header)
		lines = a.secret(lines)
	case kind == "pair":
		lines = a.secret(lines)
	}
	a.write(header, lines)
}

func (a *adapter) write(header string, lines []string) {
	if header != "" {
		a.text += "\n[" + header + "]\n"
	}
	for _, l := range lines {
		if l != "" {
			a.text += l + "\n"
		}
	}
}

func (a *adapter) note(format string, args ...any) {
	a.notes = append(a.notes, a.file.Path+": "+fmt.Sprintf(format, args...))
}

// key is the first part of the key on a line.
func key(line string) string {
	k, _, _ := strings.Cut(line, "=")
	first, _, _ := strings.Cut(strings.TrimSpace(k), ".")
	return first
}

// keep keeps the lines with these keys.
func keep(lines []string, keys ...string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !slices.Contains(keys, key(l)) })
}

// check makes a check pass: it looks for a file that is there. A group stays one.
func (a *adapter) check(name string, lines []string) []string {
	group := slices.ContainsFunc(lines, func(l string) bool { return key(l) == "all" || key(l) == "any" || key(l) == "at_least" })
	if group {
		return lines
	}
	a.adapted.checks = append(a.adapted.checks, name)
	a.note("check.%s passes, nothing is probed", name)
	path := filepath.Join(a.dir, checkFile(name))
	return append(keep(lines, "weight", "after", "while_held", "hold_down"), `type = "file"`, fmt.Sprintf("path = %q", path))
}

func checkFile(name string) string { return "check-" + name }

// hooks and routes act on a host that is not the user's.
var hooks = []string{"notify", "notify_timeout", "notify_coalesce", "notify_fifo", "before_hold", "before_hold_timeout", "routes"}

// vip leaves out what would act on the machine, and gives secrets.
func (a *adapter) vip(header string, lines []string) []string {
	for _, k := range []string{"notify", "notify_fifo", "before_hold", "routes"} {
		if slices.ContainsFunc(lines, func(l string) bool { return key(l) == k }) {
			a.note("%s.%s is left out", header, k)
		}
	}
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return slices.Contains(hooks, key(l)) })
	return a.secret(lines)
}

var quoted = regexp.MustCompile(`"[^"]*"`)

// secret points to files of the lab in place of secrets.
func (a *adapter) secret(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		k, value, _ := strings.Cut(l, " = ")
		out[i] = l
		if k == "key_file" || k == "auth.password_file" || k == "auth.keys" {
			out[i] = k + " = " + quoted.ReplaceAllStringFunc(value, func(q string) string {
				name := filepath.Base(strings.Trim(q, `"`))
				a.secrets = append(a.secrets, name)
				return fmt.Sprintf("%q", filepath.Join(a.dir, "secret-"+name))
			})
		}
	}
	return out
}

// fence gives devices that cut a port of the lab. Nobody waits for the proof that a
// gateway of the real network answers, or that hosts have been up for long.
func (a *adapter) fence(header, name string, lines []string) {
	device, ok := strings.CutPrefix(name, "device.")
	if !ok {
		a.write(header, slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
			return slices.Contains([]string{"settle", "monitor", "rate"}, key(l))
		}))
		if header == "fence" {
			a.write("", []string{`settle = "0s"`, `rate = { max = 100, per = "1m" }`})
			a.note("fence.settle and fence.rate do not count")
		}
		return
	}
	agent := ""
	for peer, f := range a.file.cfg.Engine.Fences {
		if _, ok := f.Devices[device]; ok {
			agent = cmp.Or(a.agents[peer], agent)
		}
	}
	if slices.Contains(lines, `agent = "manual"`) || agent == "" {
		a.write(header, []string{`agent = "manual"`})
		return
	}
	a.note("%s cuts a host of the lab off, and nothing else", header)
	a.write(header, []string{fmt.Sprintf("agent = %q", agent)})
}

// files writes what the text points to.
func (a adapted) files(dir string) error {
	for _, name := range a.secrets {
		if err := os.WriteFile(filepath.Join(dir, "secret-"+name), []byte(secret(name)+"\n"), 0o600); err != nil {
			return fmt.Errorf("write a secret: %w", err)
		}
	}
	for _, name := range a.checks {
		if err := os.WriteFile(filepath.Join(dir, checkFile(name)), nil, 0o600); err != nil {
			return fmt.Errorf("write what check %s looks for: %w", name, err)
		}
	}
	return nil
}
