// Package peers starts other VRRP daemons, Debian's keepalived and FRR, on the
// hosts of a [testenv.Lab], and asks them what they think. It writes their
// configuration from one description, [Router], so that a test can put any of
// them beside the program under test.
//
// Nothing of the machine is used or changed: configuration, sockets and process
// ids live in the directory of the host.
package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/testenv"
)

// Router is one virtual router as a peer takes part in it.
type Router struct {
	Name      string        // how the test asks for it; "" is "vr" and the VRID
	Device    string        // "" is eth0
	Version   int           // 2 or 3; 0 is 3
	VRID      uint8         // 1–255
	Priority  uint8         // 1–255; 0 is 100
	Interval  time.Duration // of adverts; 0 is 1 s; v2: whole seconds
	Addresses []string      // of one family, such as "192.0.2.10/24"; without a length /32 or /128
	NoPreempt bool

	// keepalived only.
	UnicastSource string
	UnicastPeers  []string
	VMAC          bool
	Extra         string // further lines of the vrrp_instance block
}

// Config is what a peer is started with.
type Config struct {
	Routers []Router
	Extra   string // further lines of the file, before the routers; keepalived only
	Text    string // the whole file instead of all this; keepalived only
}

// State is the state of a virtual router, in the words of RFC 9568.
type State string

// The states that peers report. Fault is keepalived's, for a tracked thing that
// is down.
const (
	Initialize State = "INITIALIZE"
	Backup     State = "BACKUP"
	Active     State = "ACTIVE"
	Fault      State = "FAULT"
)

// Status is what a peer says about one virtual router.
type Status struct {
	State    State
	Priority int // the effective one
	Sent     int // adverts sent
	Received int // adverts received and believed
}

// Peer is a running daemon.
type Peer interface {
	// Status asks the daemon about its virtual routers, by name.
	Status(ctx context.Context) (map[string]Status, error)
	// Stop ends the daemon politely and waits for it.
	Stop(ctx context.Context) error
	// Kill ends the daemon with SIGKILL, all its processes at once, and leaves
	// its addresses where they are.
	Kill()
}

// askEvery is how often WaitState asks: often enough for a test, seldom enough
// not to disturb the daemon.
const askEvery = 20 * time.Millisecond

// WaitState returns when the peer says that the named virtual router is in that
// state; the error tells what it said last.
func WaitState(ctx context.Context, p Peer, name string, want State) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		all, err := p.Status(ctx)
		if err == nil && all[name].State == want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to be %s: %w; last said: %+v, %w", name, want, ctx.Err(), all, err)
		}
	}
}

// complete fills in what was left out and parses the addresses.
func (c Config) complete() ([]router, error) {
	var out []router
	for _, r := range c.Routers {
		if r.VRID == 0 {
			return nil, fmt.Errorf("router %q: VRID 0 is outside 1–255", r.Name)
		}
		if r.Name == "" {
			r.Name = fmt.Sprintf("vr%d", r.VRID)
		}
		if r.Device == "" {
			r.Device = "eth0"
		}
		if r.Version == 0 {
			r.Version = 3
		}
		if r.Priority == 0 {
			r.Priority = 100
		}
		if r.Interval == 0 {
			r.Interval = time.Second
		}
		full := router{Router: r}
		for _, a := range r.Addresses {
			p, err := parse(a)
			if err != nil {
				return nil, fmt.Errorf("router %s: %w", r.Name, err)
			}
			full.addresses = append(full.addresses, p)
		}
		if len(full.addresses) == 0 {
			return nil, fmt.Errorf("router %s: no address", r.Name)
		}
		out = append(out, full)
	}
	return out, nil
}

// router is a Router with nothing left out.
type router struct {
	Router
	addresses []netip.Prefix
}

func (r router) is6() bool { return r.addresses[0].Addr().Is6() }

func parse(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("parse address %q: %w", s, err)
	}
	return p, nil
}

// virtualMACOnly keeps the interface below a virtual MAC from telling its own
// MAC for the virtual address, in answers and in questions, as the
// documentation of virtual MACs on Linux asks for: clients would stay with it
// through a failover.
func virtualMACOnly(h *testenv.Host, dev string) error {
	return errors.Join(
		h.Sysctl("net/ipv4/conf/"+dev+"/arp_ignore", "1"),
		h.Sysctl("net/ipv4/conf/"+dev+"/arp_announce", "2"))
}

var (
	_ Peer = (*Keepalived)(nil)
	_ Peer = (*FRR)(nil)
)
