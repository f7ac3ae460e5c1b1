package lease

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// layout is what is in the table, but for leases and grants.
type layout struct {
	vips     map[string]uint32 // ids, by name
	zones    map[string]zone   // by name of the interface
	devices  map[string]hooked // by name of the device
	timeouts []time.Duration   // in order
}

// zone is the names of the VIPs of an interface, by address.
type zone map[netip.Addr]string

// hooked is a device whose frames go through the rules of a zone.
type hooked struct {
	zone  string
	index int // 0 while there is no such device
}

func emptyLayout() *layout {
	return &layout{vips: map[string]uint32{}, zones: map[string]zone{}, devices: map[string]hooked{}}
}

// writer writes messages into a batch. Errors of encoding are collected: they
// would be ours and not the kernel's.
type writer struct {
	batch
	err error
}

// skeleton makes the table, with nothing guarded and no lease.
func (w *writer) skeleton(exists bool, flags uint32, cookie []byte) {
	if exists {
		w.add("remove table "+w.table, unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, w.table))
	}
	w.claim(flags)
	w.set(leases, unix.NFT_SET_TIMEOUT|unix.NFT_SET_EVAL, typeMark, 4)
	w.set(grants, unix.NFT_SET_TIMEOUT|unix.NFT_SET_EVAL, typeMark, 4)
	w.chain(verbsChain)
	w.hook(framesChain, "lo", hookEgress)
	w.rule(framesChain, frameRule(cookie))
}

// claim makes the table, or takes over one that has lost its owner.
func (w *writer) claim(flags uint32) {
	w.add("make table "+w.table, unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE,
		text(unix.NFTA_TABLE_NAME, w.table), num32(unix.NFTA_TABLE_FLAGS, flags))
}

// turn writes what makes have into want.
func (w *writer) turn(have, want *layout) {
	w.remove(have, want)
	if !slices.Equal(have.timeouts, want.timeouts) {
		w.add("empty chain "+verbsChain, unix.NFT_MSG_DELRULE, 0,
			text(unix.NFTA_RULE_TABLE, w.table), text(unix.NFTA_RULE_CHAIN, verbsChain))
		w.rules(verbsChain, verbRules(want.timeouts))
	}
	for _, name := range sorted(want.vips) {
		if _, ok := have.vips[name]; !ok {
			w.chain(vipChain(name))
			w.rule(vipChain(name), vipRule(want.vips[name]))
		}
	}
	for _, name := range sorted(want.zones) {
		if _, ok := have.zones[name]; !ok {
			w.makeZone(name)
		}
		w.elements(unix.NFT_MSG_NEWSETELEM, name, minus(want.zones[name], have.zones[name]))
	}
	for _, device := range sorted(want.devices) {
		now := want.devices[device]
		if old, ok := have.devices[device]; ok && old.zone == now.zone {
			continue
		}
		w.hook(ingressChain(device), device, hookIngress)
		w.rule(ingressChain(device), jump(inChain(now.zone)))
		w.hook(egressChain(device), device, hookEgress)
		w.rule(egressChain(device), jump(outChain(now.zone)))
	}
}

// remove writes what goes, in an order in which nothing is referred to any more.
func (w *writer) remove(have, want *layout) {
	for _, device := range sorted(have.devices) {
		if now, ok := want.devices[device]; !ok || now.zone != have.devices[device].zone {
			w.removeChain(ingressChain(device))
			w.removeChain(egressChain(device))
		}
	}
	for _, name := range sorted(have.zones) {
		if _, ok := want.zones[name]; ok {
			w.elements(unix.NFT_MSG_DELSETELEM, name, minus(have.zones[name], want.zones[name]))
		} else {
			w.removeZone(name)
		}
	}
	for _, name := range sorted(have.vips) {
		if now, ok := want.vips[name]; !ok || now != have.vips[name] {
			w.removeChain(vipChain(name))
		}
	}
}

