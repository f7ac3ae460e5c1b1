package peers

import (
	"context"
	"net/netip"
	"syscall"
	"time"
)

// ToR is a top-of-rack router: FRR or BIRD.
type ToR interface {
	// Prefixes lists what its BGP table has from neighbors, by family in no order.
	Prefixes(ctx context.Context) ([]netip.Prefix, error)
	// Paths tells how the prefix can be reached, as neighbors told it.
	Paths(ctx context.Context, p netip.Prefix) ([]Path, error)
	// Established reports whether the session with that neighbor is up: its
	// address, or the interface of an unnumbered one.
	Established(ctx context.Context, neighbor string) (bool, error)
	// BFDUp reports whether the BFD session with that address is up.
	BFDUp(ctx context.Context, neighbor string) (bool, error)
	// Reset closes the session with the neighbor; it may come back.
	Reset(ctx context.Context, neighbor string) error
	// Freeze stops all of its processes, or lets them go on: what is told to it
	// waits, and its kernel forwards as before.
	Freeze(on bool) error
	Kill()
}

// freezing is the signal of Freeze.
func freezing(on bool) syscall.Signal {
	if on {
		return syscall.SIGSTOP
	}
	return syscall.SIGCONT
}

// Path is one path of a prefix in the table of a ToR.
type Path struct {
	NextHop     netip.Addr
	ASPath      string // as it prints it: "65101 65101"
	MED         uint32
	LocalPref   uint32
	Communities []string // 65101:53; well-known ones in its own words
	Large       []string // 65101:53:1
}

// ToRConfig is what a ToR is started with.
type ToRConfig struct {
	AS              uint32
	RouterID        string
	Neighbors       []ToRNeighbor
	Announce        []string // prefixes of its own that it tells everybody
	GracefulRestart bool     // as a helper
	Relay           bool     // tells neighbors what others told it; FRR does in any case
}

// ToRNeighbor is one neighbor of a ToR.
type ToRNeighbor struct {
	Address     string // or Interface
	Interface   string // unnumbered; FRR only
	AS          uint32
	HoldTime    time.Duration // 0 is 9 s; keepalives every third of it
	Password    string
	TTLSecurity int
	Families    []string      // "ipv4", "ipv6"; none is ipv4
	BFD         time.Duration // interval in both directions, three missing are too many; 0 is none
}

func (n ToRNeighbor) name() string {
	if n.Interface != "" {
		return n.Interface
	}
	return n.Address
}

func (n ToRNeighbor) hold() int {
	if n.HoldTime == 0 {
		return 9
	}
	return int(n.HoldTime.Seconds())
}

func (n ToRNeighbor) families() []string {
	if len(n.Families) == 0 {
		return []string{"ipv4"}
	}
	return n.Families
}
