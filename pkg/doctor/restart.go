package doctor

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// shortAdverts are so close together that a restart in place, which takes 50 to
// 100 ms, may be too slow for the lease.
const shortAdverts = 100 * time.Millisecond

// restart says what the next restart of the service does with VIPs.
func restart(n Needs, f Facts) []Finding {
	if len(n.VIPs) == 0 {
		return or(nil, "no vip that a restart could move")
	}
	if !n.Keep {
		return or(nil, `a restart releases every vip (node.on_stop = "release"): a peer takes it`)
	}
	var list []Finding
	for _, v := range n.VIPs {
		switch {
		case !v.Keepable:
			list = append(list, finding(Warn, "vipd drain --wait before a restart",
				"a restart releases %s: it keeps only what has a lease in the packet filter, no priority 255, and no votes", v.Name))
		case v.Interval < shortAdverts:
			list = append(list, finding(Warn, "longer advert intervals, or vipd drain --wait before a restart",
				"a restart of more than %s gives %s up: its adverts are %s apart", v.Interval*5/2, v.Name, v.Interval))
		case f.Held[v.Name] != "":
			list = append(list, finding(Warn, "repair that, or vipd drain --wait before a restart", "a restart would release %s now: %s", v.Name, f.Held[v.Name]))
		}
	}
	switch {
	case f.Held == nil:
		list = append(list, finding(Skip, "", "no daemon answers, so it is not known what a restart would do now"))
	case len(f.Held) == 0:
		return or(list, "a restart keeps vips in place, and none is held here")
	}
	return or(list, "a restart keeps %s in place; vipd drain --wait before the host itself goes down", strings.Join(slices.Sorted(maps.Keys(f.Held)), ", "))
}
