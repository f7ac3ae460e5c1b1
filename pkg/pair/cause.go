package pair

// Cause says why a datagram was not believed. Its text is the value of the metric
// label "cause".
type Cause string

// The causes. Those up to [CauseKey] anybody can bring about; what comes after
// them was sealed by somebody who has the key, though not always for us or now.
const (
	CauseOverflow  Cause = "overflow"       // the kernel had no room left: we were too slow
	CauseOversized Cause = "oversized"      // longer than MaxDatagram
	CauseMalformed Cause = "malformed"      // not a frame; or sealed well, and no State in it
	CauseTruncated Cause = "truncated"      // another length than the frame says
	CauseKey       Cause = "bad_key"        // sealed with another key, or altered
	CauseVersion   Cause = "version"        // another version of the channel
	CauseReflected Cause = "reflected"      // our own message came back
	CausePeer      Cause = "unknown_peer"   // from a host that is not in the configuration
	CauseReceiver  Cause = "other_receiver" // meant for another host
	CauseChallenge Cause = "challenge"      // of a process that has not proved yet that it is there now
	CauseRival     Cause = "rival"          // of a process that has been replaced and goes on: two have one name
	CauseReplay    Cause = "replay"         // seen before, or too old to know
	CauseType      Cause = "type"           // a type of message that we do not know
	CauseStale     Cause = "stale"          // an older State than one that came before it
)

// Causes lists every cause, in the order in which a datagram is looked at.
func Causes() []Cause {
	return []Cause{
		CauseOverflow, CauseOversized, CauseMalformed, CauseTruncated, CauseKey, CauseVersion, CauseReflected,
		CausePeer, CauseReceiver, CauseChallenge, CauseRival, CauseReplay, CauseType, CauseStale,
	}
}

// Refusal is the error of a datagram that is not believed.
type Refusal struct {
	Cause   Cause
	Detail  string
	From    string // the sender's name, when the seal is good; else ""
	Version uint8  // that it speaks, when Cause is CauseVersion
}

// Error says what is wrong with the datagram.
func (r *Refusal) Error() string { return "refuse message: " + string(r.Cause) + ": " + r.Detail }
