package lease

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// verify looks whether the table is as it was made, if anybody changed anything
// in nftables since the last look. It is unknown what a table looks like that is
// not.
func (t *Table) verify() error {
	if t.have == nil {
		return nil
	}
	generation, err := t.generation()
	if err != nil || generation == t.checked {
		return err
	}
	found, err := t.inventory()
	if errors.Is(err, errInterrupted) {
		return nil // look again at the next change, or in some seconds
	}
	if err != nil {
		return err
	}
	culprit := t.events.culprit()
	if slices.Equal(found, inventoryOf(t.have)) {
		t.checked = generation
		return nil
	}
	what := "changed"
	if len(found) == 0 {
		what = "removed"
	}
	t.tell(fmt.Sprintf("table netdev %s was %s%s: made again", tableName, what, culprit))
	t.have = nil
	return nil
}

// generation is a number that changes with every change of the ruleset.
func (t *Table) generation() (id uint32, err error) {
	err = t.nft.ask(unix.NFT_MSG_GETGEN, 0, func(_ uint16, attrs []syscall.NetlinkRouteAttr) {
		id = number(attrs, unix.NFTA_GEN_ID)
	})
	if err != nil {
		return 0, fmt.Errorf("read generation of the ruleset: %w", err)
	}
	return id, nil
}

// inventory lists what is in the table, in order, one line for each object: a
// rule is one of its chain, an element is one with its key and its data.
func (t *Table) inventory() ([]string, error) {
	var lines []string
	for _, q := range []struct {
		kind        uint16
		table, name uint16 // attributes
		what        string
	}{
		{unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME, "chain "},
		{unix.NFT_MSG_GETRULE, unix.NFTA_RULE_TABLE, unix.NFTA_RULE_CHAIN, "rule "},
		{unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, unix.NFTA_SET_NAME, "set "},
	} {
		err := t.nft.ask(q.kind, unix.NLM_F_DUMP, func(_ uint16, attrs []syscall.NetlinkRouteAttr) {
			if str(attrs, q.table) == tableName {
				lines = append(lines, q.what+str(attrs, q.name))
			}
		}, text(int(q.table), tableName))
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("list %ss: %w", strings.TrimSpace(q.what), err)
		}
	}
	for zone := range t.have.zones {
		for _, set := range []string{ipv4Map(zone), ipv6Map(zone)} {
			err := t.nft.ask(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, func(_ uint16, attrs []syscall.NetlinkRouteAttr) {
				eachElement(attrs, func(key []byte, chain string) {
					a, _ := netip.AddrFromSlice(key)
					lines = append(lines, elementLine(set, a, chain))
				})
			}, text(unix.NFTA_SET_ELEM_LIST_TABLE, tableName), text(unix.NFTA_SET_ELEM_LIST_SET, set))
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return nil, fmt.Errorf("list map %s: %w", set, err)
			}
		}
	}
	slices.Sort(lines)
	return lines, nil
}

func elementLine(set string, a netip.Addr, chain string) string {
	return "element of " + set + " " + a.String() + " " + chain
}

// inventoryOf is the inventory of a table with the layout.
func inventoryOf(l *layout) []string {
	var w writer
	w.skeleton(false, 0, make([]byte, cookieLen))
	w.turn(emptyLayout(), l)
	var lines []string
	for _, m := range w.messages {
		switch {
		case strings.HasPrefix(m.what, "make chain "), strings.HasPrefix(m.what, "make set "):
			lines = append(lines, strings.TrimPrefix(m.what, "make "))
		case strings.HasPrefix(m.what, "make rule in "):
			lines = append(lines, "rule "+strings.TrimPrefix(m.what, "make rule in "))
		}
	}
	for name, z := range l.zones {
		for a, vip := range z {
			set := ipv6Map(name)
			if a.Is4() {
				set = ipv4Map(name)
			}
			lines = append(lines, elementLine(set, a, vipChain(vip)))
		}
	}
	slices.Sort(lines)
	return lines
}
