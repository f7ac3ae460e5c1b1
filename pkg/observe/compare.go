package observe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/vrrp"
)

// compare returns the differences that there are now, in words.
func (v *vip) compare(d Decision, local []netip.Addr) map[Kind]string {
	var missing []netip.Addr
	for _, a := range d.Addresses {
		if !slices.Contains(local, a) {
			missing = append(missing, a)
		}
	}
	v.here = len(missing) < len(d.Addresses)
	if d.Advert.Priority == vrrp.PriorityOwner { // its addresses are there, whoever answers for them
		v.here = slices.ContainsFunc(v.seen, func(s Sighting) bool { return s.Own })
	}
	if !d.Decided {
		return nil
	}
	found := map[Kind]string{Advert: v.adverts(d)}
	switch {
	case d.Hold && !v.here:
		found[Holder] = fmt.Sprintf("vipd would hold it here (%s), but this host has none of its addresses: %s", d.Why, v.holders())
	case !d.Hold && v.here:
		found[Holder] = fmt.Sprintf("this host has its addresses, and vipd would not hold it: %s", d.Why)
	case d.Hold && slices.ContainsFunc(v.seen, func(s Sighting) bool { return !s.Own }):
		found[Holder] = "this host has its addresses, and not it alone: " + v.holders()
	}
	if v.here && len(missing) > 0 {
		found[Addresses] = fmt.Sprintf("this host holds it without %s", words(missing))
	}
	return found
}

// holders says who advertises it elsewhere.
func (v *vip) holders() string {
	var list []string
	for _, s := range v.seen {
		if !s.Own {
			list = append(list, fmt.Sprintf("%s advertises it with priority %d", s.Source, s.Advert.Priority))
		}
	}
	if len(list) == 0 {
		return "no other host advertises it"
	}
	return strings.Join(list, ", ")
}

// adverts compares what is advertised with what vipd would, and expects.
func (v *vip) adverts(d Decision) string {
	var list []string
	for _, s := range v.seen {
		var not []string
		add := func(what string, is, would any) {
			not = append(not, fmt.Sprintf("%s %v, not %v", what, is, would))
		}
		if s.Advert.Version != d.Advert.Version {
			add("version", s.Advert.Version, d.Advert.Version)
		}
		if s.Own && s.Advert.Priority != d.Advert.Priority {
			add("priority", s.Advert.Priority, d.Advert.Priority)
		}
		if s.Advert.Interval != d.Advert.Interval {
			add("interval", s.Advert.Interval, d.Advert.Interval)
		}
		if !sameSet(s.Advert.Addresses, d.Advert.Addresses) {
			add("addresses", words(s.Advert.Addresses), words(d.Advert.Addresses))
		}
		if len(not) == 0 {
			continue
		}
		who := s.Source.String()
		if s.Own {
			who = "this host"
		}
		list = append(list, fmt.Sprintf("%s advertises %s", who, strings.Join(not, ", ")))
	}
	return strings.Join(list, "; ")
}

func sameSet(a, b []netip.Addr) bool {
	sorted := func(list []netip.Addr) []netip.Addr {
		return slices.Compact(slices.SortedFunc(slices.Values(list), netip.Addr.Compare))
	}
	return slices.Equal(sorted(a), sorted(b))
}

func words(list []netip.Addr) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, " ")
}
