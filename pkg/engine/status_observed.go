package engine

import (
	"net/netip"
	"time"
)

// ObservedStatus tells what is really so with a VIP, beside what this host would
// do: of a daemon that only observes. The engine does not know that it is one;
// whoever gives it its events fills this in.
type ObservedStatus struct {
	Here        bool                 `json:"here"`                  // another daemon on this host has its addresses
	Holders     []netip.Addr         `json:"holders,omitempty"`     // other hosts that advertise it, believed or not
	Differences []ObservedDifference `json:"differences,omitempty"` // none = vipd would do the same
	Begun       map[string]uint64    `json:"differences_begun"`     // since the start, by kind
}

// ObservedDifference is one between what vipd would do and what is.
type ObservedDifference struct {
	Kind  string    `json:"kind"` // holder, addresses, advert
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}
