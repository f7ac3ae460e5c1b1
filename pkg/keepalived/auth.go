package keepalived

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Secret is a file that is missing for the result to be complete: what stood in
// keepalived.conf is in no result.
type Secret struct {
	Name    string `json:"name"`    // of the credential, a file in [Credentials]
	Key     bool   `json:"key"`     // that signs, of 32 bytes and more; else a password of up to 8
	Command string `json:"command"` // that makes the file, for a shell
}

// Credentials is where the unit of vipd has the files of its secrets.
const Credentials = "/etc/vipd/credentials"

// Limits of a password of version 2, and of a key, in bytes.
const (
	maxPassword = 8
	minKey      = 32
)

// auth is how the adverts of a VIP are authenticated.
type auth struct {
	mode     string // of vipd
	password string // name of the secret
	keys     []authKey
	active   int // 0 = not said
	replay   string
	window   time.Duration
}

// authKey is a key that adverts may be signed with.
type authKey struct {
	id   int
	name string // of the secret
}

// authenticate settles the two blocks, which exclude each other.
func (c *converter) authenticate(v *vip) {
	hmac, old := v.keyword["auth_hmac"], v.keyword["authentication"]
	switch {
	case hmac != nil && old != nil:
		c.note(old, Changed, "keepalived ignores it beside auth_hmac: left out")
		c.signed(v, hmac)
	case hmac != nil:
		c.signed(v, hmac)
	case old != nil:
		c.password(v, old)
	}
}

// password converts the clear text of version 2.
func (c *converter) password(v *vip, s *statement) {
	kind, pass := s.find("auth_type"), s.find("auth_pass")
	for _, child := range s.block {
		if child != kind && child != pass {
			c.unknown(child)
		}
	}
	switch {
	case kind == nil:
		c.note(s, Refused, "left out: auth_type is missing")
	case kind.word(1) == "AH":
		c.note(s, Refused, "left out: vipd has no IPsec: take the block off keepalived on all hosts first, or sign adverts by auth_hmac and `auth`")
	case kind.word(1) != "PASS":
		c.note(s, Refused, "left out: %q is no auth_type", kind.word(1))
	case v.version == 3:
		c.note(s, Changed, "version 3 has no password, and keepalived ignores it as well: left out; `auth` with keys signs adverts")
	case pass == nil || pass.word(1) == "":
		c.note(s, Refused, "left out: auth_pass is missing")
	case !ascii(pass.word(1)):
		c.note(s, Refused, "left out: vipd takes printable ASCII only: give all hosts another password")
	default:
		secret := Secret{Name: c.credential("vrrp-" + v.name + "-password"), Command: typed}
		what := "it"
		if len(pass.word(1)) > maxPassword {
			what = fmt.Sprintf("its first %d characters, as keepalived uses them", maxPassword)
		}
		v.auth = &auth{mode: "password", password: c.secret(pass.word(1)[:min(len(pass.word(1)), maxPassword)], secret)}
		c.note(kind, Changed, "auth.mode = \"password\": everybody on the network can read it; sign adverts by `auth` with keys when no keepalived is left")
		c.note(pass, Changed, "in a file of its own: %s   and type %s, then Enter and Ctrl-D", c.commandOf(v.auth.password), what)
	}
}

// signed converts the trailer that keepalived 2.4 has.
func (c *converter) signed(v *vip, s *statement) {
	a := &auth{mode: "enforce"}
	for _, child := range s.block {
		before := len(c.findings)
		switch child.name() {
		case "key":
			c.key(v, a, child)
		case "active_key":
			c.into(&a.active, child, 1, 255)
		case "time_window":
			a.window, _ = c.seconds(child, time.Second, 300*time.Second)
		case "anti_replay":
			a.replay = c.oneOf(child, "time", "monotonic")
		case "mode":
			if mode := c.oneOf(child, "enforce", "permissive", "receive-only"); mode != "" {
				a.mode = mode
			}
		default:
			c.unknown(child)
		}
		if len(c.findings) == before {
			c.note(child, Converted, "")
		}
	}
	known := slices.ContainsFunc(a.keys, func(k authKey) bool { return k.id == a.active })
	switch {
	case len(a.keys) == 0:
		c.note(s, Refused, "left out: no key is left")
		return
	case a.active == 0 && len(a.keys) > 1 || a.active != 0 && !known:
		c.note(s, Refused, "left out: active_key names none of the keys")
		return
	}
	if a.replay == "monotonic" {
		a.window = 0
	}
	v.auth = a
}

