package vrrp

import "net/netip"

// Sight reads the advert that follows the IP header of a packet from src to dst,
// and takes it at its word: for those who only look on. Nothing but its form is
// checked, so it may be signed, of a version or with an interval that is not
// spoken here, forged, or this host's own. The advert keeps no reference to b.
func Sight(b []byte, src, dst netip.Addr) (Advert, bool) {
	message, _ := split(b, src.Is4())
	if checkHeader(message, src, dst) != nil || message[offCount] == 0 || len(message) != length(message, src.Is4()) {
		return Advert{}, false
	}
	return build(message, src.Is4(), nil), true
}
