package vrrp

import "fmt"

// Discard is the error that says why a packet was not believed. There is one
// fixed value per reason (and key id), so that refusing hostile packets at line rate
// allocates nothing.
type Discard struct {
	Cause  Cause
	Detail string // for a human, the same for every packet of that kind
}

// Error tells the cause and the detail.
func (d *Discard) Error() string { return "discard advert: " + string(d.Cause) + ": " + d.Detail }

// The reasons, in the order in which a packet is looked at.
var (
	errHopLimit     = &Discard{CauseHopLimit, "hop limit below 255"}
	errShort        = &Discard{CauseLength, "shorter than the header"}
	errLength       = &Discard{CauseLength, "length does not fit the number of addresses"}
	errVersion      = &Discard{CauseVersion, "neither version 2 nor version 3"}
	errVersion6     = &Discard{CauseVersion, "version 2 over IPv6"}
	errOtherVersion = &Discard{CauseVersion, "not the version of this virtual router"}
	errType         = &Discard{CauseType, "not an advertisement"}
	errVRID         = &Discard{CauseVRID, "VRID 0"}
	errUnknownVRID  = &Discard{CauseUnknownVRID, "no virtual router of this VRID here"}
	errSigned       = &Discard{CauseAuthTrailer, "signed, and there are no keys here"}
	errTrailer      = &Discard{CauseAuthTrailer, "trailer of an unknown form"}
	errCount        = &Discard{CauseCount, "no address"}
	errChecksum     = &Discard{CauseChecksum, "checksum wrong in every form"}
	errInterval     = &Discard{CauseInterval, "interval 0"}
	errV2Interval   = &Discard{CauseInterval, "version 2 interval is not ours"}
	errAuthType     = &Discard{CauseAuthType, "version 2 authentication is not of our type"}
	errCarrier      = &Discard{CauseFamily, "source and destination of different families"}
	errFamily       = &Discard{CauseFamily, "addresses of another family than the packet"}
	errAddressList  = &Discard{CauseAddressList, "version 2 address list is not ours"}
	errMulticast    = &Discard{CauseDestination, "multicast to a virtual router with unicast peers"}
	errUnicast      = &Discard{CauseDestination, "not sent to the VRRP group"}
	errSource       = &Discard{CauseSource, "source is not one of the unicast peers"}
	errNoSource     = &Discard{CauseSource, "source is not a host's address"}
	errOwn          = &Discard{CauseOwn, "source is our own address"}
	errPassword     = &Discard{CauseAuthPassword, "another password"}
	errUnsigned     = &Discard{CauseAuthMissing, "not signed"}
	errStale        = &Discard{CauseAuthTime, "its clock and ours differ by more than time_window"}
	errHMAC         = &Discard{CauseAuthHMAC, "HMAC wrong: another key, or forged"}
	errReplay       = &Discard{CauseAuthReplay, "number not above the last one: replayed"}
)

// errUnknownKey are the reasons for key ids that are not configured.
var errUnknownKey = func() (list [256]*Discard) {
	for id := range list {
		list[id] = &Discard{CauseAuthKey, fmt.Sprintf("key id %d unknown", id)}
	}
	return list
}()
