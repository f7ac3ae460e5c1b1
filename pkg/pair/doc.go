// Package pair is what the hosts of a pair, or of a larger group, tell each other
// over the authenticated channel: its words, their form on the wire, and what of
// it may be believed. docs/pair-channel.md draws the form and names what an
// attacker can and cannot do.
//
// Data passes through it like this:
//
//	out   [State] -> [Parts.Encode] -> payloads -> [Session.Next] and [Key.Seal] -> datagrams
//	in    datagram -> [Key.Open] -> [Session.Receive] -> [ParsePart] -> [Inbox.Add] -> State
//
// A [Key] knows who has the secret, a [Session] which of the frames that were
// sealed with it are new, and an [Inbox] which parts of a State have come. The
// first two know nothing of States, so that other messages travel the same way.
//
// The package holds no socket, clock, goroutine or random number: boot numbers
// and the time come from its caller, internal/pair, which has the sockets.
package pair
