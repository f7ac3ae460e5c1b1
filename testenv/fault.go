package testenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Match says which frames a fault is about.
type Match uint8

// What a [Lab.Loss] can be limited to.
const (
	MatchAll  Match = iota // every frame
	MatchVRRP              // IP protocol 112, over IPv4 and IPv6
	MatchARP               // ARP, and neighbour solicitations and advertisements
)

// bridgeFilter is NF_BR_PRI_FILTER_BRIDGED. At 0, the priority of br_netfilter,
// a chain that is older than the namespace's first bridge would see no frame.
const bridgeFilter = -200

// faults is an nftables table in the switch that sees each copy of a frame on
// its way from one port to another, flooded ones too.
type faults struct {
	sw    *NS
	table *nftables.Table
	chain *nftables.Chain
}

func newFaults(sw *NS) (*faults, error) {
	f := &faults{sw: sw}
	f.table = &nftables.Table{Family: nftables.TableFamilyBridge, Name: "faults"}
	f.chain = &nftables.Chain{
		Table: f.table, Name: "forward", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(bridgeFilter),
	}
	err := f.change(func(c *nftables.Conn) {
		c.AddTable(f.table)
		c.AddChain(f.chain)
	})
	if err != nil {
		return nil, fmt.Errorf("make the table of faults: %w", err)
	}
	return f, nil
}

// change applies what fn asks for in one transaction.
func (f *faults) change(fn func(*nftables.Conn)) error {
	conn, err := nftables.New(nftables.WithNetNSFd(f.sw.Fd()))
	if err != nil {
		return err
	}
	fn(conn)
	return conn.Flush()
}

// drop adds a rule per pair of ports, "" being any port, and per match.
func (f *faults) drop(from, to []string, matches [][]expr.Any, chance []expr.Any) error {
	return f.change(func(c *nftables.Conn) {
		for _, in := range from {
			for _, out := range to {
				for _, m := range matches {
					exprs := slices.Concat(port(expr.MetaKeyIIFNAME, in), port(expr.MetaKeyOIFNAME, out), m, chance)
					exprs = append(exprs, &expr.Verdict{Kind: expr.VerdictDrop})
					c.AddRule(&nftables.Rule{Table: f.table, Chain: f.chain, Exprs: exprs})
				}
			}
		}
	})
}

// everything matches every frame.
func everything() [][]expr.Any { return [][]expr.Any{nil} }

func port(key expr.MetaKey, name string) []expr.Any {
	if name == "" {
		return nil
	}
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: padded},
	}
}

func (m Match) rules() ([][]expr.Any, error) {
	switch m {
	case MatchAll:
		return everything(), nil
	case MatchVRRP:
		return [][]expr.Any{
			slices.Concat(etherType(unix.ETH_P_IP), network(9, 112)),
			slices.Concat(etherType(unix.ETH_P_IPV6), network(6, 112)),
		}, nil
	case MatchARP:
		nd := slices.Concat(etherType(unix.ETH_P_IPV6), network(6, unix.IPPROTO_ICMPV6))
		return [][]expr.Any{
			etherType(unix.ETH_P_ARP),
			slices.Concat(nd, network(40, typeNS)),
			slices.Concat(nd, network(40, typeNA)),
		}, nil
	}
	return nil, fmt.Errorf("match %d: unknown", m)
}

func etherType(proto uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, proto)},
	}
}

// network compares one byte of the network header and what follows it.
func network(offset uint32, value byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{value}},
	}
}

// chance lets a rule match in percent of the cases.
func chance(percent float64) []expr.Any {
	const of = 1 << 20
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: of, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binary.BigEndian.AppendUint32(nil, uint32(percent/100*of))},
	}
}

// Cut drops every frame from and to the host while its link stays up: the
// failure that link state does not show.
func (l *Lab) Cut(h *Host) error {
	ports := h.ports()
	err := errors.Join(
		l.faults.drop(ports, []string{""}, everything(), nil),
		l.faults.drop([]string{""}, ports, everything(), nil))
	if err != nil {
		return fmt.Errorf("cut %s off: %w", h.Name, err)
	}
	return nil
}

