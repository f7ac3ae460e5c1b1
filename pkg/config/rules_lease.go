package config

import (
	"fmt"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// leaseRules checks what ends the hold of a host that hangs, and how planned moves
// are made.
func (b *builder) leaseRules(s section, c *Config, v engine.VIP) {
	n := s.find("lease")
	asked := n != nil && (v.Lease == engine.LeaseNFT || v.Lease == engine.LeaseAddress)
	switch {
	case asked && v.Priority == vrrp.PriorityOwner:
		b.bad(s, n, "priority 255 says that the addresses are this host's own: they have no lease", "leave lease out")
	case asked && v.Lease == engine.LeaseNFT && v.Interval > 0 && v.Interval < engine.LeaseLeastInterval:
		b.bad(s, n, fmt.Sprintf("adverts every %s are too close together for a lease, which would end by itself", words(v.Interval)),
			"advert_interval of 30ms or more")
	}
	if h := s.find("handover"); h != nil && v.Break && c.Engine.Pair == nil {
		b.atValue(h, Warning, fmt.Sprintf("%s: only hosts that tell each other how they stand agree on who closes first", h),
			"add [pair]; without it the new holder opens when it has advertised")
	}
}
