package vrrp

import (
	"net/netip"
	"strings"
	"time"
)

// Protocol is the IP protocol number of VRRP (RFC 9568, Section 5.1.1.4).
const Protocol = 112

// HopLimit is the IPv4 TTL or IPv6 Hop Limit that every VRRP packet is sent
// with and must arrive with (RFC 9568, Section 5.1.1.3).
const HopLimit = 255

// Priorities with a meaning of their own (RFC 9568, Section 5.2.4).
const (
	PriorityRelease = 0   // the Active gives the virtual router up
	PriorityDefault = 100 // a Backup that was told nothing else
	PriorityOwner   = 255 // the host owns the addresses as its own
)

// Versions of the protocol that vipd speaks.
const (
	Version2 = 2 // RFC 3768: IPv4 only, whole seconds
	Version3 = 3 // RFC 9568: both families, centiseconds
)

// The multicast groups that adverts are sent to (RFC 9568, Sections 5.1.1.2
// and 5.1.2.2).
var (
	Group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	Group6 = netip.MustParseAddr("ff02::12")
)

// Advert is a VRRP ADVERTISEMENT as described in RFC 9568, Section 5.2, and in
// RFC 3768, Section 5.3, for version 2.
type Advert struct {
	Version   uint8         // 2 or 3
	VRID      uint8         // 1–255
	Priority  uint8         // 0 releases, 255 is the address owner
	Interval  time.Duration // v3: 10ms–40.95s in steps of 10ms; v2: 1s–255s in whole seconds
	Addresses []netip.Addr  // 1–255 addresses of one family
}

// Checksum names how the checksum of a version 3 packet over IPv4 is formed.
// Over IPv6 and in version 2 there is only one way and the value is ignored.
type Checksum uint8

const (
	// ChecksumPseudoHeader covers an IPv4 pseudo-header as well: what RFC 5798
	// was read to mean, and what keepalived, FRR and most switches send.
	ChecksumPseudoHeader Checksum = iota
	// ChecksumMessage covers the VRRP message only (RFC 9568, Section 5.2.8).
	ChecksumMessage
)

// Cause says why a packet was not believed. Its text is the value of the
// `reason` label of vipd_vrrp_packets_dropped_total.
type Cause string

// The causes, in the order in which a packet is looked at.
const (
	CauseOverflow     Cause = "overflow"        // the kernel had no room left: we were too slow
	CauseInterface    Cause = "interface"       // came in on another interface
	CauseHopLimit     Cause = "ttl"             // hop limit below 255
	CauseLength       Cause = "length"          // truncated, overlong, or lengths that disagree
	CauseVersion      Cause = "version"         // not 2 or 3, or not the one this virtual router speaks
	CauseType         Cause = "type"            // not an ADVERTISEMENT
	CauseVRID         Cause = "vrid"            // VRID 0
	CauseUnknownVRID  Cause = "unknown_vrid"    // no such virtual router on this interface and family
	CauseAuthTrailer  Cause = "auth_trailer"    // signed where nothing may be, or in an unknown form
	CauseCount        Cause = "count"           // no address at all
	CauseChecksum     Cause = "checksum"        // valid under no known form
	CauseInterval     Cause = "advert_interval" // zero, or in v2 not ours
	CauseAuthType     Cause = "auth_type"       // v2 authentication of another type
	CauseFamily       Cause = "family"          // addresses of another family than the packet
	CauseAddressList  Cause = "address_list"    // v2 only: the list is not ours
	CauseDestination  Cause = "destination"     // multicast to a unicast group, or the reverse
	CauseSource       Cause = "unicast_source"  // unicast from a host that is not a peer
	CauseOwn          Cause = "own_source"      // our own packet came back, or someone uses our address
	CauseAuthPassword Cause = "auth_pass"       // v2: not our password
	CauseAuthMissing  Cause = "auth_missing"    // not signed
	CauseAuthTime     Cause = "auth_time"       // signed too long ago, or in the future
	CauseAuthKey      Cause = "auth_key"        // signed with a key that is not configured
	CauseAuthHMAC     Cause = "auth_hmac"       // signed with another key, or changed
	CauseAuthReplay   Cause = "auth_replay"     // its number was there before
)

// Auth reports whether the cause is one of authentication.
func (c Cause) Auth() bool { return strings.HasPrefix(string(c), "auth_") }

// Causes lists every cause, in the order in which a packet is looked at.
func Causes() []Cause {
	return []Cause{
		CauseOverflow, CauseInterface, CauseHopLimit, CauseLength, CauseVersion,
		CauseType, CauseVRID, CauseUnknownVRID, CauseAuthTrailer, CauseCount,
		CauseChecksum, CauseInterval, CauseAuthType, CauseFamily,
		CauseAddressList, CauseDestination, CauseSource, CauseOwn,
		CauseAuthPassword, CauseAuthMissing, CauseAuthTime, CauseAuthKey,
		CauseAuthHMAC, CauseAuthReplay,
	}
}

// Anomaly names something about an accepted advert that is not as the standard
// wants it, and that an operator should be able to see. Most adverts have none,
// which is the zero value.
type Anomaly string

// AnomalyLinkLocal says that the first IPv6 address of the list is not link-local, as
// RFC 9568, Section 5.2.9 demands. keepalived sends such adverts when it is
// given only global addresses, so they are accepted.
const AnomalyLinkLocal Anomaly = "first_not_link_local"

// Anomalies lists every anomaly.
func Anomalies() []Anomaly { return []Anomaly{AnomalyLinkLocal} }
