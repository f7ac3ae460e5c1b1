package vote

import "time"

// Event is something that a Holder is told. The set is sealed.
//
//sumtype:decl
type Event interface{ event() }

type (
	// Wake says that time has passed, see [Holder.Next].
	Wake struct{}

	// Want says that this host is to hold the VIP: it is eligible, and elected. The
	// kernel has none of the addresses, also not from an earlier process, since an
	// attempt that fails hands votes back. Again and again it changes nothing.
	Want struct{}

	// Retry says that there is a reason to ask now and not later: another host has
	// released the VIP.
	Retry struct{}

	// Drop says that the kernel has none of the addresses any more, or that its lease
	// on them is over. The votes are handed back, so it must be so.
	Drop struct{}

	// Answered is what a voter answered, also this host itself. What no Ask of this
	// Holder led to counts for nothing.
	Answered struct {
		Voter  string
		Answer Answer
	}

	// Fenced says that the peer has been cut off, verified, and until when that is
	// known; zero = not any more. It stands for the peer's vote where there is no other
	// host but this one, which alone knows of it.
	Fenced struct {
		Peer  string
		Until time.Time
	}

	// Seen is an epoch that some holder is known to have had.
	Seen struct{ Epoch uint64 }

	// Configure replaces the configuration.
	Configure struct{ Config Config }
)

func (Wake) event()      {}
func (Want) event()      {}
func (Retry) event()     {}
func (Drop) event()      {}
func (Answered) event()  {}
func (Fenced) event()    {}
func (Seen) event()      {}
func (Configure) event() {}

// Send is an Ask that is to be sent to a voter, now or never: its vote counts from
// the now of the Step. VIP of the Ask is left empty, as a Holder does not know it.
type Send struct {
	To  string
	Ask Ask
}
