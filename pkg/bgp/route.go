package bgp

import (
	"fmt"
	"net/netip"
)

// Route is one prefix as a neighbor is told about it.
type Route struct {
	Prefix     netip.Prefix
	NextHop    netip.Addr // the zero value is this host's address on the session
	Attributes Attributes
}

// Attributes are the path attributes of a route that vipd sets (RFC 4271,
// Section 5.1).
type Attributes struct {
	MED         uint32 // MULTI_EXIT_DISC, always sent to external neighbors
	LocalPref   uint32 // LOCAL_PREF, to internal neighbors only
	Prepend     int    // how often the own AS is put before AS_PATH once more, 0–10
	Communities []Community
	Large       []LargeCommunity
}

// Community is a value of the COMMUNITIES attribute (RFC 1997): two halves of 16
// bits.
type Community uint32

// Well-known communities.
const (
	GracefulShutdown Community = 0xffff0000 // RFC 8326
	NoExport         Community = 0xffffff01 // RFC 1997
	NoAdvertise      Community = 0xffffff02 // RFC 1997
)

// String is the way operators write it: no-export, graceful-shutdown, 65101:53.
func (c Community) String() string {
	switch c {
	case GracefulShutdown:
		return "graceful-shutdown"
	case NoExport:
		return "no-export"
	case NoAdvertise:
		return "no-advertise"
	}
	return fmt.Sprintf("%d:%d", uint32(c)>>16, uint32(c)&0xffff)
}

// LargeCommunity is a value of the LARGE_COMMUNITIES attribute (RFC 8092).
type LargeCommunity struct{ Global, Local1, Local2 uint32 }

// String is the canonical form of RFC 8092, Section 5: 65101:53:1.
func (c LargeCommunity) String() string {
	return fmt.Sprintf("%d:%d:%d", c.Global, c.Local1, c.Local2)
}

// Table is all that is announced: the routes of each neighbor by its name, sorted
// by prefix, each prefix once. A neighbor that is not in it is told nothing.
type Table map[string][]Route
