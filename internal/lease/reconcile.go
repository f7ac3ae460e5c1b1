package lease

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// reconcile makes the table as the list and the links want it.
func (t *Table) reconcile() error {
	links, err := t.links()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	want := t.want(links)
	if t.have != nil {
		t.absorb(links)
		w := writer{batch: batch{table: tableName}}
		w.turn(t.have, want)
		if w.err != nil {
			return w.err
		}
		if w.empty() || t.nft.do(&w.batch) == nil {
			t.have = want
			return nil
		}
		t.have = nil // make it anew, then: who knows what is there
	}
	return t.rebuild(want)
}

// rebuild makes the whole table in one batch. Leases that are not over begin in
// it with what is left of them.
func (t *Table) rebuild(want *layout) error {
	exists, err := t.claimable()
	if err != nil {
		return err
	}
	w := writer{batch: batch{table: tableName}}
	w.skeleton(exists, t.flags, t.frames.cookie[:])
	start := time.Now()
	w.change(unix.NFT_MSG_NEWSETELEM, leases, t.living(start))
	w.turn(emptyLayout(), want)
	if w.err != nil {
		return w.err
	}
	if err := t.nft.do(&w.batch); err != nil {
		return err
	}
	t.have = want
	t.after(start)
	return nil
}

// living is the leases that are not over, as elements.
func (t *Table) living(now time.Time) []*nl.RtAttr {
	t.fast.Lock()
	defer t.fast.Unlock()
	var list []*nl.RtAttr
	for _, v := range t.vips {
		if rest := v.timeout - now.Sub(v.renewed); v.armed && rest >= time.Millisecond {
			list = append(list, element(idBytes(v.id), millis(unix.NFTA_SET_ELEM_TIMEOUT, v.timeout),
				millis(unix.NFTA_SET_ELEM_EXPIRATION, rest)))
		}
	}
	return list
}

// after makes up for what happened while the table was made: renewals went to
// the former one, and leases that are over by now were made as if no time passed.
func (t *Table) after(start time.Time) {
	t.fast.Lock()
	defer t.fast.Unlock()
	now := time.Now()
	for _, v := range t.vips {
		switch {
		case !v.armed || now.Sub(v.renewed) >= v.timeout:
			_, _ = t.frames.say(end, v.id, 0) // the next look finds what went wrong
		case v.renewed.After(start):
			_, _ = t.frames.say(renew, v.id, v.timeout)
		}
	}
}

// want is the layout for the list, with the links that are there.
func (t *Table) want(links map[int]string) *layout {
	l := emptyLayout()
	indexes := make(map[string]int, len(links))
	for index, name := range links {
		indexes[name] = index
	}
	t.fast.Lock()
	for _, g := range t.list {
		z := l.zones[g.Interface]
		if z == nil {
			z = zone{}
			l.zones[g.Interface] = z
		}
		v := t.vips[g.Name]
		for _, a := range g.Addresses {
			z[plain(a)] = g.Name
		}
		l.vips[g.Name] = v.id
		if !slices.Contains(l.timeouts, v.timeout) {
			l.timeouts = append(l.timeouts, v.timeout)
		}
		t.hook(l, g.Interface, g.Interface, indexes)
		if parent := indexes[g.Interface]; g.VMAC && parent != 0 {
			t.hook(l, t.vmacName(parent, g.Family4, g.VRID), g.Interface, indexes)
		}
	}
	t.fast.Unlock()
	if t.have != nil { // a renewal may be on its way with the former one
		for _, d := range t.have.timeouts {
			if !slices.Contains(l.timeouts, d) {
				l.timeouts = append(l.timeouts, d)
			}
		}
	}
	slices.Sort(l.timeouts)
	t.follow(l, links)
	return l
}

// hook adds a device to the layout, if a chain can name it.
func (t *Table) hook(l *layout, device, zone string, indexes map[string]int) {
	if _, ok := l.devices[device]; ok {
		return
	}
	if index := indexes[device]; index != 0 || t.absent {
		l.devices[device] = hooked{zone: zone, index: index}
	}
}

// follow adds to the layout the devices that were hooked and have another name
// by now: a rename takes a device from its chains, but no address from the device.
func (t *Table) follow(l *layout, links map[int]string) {
	for index, zone := range t.seen {
		name, there := links[index]
		_, wanted := l.zones[zone]
		switch _, known := l.devices[name]; {
		case !there || !wanted:
			delete(t.seen, index)
		case !known:
			l.devices[name] = hooked{zone: zone, index: index}
			if t.have != nil && t.have.devices[name].index != index {
				t.tell("an interface with addresses of " + zone + " is called " + name + " now: they are guarded there")
			}
		}
	}
	for _, h := range l.devices {
		if h.index != 0 {
			t.seen[h.index] = h.zone
		}
	}
}

// absorb takes from what is in the table what kernels before 6.16 remove by
// themselves: the chains of a device that is gone.
func (t *Table) absorb(links map[int]string) {
	if t.absent {
		return
	}
	maps.DeleteFunc(t.have.devices, func(_ string, h hooked) bool { return links[h.index] == "" })
}

// links is the names of all links by index.
func (t *Table) links() (map[int]string, error) {
	list, err := t.route.LinkList()
	for range 4 {
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
		list, err = t.route.LinkList()
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // whoever makes that many changes makes another
		return nil, err
	}
	links := make(map[int]string, len(list))
	for _, l := range list {
		links[l.Attrs().Index] = l.Attrs().Name
	}
	t.events.know(links)
	return links, nil
}

// claimable reports whether there is a table of our name. The error says that
// another process owns it.
func (t *Table) claimable() (exists bool, err error) {
	owned := false
	err = t.nft.ask(unix.NFT_MSG_GETTABLE, 0, func(_ uint16, attrs []syscall.NetlinkRouteAttr) {
		exists = true
		owned = number(attrs, unix.NFTA_TABLE_FLAGS)&tableOwner != 0
	}, text(unix.NFTA_TABLE_NAME, tableName))
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil || !owned {
		return exists, err
	}
	w := writer{batch: batch{table: tableName}}
	w.claim(t.flags)
	if err := t.nft.do(&w.batch); errors.Is(err, unix.EPERM) {
		return true, fmt.Errorf("table netdev %s: another process owns it", tableName)
	} else if err != nil {
		return true, err
	}
	return true, nil
}
