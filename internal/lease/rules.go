package lease

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A frame on lo, which the rules of the chain verbs carry out. Numbers are
// compared as bytes, so only the id's order does not matter.
//
//	 0        8          12      16
//	+--------+----------+-------+
//	| cookie | verb, ms | id    |
//	+--------+----------+-------+
const (
	frameLen  = 16
	cookieLen = 8
	wordAt    = cookieLen
	idAt      = wordAt + 4

	// frameType is an EtherType for use within one's own walls (IEEE 802,
	// Section 9.2.4): no IP, so no firewall of the host's comes between.
	frameType = 0x88b5
)

// verb is the first byte of a frame's second word; the others are the timeout in
// milliseconds, which has to be a constant of a rule.
type verb uint32

const (
	arm   verb = 1 << 24 // a grant becomes a lease
	renew verb = 2 << 24 // a living lease begins anew
	end   verb = 3 << 24 // a lease ends
)

const maxTimeout = (1<<24 - 1) * time.Millisecond

func word(v verb, timeout time.Duration) []byte {
	if v == end {
		timeout = 0
	}
	return binary.BigEndian.AppendUint32(nil, uint32(v)|uint32(timeout.Milliseconds())) // below maxTimeout
}

const register = 1 // 16 bytes; one is enough for every rule

const dynsetDelete = 2 // NFT_DYNSET_OP_DELETE; not in x/sys yet

// rule is a list of expressions; the first that does not match ends it.
type rule []expr.Any

func (r rule) marshal() ([][]byte, error) {
	var out [][]byte
	var errs []error
	for _, e := range r {
		b, err := expr.Marshal(unix.NFPROTO_NETDEV, e)
		out, errs = append(out, b), append(errs, err)
	}
	return out, errors.Join(errs...)
}

func load(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}
}

func equal(b []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: b} }

func protocol(number uint16) rule {
	return rule{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: register}, equal(binary.BigEndian.AppendUint16(nil, number))}
}

func in(set string) expr.Any { return &expr.Lookup{SourceRegister: register, SetName: set} }

func notIn(set string) expr.Any {
	return &expr.Lookup{SourceRegister: register, SetName: set, Invert: true}
}

// verdict ends the rule with what the map says, if it says anything.
func verdict(of string) expr.Any {
	return &expr.Lookup{SourceRegister: register, SetName: of, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true}
}

func extend(set string, timeout time.Duration) expr.Any {
	return &expr.Dynset{SrcRegKey: register, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: timeout}
}

func remove(set string) expr.Any {
	return &expr.Dynset{SrcRegKey: register, SetName: set, Operation: dynsetDelete}
}

func drop() expr.Any { return &expr.Verdict{Kind: expr.VerdictDrop} }

func jump(chain string) rule { return rule{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }

func join(rules ...rule) rule {
	var all rule
	for _, r := range rules {
		all = append(all, r...)
	}
	return all
}

// frameRule sends our own frames, and no others, to the chain verbs.
func frameRule(cookie []byte) rule {
	return join(protocol(frameType), rule{load(expr.PayloadBaseNetworkHeader, 0, cookieLen), equal(cookie)}, jump(verbsChain))
}

// verbRules are those of the chain verbs: two for each timeout.
func verbRules(timeouts []time.Duration) []rule {
	says := func(v verb, d time.Duration) rule {
		return rule{load(expr.PayloadBaseNetworkHeader, wordAt, 4), equal(word(v, d)),
			load(expr.PayloadBaseNetworkHeader, idAt, 4)}
	}
	var rules []rule
	for _, d := range timeouts {
		rules = append(rules,
			join(says(renew, d), rule{in(leases), extend(leases, d), drop()}),
			join(says(arm, d), rule{in(grants), remove(grants), extend(leases, d), drop()}))
	}
	return append(rules, join(says(end, 0), rule{in(leases), remove(leases), drop()}))
}

const (
	neighborSolicit = 135 // ICMPv6 types (RFC 4861, Section 4)
	neighborAdvert  = 136
)

// vipRule drops what was found to be of the VIP, while it has no lease.
func vipRule(id uint32) rule {
	return rule{&expr.Immediate{Register: register, Data: idBytes(id)}, notIn(leases), drop()}
}

// inRules send what is for a guarded address to the chain of its VIP, outRules
// what is from one.
func inRules(zone string) []rule {
	return gate(zone, 16, 24, 24, neighborSolicit)
}

func outRules(zone string) []rule {
	return gate(zone, 12, 14, 8, neighborAdvert)
}

// gate takes the places of the address in the headers of IPv4, ARP and IPv6, and
// the type of the neighbour discovery message whose target counts.
func gate(zone string, at4, atARP, at6 uint32, ndType byte) []rule {
	nh, th := expr.PayloadBaseNetworkHeader, expr.PayloadBaseTransportHeader
	ip4, ip6 := verdict(ipv4Map(zone)), verdict(ipv6Map(zone))
	return []rule{
		join(protocol(unix.ETH_P_IP), rule{load(nh, at4, 4), ip4}),
		join(protocol(unix.ETH_P_ARP), rule{load(nh, atARP, 4), ip4}),
		join(protocol(unix.ETH_P_IPV6), rule{load(nh, at6, 16), ip6}),
		join(protocol(unix.ETH_P_IPV6), rule{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equal([]byte{unix.IPPROTO_ICMPV6}),
			load(th, 0, 1), equal([]byte{ndType}), load(th, 8, 16), ip6}),
	}
}

// Names in the table. A zone is an interface with the devices on it.
const (
	leases      = "leases"
	grants      = "grants"
	framesChain = "frames"
	verbsChain  = "verbs"
)

func ipv4Map(zone string) string        { return "ipv4-" + zone }
func ipv6Map(zone string) string        { return "ipv6-" + zone }
func vipChain(name string) string       { return "vip-" + name }
func inChain(zone string) string        { return "in-" + zone }
func outChain(zone string) string       { return "out-" + zone }
func ingressChain(device string) string { return "ingress-" + device }
func egressChain(device string) string  { return "egress-" + device }
