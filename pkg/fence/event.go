package fence

import "time"

// Event is something that happened. The set is sealed.
//
//sumtype:decl
type Event interface{ event() }

type (
	// Wake says that time has passed, see [Fencer.Next].
	Wake struct{}

	// Heard says that an authentic message of the peer came in: an advert, or one
	// on the pair channel. A peer that is heard is never fenced.
	Heard struct {
		Boot uint64 // of the peer's process, as told on the pair channel; 0 = not told
	}

	// Situation is how this host stands. It replaces the one before.
	Situation struct {
		// Waiting is the VIPs that wait for a proof about the peer, sorted. A VIP
		// that the peer has released, or that it says it does not hold, is not in
		// it, so none of them is fenced for. A VIP that needs the proof to go on
		// being held stays in it.
		Waiting []string
		// Isolated says why this host may be the one that is cut off, "check gateway is
		// down"; "" = it is not, as far as is known.
		Isolated string
		// Upset is when this host last started, was stopped for a while, or lost a
		// lease: what it knew of the peer before counts for nothing. Never zero. A
		// restart of vipd alone is none, if [Fencer.Restore] tells what it knew.
		Upset time.Time
		// PeerContent: when last heard, the peer held everything that it could want,
		// so it has no reason to fence us.
		PeerContent bool
		// Holds and PeerHolds: this host, or the peer, held a VIP when they last heard
		// each other.
		Holds, PeerHolds bool
		// Together is when each of the two last heard the other one, if this host has
		// heard the peer since: a link that fails in one direction first. Zero = not
		// known.
		Together time.Time
		// Preferred: where that does not tell them apart, this host goes first. The
		// two hosts must answer differently: by priorities, else by name.
		Preferred bool
	}

	// Ended answers a [RunAgent].
	Ended struct {
		ID     uint64
		Exit   int    // exit code of the agent, -1 if it did not get to one
		Late   bool   // killed at its timeout
		Detail string // one line for a human: the last that it printed, or why it did not run
	}

	// Configure replaces the configuration.
	Configure struct{ Config Config }
)

func (Wake) event()      {}
func (Heard) event()     {}
func (Situation) event() {}
func (Ended) event()     {}
func (Configure) event() {}