// minus is what is in z and not, or otherwise, in other.
func minus(z, other zone) zone {
	rest := zone{}
	for a, name := range z {
		if now, ok := other[a]; !ok || now != name {
			rest[a] = name
		}
	}
	return rest
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (w *writer) makeZone(name string) {
	w.set(ipv4Map(name), unix.NFT_SET_MAP, typeIPv4, 4)
	w.set(ipv6Map(name), unix.NFT_SET_MAP, typeIPv6, 16)
	w.chain(inChain(name))
	w.rules(inChain(name), inRules(name))
	w.chain(outChain(name))
	w.rules(outChain(name), outRules(name))
}

func (w *writer) removeZone(name string) {
	w.removeChain(inChain(name))
	w.removeChain(outChain(name))
	for _, set := range []string{ipv4Map(name), ipv6Map(name)} {
		w.add("remove map "+set, unix.NFT_MSG_DELSET, 0, text(unix.NFTA_SET_TABLE, w.table), text(unix.NFTA_SET_NAME, set))
	}
}

// elements adds addresses to a zone, or removes them.
func (w *writer) elements(kind uint16, name string, z zone) {
	var four, six []*nl.RtAttr
	for a, vip := range z {
		e := element(a.AsSlice())
		if kind == unix.NFT_MSG_NEWSETELEM {
			e = element(a.AsSlice(), nest(unix.NFTA_SET_ELEM_DATA, nest(unix.NFTA_DATA_VERDICT,
				num32(unix.NFTA_VERDICT_CODE, goTo), text(unix.NFTA_VERDICT_CHAIN, vipChain(vip)))))
		}
		if a.Is4() {
			four = append(four, e)
		} else {
			six = append(six, e)
		}
	}
	w.change(kind, ipv4Map(name), four)
	w.change(kind, ipv6Map(name), six)
}

const goTo = 0xfffffffc // NFT_GOTO

// element is one of a set, with its key and what belongs to it.
func element(key []byte, more ...*nl.RtAttr) *nl.RtAttr {
	parts := append([]*nl.RtAttr{nest(unix.NFTA_SET_ELEM_KEY, raw(unix.NFTA_DATA_VALUE, key))}, more...)
	return nest(unix.NFTA_LIST_ELEM, parts...)
}

// elementsPerMessage keeps a list below 64 KiB, the length an attribute can have.
const elementsPerMessage = 300

func (w *writer) change(kind uint16, set string, list []*nl.RtAttr) {
	what, flags := "add to ", uint16(unix.NLM_F_CREATE)
	if kind == unix.NFT_MSG_DELSETELEM {
		what, flags = "remove from ", 0
	}
	for part := range slices.Chunk(list, elementsPerMessage) {
		w.add(what+set, kind, flags, text(unix.NFTA_SET_ELEM_LIST_TABLE, w.table),
			text(unix.NFTA_SET_ELEM_LIST_SET, set), nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, part...))
	}
}

// Data types as the nft program knows them, so that it prints a set readably.
const (
	typeIPv4 = 7
	typeIPv6 = 8
	typeMark = 19
)

// sweepEvery is how often the kernel frees what has expired or was removed by a
// rule. Until then it is in the way: with 16 such elements of one key there is no
// place for another.
const sweepEvery = 100 * time.Millisecond

func (w *writer) set(name string, flags, keyType, keyLen uint32) {
	attrs := []*nl.RtAttr{text(unix.NFTA_SET_TABLE, w.table), text(unix.NFTA_SET_NAME, name),
		num32(unix.NFTA_SET_FLAGS, flags), num32(unix.NFTA_SET_KEY_TYPE, keyType), num32(unix.NFTA_SET_KEY_LEN, keyLen),
		num32(unix.NFTA_SET_ID, uint32(len(w.messages)+1))} // a name for the batch, which we do not use
	if flags&unix.NFT_SET_MAP != 0 {
		attrs = append(attrs, num32(unix.NFTA_SET_DATA_TYPE, unix.NFT_DATA_VERDICT))
	}
	if flags&unix.NFT_SET_TIMEOUT != 0 {
		attrs = append(attrs, num32(unix.NFTA_SET_GC_INTERVAL, uint32(sweepEvery.Milliseconds())))
	}
	w.add("make set "+name, unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE|unix.NLM_F_EXCL, attrs...)
}

func (w *writer) chain(name string, more ...*nl.RtAttr) {
	attrs := append([]*nl.RtAttr{text(unix.NFTA_CHAIN_TABLE, w.table), text(unix.NFTA_CHAIN_NAME, name)}, more...)
	w.add("make chain "+name, unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE|unix.NLM_F_EXCL, attrs...)
}

const (
	hookIngress = 0 // NF_NETDEV_INGRESS
	hookEgress  = 1 // NF_NETDEV_EGRESS, Linux 5.16

	// priority puts us before others, who might send a frame elsewhere.
	priority = -500
)

// hook makes a chain that sees every frame of a device in one direction.
func (w *writer) hook(chain, device string, number uint32) {
	before := int32(priority)
	w.chain(chain, text(unix.NFTA_CHAIN_TYPE, "filter"), nest(unix.NFTA_CHAIN_HOOK,
		num32(unix.NFTA_HOOK_HOOKNUM, number), num32(unix.NFTA_HOOK_PRIORITY, uint32(before)), text(unix.NFTA_HOOK_DEV, device)))
}

func (w *writer) removeChain(name string) {
	w.add("remove chain "+name, unix.NFT_MSG_DELCHAIN, 0, text(unix.NFTA_CHAIN_TABLE, w.table), text(unix.NFTA_CHAIN_NAME, name))
}

func (w *writer) rules(chain string, rules []rule) {
	for _, r := range rules {
		w.rule(chain, r)
	}
}

func (w *writer) rule(chain string, r rule) {
	list, err := r.marshal()
	if err != nil {
		w.err = fmt.Errorf("write rule of %s: %w", chain, err)
		return
	}
	var exprs []*nl.RtAttr
	for _, e := range list {
		exprs = append(exprs, raw(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, e))
	}
	w.add("make rule in "+chain, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		text(unix.NFTA_RULE_TABLE, w.table), text(unix.NFTA_RULE_CHAIN, chain), nest(unix.NFTA_RULE_EXPRESSIONS, exprs...))
}
