package control

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// The schemas of the documents. Within a version a field may be added, but none
// is removed or gets another type or meaning.
const (
	schemaStatus  = "vipd.status/v1"
	schemaVIP     = "vipd.vip/v1"
	schemaVIPs    = "vipd.vips/v1"
	schemaService = "vipd.service/v1"
	schemaAnycast = "vipd.anycast/v1"
	schemaBGP     = "vipd.bgp/v1"
	schemaWhy     = "vipd.why/v1"
	schemaChecks  = "vipd.checks/v1"
	schemaCheck   = "vipd.check/v1"
	schemaRun     = "vipd.check-run/v1"
	schemaFences  = "vipd.fence-list/v1"
	schemaTest    = "vipd.fence-test/v1"
	schemaDrill   = "vipd.drill/v1"
	schemaAnswer  = "vipd.answer/v1"
	schemaReload  = "vipd.reload/v1"
	schemaHealth  = "vipd.health/v1"
	schemaProblem = "vipd.problem/v1"
)

// StatusDocument is the answer to GET /v1/status, schema vipd.status/v1: the
// engine's status, and what only the daemon around it knows. In JSON `node` is
// the object, which takes the place of the engine's bare name.
type StatusDocument struct {
	Schema string `json:"schema"`
	Node   Node   `json:"node"`
	engine.Status
}

// Node is what the daemon knows about itself.
type Node struct {
	Name     string       `json:"name"`
	Version  string       `json:"version"`
	Revision string       `json:"revision,omitempty"` // of the source
	PID      int          `json:"pid"`
	Replaced bool         `json:"program_replaced,omitempty"` // by an upgrade: a restart takes the new one into use
	Watchdog uint64       `json:"watchdog_pings,omitempty"`   // sent to systemd
	Config   ConfigStatus `json:"config"`
	Edge     EdgeStatus   `json:"edge"`
	Events   EventsStatus `json:"events"`

	Recording *RecordingStatus `json:"recording,omitempty"` // of vipd run --record

	Observing  bool `json:"observing,omitempty"`  // vipd run --observe: nothing is held or sent, all states are what would be
	Unobserved int  `json:"unobserved,omitempty"` // anycast services, which are left out of that
}

// EventsStatus tells how well the history is kept over a restart.
type EventsStatus struct {
	Path    string `json:"path,omitempty"` // "" = it is not
	Bytes   int64  `json:"bytes,omitempty"`
	Unsaved uint64 `json:"unsaved,omitempty"` // events that wait for the disk
	Dropped uint64 `json:"dropped,omitempty"` // events that waited too long
	Error   string `json:"error,omitempty"`   // why they wait
}

// RecordingStatus tells about the recording of all that the engine is given.
type RecordingStatus struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Ended bool   `json:"ended"`
}

// ConfigStatus tells which configuration runs and how the last reload went.
type ConfigStatus struct {
	Path            string    `json:"path"`
	Hash            string    `json:"hash"`                 // digest of what runs, in hex
	Loaded          time.Time `json:"loaded"`               // when what runs was read
	LastReload      time.Time `json:"last_reload,omitzero"` // last attempt; zero = none since the start
	LastReloadOK    bool      `json:"last_reload_ok"`       // true while there was none
	LastReloadError string    `json:"last_reload_error,omitempty"`
	ConfirmBy       time.Time `json:"confirm_by,omitzero"`        // when the former configuration comes back by itself; zero = it does not
	RestartRequired bool      `json:"restart_required,omitempty"` // [control] or [metrics] changed: a restart applies that
}

// EdgeStatus is what the edges count.
type EdgeStatus struct {
	Dropped []DropCount `json:"packets_dropped,omitempty"`
	GARP    []SentCount `json:"garp_sent,omitempty"`
	NA      []SentCount `json:"na_sent,omitempty"`
	Hooks   []HookCount `json:"hooks,omitempty"`
	Waiting int         `json:"hooks_waiting,omitempty"` // changes that wait for a notify program to end
	Pair    *PairCount  `json:"pair,omitempty"`          // absent while the pair channel is not open

	Witnesses []WitnessCount `json:"witnesses,omitempty"` // that are asked for votes, sorted by name
}

// PairCount counts messages on the pair channel since it was opened.
type PairCount struct {
	Sent     uint64            `json:"sent"`
	Unsent   uint64            `json:"unsent"` // that did not leave the host
	Received uint64            `json:"received"`
	Refused  map[string]uint64 `json:"refused"` // by cause, text of a pair.Cause
	Peers    []PeerCount       `json:"peers"`   // sorted by name
}

// PeerCount tells what stands between this host and a peer.
type PeerCount struct {
	Name    string            `json:"name"`
	Version uint8             `json:"version,omitempty"` // of the channel, when it speaks another one
	Refused map[string]uint64 `json:"refused,omitempty"` // by cause
	Errors  []PathError       `json:"errors,omitempty"`
}

// PathError is why a message did not leave for an address.
type PathError struct {
	Address netip.Addr `json:"address"`
	Text    string     `json:"text"`
}

// HookCount counts runs of hooks, lines for FIFOs among them.
type HookCount struct {
	Kind string            `json:"kind"`    // notify, before_hold, fifo
	Ends map[string]uint64 `json:"ends"`    // by result: ok, failed, timeout, stopped, dropped, coalesced
	Runs uint64            `json:"runs"`    // programs that were run
	Took time.Duration     `json:"took_ns"` // all of them together
}

