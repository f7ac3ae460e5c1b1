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

// vipRule drops what was found to be of the VIP, while it has no lease.
func vipRule(id uint32) rule {
	return rule{&expr.Immediate{Register: register, Data: idBytes(id)}, notIn(leases), drop()}
}

// Places of addresses in the headers of IPv4, IPv6, ARP and neighbour discovery.
const (
	source4, destination4 = 12, 16
	source6, destination6 = 8, 24
	sender                = 14
	target                = 8

	neighborAdvert = 136 // ICMPv6 type (RFC 4861, Section 4.4)
)

// inRules send what is for a guarded address to the chain of its VIP. Questions
// who has it may come in, since the answer does not leave: so does the holder's
// gratuitous ARP, which is a question too.
func inRules(zone string) []rule { return ipRules(zone, destination4, destination6) }

// outRules do that with what is from a guarded address, or says who has it.
func outRules(zone string) []rule {
	return append(ipRules(zone, source4, source6),
		join(protocol(unix.ETH_P_ARP), rule{load(expr.PayloadBaseNetworkHeader, sender, 4), verdict(ipv4Map(zone))}),
		join(protocol(unix.ETH_P_IPV6), rule{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equal([]byte{unix.IPPROTO_ICMPV6}),
			load(expr.PayloadBaseTransportHeader, 0, 1), equal([]byte{neighborAdvert}),
			load(expr.PayloadBaseTransportHeader, target, 16), verdict(ipv6Map(zone))}))
}

func ipRules(zone string, at4, at6 uint32) []rule {
	return []rule{
		join(protocol(unix.ETH_P_IP), rule{load(expr.PayloadBaseNetworkHeader, at4, 4), verdict(ipv4Map(zone))}),
		join(protocol(unix.ETH_P_IPV6), rule{load(expr.PayloadBaseNetworkHeader, at6, 16), verdict(ipv6Map(zone))}),
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
