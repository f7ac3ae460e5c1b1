// Package vrrp thinks in VRRP: it turns packets into adverts and adverts into
// packets, says which packets may be believed, and runs the election of one
// virtual router, for VRRP version 3 (RFC 9568, which replaced RFC 5798) and
// version 2 (RFC 3768), over IPv4 and IPv6, with and without the HMAC trailer of
// draft-cassen-vrrp-auth-hmac.
//
// Data passes through it like this: vrrpnet reads a datagram and asks [Filter]
// and [Parse] whether it is an advert of a member; the engine hands the
// [Advert] to the [Router] of that virtual router, which answers with what has
// to be done next. On the way out a [Signer] authenticates what [Advert.AppendTo]
// has written; on the way in the Filter verifies it, and [Marks] remembers what
// was believed, so that it is not believed again.
//
// The package holds no socket, clock, goroutine or random number: the same
// calls give the same answers. Authentication needs the time of the wall clock, and
// gets it as an argument. It does not own addresses and it does not
// decide whether a host is fit to hold them: that is the engine's part.
package vrrp
