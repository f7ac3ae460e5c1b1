package netif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// mark tells our addresses (IFA_PROTO, Linux 5.18) and routes (rtm_protocol)
// from everybody else's: 112 is VRRP's own protocol number.
const mark = 112

// place is an address on a device.
type place struct {
	device string
	prefix netip.Prefix
}

// op is one request of a task.
type op struct {
	task *task
	req  *nl.NetlinkRequest
	what string
	fine []error // the kernel was so already
}

// round is what is known while some tasks are carried out together.
type round struct {
	*Addresses
	tasks   []*task
	wanted  map[place]bool // every address that shall be there afterwards
	devices map[string]lookup
	present map[int]*content // by index of the device
}

// content is the addresses on a device.
type content struct {
	list    []address // before the additions, in the kernel's order
	has     map[netip.Prefix]bool
	mortal  map[netip.Prefix]bool // those with a lifetime
	checked bool                  // what was misplaced is made again already
}

type lookup struct {
	device
	err error
}

// apply carries the tasks out: routes go, addresses go, devices come, addresses
// come, routes come. Each of these is one batch for all of the tasks.
func (a *Addresses) apply(tasks []*task) {
	r := &round{Addresses: a, tasks: tasks, wanted: map[place]bool{}, devices: map[string]lookup{}, present: map[int]*content{}}
	before := map[*task]*task{}
	for _, t := range tasks {
		r.locate(t)
		before[t] = a.known[t.Owner]
		a.known[t.Owner] = t
		if t.forget {
			delete(a.known, t.Owner)
		}
	}
	for _, t := range a.known {
		for _, p := range t.Addresses {
			if t.Present {
				r.wanted[place{t.device, p}] = true
			}
		}
	}
	var gone []op
	for _, t := range tasks {
		removeRoutes(before[t], t)
		gone = append(gone, r.removals(before[t], t)...)
	}
	r.carryOut(gone)
	var ready []*task
	for _, t := range tasks {
		if t.Present && r.prepare(t) {
			ready = append(ready, t)
		} else if !t.Present && !t.forget {
			r.standBy(t)
		}
	}
	r.carryOut(r.additions(ready))
	for _, t := range ready {
		addRoutes(t)
	}
}

// find looks a device up, once in a round.
func (r *round) find(name string) (device, error) {
	l, ok := r.devices[name]
	if !ok {
		l.device, l.err = r.conn.device(name)
		r.devices[name] = l
	}
	return l.device, l.err
}

// locate names the device that t is about.
func (r *round) locate(t *task) {
	t.device = t.Link
	var err error
	if t.parent, err = r.find(t.Link); t.VMAC {
		t.device = "" // as long as there is no parent
		if err == nil {
			t.device = VMACName(t.parent.index, t.Family4, t.VRID)
		}
	}
}

// removals are the requests for what the owner of t had or shall not have.
func (r *round) removals(old, t *task) []op {
	var leave []place
	var ops []op
	if old != nil {
		for _, p := range old.Addresses {
			leave = append(leave, place{old.device, p})
		}
		ops = r.strays(old, t)
		if !t.Present {
			t.target = old.target // still to be found there, should this fail
		}
	}
	if !t.Present {
		for _, p := range t.Addresses {
			leave = append(leave, place{t.device, p})
		}
	}
	seen := map[place]bool{}
	for _, l := range leave {
		if r.wanted[l] || seen[l] {
			continue
		}
		seen[l] = true
		d, err := r.find(l.device)
		if errors.Is(err, unix.ENODEV) {
			continue // its addresses went with it
		}
		if err != nil {
			t.failed(fmt.Errorf("find %s: %w", l.device, err))
			continue
		}
		ops = append(ops, removal(t, d, l.prefix))
	}
	return ops
}

// strays are the requests for what is on a device that was renamed: its
// addresses stayed on it, and it is known by its index only.
func (r *round) strays(old, t *task) (ops []op) {
	d, err := r.find(old.device)
	if old.target.index == 0 || err == nil && d.index == old.target.index {
		return nil
	}
	for _, p := range old.Addresses {
		ops = append(ops, removal(t, old.target, p)) // fine if it was deleted
	}
	return ops
}

func removal(t *task, d device, p netip.Prefix) op {
	return op{task: t, req: addressRequest(unix.RTM_DELADDR, 0, d.index, p),
		what: fmt.Sprintf("remove %s from %s", p, d.name), fine: []error{unix.EADDRNOTAVAIL, unix.ENODEV}}
}

// standBy does for an owner that holds nothing what would cost time when it
// takes over.
func (r *round) standBy(t *task) {
	d, err := r.find(t.Link)
	if err != nil || t.VMAC {
		return // looked at again when the addresses come
	}
	if err := r.require(t, d); err != nil {
		r.log.Warn("link not prepared", "owner", t.Owner, "error", err)
	}
}

// require sets what a link with IPv4 addresses of t needs: without it, removing
// the first address of a network removes the others.
func (r *round) require(t *task, d device) error {
	if !slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
		return nil
	}
	return r.sysctls.require(r.conn, d, promoteSecondaries, 1)
}

// prepare makes the device of t ready for addresses, and reports whether it is.
func (r *round) prepare(t *task) bool {
	d, err := r.find(t.Link)
	if err == nil && t.VMAC {
		d, err = r.vmac(d, t.Wanted)
	} else if err == nil {
		err = r.require(t, d)
	} else {
		err = fmt.Errorf("find interface %s: %w", t.Link, err)
	}
	if late := time.Since(t.since); err == nil && t.Lifetime > 0 && late > t.Lifetime {
		err = fmt.Errorf("add addresses to %s: wanted %s ago, longer than they are to live", d.name, late.Round(time.Millisecond))
	}
	t.target = d
	for _, index := range []int{t.parent.index, d.index} {
		if err == nil && r.present[index] == nil {
			err = r.look(index)
		}
	}
	if err != nil {
		t.failed(err)
	}
	return err == nil
}

