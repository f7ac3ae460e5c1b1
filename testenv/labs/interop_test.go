package labs

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv/peers"
)

// Addresses of the interop tests, by family.
var (
	interop4 = []string{"192.0.2.100/24"}
	interop6 = []string{"fe80::100/64", "fd00:2::100/64"}
)

// combination is one cell of the matrix: who speaks what to vipd, and which of
// the two has the higher priority.
type combination struct {
	peer    string // keepalived, frr
	version int
	family  int // 4, 6
	unicast bool
	better  bool // vipd has the higher priority
	preempt bool
}

func (c combination) String() string {
	word := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	return fmt.Sprintf("%s-v%d-ipv%d-%s-vipd-%s-preempt-%s", c.peer, c.version, c.family, word(c.unicast, "unicast", "multicast"),
		word(c.better, "better", "lesser"), word(c.preempt, "on", "off"))
}

// matrix is every combination that both daemons can do.
func matrix() (all []combination) {
	for _, c := range []combination{
		{peer: "keepalived", version: 2, family: 4},
		{peer: "keepalived", version: 2, family: 4, unicast: true},
		{peer: "keepalived", version: 3, family: 4},
		{peer: "keepalived", version: 3, family: 4, unicast: true},
		{peer: "keepalived", version: 3, family: 6},
		{peer: "keepalived", version: 3, family: 6, unicast: true},
		{peer: "frr", version: 3, family: 4},
		{peer: "frr", version: 3, family: 6},
	} {
		for _, c.better = range []bool{true, false} {
			for _, c.preempt = range []bool{true, false} {
				all = append(all, c)
			}
		}
	}
	return all
}

// routers describes the virtual router to both sides; the first is the better
// one.
func (c combination) routers() (out [2]peers.Router) {
	for i := range out {
		r := peers.Router{
			Name: routerName, VRID: 51, Version: c.version, Priority: uint8(150 - 50*i), NoPreempt: !c.preempt,
			Interval: 200 * time.Millisecond, Addresses: interop4, // a lease of half a second: four labs share the machine
		}
		if c.version == 2 {
			r.Interval = time.Second
		}
		own := []string{"192.0.2.2", "192.0.2.3"}
		if c.family == 6 {
			r.Addresses, own = interop6, []string{"fd00:2::2", "fd00:2::3"}
		}
		if c.unicast {
			r.UnicastSource, r.UnicastPeers = own[i], []string{own[1-i]}
		}
		if c.unicast && c.family == 6 {
			r.Extra = "  unicast_ttl 255" // without it keepalived sends 64
		}
		out[i] = r
	}
	return out
}

func (c combination) duel(t *testing.T) *duel {
	t.Helper()
	other := kind(keepalivedSide)
	if c.peer == "frr" {
		peers.RequireFRR(t)
		other = frrSide
	} else {
		peers.RequireKeepalived(t)
	}
	kinds := [2]kind{vipdSide(""), other}
	if !c.better {
		kinds = [2]kind{other, vipdSide("")}
	}
	return newDuel(t, kinds, c.routers())
}

// labsAtOnce is how many labs run together: they mostly wait, so there may be
// more of them than processors.
const labsAtOnce = 4

// together runs a subtest for each case, several at a time.
func together[C fmt.Stringer](t *testing.T, cases []C, run func(*testing.T, C)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, labsAtOnce)
	for _, c := range cases {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			t.Run(c.String(), func(t *testing.T) { run(t, c) })
		})
	}
	all.Wait()
}

// TestInterop: vipd and another daemon agree in every combination of version,
// family, transport, roles and preempt. The better one is Active, crashes and
// comes back; the then Active one releases.
func TestInterop(t *testing.T) {
	together(t, matrix(), func(t *testing.T, c combination) {
		d := c.duel(t)
		d.begin()
		d.crash(0)
		d.restore(0)
		if c.preempt {
			d.holds(0) // takes the address back
			d.release(0)
			return
		}
		d.keeps(1)
		d.release(1)
	})
}