// key converts a key, which goes to a file of its own.
func (c *converter) key(v *vip, a *auth, s *statement) {
	id, ok := c.number(s, 1, 255)
	value := s.word(2)
	file, isFile := strings.CutPrefix(value, "file:")
	switch {
	case !ok:
		return
	case slices.ContainsFunc(a.keys, func(k authKey) bool { return k.id == id }):
		c.note(s, Refused, "left out: there is a key %d already", id)
		return
	case !isFile && len(value) < minKey:
		c.note(s, Refused, "left out: a key has %d bytes at least", minKey)
		return
	}
	secret := Secret{Name: c.credential("vrrp-" + v.name + "-key-" + strconv.Itoa(id)), Key: true, Command: typed}
	if isFile && plainPath.MatchString(file) {
		secret.Command = "install -m 600 " + file + " " + Credentials + "/%s"
	}
	name := c.secret(value, secret)
	a.keys = append(a.keys, authKey{id, name})
	note := "in a file of its own: " + c.commandOf(name)
	if secret.Command == typed {
		note += "   and type it, then Enter and Ctrl-D"
	}
	c.note(s, Changed, "%s", note)
}

// typed makes a file of what is typed.
const typed = "install -m 600 /dev/stdin " + Credentials + "/%s"

// plainPath is a path that a shell takes as it is.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)

// secret returns the name of the file for a value: the same for the same value.
func (c *converter) secret(value string, s Secret) string {
	if name, known := c.named[value]; known {
		return name
	}
	if c.named == nil {
		c.named = map[string]string{}
	}
	c.named[value] = s.Name
	s.Command = fmt.Sprintf(s.Command, s.Name)
	c.secrets = append(c.secrets, s)
	return s.Name
}

// credential returns a name that no other secret has.
func (c *converter) credential(name string) string {
	return unique(name, func(n string) bool { return slices.ContainsFunc(c.secrets, func(s Secret) bool { return s.Name == n }) })
}

// commandOf is how the file of a secret is made.
func (c *converter) commandOf(name string) string {
	return c.secrets[slices.IndexFunc(c.secrets, func(s Secret) bool { return s.Name == name })].Command
}

// oneOf reads one of some words, "" when it is none of them.
func (c *converter) oneOf(s *statement, words ...string) string {
	if slices.Contains(words, s.word(1)) {
		return s.word(1)
	}
	c.note(s, Refused, "%q is none of %s", s.word(1), strings.Join(words, ", "))
	return ""
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// setting is the key of a VIP.
func (a *auth) setting() setting {
	parts := []string{"mode = " + quote(a.mode)}
	if a.password != "" {
		parts = append(parts, "password_file = "+quote(a.password))
	}
	if len(a.keys) > 0 {
		var keys []string
		for _, k := range a.keys {
			keys = append(keys, fmt.Sprintf("%d = %s", k.id, quote(k.name)))
		}
		parts = append(parts, "keys = { "+strings.Join(keys, ", ")+" }")
	}
	if a.active != 0 {
		parts = append(parts, fmt.Sprintf("active_key = %d", a.active))
	}
	if a.replay != "" {
		parts = append(parts, "anti_replay = "+quote(a.replay))
	}
	if a.window != 0 {
		parts = append(parts, "time_window = "+quote(span(a.window)))
	}
	return setting{"auth", "{ " + strings.Join(parts, ", ") + " }"}
}
