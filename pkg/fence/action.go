package fence

import "time"

// Action is something to do. The set is sealed.
//
//sumtype:decl
type Action interface{ action() }

type (
	// RunAgent has the agent of a device do something, once. Answered with [Ended].
	RunAgent struct {
		ID      uint64 // unique within the Fencer
		Peer    string // nodename, for agents that know their plugs by it
		Device  string
		Verb    Verb
		Timeout time.Duration // the agent is killed then
	}

	// StopAgent kills an agent that nobody waits for any more. An answer to it is
	// not needed, and does no harm.
	StopAgent struct{ ID uint64 }

	// Report is something that an operator may want to know later.
	Report struct {
		Kind     Kind
		Peer     string
		Device   string // "" = of no single one
		Level    int    // from 1, 0 = of none
		Severity Severity
		Text     string // one line for a human
	}

	// Remember adds an entry to the history that is kept over restarts, see
	// [Fencer.Restore].
	Remember struct{ Entry Entry }
)

func (RunAgent) action()  {}
func (StopAgent) action() {}
func (Report) action()    {}
func (Remember) action()  {}

// Verb is what an agent is told to do, in the words of the fence-agents API.
// There is no reboot: it is off, verified, and then on, so that the off part is
// seen, and no device gets away with a power cycle that nobody saw.
type Verb string

// The verbs.
const (
	VerbOff    Verb = "off"
	VerbOn     Verb = "on"
	VerbStatus Verb = "status"
)

// Kind is what a [Report] or an [Entry] is about.
type Kind string

// The kinds.
const (
	Decided     Kind = "decided"     // to fence, and why
	Held        Kind = "held"        // it must not fence now: isolated, rate, startup, turn
	Aborted     Kind = "aborted"     // no need any more
	Shot        Kind = "shot"        // a device was told to cut the peer off, and says it did, or may have
	Attempt     Kind = "attempt"     // an agent failed
	NextLevel   Kind = "level"       // a level failed, the next one is tried
	Failed      Kind = "failed"      // all levels: tried again later
	Verified    Kind = "verified"    // read off several times: the peer holds nothing
	Confirmed   Kind = "confirmed"   // an operator says so
	Void        Kind = "void"        // what was proven is not true any more
	Lied        Kind = "lied"        // the peer is heard although its devices read off
	PoweredOn   Kind = "powered_on"  // after a reboot
	DeviceOK    Kind = "device_ok"   // it answers again
	DeviceBad   Kind = "device_bad"  // it does not answer, or reads off while the peer is heard
	Unprotected Kind = "unprotected" // every level has a device that does not answer
	Protected   Kind = "protected"
)

// Severity is how much a [Report] matters to whoever is on call.
type Severity string

// The severities, in the words of the engine's.
const (
	Info     Severity = "info"
	Notice   Severity = "notice"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)
