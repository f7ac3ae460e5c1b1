package bgp

import (
	"fmt"
	"net/netip"
	"slices"
)

// Heard is a route that a neighbor sent, as far as it tells who announces it.
type Heard struct {
	NextHop     netip.Addr
	Path        []uint32   // AS_PATH, the origin last; sets are left out
	Originator  netip.Addr // ORIGINATOR_ID (RFC 4456), the zero value = none
	Communities []Community
}

// Announcer names the host that a route comes from, the same for every neighbor
// that tells of it: the AS that originates it, or within our own AS the originator
// that a route reflector names, or the next hop. "" is nobody who counts: ourselves,
// as our AS is in the path, and who is about to leave (RFC 8326).
func (h Heard) Announcer(localAS uint32, routerID netip.Addr) string {
	switch {
	case slices.Contains(h.Communities, GracefulShutdown), slices.Contains(h.Path, localAS), h.Originator == routerID && routerID.IsValid():
		return ""
	case h.Originator.IsValid():
		return h.Originator.String()
	case len(h.Path) > 0:
		return fmt.Sprintf("AS %d", h.Path[len(h.Path)-1])
	}
	return h.NextHop.String()
}
