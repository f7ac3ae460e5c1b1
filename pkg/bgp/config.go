package bgp

import (
	"net/netip"
	"time"
)

// Config is who speaks, and whom to.
type Config struct {
	LocalAS    uint32     // 1–4294967294
	RouterID   netip.Addr // BGP Identifier, an IPv4 address (RFC 6286)
	ListenPort int        // TCP port for incoming sessions, -1 = only connect out
	// GracefulRestart is the Restart Time that is asked for (RFC 4724), 0 to
	// 4095s; 0 = the capability is not offered.
	GracefulRestart time.Duration
	Neighbors       map[string]Neighbor
	// Observe lists prefixes of ours of which it is looked at who else announces
	// them: what neighbors send of them is counted, and never used.
	Observe []netip.Prefix `json:",omitempty"`
}

// Neighbor is one BGP session.
type Neighbor struct {
	Address   netip.Addr // link-local ones with a zone; invalid when Interface is set
	Interface string     // unnumbered: the neighbor is found by its router advertisements
	RemoteAS  uint32     // 0 = any AS but ours
	Source    netip.Addr // local address, invalid = the kernel's choice
	Passive   bool       // wait for the neighbor to connect

	HoldTime     time.Duration // 0 or 3s–65535s (RFC 4271, Section 4.2); 0 = no keepalives
	Keepalive    time.Duration // a third of HoldTime at most
	ConnectRetry time.Duration // ConnectRetryTime

	Password    string // TCP MD5 signature (RFC 2385), "" = none; a secret
	TTLSecurity int    // GTSM: accepted distance in hops (RFC 5082), 0 = off
	Multihop    int    // TTL of sent packets, 0 = 1 for external, 255 for internal neighbors
	Families    []Family
	MaxPrefixes uint32 // sent by the neighbor before the session is closed; 0 = no limit
	BFD         *BFD   // nil = none
}

// Internal reports whether the session is iBGP.
func (n Neighbor) Internal(localAS uint32) bool { return n.RemoteAS == localAS }

// Family is an address family of routes, unicast.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// BFD is a profile of Bidirectional Forwarding Detection (RFC 5880).
type BFD struct {
	Transmit   time.Duration // DesiredMinTxInterval, 10ms–60s
	Receive    time.Duration // RequiredMinRxInterval, 10ms–60s
	Multiplier uint8         // Detect Mult, 1–255
}

// SessionState is a state of the BGP finite state machine (RFC 4271, Section
// 8.2.2), in the words of status and metrics.
type SessionState string

// The states.
const (
	Idle        SessionState = "IDLE"
	Connect     SessionState = "CONNECT"
	ActiveOpen  SessionState = "ACTIVE"
	OpenSent    SessionState = "OPENSENT"
	OpenConfirm SessionState = "OPENCONFIRM"
	Established SessionState = "ESTABLISHED"
)

// Untold is why a neighbor with a session is told no routes of a family, "" when
// it is.
func (s Session) Untold(f Family) string {
	if f == IPv4 {
		return s.Not4
	}
	return s.Not6
}

// Session is what is known about a session.
type Session struct {
	Neighbor  string
	State     SessionState
	Address   netip.Addr // of the neighbor: found, when it is unnumbered
	RemoteAS  uint32     // as it said itself, 0 before
	BFD       string     // "", "up", "down", "init", "admin-down"
	Announced int        // prefixes that it was told and not told to forget
	Not4      string     // why it is told no IPv4 routes although the session is up, "" = it is
	Not6      string     // the same of IPv6
	Received  uint64     // prefixes that it sent; none is used. Looked at every ten seconds
	LastError string     // why the last session ended, "" = none did
	Graceful  bool       // the neighbor keeps routes over a restart of ours (RFC 4724)
	Flaps     uint64     // sessions that ended since the start
}
