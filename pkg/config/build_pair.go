package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/pair"
)

// Pair is what the pair channel needs and the engine need not know.
type Pair struct {
	Listen netip.AddrPort              // [::] = all addresses of both families; invalid = there is no channel
	Key    Secret                      // its bytes: 32 or more
	Peers  map[string][]netip.AddrPort // by name of the other host
}

// SetNode names this host. A [peer.NAME] of that name is this host itself, as in a
// file that all hosts share, and is left out.
func (c *Config) SetNode(name string) {
	c.Engine.Node = name
	if c.Engine.Pair != nil {
		delete(c.Engine.Pair.Peers, name)
		delete(c.Pair.Peers, name)
	}
	delete(c.Engine.Fences, name)
}

// maxPaths is how many addresses a peer may have.
const maxPaths = 8

// pair fills in the channel to the other hosts, when there is a [pair] table.
func (b *builder) pair(c *Config) {
	s := section{node: b.root.table["pair"], pattern: "pair"}
	if s.node == nil || !s.node.isTable() {
		return
	}
	listen := listenAddress(get[string](s, "listen"))
	c.Pair = Pair{Listen: listen, Key: b.pairKey(s), Peers: map[string][]netip.AddrPort{}}
	c.Engine.Pair = &engine.Pair{Interval: get[time.Duration](s, "interval"), Peers: map[string][]netip.Addr{}}
	for _, p := range b.sections("peer") {
		name := p.node.name
		c.Pair.Peers[name], c.Engine.Pair.Peers[name] = nil, nil
		for _, a := range getList[netip.AddrPort](p, "addresses") {
			if a.Port() == 0 {
				a = netip.AddrPortFrom(a.Addr(), listen.Port())
			}
			c.Pair.Peers[name] = append(c.Pair.Peers[name], a)
			c.Engine.Pair.Peers[name] = append(c.Engine.Pair.Peers[name], a.Addr())
		}
	}
}

// ParseListen reads an IP address and port to listen on, or :port for all
// addresses of both families. The error goes on from a name of what was wrong:
// "must name ...".
func ParseListen(s string) (netip.AddrPort, error) {
	if err := checkListen(s); err != nil {
		return netip.AddrPort{}, err
	}
	return listenAddress(s), nil
}

// listenAddress is an address to listen on that was checked; without a host it is
// all of both families.
func listenAddress(s string) netip.AddrPort {
	host, port, _ := splitHostPort(s)
	number, _ := strconv.ParseUint(port, 10, 16)
	a, err := netip.ParseAddr(host)
	if err != nil {
		a = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(a, uint16(number))
}

// pairKey reads the key that hosts share, out of the key_file of a section.
func (b *builder) pairKey(s section) Secret {
	n := s.find("key_file")
	name := get[string](s, "key_file")
	if !b.must(s, "key_file", `"pair-key"`) || name == "" {
		return ""
	}
	text, err := b.reader.Secret(name)
	hint := "make one: (umask 077; (printf hex:; openssl rand -hex 32) > FILE), the same on all hosts"
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		hint = ""
	}
	var key Secret
	if err == nil {
		key, err = ParseKey(name, text)
	}
	if err != nil {
		b.wrong(n, cause(err).Error(), hint)
		return ""
	}
	return key
}

// ParseKey reads a key that hosts share out of the text of a file: its bytes, or
// "hex:" and their digits. It has pair.MinKey bytes or more.
func ParseKey(file, text string) (Secret, error) {
	key := strings.TrimSpace(text)
	if digits, ok := strings.CutPrefix(key, "hex:"); ok {
		bytes, err := hex.DecodeString(digits)
		if err != nil {
			return "", errors.New(file + ` has more than hexadecimal digits after "hex:"`)
		}
		key = string(bytes)
	}
	if len(key) < pair.MinKey {
		return "", fmt.Errorf("%s holds %d bytes, a key has %d or more", file, len(key), pair.MinKey)
	}
	return Secret(key), nil
}

// pairRules checks the channel and the other hosts.
func (b *builder) pairRules(c *Config) {
	peers := b.sections("peer")
	if c.Engine.Pair == nil {
		if len(peers) > 0 {
			b.atValue(peers[0].node, Error, fmt.Sprintf("%s: there is no [pair] table", peers[0].node), "add [pair] with `key_file = \"pair-key\"`")
		}
		return
	}
	others := 0
	seen := map[netip.Addr]section{}
	for _, s := range peers {
		if s.node.name != c.Engine.Node {
			others++
		}
		if b.must(s, "addresses", `["192.0.2.3"]`) {
			b.peerRules(s, c, seen)
		}
	}
	b.beatRules(c)
	if others == 0 && b.root.table["pair"] != nil {
		b.atValue(b.root.table["pair"], Error, "pair: there is no other host to talk to", "add [peer.NAME] with `addresses = [\"192.0.2.3\"]`")
	}
}

// beatRules warns of a channel that tells rarer than adverts do: its last word counts
// for three intervals and a half, and what the word says is held is not taken.
func (b *builder) beatRules(c *Config) {
	n, d := section{node: b.root.table["pair"], pattern: "pair"}.find("interval"), c.Engine.Pair.Interval
	fastest := ""
	for _, name := range slices.Sorted(maps.Keys(c.Engine.VIPs)) {
		if each := c.Engine.VIPs[name].Interval; each > 0 && each < d && (fastest == "" || each < c.Engine.VIPs[fastest].Interval) {
			fastest = name
		}
	}
	if n != nil && fastest != "" {
		b.atValue(n, Warning, fmt.Sprintf("%s: a dead host is followed after %s only, also by %s with its adverts each %s", n, words(d*7/2), fastest, words(c.Engine.VIPs[fastest].Interval)),
			"`interval = \"auto\"` tells as often as adverts do, from 30ms to 100ms")
	}
}

// peerRules checks the addresses of one host; seen are those of the others.
func (b *builder) peerRules(s section, c *Config, seen map[netip.Addr]section) {
	list := s.find("addresses")
	switch {
	case list.parsed == nil:
		return
	case len(list.list) == 0:
		b.wrong(list, "the list is empty", "")
	case len(list.list) > maxPaths:
		b.wrong(list, fmt.Sprintf("%d addresses: a host has %d paths at most", len(list.list), maxPaths), "")
	}
	listen := c.Pair.Listen.Addr()
	for _, n := range list.list {
		a := n.parsed.(netip.AddrPort).Addr()
		switch other, taken := seen[a]; {
		case taken && other.node == s.node:
			b.wrong(n, fmt.Sprintf("%s is listed twice", a), "")
		case taken:
			b.wrong(n, fmt.Sprintf("%s is an address of %s already", a, other.node), "")
		}
		seen[a] = s
		if vip := b.vipOf(a); vip != nil {
			b.wrong(n, fmt.Sprintf("%s moves with %s", a, vip), "use an address that stays on its host")
		}
		if a.Is4() != listen.Is4() && !(listen.Is6() && listen.IsUnspecified()) && listen.IsValid() {
			b.wrong(n, fmt.Sprintf("%s is not of the family of pair.listen, %s", a, listen), "`listen = \":5798\"` is both families")
		}
	}
}

// vipOf returns the VIP that an address belongs to, nil when it is none.
func (b *builder) vipOf(a netip.Addr) *node {
	for _, s := range b.vips() {
		for _, p := range getList[netip.Prefix](s, "addresses") {
			if p.Addr() == a {
				return s.node
			}
		}
	}
	return nil
}
