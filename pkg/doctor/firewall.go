package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
)

// traffic is a packet that has to come in.
type traffic struct {
	what  string // "VRRP (IP protocol 112)"
	proto string // as nft names it, or its number
	num   float64
	port  float64 // 0 = none
	iif   string
	v4    bool
	fix   string
}

// wanted is what has to come in.
func (n Needs) wanted() []traffic {
	var list []traffic
	for _, v := range n.VIPs {
		t := traffic{what: "VRRP (IP protocol 112)", proto: "vrrp", num: 112, iif: v.Interface, v4: v.family4(), fix: "meta l4proto 112 accept"}
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	udp := func(what string, port uint16) {
		list = append(list, traffic{what: fmt.Sprintf("%s (UDP %d)", what, port), proto: "udp", num: 17, port: float64(port), v4: true,
			fix: fmt.Sprintf("udp dport %d accept", port)})
	}
	if n.PairPort != 0 {
		udp("the pair channel", n.PairPort)
	}
	if n.BFD {
		udp("BFD", 3784)
	}
	if n.ListenBGP {
		list = append(list, traffic{what: "BGP (TCP 179)", proto: "tcp", num: 6, port: 179, v4: true, fix: "tcp dport 179 accept"})
	}
	return list
}

// firewall looks whether the rules of nftables let in what has to come in.
func firewall(n Needs, f Facts) []Finding {
	var list []Finding
	if f.Legacy {
		list = append(list, finding(Warn, "iptables-legacy-save | grep -- '-p 112\\|-p vrrp'",
			"there are tables of iptables-legacy, which vipd does not read"))
	}
	if f.NFT == nil {
		return append(list, finding(Skip, "nft list ruleset, as root", "the rules of nftables were not read: %s", f.NFTError))
	}
	rules, err := parseRules(f.NFT)
	if err != nil {
		return append(list, finding(Skip, "nft list ruleset", "the rules of nftables make no sense: %v", err))
	}
	for _, t := range n.wanted() {
		where := ""
		if t.iif != "" {
			where = " on " + t.iif
		}
		switch o, chain := rules.input(t); o {
		case drops:
			list = append(list, finding(Fail, "nft insert rule "+chain+" "+t.fix, "%s%s is dropped by chain %s", t.what, where, chain))
		case drops | accepts:
			list = append(list, finding(Warn, "nft insert rule "+chain+" "+t.fix, "%s%s may be dropped by chain %s: it has matches that vipd does not know", t.what, where, chain))
		}
	}
	return or(list, "nftables lets in what has to come in")
}

// outcome is what may become of a packet: several of these, where rules have
// matches that we do not know.
type outcome int

const (
	passes  outcome = 1 << iota // to the next rule, or to the policy
	accepts                     // no more rules of this hook's chain
	drops
)

type nftChain struct {
	Family, Table, Name, Hook, Policy string
}

type nftRule struct {
	Family, Table, Chain string
	Expr                 []map[string]json.RawMessage
}

// ruleset is what nft -j list ruleset says, as far as it matters.
type ruleset struct {
	chains []nftChain
	rules  []nftRule
}

func parseRules(text []byte) (ruleset, error) {
	var doc struct {
		Nftables []struct {
			Chain *nftChain
			Rule  *nftRule
		}
	}
	var r ruleset
	if err := json.Unmarshal(text, &doc); err != nil {
		return r, fmt.Errorf("read its JSON: %w", err)
	}
	for _, item := range doc.Nftables {
		switch {
		case item.Chain != nil:
			r.chains = append(r.chains, *item.Chain)
		case item.Rule != nil:
			r.rules = append(r.rules, *item.Rule)
		}
	}
	return r, nil
}

// input is what the chains at the input hook do with a packet that comes in, and
// which of them drops it.
func (r ruleset) input(t traffic) (worst outcome, where string) {
	family := "ip6"
	if t.v4 {
		family = "ip"
	}
	for _, c := range r.chains {
		if c.Hook != "input" || c.Family != "inet" && c.Family != family {
			continue
		}
		o := r.chain(c, t, 0)
		if o&passes != 0 && c.Policy == "drop" {
			o |= drops
		} else if o&passes != 0 {
			o |= accepts
		}
		o &^= passes
		if o&drops != 0 && (worst == 0 || o == drops) {
			worst, where = o, c.Family+" "+c.Table+" "+c.Name
		}
	}
	return worst, where
}

// deepest is how far chains may jump to each other.
const deepest = 16

// chain is what the rules of one chain may do with a packet.
func (r ruleset) chain(c nftChain, t traffic, depth int) outcome {
	var all outcome
	for _, rule := range r.rules {
		if rule.Family != c.Family || rule.Table != c.Table || rule.Chain != c.Name {
			continue
		}
		fits, sure := rule.fits(t)
		if !fits {
			continue
		}
		o := r.does(rule, t, depth)
		all |= o &^ passes
		if sure && o&passes == 0 {
			return all
		}
	}
	return all | passes
}

// does is what a rule may do with a packet that fits.
func (r ruleset) does(rule nftRule, t traffic, depth int) outcome {
	for _, e := range rule.Expr {
		for kind, raw := range e {
			switch kind {
			case "accept":
				return accepts
			case "drop", "reject":
				return drops
			case "queue", "xt", "vmap":
				return accepts | drops | passes
			case "jump", "goto":
				var to struct{ Target string }
				if json.Unmarshal(raw, &to) != nil || depth == deepest {
					return accepts | drops | passes
				}
				return r.chain(nftChain{Family: rule.Family, Table: rule.Table, Name: to.Target}, t, depth+1)
			}
		}
	}
	return passes
}

// fits reports whether a rule's matches let the packet through, and whether that
// is sure.
func (rule nftRule) fits(t traffic) (fits, sure bool) {
	sure = true
	for _, e := range rule.Expr {
		if _, ok := e["xt"]; ok {
			sure = false
		}
		raw, ok := e["match"]
		if !ok {
			continue
		}
		var m struct {
			Op    string
			Left  map[string]map[string]any
			Right any
		}
		if json.Unmarshal(raw, &m) != nil {
			sure = false
			continue
		}
		yes, known := t.matches(m.Left, m.Right)
		if m.Op == "!=" {
			yes = !yes
		}
		switch {
		case !known:
			sure = false
		case !yes:
			return false, true
		}
	}
	return true, sure
}

// matches reports whether one match fits, and whether we know.
func (t traffic) matches(left map[string]map[string]any, right any) (yes, known bool) {
	meta, payload, ct := left["meta"], left["payload"], left["ct"]
	switch {
	case meta["key"] == "iifname" || meta["key"] == "iif":
		return among(right, t.iif), t.iif != "" || among(right, "lo")
	case meta["key"] == "l4proto", payload["field"] == "protocol", payload["field"] == "nexthdr":
		return among(right, t.proto) || among(right, t.num), true
	case meta["key"] == "nfproto":
		return among(right, map[bool]string{true: "ipv4", false: "ipv6"}[t.v4]), true
	case payload["field"] == "dport":
		if proto := payload["protocol"]; proto != t.proto && proto != "th" || t.port == 0 {
			return false, true
		}
		return among(right, t.port), true
	case payload["protocol"] == "icmp", payload["protocol"] == "icmpv6", payload["protocol"] == "tcp" && t.proto != "tcp",
		payload["protocol"] == "udp" && t.proto != "udp":
		return false, true
	case ct["key"] == "state": // the first packet of a peer is new
		return among(right, "new"), true
	}
	return false, false
}

// among reports whether the right side of a match has a value: a plain one, a
// list, a set or a range.
func among(right, value any) bool {
	switch r := right.(type) {
	case []any:
		return slices.ContainsFunc(r, func(one any) bool { return among(one, value) })
	case map[string]any:
		if set, ok := r["set"]; ok {
			return among(set, value)
		}
		if ends, ok := r["range"].([]any); ok && len(ends) == 2 {
			low, isLow := ends[0].(float64)
			high, isHigh := ends[1].(float64)
			v, isNumber := value.(float64)
			return isLow && isHigh && isNumber && low <= v && v <= high
		}
		return false
	}
	return right == value
}
