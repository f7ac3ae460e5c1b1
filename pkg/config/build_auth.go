package config

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// keyring is a table of key ids and the files that hold them; its value is a
// []keyFile, sorted by id.
type keyring struct{}

// keyFile is one key of a keyring.
type keyFile struct {
	id   uint8
	name string // of the file or credential
	node *node
}

func (keyring) allowed() string { return "a table of ids, 1–255, and " + secretText.allowed() }

func (k keyring) parse(r *reporter, n *node) (any, bool) {
	const hint = "write `keys = { 1 = \"vrrp-key-1\" }`"
	if !n.isTable() {
		r.mismatch(n, "a table of ids and files", hint)
		return nil, false
	}
	if len(n.table) == 0 {
		r.wrong(n, "the table is empty", hint)
		return nil, false
	}
	var files []keyFile
	ok := true
	for _, child := range n.children() {
		id, err := strconv.ParseUint(child.name, 10, 8)
		if err != nil || id == 0 || strconv.FormatUint(id, 10) != child.name {
			r.atKey(child, Error, fmt.Sprintf("%s: %q is not a key id, 1–255", n, child.name), hint)
			ok = false
			continue
		}
		name, good := secretText.parse(r, child)
		if !good {
			ok = false
			continue
		}
		files = append(files, keyFile{uint8(id), name.(string), child})
	}
	slices.SortFunc(files, func(a, b keyFile) int { return int(a.id) - int(b.id) })
	return files, ok
}

// auth adds how the adverts of a VIP are authenticated, if they are.
func (b *builder) auth(s section, v engine.VIP, c *Config) {
	if n := s.find("auth"); n == nil || !n.isTable() || !b.mustAuth(s, "mode", `"enforce"`) {
		return
	}
	mode := get[string](s, "auth.mode")
	if mode == "" || mode == authOff {
		return
	}
	a := vrrp.Auth{Mode: vrrp.AuthMode(mode)}
	if a.Mode == vrrp.AuthPassword {
		a.Password = b.advertPassword(s)
	} else {
		b.keyedAuth(s, v, &a)
	}
	if c.Auth == nil {
		c.Auth = map[string]vrrp.Auth{}
	}
	c.Auth[s.node.name] = a
}

// mustAuth returns whether a key of auth is set, and reports it if not, unless an
// unknown one was meant as that.
func (b *builder) mustAuth(s section, key, example string) bool {
	if n := find(s.node, []string{"auth"}); n != nil {
		for _, child := range n.table {
			if child.meant == key {
				return false
			}
		}
	}
	return b.must(s, "auth."+key, example)
}

// keyedAuth fills in what the modes with keys need.
func (b *builder) keyedAuth(s section, v engine.VIP, a *vrrp.Auth) {
	if b.mustAuth(s, "keys", `{ 1 = "vrrp-key-1" }`) {
		a.Keys = b.keys(s.find("auth.keys"))
	}
	files := get[[]keyFile](s, "auth.keys")
	a.ActiveKey = uint8(get[int](s, "auth.active_key"))
	if a.ActiveKey == 0 && len(files) == 1 {
		a.ActiveKey = files[0].id
	}
	a.AntiReplay = vrrp.ReplayTime
	if way := get[string](s, "auth.anti_replay"); way != "" {
		a.AntiReplay = vrrp.AntiReplay(way)
	}
	if a.Window = get[time.Duration](s, "auth.time_window"); a.Window == 0 {
		a.Window = vrrp.DefaultWindow(v.Interval)
	}
}

// keys reads the files of a keyring, each once, whoever shares it.
func (b *builder) keys(n *node) map[uint8]vrrp.Secret {
	files, ok := n.parsed.([]keyFile)
	if read, done := b.keyrings[n]; done || !ok {
		return read
	}
	keys := map[uint8]vrrp.Secret{}
	for _, f := range files {
		text, err := b.reader.Secret(f.name)
		if err != nil {
			b.wrong(f.node, cause(err).Error(), "")
			continue
		}
		key, err := vrrp.ParseKey(text)
		if err != nil {
			b.wrong(f.node, fmt.Sprintf("%s %v", f.name, err), keyHint)
			continue
		}
		keys[f.id] = key
	}
	if b.keyrings == nil {
		b.keyrings = map[*node]map[uint8]vrrp.Secret{}
	}
	b.keyrings[n] = keys
	return keys
}

