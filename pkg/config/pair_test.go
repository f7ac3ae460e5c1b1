package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func addrPorts(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// TestPair: both hosts have the same file, and each leaves itself out.
func TestPair(t *testing.T) {
	t.Parallel()
	c := parse(t, example(t, "pair.toml"))
	if n := len(c.Engine.Pair.Peers); n != 2 || c.Engine.Node != "" {
		t.Fatalf("%d peers of %q", n, c.Engine.Node)
	}
	c.SetNode("lb1")
	want := engine.Pair{Peers: map[string][]netip.Addr{"lb2": addrs("192.0.2.3", "10.0.9.3")}}
	if diff := cmp.Diff(want, *c.Engine.Pair, comparers); diff != "" || c.Engine.Node != "lb1" {
		t.Errorf("the engine's part (-want +got)\n%s", diff)
	}
	channel := Pair{
		Listen: netip.MustParseAddrPort("[::]:5798"), Key: "the long and random secret of pair-key",
		Peers: map[string][]netip.AddrPort{"lb2": addrPorts("192.0.2.3:5798", "10.0.9.3:5798")},
	}
	if diff := cmp.Diff(channel, c.Pair, comparers); diff != "" {
		t.Errorf("the channel's part (-want +got)\n%s", diff)
	}
	if text := fmt.Sprintf("%+v %v", *c, c.Pair); strings.Contains(text, "random secret") {
		t.Errorf("the key is printed: %s", text)
	}
}

// TestPairForms: values that may be written in more than one way.
func TestPairForms(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer(
		"[vip.web]", "[node]\nname = \"lb2\"\n[vip.web]",
		`":5798"`, `"192.0.2.3:999"`, `"pair-key"`, `"/etc/key"`+"\ninterval = \"30ms\"",
		`["192.0.2.2", "10.0.9.2"]`, `["192.0.2.2", "10.0.9.2:7"]`,
	).Replace(example(t, "pair.toml"))
	c := parse(t, text)
	want := Pair{
		Listen: netip.MustParseAddrPort("192.0.2.3:999"), Key: "the long and random secret of /etc/key",
		Peers: map[string][]netip.AddrPort{"lb1": addrPorts("192.0.2.2:999", "10.0.9.2:7")},
	}
	if diff := cmp.Diff(want, c.Pair, comparers); diff != "" || c.Engine.Pair.Interval != 30*time.Millisecond {
		t.Errorf("the channel, every %v (-want +got)\n%s", c.Engine.Pair.Interval, diff)
	}
	for listen, want := range map[string]string{":1": "[::]:1", "0.0.0.0:1": "0.0.0.0:1", "[::]:1": "[::]:1", "[2001:db8::1]:1": "[2001:db8::1]:1"} {
		if got := listenAddress(listen); got.String() != want {
			t.Errorf("%s is %s", listen, got)
		}
	}
}

// keys is a Reader with one key.
type keys struct {
	memory
	key string
}

func (k keys) Secret(name string) (string, error) {
	if k.key == "" {
		return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return k.key, nil
}

// TestPairKey: bytes count, not their notation, and nothing of a key is shown.
func TestPairKey(t *testing.T) {
	t.Parallel()
	text := example(t, "pair.toml")
	for key, want := range map[string]string{
		strings.Repeat("k", 32):                  strings.Repeat("k", 32),
		" \t" + strings.Repeat("k", 40) + "\n\n": strings.Repeat("k", 40),
		"hex:" + strings.Repeat("00fF", 16):      strings.Repeat("\x00\xff", 16),
		"hex:" + strings.Repeat("6b", 32) + "  ": strings.Repeat("k", 32),
		strings.Repeat("k", 31):                  "",
		strings.Repeat("k", 31) + "   ":          "",
		"hex:" + strings.Repeat("6b", 31):        "",
		"hex:" + strings.Repeat("6b", 32) + "6":  "",
		"hex:" + strings.Repeat("six", 32):       "",
		"":                                       "",
	} {
		c, problems := Load(keys{memory{"vipd.toml": text}, key}, "vipd.toml")
		switch {
		case (c != nil) != (want != ""):
			t.Errorf("%q: %s", key, formatted(t, problems))
		case c != nil && string(c.Pair.Key) != want:
			t.Errorf("%q is %q", key, string(c.Pair.Key))
		}
		if shown := strings.TrimSpace(key); shown != "" && strings.Contains(formatted(t, problems), shown) {
			t.Errorf("the key is shown: %s", formatted(t, problems))
		}
	}
}

func TestDiffPair(t *testing.T) {
	t.Parallel()
	text := example(t, "pair.toml")
	away, _, _ := strings.Cut(text, "[pair]")
	for name, test := range map[string]struct {
		from, to string
		want     []string
	}{
		"nothing":  {text, text, nil},
		"interval": {text, strings.Replace(text, `"pair-key"`, `"pair-key"`+"\ninterval = \"50ms\"", 1), []string{"pair: interval auto -> 50ms"}},
		"key":      {text, strings.Replace(text, `"pair-key"`, `"new-key"`, 1), []string{"pair: another key"}},
		"port": {text, strings.Replace(text, ":5798", ":5799", 1), []string{
			"pair: listen [::]:5798 -> [::]:5799",
			"peer.lb1: addresses: added 192.0.2.2:5799, added 10.0.9.2:5799, removed 192.0.2.2:5798, removed 10.0.9.2:5798",
			"peer.lb2: addresses: added 192.0.2.3:5799, added 10.0.9.3:5799, removed 192.0.2.3:5798, removed 10.0.9.3:5798",
		}},
		"path":  {text, strings.Replace(text, `, "10.0.9.3"`, "", 1), []string{"peer.lb2: addresses: removed 10.0.9.3:5798"}},
		"away":  {text, away, []string{"pair: removed", "peer.lb1: removed", "peer.lb2: removed"}},
		"added": {away, text, []string{"pair: added", "peer.lb1: added", "peer.lb2: added"}},
	} {
		if diff := cmp.Diff(test.want, Diff(parse(t, test.from), parse(t, test.to))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
