package fence

// outcome is what the end of an agent means.
type outcome int

const (
	failed outcome = iota // or not known: never taken for a success
	done                  // off or on was carried out
	reads                 // reading on
	readsOff
)

// The exit codes of the fence-agents API. Code 2 means "off" after status, and
// "bad arguments" after anything else.
const (
	exitOK  = 0
	exitOff = 2
)

// outcome reads the end of an agent. An agent that was killed has failed, what
// ever it had done by then.
func (e Ended) outcome(v Verb) outcome {
	switch {
	case e.Late:
		return failed
	case v == VerbStatus && e.Exit == exitOK:
		return reads
	case v == VerbStatus && e.Exit == exitOff:
		return readsOff
	case v != VerbStatus && e.Exit == exitOK:
		return done
	}
	return failed
}

// Power is what the end of an agent says after [VerbStatus]: "on", "off", or ""
// when it did not find out.
func (e Ended) Power() string {
	switch e.outcome(VerbStatus) {
	case reads:
		return "on"
	case readsOff:
		return "off"
	case failed, done:
	}
	return ""
}