// keyHint is how to make a good key.
const keyHint = `printf 'hex:%s' "$(openssl rand -hex 32)" makes one`

// advertPassword reads the password of version 2.
func (b *builder) advertPassword(s section) vrrp.Secret {
	name := get[string](s, "auth.password_file")
	if !b.mustAuth(s, "password_file", `"vrrp-password"`) || name == "" {
		return ""
	}
	text, err := b.reader.Secret(name)
	if err != nil {
		b.wrong(s.find("auth.password_file"), cause(err).Error(), "")
		return ""
	}
	password, err := vrrp.ParsePassword(text)
	if err != nil {
		b.wrong(s.find("auth.password_file"), fmt.Sprintf("%s %v", name, err), "keepalived uses the first 8 characters of a longer one")
	}
	return password
}

// authRules checks what the keys of auth must agree on.
func (b *builder) authRules(s section, v engine.VIP, a vrrp.Auth) {
	mode := s.find("auth.mode")
	if a.Mode == vrrp.AuthPassword {
		if v.Version != vrrp.Version2 && v.Version != 0 {
			b.bad(s, mode, "version 3 has no password", "use `keys`, or `version = 2`")
			return
		}
		b.excludes(s, "keys")
		b.atValue(mode, Warning, fmt.Sprintf("%s: the password travels in clear text: it keeps mistakes away, and nobody who listens", s.node),
			"where all hosts can, sign adverts with `keys`")
		return
	}
	b.excludes(s, "password_file")
	files := get[[]keyFile](s, "auth.keys")
	active := s.find("auth.active_key")
	known := slices.ContainsFunc(files, func(f keyFile) bool { return f.id == a.ActiveKey })
	switch {
	case len(files) == 0:
	case active != nil && active.parsed != nil && !known:
		b.bad(s, active, fmt.Sprintf("there is no key %d", a.ActiveKey), "the ids in `keys` are "+ids(files))
	case active == nil && a.ActiveKey == 0 && a.Mode != vrrp.AuthReceiveOnly:
		b.mustAuth(s, "active_key", strconv.Itoa(int(files[0].id)))
	}
	if n := s.find("auth.time_window"); n != nil && a.AntiReplay == vrrp.ReplayMonotonic {
		b.atValue(n, Warning, n.String()+" has no effect with `anti_replay = \"monotonic\"`", "")
	}
}

// excludes refuses a key that means nothing in the mode that stands beside it.
// One in [vip_defaults] is for others.
func (b *builder) excludes(s section, key string) {
	if n, mode := find(s.node, []string{"auth", key}), s.find("auth.mode"); n != nil {
		b.atKey(n, Error, fmt.Sprintf("%s: mode %s has no `%s`", s.node, mode.raw(), key), "")
	}
}

// ids lists the ids of keys.
func ids(files []keyFile) string {
	var list []string
	for _, f := range files {
		list = append(list, strconv.Itoa(int(f.id)))
	}
	return join(list, "and")
}

// describeAuth says that there are keys, and not what they are.
func describeAuth(a vrrp.Auth) settings {
	if a.Mode == vrrp.AuthPassword {
		return settings{"auth.mode": {string(a.Mode)}}
	}
	s := settings{
		"auth.mode":        {string(a.Mode)},
		"auth.active_key":  positive(int64(a.ActiveKey), strconv.Itoa(int(a.ActiveKey))),
		"auth.anti_replay": {string(a.AntiReplay)},
		"auth.time_window": {words(a.Window)},
	}
	for _, id := range names(a.Keys) {
		s["auth.keys"] = append(s["auth.keys"], strconv.Itoa(int(id)))
	}
	return s
}

// newKeys lists the VIPs that have another secret under the same name.
func newKeys(from, to *Config) []string {
	var lines []string
	for _, name := range names(to.Auth) {
		was, is := from.Auth[name], to.Auth[name]
		for _, id := range names(is.Keys) {
			if old, there := was.Keys[id]; there && old != is.Keys[id] {
				lines = append(lines, fmt.Sprintf("vip.%s: auth: another key %d", name, id))
			}
		}
		if was.Password != "" && is.Password != "" && was.Password != is.Password {
			lines = append(lines, fmt.Sprintf("vip.%s: auth: another password", name))
		}
	}
	return lines
}