// look lists what is on a device.
func (r *round) look(index int) error {
	list, err := r.conn.addresses(index)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	c := &content{list: list, has: map[netip.Prefix]bool{}, mortal: map[netip.Prefix]bool{}}
	for _, a := range list {
		c.has[a.prefix] = true
		c.mortal[a.prefix] = a.flags&unix.IFA_F_PERMANENT == 0
	}
	r.present[index] = c
	return nil
}

// additions are the requests for the addresses that are not there, or not as
// they have to be.
func (r *round) additions(ready []*task) []op {
	var again, add []op
	for _, t := range ready {
		c := r.present[t.target.index]
		come := t.Addresses
		if !c.checked {
			c.checked = true
			misplaced := r.misplaced(t.device, c)
			for _, p := range misplaced {
				again = append(again, removal(t, t.target, p))
				c.has[p] = false
			}
			come = slices.Concat(misplaced, come)
		}
		for _, p := range come {
			switch {
			case !c.has[p]:
				c.has[p] = true
				add = append(add, op{task: t, req: r.newAddress(t, p, unix.NLM_F_CREATE|unix.NLM_F_EXCL), fine: []error{unix.EEXIST},
					what: fmt.Sprintf("add %s to %s", p, t.target.name)})
			case t.Lifetime > 0 || c.mortal[p]:
				c.mortal[p] = t.Lifetime > 0
				add = append(add, r.prolongation(t, p))
			}
		}
	}
	return append(again, add...)
}

// misplaced are addresses of ours that are there but have to be made again:
// those that duplicate address detection keeps from use, and those that come
// before the link's own address of their network, because that was removed and
// added again: the first one is the source of outgoing traffic.
func (r *round) misplaced(device string, c *content) []netip.Prefix {
	own := map[int]netip.Prefix{} // IPv4 addresses that are not ours, by position
	for i, a := range c.list {
		if a.prefix.Addr().Is4() && !r.ours(device, a) {
			own[i] = a.prefix
		}
	}
	var out []netip.Prefix
	for i, a := range c.list {
		if !r.wanted[place{device, a.prefix}] {
			continue
		}
		before, after := false, false
		for j, o := range own {
			if o.Overlaps(a.prefix) {
				before, after = before || j < i, after || j > i
			}
		}
		if !a.ready() || (after && !before) {
			out = append(out, a.prefix)
		}
	}
	return out
}

// ours reports whether an address is there because of vipd.
func (r *round) ours(device string, a address) bool {
	return a.mark == mark || r.wanted[place{device, a.prefix}]
}

func (r *round) newAddress(t *task, p netip.Prefix, how int) *nl.NetlinkRequest {
	flags := uint32(0)
	if p.Addr().Is6() {
		flags |= unix.IFA_F_NODAD
	}
	if r.routedElsewhere(t, p) {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	req := addressRequest(unix.RTM_NEWADDR, how, t.target.index, p)
	req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, binary.NativeEndian.AppendUint32(nil, flags)))
	req.AddData(nl.NewRtAttr(ifaProto, []byte{mark}))
	life := unix.IfaCacheinfo{Valid: forEver}
	if t.Lifetime > 0 {
		life.Valid = uint32(max(t.Lifetime, time.Second) / time.Second) // few
	}
	if p.Addr().Is4() {
		life.Prefered = life.Valid
	} // else deprecated at once: not a source for new connections
	req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, (&nl.IfaCacheInfo{IfaCacheinfo: life}).Serialize()))
	return req
}

// routedElsewhere reports whether the link has an address of its own through
// which the network of p is reached. A second route to it by p would make p the
// source of outgoing traffic. An IPv4 address of the very same network needs no
// care: the kernel makes p a secondary address, which has no route.
func (r *round) routedElsewhere(t *task, p netip.Prefix) bool {
	return slices.ContainsFunc(r.present[t.parent.index].list, func(a address) bool {
		switch {
		case r.ours(t.parent.name, a) || !a.prefix.Contains(p.Addr()):
			return false
		case t.VMAC:
			return true
		default:
			return p.Addr().Is4() && a.prefix.Bits() != p.Bits()
		}
	})
}

func addressRequest(kind, flags, index int, p netip.Prefix) *nl.NetlinkRequest {
	family := unix.AF_INET6
	if p.Addr().Is4() {
		family = unix.AF_INET
	}
	msg := nl.NewIfAddrmsg(family)
	msg.Prefixlen = uint8(p.Bits()) // 0–128
	msg.Index = uint32(index)       // from the kernel
	if p.Addr().Is4() && p.Addr().IsLinkLocalUnicast() {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	ip := p.Addr().AsSlice()
	return request(kind, flags, msg, nl.NewRtAttr(unix.IFA_LOCAL, ip), nl.NewRtAttr(unix.IFA_ADDRESS, ip))
}

func (r *round) carryOut(ops []op) {
	reqs := make([]*nl.NetlinkRequest, len(ops))
	for i, o := range ops {
		reqs[i] = o.req
	}
	for i, err := range r.conn.all(reqs) {
		o := ops[i]
		if err != nil && !slices.ContainsFunc(o.fine, func(f error) bool { return errors.Is(err, f) }) {
			o.task.failed(fmt.Errorf("%s: %w", o.what, err))
		}
	}
}
