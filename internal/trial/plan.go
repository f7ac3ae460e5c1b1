package trial

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
)

// plan is the network that two files need.
type plan struct {
	ports    [2][]*port // of each host, by name
	segments []string   // the switches, in the order in which they were made
	made     int        // switches, those that became part of others among them
	client   map[string][]netip.Prefix
	routes   map[string][]netip.Addr // of the client, directly on that switch
	vips     []string                // that both files have, sorted
	problems []string                // why nothing can move
	used     map[netip.Addr]bool
}

// port is an interface of a host.
type port struct {
	name     string
	segment  string
	prefixes []netip.Prefix
}

// newPlan finds out what two files need.
func newPlan(files [2]*File) (*plan, error) {
	p := &plan{client: map[string][]netip.Prefix{}, routes: map[string][]netip.Addr{}, used: map[netip.Addr]bool{}}
	if files[0].Name == files[1].Name {
		return nil, fmt.Errorf("both files are of host %s: set node.name, or name the files after their hosts", files[0].Name)
	}
	p.join(files)
	if len(p.vips) == 0 {
		return nil, fmt.Errorf("%s and %s have no vip in common: nothing can move", files[0].Path, files[1].Path)
	}
	for i, f := range files {
		if err := p.address(i, f, files[1-i]); err != nil {
			return nil, err
		}
	}
	p.clients(files)
	return p, nil
}

// join makes the ports, and lets those of a VIP meet on one switch.
func (p *plan) join(files [2]*File) {
	names := map[string]bool{}
	for i, f := range files {
		for name, v := range f.cfg.Engine.VIPs {
			names[name] = true
			for _, a := range v.Addresses {
				p.used[a.Addr()] = true
			}
			if _, both := files[1-i].cfg.Engine.VIPs[name]; !both {
				p.problems = append(p.problems, fmt.Sprintf("vip.%s is in %s only: no other host could take it", name, f.Path))
			}
		}
	}
	slices.Sort(p.problems)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, inA := files[0].cfg.Engine.VIPs[name]
		b, inB := files[1].cfg.Engine.VIPs[name]
		switch {
		case inA && inB:
			p.vips = append(p.vips, name)
			p.compare(name, files, a, b)
			p.meet(a.Interface, b.Interface)
		case inA:
			p.port(0, a.Interface)
		default:
			p.port(1, b.Interface)
		}
	}
	for i, f := range files {
		for _, v := range f.cfg.Engine.VIPs {
			for _, link := range slices.Sorted(maps.Keys(v.TrackLinks)) {
				p.port(i, link)
			}
		}
	}
}

// compare finds what must be equal on both hosts and is not.
func (p *plan) compare(name string, files [2]*File, a, b engine.VIP) {
	for _, k := range []struct {
		key  string
		x, y any
	}{{"vrid", a.VRID, b.VRID}, {"version", a.Version, b.Version}, {"advert_interval", a.Interval, b.Interval}, {"vmac", a.VMAC, b.VMAC},
		{"addresses", slices.SortedFunc(slices.Values(a.Addresses), netip.Prefix.Compare), slices.SortedFunc(slices.Values(b.Addresses), netip.Prefix.Compare)},
	} {
		if x, y := fmt.Sprint(k.x), fmt.Sprint(k.y); x != y {
			p.problems = append(p.problems, fmt.Sprintf("vip.%s has %s %s in %s, and %s in %s", name, k.key, x, files[0].Path, y, files[1].Path))
		}
	}
}

// port returns a port of a host, which is new on a switch of its own.
func (p *plan) port(host int, name string) *port {
	i := slices.IndexFunc(p.ports[host], func(x *port) bool { return x.name == name })
	if i >= 0 {
		return p.ports[host][i]
	}
	x := &port{name: name, segment: p.segment()}
	p.ports[host] = append(p.ports[host], x)
	return x
}

// segment makes a switch.
func (p *plan) segment() string {
	p.made++
	name := fmt.Sprintf("switch%d", p.made)
	p.segments = append(p.segments, name)
	return name
}

// meet puts two ports on one switch, with all that each was with.
func (p *plan) meet(a, b string) {
	x, y := p.port(0, a), p.port(1, b)
	if x.segment == y.segment {
		return
	}
	gone := y.segment
	for _, ports := range p.ports {
		for _, q := range ports {
			if q.segment == gone {
				q.segment = x.segment
			}
		}
	}
	p.segments = slices.DeleteFunc(p.segments, func(s string) bool { return s == gone })
}

// address gives a host the addresses that the other file says it has, and others
// where it needs one.
func (p *plan) address(host int, f, other *File) error {
	for _, name := range slices.Sorted(maps.Keys(f.cfg.Engine.VIPs)) {
		v := f.cfg.Engine.VIPs[name]
		own := []netip.Addr{v.UnicastSource}
		if o, ok := other.cfg.Engine.VIPs[name]; ok && len(o.UnicastPeers) == 1 {
			own = append(own, o.UnicastPeers[0])
		}
		for _, a := range own {
			if a.IsValid() {
				p.give(p.port(host, v.Interface), a, f)
			}
		}
	}
	if pair := other.cfg.Engine.Pair; pair != nil {
		told, ok := pair.Peers[f.Name]
		if !ok {
			return fmt.Errorf("%s has no [peer.%s], which is the host of %s: names in [peer.NAME] are those of node.name", other.Path, f.Name, f.Path)
		}
		for _, a := range told {
			p.give(p.near(host, a, f), a, f)
		}
	}
	for i, x := range p.ports[host] {
		if slices.ContainsFunc(x.prefixes, func(q netip.Prefix) bool { return q.Addr().Is4() }) {
			continue
		}
		p.invent(host, i, x, f)
	}
	return nil
}