// DropCount counts packets that were not believed.
type DropCount struct {
	Interface string `json:"interface"`
	Family    string `json:"family"` // ipv4, ipv6
	Reason    string `json:"reason"` // text of a vrrp.Cause
	Count     uint64 `json:"count"`
}

// SentCount counts gratuitous ARP or unsolicited NA frames.
type SentCount struct {
	Interface string `json:"interface"`
	Cause     string `json:"cause"` // as in engine.Announce
	Count     uint64 `json:"count"`
}

// VIPDocument is the answer to GET /v1/vips/{name}, schema vipd.vip/v1.
type VIPDocument struct {
	Schema string           `json:"schema"`
	Node   string           `json:"node"`
	Now    time.Time        `json:"time"`
	VIP    engine.VIPStatus `json:"vip"`
}

// VIPsDocument is the answer to GET /v1/vips, schema vipd.vips/v1.
type VIPsDocument struct {
	Schema string             `json:"schema"`
	Node   string             `json:"node"`
	Now    time.Time          `json:"time"`
	VIPs   []engine.VIPStatus `json:"vips"`
}

// CheckDocument is the answer to GET /v1/checks/{name}, schema vipd.check/v1.
type CheckDocument struct {
	Schema string             `json:"schema"`
	Node   string             `json:"node"`
	Now    time.Time          `json:"time"`
	Check  engine.CheckStatus `json:"check"`
}

// ChecksDocument is the answer to GET /v1/checks, schema vipd.checks/v1.
type ChecksDocument struct {
	Schema string               `json:"schema"`
	Node   string               `json:"node"`
	Now    time.Time            `json:"time"`
	Checks []engine.CheckStatus `json:"checks"`
}

// CheckResult is the answer to POST /v1/checks/{name}/run, schema
// vipd.check-run/v1.
type CheckResult struct {
	Schema string        `json:"schema"`
	Check  string        `json:"check"`
	OK     bool          `json:"ok"`
	Detail string        `json:"detail"` // one line for a human
	Took   time.Duration `json:"took_ns"`
}

// FencesDocument is the answer to GET /v1/fences, schema vipd.fence-list/v1.
type FencesDocument struct {
	Schema  string               `json:"schema"`
	Node    string               `json:"node"`
	Now     time.Time            `json:"time"`
	Fences  []engine.FenceStatus `json:"fences"`  // sorted by peer
	History fence.History        `json:"history"` // oldest first, kept over restarts
}

// FenceTest is the answer to POST /v1/fence/test/{name}, schema vipd.fence-test/v1:
// what a device reads. It is never told to do anything.
type FenceTest struct {
	Schema string        `json:"schema"`
	Device string        `json:"device"`
	Peer   string        `json:"peer"`  // that it fences
	Power  string        `json:"power"` // on, off, "" = it did not say
	Detail string        `json:"detail"`
	Took   time.Duration `json:"took_ns"`
}

// ReloadResult is the answer to POST /v1/reload, schema vipd.reload/v1.
type ReloadResult struct {
	Schema   string   `json:"schema"`
	Hash     string   `json:"hash"`               // of what runs now, or, after a dry run, would run
	DryRun   bool     `json:"dry_run,omitempty"`  // nothing was changed
	Changes  []string `json:"changes"`            // "vip.web.priority: 150 -> 140"; none = the files say what runs already
	Warnings []string `json:"warnings,omitempty"` // as check-config prints them
	// ConfirmBy is when the former configuration comes back by itself, unless this
	// one is confirmed before; zero = never.
	ConfirmBy time.Time `json:"confirm_by,omitzero"`
	// Problems, when there are any, are why nothing was changed, as check-config
	// prints them. The client gets them as a [Problem].
	Problems []string `json:"-"`
	// Refused is why there was no reload at all, "" when there was.
	Refused string `json:"-"`
}

// AnswerDocument is the answer to a drain, undrain or failover that was carried
// out, schema vipd.answer/v1. One that was refused is a [Problem].
type AnswerDocument struct {
	Schema string `json:"schema"`
	Text   string `json:"text"`
}

// Event is one line of GET /v1/events, schema vipd.event/v1.
type Event = engine.EventDocument

// DrainRequest is the body of POST /v1/drain and, without Reason and For, of
// POST /v1/undrain.
type DrainRequest struct {
	Names  []string `json:"names,omitempty"`  // none = all
	Reason string   `json:"reason,omitempty"` // up to 256 bytes, one line
	For    string   `json:"for,omitempty"`    // "2h": ends by itself; "" = stays until undrain
	Wait   bool     `json:"wait,omitempty"`   // answer only when none of them is held any more
}

// ReloadRequest is the body of POST /v1/reload.
type ReloadRequest struct {
	DryRun        bool   `json:"dry_run,omitempty"`        // say what would change, and change nothing
	ConfirmWithin string `json:"confirm_within,omitempty"` // "60s": take it back then, unless it is confirmed; "" = never
}

// healthDocument is the answer to GET /healthz and /readyz, schema
// vipd.health/v1.
type healthDocument struct {
	Schema string `json:"schema"`
	OK     bool   `json:"ok"`
}

// complete fills in what the server owes to every status document.
func (d *StatusDocument) complete() {
	d.Schema = schemaStatus
	if d.Node.Name == "" {
		d.Node.Name = d.Status.Node
	}
	if d.VIPs == nil {
		d.VIPs = []engine.VIPStatus{}
	}
	if d.Checks == nil {
		d.Checks = []engine.CheckStatus{}
	}
	if d.Links == nil {
		d.Links = []engine.LinkStatus{}
	}
}
