package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// fenceRules checks what the keys of fencing must agree on.
func (b *builder) fenceRules(c *Config) {
	s := section{node: b.root.table["fence"], pattern: "fence"}
	for _, d := range b.sections("fence.device") {
		b.deviceRules(d, c.FenceSecrets[d.node.name])
	}
	for _, p := range b.sections("peer") {
		b.levelRules(p)
	}
	b.takeoverRules(s, c.Engine)
	if n := s.find("track"); n != nil && n.parsed != nil {
		for _, element := range n.list {
			name, _ := element.parsed.(string)
			if _, known := c.Engine.Checks[name]; !known {
				b.wrong(element, fmt.Sprintf("there is no check %q", name), checkHint(name, c.Engine.Checks))
			}
		}
	}
	b.verifyRules(s)
	b.unusedDevices(c.Engine)
}

// verifyRules checks that the readings can be done in time.
func (b *builder) verifyRules(s section) {
	v := b.fence(nil).Verify
	if v.Within == 0 || time.Duration(v.Reads-1)*v.Every < v.Within {
		return
	}
	for _, key := range []string{"verify.within", "verify.every", "verify.reads"} {
		if n := s.find(key); n != nil {
			b.wrong(n, fmt.Sprintf("%d readings every %s do not fit into %s", v.Reads, words(v.Every), words(v.Within)), "")
			return
		}
	}
}

// takeoverRules checks that a VIP can have the guard that it asks for.
func (b *builder) takeoverRules(s section, c engine.Config) {
	asked := false
	for _, v := range b.vips() {
		n := v.find("takeover")
		if c.VIPs[v.node.name].Takeover == engine.TakeoverFence {
			if len(c.Fences) == 0 && b.kept[Error] == 0 {
				b.bad(v, n, `"fence" needs a [peer.NAME] with fence`, `say how the peer is cut off: fence = [["DEVICE"]], with a [fence.device.DEVICE]`)
			}
			asked = true
		}
	}
	if !asked {
		return
	}
	for _, p := range b.sections("peer") {
		if p.find("fence") == nil && p.node.name != c.Node {
			b.atValue(p.node, Error, fmt.Sprintf("%s: `fence` is missing", p.node), `a VIP with takeover = "fence" needs to know how to cut every peer off`)
		}
	}
	const hint = "add `track = [\"gateway\"]`, a check of type icmp, or an isolated host fences the healthy one; `track = []` if there is nothing to check"
	if s.find("track") == nil {
		if s.node == nil {
			b.report(b.root.file, span{}, Error, "[fence]: `track` is missing", hint)
			return
		}
		b.atValue(s.node, Error, "fence: `track` is missing", hint)
	}
}

// levelRules checks the levels of a peer.
func (b *builder) levelRules(p section) {
	n := p.find("fence")
	if n == nil || n.parsed == nil {
		return
	}
	if len(n.list) == 0 {
		b.wrong(n, "the list is empty", "")
	}
	known := map[string]section{}
	for _, d := range b.sections("fence.device") {
		known[d.node.name] = d
	}
	for i, level := range n.list {
		if len(level.list) == 0 {
			b.wrong(level, "the list is empty", "")
		}
		seen := map[string]bool{}
		for _, element := range level.list {
			name, _ := element.parsed.(string)
			d, ok := known[name]
			switch {
			case !ok:
				hint := fmt.Sprintf("add a [fence.device.%s] table", name)
				if near := nearest(name, names(known)); near != "" {
					hint = fmt.Sprintf("did you mean %q?", near)
				}
				b.wrong(element, fmt.Sprintf("there is no [fence.device.%s]", name), hint)
			case seen[name]:
				b.wrong(element, fmt.Sprintf("%q is listed twice", name), "")
			case get[string](d, "agent") == fence.AgentManual && (len(level.list) > 1 || i < len(n.list)-1):
				b.wrong(element, fmt.Sprintf("%q waits for an operator, and must be a list of its own, the last one", name), "")
			}
			seen[name] = true
		}
	}
}

// redfishOptions are those of the agent that is built in.
var redfishOptions = []string{"auth", "ca_file", "fingerprint", "system", "url", "username"}

var fingerprint = regexp.MustCompile(`^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$`)

// deviceRules checks the options of agents that are built in.
func (b *builder) deviceRules(d section, secrets map[string]Secret) {
	options := d.find("options")
	switch get[string](d, "agent") {
	case fence.AgentManual:
		for _, key := range []string{"options", "password_file", "secret_files"} {
			if n := d.find(key); n != nil {
				b.atKey(n, Error, fmt.Sprintf("%s: an operator has no `%s`", d.node, key), "")
			}
		}
	case fence.AgentRedfish:
		if options == nil || !options.isTable() {
			b.must(d, "options", `{ url = "https://10.0.8.3", username = "vipd" }`)
			return
		}
		b.redfishRules(d, options)
		if d.find("password_file") == nil && len(secrets) == 0 {
			b.must(d, "password_file", `"NAME"`)
		}
	}
}

// redfishRules checks what a BMC is told.
func (b *builder) redfishRules(d section, options *node) {
	for _, n := range options.children() {
		if !slices.Contains(redfishOptions, n.name) {
			hint := "it has " + join(redfishOptions, "and")
			if near := nearest(n.name, redfishOptions); near != "" {
				hint = fmt.Sprintf("did you mean `%s`?", near)
			}
			b.atKey(n, Error, fmt.Sprintf("unknown option `%s` of the agent redfish", n.name), hint)
			continue
		}
		text, _ := n.value.(string)
		switch n.name {
		case "url":
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
				b.wrong(n, n.raw()+" is not the URL of a BMC", `write "https://10.0.8.3"`)
			}
		case "auth":
			if text != "basic" && text != "session" {
				b.wrong(n, n.raw()+` is not "basic" or "session"`, "")
			}
		case "system":
			if !strings.HasPrefix(text, "/") {
				b.wrong(n, n.raw()+" is not a path", `write "/redfish/v1/Systems/1"`)
			}
		case "ca_file":
			if err := checkPath(text); err != nil {
				b.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), "")
			}
		case "fingerprint":
			if !fingerprint.MatchString(text) {
				b.wrong(n, n.raw()+" is not the SHA-256 of a certificate", "it has 64 hexadecimal digits: openssl x509 -fingerprint -sha256")
			}
		}
	}
	for _, name := range []string{"url", "username"} {
		if options.table[name] == nil {
			b.atValue(options, Error, fmt.Sprintf("%s: `%s` is missing", options, name), "")
		}
	}
}

// unusedDevices warns of devices that no peer is cut off by.
func (b *builder) unusedDevices(c engine.Config) {
	if b.kept[Error] > 0 {
		return
	}
	for _, d := range b.sections("fence.device") {
		used := false
		for _, f := range c.Fences {
			_, here := f.Devices[d.node.name]
			used = used || here
		}
		if !used {
			b.atValue(d.node, Warning, fmt.Sprintf("no peer is fenced by %s", d.node.name), fmt.Sprintf("add `fence = [[%q]]` to a [peer.NAME]", d.node.name))
		}
	}
}