// near is the port of a host on whose network an address is.
func (p *plan) near(host int, a netip.Addr, f *File) *port {
	for _, x := range p.ports[host] {
		for _, q := range append(vipPrefixes(f, x.name), x.prefixes...) {
			if q.Masked().Contains(a) {
				return x
			}
		}
	}
	for _, x := range p.ports[1-host] { // where the other host has one of that network already
		for _, q := range x.prefixes {
			if !q.Contains(a) {
				continue
			}
			name := x.name
			if slices.ContainsFunc(p.ports[host], func(o *port) bool { return o.name == name }) {
				name = fmt.Sprintf("lab%d", len(p.ports[host]))
			}
			n := p.port(host, name)
			p.segments = p.segments[:len(p.segments)-1]
			n.segment = x.segment
			return n
		}
	}
	return p.port(host, fmt.Sprintf("lab%d", len(p.ports[host])))
}

// vipPrefixes are the networks of the VIPs on an interface that are larger than one
// address.
func vipPrefixes(f *File, link string) []netip.Prefix {
	var list []netip.Prefix
	for _, name := range slices.Sorted(maps.Keys(f.cfg.Engine.VIPs)) {
		if v := f.cfg.Engine.VIPs[name]; v.Interface == link {
			list = append(list, slices.DeleteFunc(slices.Clone(v.Addresses), netip.Prefix.IsSingleIP)...)
		}
	}
	return list
}

// give puts an address on a port.
func (p *plan) give(x *port, a netip.Addr, f *File) {
	if a.IsLinkLocalUnicast() || slices.ContainsFunc(x.prefixes, func(q netip.Prefix) bool { return q.Addr() == a }) {
		return // the kernel of the lab chooses those
	}
	bits := 64
	if a.Is4() {
		bits = 24
	}
	for _, q := range vipPrefixes(f, x.name) {
		if q.Masked().Contains(a) {
			bits = q.Bits()
		}
	}
	p.used[a] = true
	x.prefixes = append(x.prefixes, netip.PrefixFrom(a, bits))
}

// invent gives a port an IPv4 address of its own: of the network of a VIP, or one
// for tests (RFC 2544).
func (p *plan) invent(host, i int, x *port, f *File) {
	for _, q := range vipPrefixes(f, x.name) {
		if a, ok := p.free(q); ok && q.Addr().Is4() {
			x.prefixes = append(x.prefixes, netip.PrefixFrom(a, q.Bits()))
			return
		}
	}
	n := slices.Index(p.segments, x.segment)
	a := netip.AddrFrom4([4]byte{198, 18, byte(n), byte(1 + host)})
	p.used[a] = true
	x.prefixes = append(x.prefixes, netip.PrefixFrom(a, 24))
}

// free takes an address of a network that nobody has, from its beginning.
func (p *plan) free(q netip.Prefix) (netip.Addr, bool) {
	a := q.Masked().Addr().Next()
	for range 1000 {
		if !q.Contains(a.Next()) {
			return a, false // the last one is for all
		}
		if !p.used[a] {
			p.used[a] = true
			return a, true
		}
		a = a.Next()
	}
	return a, false
}

// clients puts the client into each network.
func (p *plan) clients(files [2]*File) {
	for _, name := range p.vips {
		v := files[0].cfg.Engine.VIPs[name]
		segment := p.port(0, v.Interface).segment
		for _, a := range v.Addresses {
			if a.IsSingleIP() && !p.serves(segment, a.Addr()) {
				p.routes[segment] = append(p.routes[segment], a.Addr())
			} else if !a.IsSingleIP() {
				p.attend(segment, a)
			}
		}
	}
	for _, ports := range p.ports {
		for _, x := range ports {
			for _, q := range x.prefixes {
				p.attend(x.segment, q)
			}
		}
	}
}

// serves reports whether the client reaches an address on a switch without a route.
func (p *plan) serves(segment string, a netip.Addr) bool {
	return slices.ContainsFunc(p.client[segment], func(q netip.Prefix) bool { return q.Contains(a) })
}

// attend gives the client an address of a network.
func (p *plan) attend(segment string, q netip.Prefix) {
	if p.serves(segment, q.Addr()) {
		return
	}
	if a, ok := p.free(q); ok {
		p.client[segment] = append(p.client[segment], netip.PrefixFrom(a, q.Bits()))
	}
}

// target is the address of a VIP that a client asks.
func target(v engine.VIP) netip.Addr { return v.Addresses[0].Addr() }

// words tells what was made.
func (p *plan) words(files [2]*File) []string {
	var lines []string
	for i, ports := range p.ports {
		var list []string
		for _, x := range ports {
			var own []string
			for _, q := range x.prefixes {
				own = append(own, q.String())
			}
			list = append(list, fmt.Sprintf("%s %s on %s", x.name, strings.Join(own, " "), x.segment))
		}
		lines = append(lines, fmt.Sprintf("%s (%s): %s", files[i].Name, files[i].Path, strings.Join(list, ", ")))
	}
	return lines
}
