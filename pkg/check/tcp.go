package check

import "regexp"

// TCP connects to an address, and may say something and look for something in
// the answer.
type TCP struct {
	Address string // host:port, or unix:/path of a socket
	Source  string // local address, "" = any

	Send   string         // what to say first, "" = nothing
	Text   string         // must be in the answer, "" = anything or nothing
	Regexp *regexp.Regexp // must match the answer, nil = anything or nothing
}

// Type implements [Spec].
func (TCP) Type() string { return "tcp" }
