package sim_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// paired gives hosts a lease and the channel to each other, which tells every so often
// (auto when every is 0).
func paired(cfg engine.Config, hosts int, every time.Duration) engine.Config {
	for name, v := range cfg.VIPs {
		v.Lease = engine.LeaseNFT
		cfg.VIPs[name] = v
	}
	cfg.Keep = true
	cfg.Pair = &engine.Pair{Interval: every, Peers: map[string][]netip.Addr{}}
	for i := range hosts {
		if name := fmt.Sprintf("lb%d", i+1); name != cfg.Node {
			cfg.Pair.Peers[name] = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), netip.AddrFrom4([4]byte{192, 0, 3, byte(1 + i)})}
		}
	}
	return cfg
}
