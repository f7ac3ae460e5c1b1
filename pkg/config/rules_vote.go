package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vote"
)

// votesRules checks the voters, and the VIPs that are voted on.
func (b *builder) votesRules(c *Config) {
	voted := false
	for _, v := range b.vips() {
		cfg := c.Engine.VIPs[v.node.name]
		if cfg.Takeover == engine.TakeoverVotes {
			voted = true
			b.votedRules(v, cfg, c)
		} else if n := v.find("no_majority"); n != nil && n.path[0] == v.node.path[0] {
			b.atValue(n, Warning, fmt.Sprintf("%s: there is no majority without votes", n), `add takeover = "votes"`)
		}
	}
	for _, s := range b.sections("witness") {
		b.witnessRules(s, c)
		if !voted {
			b.atValue(s.node, Warning, fmt.Sprintf("no VIP is voted on, so %s is not asked", s.node), `add takeover = "votes" to a VIP`)
		}
	}
}

// hosts are all that may hold a VIP, this one included.
func hosts(c *Config) []string {
	names := map[string]bool{c.Engine.Node: true}
	if c.Engine.Pair != nil {
		for name := range c.Engine.Pair.Peers {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// votedRules checks that there is a majority, and that it can end a hold.
func (b *builder) votedRules(s section, v engine.VIP, c *Config) {
	n := s.find("takeover")
	etcd := slices.ContainsFunc(c.Engine.Witnesses, func(w vote.Witness) bool { return w.Etcd })
	all := len(hosts(c))
	if c.Engine.Node == "" {
		all-- // its own name is not known here, and may be that of a peer
		if c.Engine.Pair == nil {
			all = 1
		} else if all < 2 {
			all = 2
		}
	}
	switch {
	case etcd:
	case all < 2:
		b.bad(s, n, `"votes" needs the other hosts`, "add [pair] and a [peer.NAME] for each, or a [witness.NAME] of type etcd")
	case all == 2 && len(c.Engine.Witnesses) == 0:
		b.bad(s, n, `"votes" needs a [witness.NAME] table`, "two hosts cannot outvote each other: the third vote is that of a witness")
	case all%2 == 1 && len(c.Engine.Witnesses)%2 == 1:
		b.atValue(b.root.table["witness"], Warning, fmt.Sprintf("%d hosts have a majority without a witness: one more vote adds nothing", all), "leave [witness.NAME] out")
	}
	switch {
	case v.Priority == 255:
		b.bad(s, n, "priority 255 says that the addresses are this host's own: it has no lease that could end", "a priority of 1–254")
	case v.Lease == engine.LeaseNone, v.Lease == engine.LeaseAuto && v.Interval < engine.LeaseLeastInterval:
		b.bad(s, n, "without a lease nothing ends the hold of a host that hangs, whatever was voted", `leave lease out, or write lease = "nft", with an advert_interval of 30ms or more`)
	}
	for _, w := range b.sections("witness") {
		b.ttlRules(w, s, v)
	}
}

// ttlRules checks that the promises of a witness are long enough for a VIP.
func (b *builder) ttlRules(w, s section, v engine.VIP) {
	ttl := w.find("ttl")
	d := get[time.Duration](w, "ttl")
	if ttl == nil || d == 0 {
		return
	}
	lease := v.Interval * 5 / 2
	if v.Lease == engine.LeaseAddress {
		lease = max(lease, 2*time.Second)
	}
	if least := vote.AutoTTL(lease, v.Interval); d < least {
		b.wrong(ttl, fmt.Sprintf("%s is too short for %s, which needs %s", words(d), s.node, words(least)), `two leases and three adverts: leave ttl out, or write "auto"`)
	}
}

// witnessRules checks one voter that is no host.
func (b *builder) witnessRules(s section, c *Config) {
	if slices.Contains(hosts(c), s.node.name) {
		b.atValue(s.node, Error, fmt.Sprintf("%s has the name of a host", s.node), "each voter has a name of its own")
	}
	if get[string](s, "type") == "etcd" {
		b.etcdRules(s, c)
		return
	}
	b.must(s, "address", `"10.0.9.7:5798"`)
	for _, key := range []string{"endpoints", "ca_file", "cert_file"} {
		if n := s.find(key); n != nil {
			b.atKey(n, Error, fmt.Sprintf("%s: a vipd witness has no `%s`", s.node, key), `type = "etcd" has`)
		}
	}
	n := s.find("address")
	if n == nil || n.parsed == nil {
		return
	}
	a := c.Witnesses[s.node.name].Address
	if vip := b.vipOf(a.Addr()); vip != nil {
		b.wrong(n, fmt.Sprintf("%s moves with %s", a.Addr(), vip), "a witness is on a machine that is none of the hosts")
	}
	for name, addresses := range c.Pair.Peers {
		for _, p := range addresses {
			if p.Addr() == a.Addr() {
				b.wrong(n, fmt.Sprintf("%s is an address of peer.%s", a.Addr(), name), "a witness is on a machine that is none of the hosts")
			}
		}
	}
	for other, w := range c.Witnesses {
		if other < s.node.name && w.Address == a {
			b.wrong(n, fmt.Sprintf("%s is the address of witness.%s already", a, other), "one machine has one vote")
		}
	}
}

// etcdRules checks what an etcd needs.
func (b *builder) etcdRules(s section, c *Config) {
	if n := s.find("address"); n != nil {
		b.atKey(n, Error, fmt.Sprintf("%s: an etcd has no `address`", s.node), "its members are endpoints")
	}
	if b.must(s, "endpoints", `["https://10.0.9.7:2379"]`) {
		if n := s.find("endpoints"); n.parsed != nil && (len(n.list) == 0 || len(n.list) > 9) {
			b.wrong(n, fmt.Sprintf("%d endpoints: there are 1–9", len(n.list)), "")
		}
	}
	key, cert := s.find("key_file"), s.find("cert_file")
	switch {
	case key != nil && cert == nil:
		b.must(s, "cert_file", `"/etc/vipd/etcd-client.pem"`)
	case key == nil && cert != nil:
		b.must(s, "key_file", `"etcd-client-key"`)
	}
	if n := s.find("ttl"); n != nil {
		if d := get[time.Duration](s, "ttl"); d != 0 && (d%time.Second != 0 || d < 2*time.Second) {
			b.wrong(n, fmt.Sprintf("%s: leases of an etcd last whole seconds, 2s or more", words(d)), "")
		}
	}
	etcds := 0
	for _, w := range c.Engine.Witnesses {
		if w.Etcd {
			etcds++
		}
	}
	if etcds > 1 {
		b.atValue(s.node, Error, fmt.Sprintf("%s: there is another witness of type etcd", s.node), "one is a majority by itself, two may disagree")
	}
}
