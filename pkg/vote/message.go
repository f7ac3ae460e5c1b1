package vote

import "time"

// Drift bounds how wrong the speed of a clock is: 500 parts in a million, as much
// as NTP corrects, so that two clocks differ by twice that.
const Drift = 500 // ppm

// AskKind is what a host wants of a voter.
type AskKind uint8

// The kinds.
const (
	Renew   AskKind = 1 // promise the vote, or go on doing so
	Release AskKind = 2 // take the promise back: the host holds nothing any more
)

// Ask is a message of a host to a voter.
type Ask struct {
	Kind AskKind
	VIP  string // 1–64 octets
	// Number of the Ask: each of a process for one VIP has a higher one. What comes
	// after a newer one changes nothing.
	Number uint64
	Epoch  uint64        // that the host has, or wants
	TTL    time.Duration // how long to promise, in whole milliseconds: more than 0
}

// AnswerKind is what became of an Ask.
type AnswerKind uint8

// The kinds.
const (
	Granted  AnswerKind = 1 // promised, for the TTL, from when the Ask was received
	Refused  AnswerKind = 2 // not promised; what was promised earlier stays so
	Released AnswerKind = 3
	Lost     AnswerKind = 4 // what was promised earlier is over, against the rules
	Freed    AnswerKind = 5 // what was promised to another host is over; no Ask led to it, and it is never sent
)

// Reason says why an Ask is refused.
type Reason uint8

// The reasons.
const (
	Promised Reason = 1 // to Owner, for Remaining
	SitsOut  Reason = 2 // the voter has just started; until Remaining is over it does not know
	OldEpoch Reason = 3 // it has promised a higher one before: Epoch
	TooLong  Reason = 4 // the voter promises for Remaining at most
	NoRoom   Reason = 5 // its table is full
	Trouble  Reason = 6 // the voter cannot work: Remaining until it is worth to ask again
)

// String is the reason in words, and the value of the metric label "why".
func (r Reason) String() string {
	switch r {
	case Promised:
		return "promised"
	case SitsOut:
		return "sits_out"
	case OldEpoch:
		return "old_epoch"
	case TooLong:
		return "too_long"
	case NoRoom:
		return "no_room"
	case Trouble:
		return "trouble"
	}
	return "unknown"
}

// Reasons lists every reason.
func Reasons() []Reason { return []Reason{Promised, SitsOut, OldEpoch, TooLong, NoRoom, Trouble} }

// Answer is a message of a voter to a host.
type Answer struct {
	Kind      AnswerKind
	VIP       string
	Number    uint64 // of the Ask
	Epoch     uint64 // the highest that the voter has promised
	Why       Reason // when Refused
	Owner     string // when Promised: to whom
	Remaining time.Duration
}
