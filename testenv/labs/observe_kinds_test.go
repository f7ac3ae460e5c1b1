package labs

import (
	"fmt"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// watched is a way in which another daemon can be configured, with vipd beside it on
// both hosts.
type watched struct {
	name    string
	kind    kind
	routers [2]peers.Router
}

func (w watched) String() string { return w.name }

// TestObserveKinds: vipd with the same configuration beside another daemon, on both
// hosts, agrees with it over each version, family and way of sending: while the
// first host has the address, and after it has stopped.
func TestObserveKinds(t *testing.T) {
	var all []watched
	for _, c := range []combination{
		{peer: "keepalived", version: 2, family: 4},
		{peer: "keepalived", version: 3, family: 4, unicast: true},
		{peer: "keepalived", version: 3, family: 6},
		{peer: "frr", version: 3, family: 4},
	} {
		c.preempt = true
		w := watched{fmt.Sprintf("%s-v%d-ipv%d-unicast-%t", c.peer, c.version, c.family, c.unicast), keepalivedSide, c.routers()}
		if c.peer == "frr" {
			w.kind = frrSide
		}
		all = append(all, w)
	}
	vmac := watched{"keepalived-vmac", keepalivedVMACSide, combination{version: 3, family: 4, preempt: true}.routers()}
	for i := range vmac.routers {
		vmac.routers[i].VMAC = true
	}
	together(t, append(all, vmac), func(t *testing.T, w watched) {
		testenv.Require(t, "keepalived")
		peers.RequireFRR(t)
		o := &observed{pair: newPair(t)}
		var sides [2]*side
		for i, h := range o.hosts {
			sides[i] = w.kind(o.pair, h, w.routers[i])
			var err error
			if sides[i].Peer, err = sides[i].start(); err != nil {
				t.Fatal(err)
			}
			o.agents[i] = o.vipd(h, vipdConfig(w.routers[i]), "--observe")
		}
		o.agree(0, 0)
		o.agree(1, 0)
		for i, a := range o.agents {
			if list := a.events("observe"); len(list) > 0 {
				t.Errorf("lb%d: %+v", i+1, list)
			}
		}
		o.within(15*time.Second, "the daemon of lb1 to stop", sides[0].Stop)
		o.agree(1, 1)
	})
}
