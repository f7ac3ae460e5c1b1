package trial

import "time"

// schema is that of [Document].
const schema = "vipd.lab-test/v1"

// Document is what became of the pair, schema vipd.lab-test/v1.
type Document struct {
	Schema  string        `json:"schema"`
	OK      bool          `json:"ok"`                // every scenario did what it must
	Problem string        `json:"problem,omitempty"` // why the trial ended early
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took_ns"`
	Hosts   []HostReport  `json:"hosts"`
	Network []string      `json:"network"` // what was made, a line for each host
	Notes   []string      `json:"notes"`   // what is not as in the files
	// Allowance is what a limit may be exceeded by: the lab shares one machine with
	// everything else that runs on it.
	Allowance time.Duration `json:"allowance_ns"`
	Scenarios []Scenario    `json:"scenarios"`

	Logs map[string]string `json:"logs,omitempty"` // of the daemons, when something went wrong
}

// HostReport names a host.
type HostReport struct {
	Name string `json:"name"`
	File string `json:"file"`
}

// Scenario is what happened to one VIP in one scenario.
type Scenario struct {
	Name    string        `json:"name"`           // boot, drain, kill, cut
	Host    string        `json:"host,omitempty"` // that it happened to
	VIP     string        `json:"vip"`
	From    string        `json:"from,omitempty"` // who answered the client before
	To      string        `json:"to,omitempty"`   // who answers it afterwards
	Outage  time.Duration `json:"outage_ns"`      // the longest time without an answer
	Lost    int           `json:"lost"`           // probes of the client
	Limit   time.Duration `json:"limit_ns"`       // of the outage
	OK      bool          `json:"ok"`
	Problem string        `json:"problem,omitempty"` // why not
}
