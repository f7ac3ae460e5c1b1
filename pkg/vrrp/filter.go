package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// Membership is what one virtual router of this host expects of the adverts
// that it takes part with, on one interface and in one family.
type Membership struct {
	VRID      uint8         // 1–255
	Version   uint8         // 2 or 3
	Interval  time.Duration // version 2: adverts of another interval are refused
	Addresses []netip.Addr  // version 2: adverts of another list are refused; never changed after NewFilter
	Peers     []netip.Addr  // who may send, by unicast; none = anyone, by multicast
	Auth      *Auth         // how adverts are authenticated; nil = they are not
}

// Datagram is a VRRP packet as the kernel handed it over, without its IP header.
type Datagram struct {
	HopLimit    uint8
	Source      netip.Addr
	Destination netip.Addr
	Payload     []byte
	Time        time.Time // by the wall clock; only authentication looks at it
}

// Accepted is an advert of a member.
type Accepted struct {
	Advert   Advert // shares Membership.Addresses when it lists the same
	Checksum Checksum
	Anomaly  Anomaly // "" = none
	Signed   bool    // by a key of ours
}

// Filter decides which datagrams of one interface and family are adverts of a
// member. What it decides by never changes. It is used by one goroutine at a time.
type Filter struct {
	members [256]*member // by VRID
	own     []netip.Addr
}

// member is a membership, ready to verify.
type member struct {
	Membership
	macs map[uint8]*mac // by key id
}

// NewFilter makes a filter for these memberships on a host with these addresses
// of its own. There is one membership per VRID; of several the last one counts.
func NewFilter(own []netip.Addr, members ...Membership) *Filter {
	f := &Filter{own: withoutZones(own)}
	for _, m := range members {
		m.Peers = withoutZones(m.Peers)
		f.members[m.VRID] = newMember(m)
	}
	return f
}

func newMember(m Membership) *member {
	out := &member{Membership: m}
	if m.Auth.verifies() {
		out.macs = map[uint8]*mac{}
		for id, key := range m.Auth.Keys {
			out.macs[id] = newMAC(key)
		}
	}
	return out
}

// withoutZones copies addresses into the shape in which they are received.
func withoutZones(addrs []netip.Addr) []netip.Addr {
	list := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		list[i] = a.WithZone("")
	}
	return list
}

// Accept decides about one datagram (RFC 9568, Section 7.1; RFC 3768, Section
// 7.1; draft-cassen-vrrp-auth-hmac). It looks at things in the order of [Causes], so
// that the cause counted is the first one that applies. The error is a [*Discard].
//
// An interval or a list that differs from ours is a reason to refuse in version
// 2 only, and a list not even there when the sender is the address owner. An
// advert that reaches an owner is accepted too: two owners have to notice each
// other (errata 8298).
func (f *Filter) Accept(d Datagram, marks *Marks) (Accepted, error) {
	if d.HopLimit != HopLimit {
		return Accepted{}, errHopLimit
	}
	message, trailer := split(d.Payload, d.Source.Is4())
	if no := checkHeader(message, d.Source, d.Destination); no != nil {
		return Accepted{}, no
	}
	m := f.members[message[offVRID]]
	if m == nil {
		return Accepted{}, errUnknownVRID
	}
	form, no := m.check(d, message, trailer)
	if no != nil {
		return Accepted{}, no
	}
	a := Accepted{Checksum: form, Advert: build(message, d.Source.Is4(), m.Addresses)}
	if m.Version == Version2 && a.Advert.Priority != PriorityOwner && !sameSet(a.Advert.Addresses, m.Addresses) {
		return Accepted{}, errAddressList
	}
	if no := f.checkPath(m, d); no != nil {
		return Accepted{}, no
	}
	if a.Signed, no = m.authenticate(d, message, trailer, marks); no != nil {
		return Accepted{}, no
	}
	if first := a.Advert.Addresses[0]; first.Is6() && !first.IsLinkLocalUnicast() {
		a.Anomaly = AnomalyLinkLocal
	}
	return a, nil
}

// check checks the message itself, after its header, against the membership.
func (m *member) check(d Datagram, message, trailer []byte) (Checksum, *Discard) {
	if message[0]>>4 != m.Version {
		return 0, errOtherVersion
	}
	if no := m.checkTrailer(trailer); no != nil {
		return 0, no
	}
	form, no := checkSum(covered(d.Payload, message, d.Source.Is4()), d.Source, d.Destination)
	if no == nil {
		no = checkBody(message, d.Source, m.Auth.authType())
	}
	if no == nil && m.Version == Version2 && interval(message) != m.Interval {
		no = errV2Interval
	}
	return form, no
}

// checkPath checks where a good message came from and went to.
func (f *Filter) checkPath(m *member, d Datagram) *Discard {
	switch {
	case len(m.Peers) > 0 && d.Destination.IsMulticast():
		return errMulticast
	case len(m.Peers) == 0 && d.Destination != Group4 && d.Destination != Group6:
		return errUnicast
	case len(m.Peers) > 0 && !slices.Contains(m.Peers, d.Source):
		return errSource
	case d.Source.IsUnspecified() || d.Source.IsMulticast():
		return errNoSource
	case slices.Contains(f.own, d.Source):
		return errOwn
	}
	return nil
}

// sameSet reports whether two lists hold the same addresses in any order.
func sameSet(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}
