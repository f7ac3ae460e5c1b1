package demo

import "time"

// schema is that of [Document].
const schema = "vipd.demo/v1"

// Document is what happened, schema vipd.demo/v1.
type Document struct {
	Schema  string        `json:"schema"`
	OK      bool          `json:"ok"`                // every act did what it should
	Problem string        `json:"problem,omitempty"` // why not
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took_ns"`

	Anycast bool `json:"anycast,omitempty"` // the play about services, and not about VIPs

	Interval   time.Duration `json:"advert_interval_ns"`
	ActiveDown time.Duration `json:"active_down_interval_ns"` // of lb2 (RFC 9568, Section 6.1)
	Skew       time.Duration `json:"skew_time_ns"`            // of lb2
	// Allowance is what a limit may be exceeded by: the lab shares one machine
	// with everything else that runs on it.
	Allowance time.Duration `json:"allowance_ns"`

	Sent    int `json:"probes_sent"`
	Lost    int `json:"probes_lost"`
	Skipped int `json:"probes_skipped"` // never sent: the machine was too busy

	Acts []Result `json:"acts"` // those that were played, in order

	// NotPrevented lists what the settings of the demo do not prevent.
	NotPrevented []string `json:"not_prevented"`

	// Logs holds what each daemon wrote, by host, when something went wrong.
	Logs map[string]string `json:"logs,omitempty"`
}

// Result is what one act did and cost.
type Result struct {
	Name     string        `json:"name"`
	Title    string        `json:"title"`
	OK       bool          `json:"ok"`
	Problem  string        `json:"problem,omitempty"`
	From     string        `json:"from"`      // who answered the client before
	To       string        `json:"to"`        // and who afterwards
	Moved    time.Duration `json:"moved_ns"`  // from the start of the act to the first answer of To
	Outage   time.Duration `json:"outage_ns"` // the longest run of lost probes
	Slowest  time.Duration `json:"slowest_answer_ns"`
	Lost     int           `json:"probes_lost"`
	Limit    time.Duration `json:"limit_ns"` // of Outage and Slowest, without the allowance
	Expected string        `json:"expected"` // Limit in words

	flows bool // some flows may be without an answer while others have one
}

// notShown is what the play about services leaves out.
var notShown = []string{
	"a host without power: the ToR forwards to it until BFD or its hold time ends the session",
	"a ToR that ignores graceful-shutdown: a drain then costs what a withdrawal costs it",
}

// notPrevented is said at the end: a demo that hides it would lie.
var notPrevented = []string{
	"a cut between two living hosts: both hold the address until it heals",
}
