package pair

import (
	"net/netip"
	"time"
)

// State is what a host tells its peers: all of it each time, so that any message
// may be lost.
type State struct {
	Node string // name of the sender: 1 to MaxName octets, as all names here
	// Seq grows with each change of what follows, but for ages; equal numbers of
	// one boot mean equal content.
	Seq   uint64
	VIPs  []VIP
	Hears []Hears
	// Config is what must be equal on all hosts, by key as in the file
	// ("vip.web.vrid"): values as the operator would write them. nil = not told
	// this time. Keys have up to MaxKey octets; long values are told as [Told] says.
	Config map[string]string
}

// VIP is how a host stands to one VIP.
type VIP struct {
	Name     string
	Role     Role
	Held     bool          // its kernel answers for the addresses
	Epoch    uint64        // of the newest holder that the sender knows of; each new holder adds one
	Priority uint8         // effective: 1–255
	Eligible bool          // it could hold it now
	Blocker  string        // why not, one line for a human, cut after MaxBlocker octets; "" when eligible
	Source   netip.Addr    // of its adverts; invalid = not known yet
	Interval time.Duration // Advertisement_Interval, in whole milliseconds
	// Asks: it would take the VIP from its living holder, whom it outranks.
	Asks bool
	// Offer names the host that the sender, which holds it, wants to take it now;
	// "" = nobody. The taker's Epoch is the one told here plus one.
	Offer string
}

// Role is the state of the election, as told to a peer.
type Role uint8

// The roles.
const (
	Out     Role = iota // takes no part: not eligible, or starting
	Standby             // Backup
	Active              // advertises
)

func (r Role) String() string {
	switch r {
	case Standby:
		return "standby"
	case Active:
		return "active"
	case Out:
	}
	return "out"
}

// Hears is what the sender hears of another host.
type Hears struct {
	Node  string
	Boot  uint64 // of that host's process
	Seq   uint64 // newest State of that boot which was heard whole
	Paths []Path // up to MaxPaths
}

// Path is one way on which another host is heard.
type Path struct {
	Address netip.Addr    // of the other host
	Age     time.Duration // of the last message; whole milliseconds up to 65 s
}