// CutOneWay drops every frame from one host to another, not the way back. A nil
// host means all hosts.
func (l *Lab) CutOneWay(from, to *Host) error {
	if err := l.faults.drop(from.ports(), to.ports(), everything(), nil); err != nil {
		return fmt.Errorf("cut one way: %w", err)
	}
	return nil
}

// Loss drops each matching frame from one host to another with a probability of
// percent, 0 to 100. A nil host means all hosts. A frame that meets two losses
// must survive both.
func (l *Lab) Loss(from, to *Host, percent float64, match Match) error {
	return l.lose(from.ports(), to.ports(), percent, match)
}

// LossOn is [Lab.Loss] on one segment only, between two hosts.
func (l *Lab) LossOn(s *Segment, from, to *Host, percent float64, match Match) error {
	return l.lose(from.portsOn(s), to.portsOn(s), percent, match)
}

func (l *Lab) lose(from, to []string, percent float64, match Match) error {
	if !(percent >= 0 && percent <= 100) {
		return fmt.Errorf("lose frames: %v percent is outside 0–100", percent)
	}
	matches, err := match.rules()
	if err != nil {
		return fmt.Errorf("lose frames: %w", err)
	}
	if err := l.faults.drop(from, to, matches, chance(percent)); err != nil {
		return fmt.Errorf("lose frames: %w", err)
	}
	return nil
}

// PortDown takes the carrier away from the host's interfaces, from all when
// none is named, as a pulled cable or a dead switch port does.
func (l *Lab) PortDown(h *Host, devs ...string) error { return l.setPorts(h, devs, false) }

// PortUp undoes [Lab.PortDown].
func (l *Lab) PortUp(h *Host, devs ...string) error { return l.setPorts(h, devs, true) }

func (l *Lab) setPorts(h *Host, devs []string, up bool) error {
	nl := l.sw.Netlink()
	for _, k := range h.cables() {
		if len(devs) > 0 && !slices.Contains(devs, k.dev) {
			continue
		}
		end, err := nl.LinkByName(k.port)
		if err != nil {
			return fmt.Errorf("find port %s: %w", k.port, err)
		}
		if up {
			err = nl.LinkSetUp(end)
		} else {
			err = nl.LinkSetDown(end)
		}
		if err != nil {
			return fmt.Errorf("set port %s up=%t: %w", k.port, up, err)
		}
	}
	return nil
}

// Heal ends every cut and loss and sets every port up. Like the other faults it
// holds soon after the call begins; on a busy machine the kernel may let it
// return some hundred milliseconds later. Look at a tap for the exact moment.
func (l *Lab) Heal() error {
	err := l.faults.change(func(c *nftables.Conn) { c.FlushChain(l.faults.chain) })
	if err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	for _, h := range l.Hosts() {
		for _, k := range h.cables() {
			end, err := l.sw.Netlink().LinkByName(k.port)
			if err != nil {
				continue // deleted, see DeleteLink
			}
			if err := l.sw.Netlink().LinkSetUp(end); err != nil {
				return fmt.Errorf("heal: set port %s up: %w", k.port, err)
			}
		}
	}
	return nil
}

// cables is a copy of the host's links.
func (h *Host) cables() []link {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []link
	for _, k := range h.links {
		out = append(out, *k)
	}
	return out
}

// ports names the host's ports in the switch; "", any port, for nil.
func (h *Host) ports() []string {
	if h == nil {
		return []string{""}
	}
	var out []string
	for _, k := range h.cables() {
		out = append(out, k.port)
	}
	return out
}

// portsOn names the host's ports in one switch.
func (h *Host) portsOn(s *Segment) []string {
	var out []string
	for _, k := range h.cables() {
		if k.segment == s {
			out = append(out, k.port)
		}
	}
	return out
}
