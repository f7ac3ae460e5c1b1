package engine

import (
	"net/netip"
	"time"
)

// Status is a copy of what the engine knows and why. The status table, `vipd
// why`, the JSON documents and the metrics all print these values.
type Status struct {
	Node    string        `json:"node"`
	Now     time.Time     `json:"time"`
	Started time.Time     `json:"started"`
	Drained bool          `json:"drained"` // every VIP is drained
	VIPs    []VIPStatus   `json:"vips"`    // sorted by name
	Checks  []CheckStatus `json:"checks"`  // sorted by name
	Links   []LinkStatus  `json:"interfaces"`

	Pair     *PairStatus     `json:"pair,omitempty"`    // absent when there is no channel to other hosts
	Fences   []FenceStatus   `json:"fences,omitempty"`  // sorted by peer
	Services []ServiceStatus `json:"anycast,omitempty"` // sorted by name
	BGP      *BGPStatus      `json:"bgp,omitempty"`     // absent when nobody speaks it
}

// VIPStatus tells about one VIP.
type VIPStatus struct {
	Name      string         `json:"name"`
	Group     string         `json:"group,omitempty"`
	Interface string         `json:"interface"`
	VRID      uint8          `json:"vrid"`
	Version   uint8          `json:"version"`
	Family    string         `json:"family"` // of the election: ipv4, ipv6
	Addresses []netip.Prefix `json:"addresses"`
	Held      bool           `json:"held"` // the kernel has the addresses because we wanted it so, and until they are gone

	State State     `json:"state"`
	Stage Stage     `json:"stage"` // the first stage not reached yet, or held
	Since time.Time `json:"since"` // of the state
	// Reason is why the state was entered, in one word, and Entered the same in a
	// sentence. Why is why the VIP is as it is now, for a status line.
	Reason  string `json:"reason"`
	Entered string `json:"entered"`
	Why     string `json:"why"`

	Priority PriorityStatus `json:"priority"`
	Active   *ActiveStatus  `json:"active,omitempty"` // who is Active as far as we hear, absent when it is us or nobody
	Drained  *DrainStatus   `json:"drained,omitempty"`
	Blockers []Blocker      `json:"blockers,omitempty"` // why it is not eligible; none = it is
	Tracks   []Tracked      `json:"tracks,omitempty"`   // checks and interfaces that matter to it

	Interval       time.Duration `json:"advert_interval_ns"`
	ActiveDown     time.Duration `json:"active_down_interval_ns"`
	ActiveDownDue  time.Time     `json:"active_down_due,omitzero"`  // in Backup: when we take over unless an advert comes
	PreemptHolding string        `json:"preempt_holding,omitempty"` // why we leave a lower-priority Active alone

	Lease      LeaseStatus     `json:"lease"`
	Votes      *VotesStatus    `json:"votes,omitempty"`       // absent when it is not voted on
	Epoch      uint64          `json:"epoch,omitempty"`       // of the newest holder that is known; each new one adds 1
	Handover   *HandoverStatus `json:"handover,omitempty"`    // to a peer, while it is under way
	Standby    string          `json:"standby,omitempty"`     // how ready other hosts are to take it, for a status line
	BeforeHold *HookStatus     `json:"before_hold,omitempty"` // what the takeover waits for
	Unkept     string          `json:"unkept,omitempty"`      // why a restart gives it up, although held VIPs are to be kept

	ResumedAfter time.Duration `json:"resumed_after_ns,omitempty"` // it goes on from the last run: time from the last advert of that to the first of this

	Resuming string `json:"resuming,omitempty"`  // what it waits for to go on from the last run; it says nothing until then
	FellBack string `json:"fell_back,omitempty"` // why this run gave up what the last one left to it

	Proven time.Time `json:"proven,omitzero"` // when it last went from one host to another as it must, or a drill of it passed

	Auth *AuthStatus `json:"auth,omitempty"` // absent when nothing is signed or was refused for it

	Observed *ObservedStatus `json:"observed,omitempty"` // absent unless vipd only observes: all else is what it would do

	AdvertsSent      uint64            `json:"adverts_sent"`
	AdvertsReceived  uint64            `json:"adverts_received"`
	Disbelieved      uint64            `json:"adverts_disbelieved"` // they say what no host of the pair says of itself
	ReleasesSent     uint64            `json:"releases_sent"`
	ReleasesReceived uint64            `json:"releases_received"`
	LostRestored     uint64            `json:"addresses_restored"`
	Contests         uint64            `json:"contests_won"`
	HeldAnyway       uint64            `json:"before_hold_failures"`  // takeovers that went on although before_hold did not end well
	Transitions      map[string]uint64 `json:"transitions,omitempty"` // "BACKUP ACTIVE no-response": count
}

// State is the state of a virtual router (RFC 9568, Section 6.4), with one of
// our own: Fault, in which a VIP is not eligible.
type State string

// The states. What keepalived calls MASTER is ACTIVE.
const (
	Initialize State = "INIT"
	Fault      State = "FAULT"
	Backup     State = "BACKUP"
	Active     State = "ACTIVE"
)

// Stage is how far a VIP has come on its way to being held.
type Stage string

// The stages, in order. A status names the one at which the VIP waits.
const (
	Eligible  Stage = "eligible"  // waits: a check fails, the link is down, or it is drained
	Elected   Stage = "elected"   // waits: another host is Active
	Cleared   Stage = "cleared"   // waits: the guard has not cleared the takeover
	Announced Stage = "announced" // of an anycast service: waits for nothing, or for its addresses, the speaker or a session
	Held      Stage = "held"      // waits for nothing, for before_hold, or for the kernel to have the address
)

// Blocker is one reason why a VIP is not eligible.
type Blocker struct {
	Kind BlockerKind `json:"kind"`
	Name string      `json:"name,omitempty"` // of the check, interface, or other member of the sync group
	Text string      `json:"text"`
	Ends time.Time   `json:"ends,omitzero"` // when it goes away by itself
}

// BlockerKind is a blocker in one word; it is also the reason of the transition
// that it causes.
type BlockerKind string

// The kinds of blockers. Some are intended, see [Blocker.Quiet]: the state of a
// VIP is Initialize then, and Fault otherwise.
const (
	BlockedStop      BlockerKind = "stop"      // vipd ends
	BlockedReload    BlockerKind = "reload"    // a reload takes the VIP away
	BlockedDrain     BlockerKind = "drained"   // by an operator
	BlockedDrill     BlockerKind = "drill"     // a peer is to take it, as a rehearsal
	BlockedStartup   BlockerKind = "startup"   // startup delay, or nothing is known of the interface or check yet
	BlockedInterface BlockerKind = "interface" // missing, down, or without an address to send from
	BlockedCheck     BlockerKind = "check"     // a check fails
	BlockedKernel    BlockerKind = "kernel"    // the kernel refuses the addresses
	BlockedVIP       BlockerKind = "vip"       // the VIP that a service follows is not held here
	BlockedSync      BlockerKind = "sync"      // another member of the sync group is not eligible
)

// Quiet reports whether the blocker is intended.
func (b Blocker) Quiet() bool {
	switch b.Kind {
	case BlockedStop, BlockedReload, BlockedDrain, BlockedDrill, BlockedStartup, BlockedVIP:
		return true
	case BlockedInterface, BlockedCheck, BlockedKernel, BlockedSync:
	}
	return false
}

// HookStatus is a before_hold that runs.
type HookStatus struct {
	VIP   string    `json:"vip"` // whose it is: that of another member holds up a whole sync group
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // it is waited for no longer than that
}

// AuthStatus tells how the adverts of a VIP are authenticated. The engine knows no
// secrets: whoever sends and receives adverts for it fills this in.
type AuthStatus struct {
	Mode      string       `json:"mode"`                 // as configured, off = not at all
	Keys      []int        `json:"keys,omitempty"`       // ids of those that are believed
	ActiveKey int          `json:"active_key,omitempty"` // id of the one that signs
	Refused   uint64       `json:"refused"`              // adverts that were good but for this
	Last      *AuthRefusal `json:"last_refused,omitempty"`
}

// AuthRefusal is an advert that was refused.
type AuthRefusal struct {
	Source netip.Addr `json:"source"` // as it claims
	Detail string     `json:"detail"` // "key id 2 unknown"
	Time   time.Time  `json:"time"`
}

// HandoverStatus is a planned move that is under way.
type HandoverStatus struct {
	To    string    `json:"to"`
	Until time.Time `json:"until"` // it is waited for no longer
}

// Tracked is a check or interface that a VIP tracks.
type Tracked struct {
	Source string `json:"source"` // check or interface
	Name   string `json:"name"`
	Fault  bool   `json:"fault"`            // not eligible while it fails
	Weight int    `json:"weight,omitempty"` // changes the priority otherwise
}

// PriorityStatus explains a priority.
type PriorityStatus struct {
	Configured uint8          `json:"configured"`
	Effective  uint8          `json:"effective"`
	Terms      []PriorityTerm `json:"terms,omitempty"`
}

// PriorityTerm is one change to the configured priority.
type PriorityTerm struct {
	Source string `json:"source"` // check or interface
	Name   string `json:"name"`
	Delta  int    `json:"delta"`
}

// ActiveStatus is another host that advertises the virtual router.
type ActiveStatus struct {
	Address  netip.Addr    `json:"address"`
	Priority uint8         `json:"priority"`
	Interval time.Duration `json:"advert_interval_ns"`
	Heard    time.Time     `json:"heard"` // last advert
}

// DrainStatus tells who drained and why.
type DrainStatus struct {
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`
}

// CheckStatus tells about one check.
type CheckStatus struct {
	Name    string    `json:"name"`
	Type    string    `json:"type"`  // exec, tcp …; group
	State   string    `json:"state"` // up, down, unknown
	Since   time.Time `json:"since"`
	Healthy bool      `json:"healthy"`           // what those who track it act on: an unknown check may count as either
	Masked  string    `json:"masked,omitempty"`  // "by net", "while web is not held": results do not count
	Watched bool      `json:"watched,omitempty"` // not polled: it tells by itself

	Consecutive int           `json:"consecutive"` // results in a row that agree with the last one
	Rise        int           `json:"rise"`
	Fall        int           `json:"fall"`
	Runs        uint64        `json:"runs"`
	Failures    uint64        `json:"failures"`
	LastOK      bool          `json:"last_ok"`
	LastDetail  string        `json:"last_detail,omitempty"`
	LastRun     time.Time     `json:"last_run,omitzero"`
	LastTook    time.Duration `json:"last_took_ns"`
	Recent      []CheckResult `json:"recent,omitempty"`  // the last ones, oldest first
	NextRun     time.Time     `json:"next_run,omitzero"` // zero while one runs, and when there is none
	Interval    time.Duration `json:"interval_ns,omitempty"`
	Weight      *int          `json:"weight,omitempty"` // that it reports

	HoldDown  time.Duration `json:"hold_down_ns,omitempty"`   // it must stay good this long before it counts as up
	HeldUntil time.Time     `json:"hold_down_until,omitzero"` // when it counts as up unless it fails before

	Group *GroupStatus `json:"group,omitempty"`
	After []string     `json:"after,omitempty"`

	BecameUp   uint64 `json:"became_up"`
	BecameDown uint64 `json:"became_down"`

	Durations CheckDurations `json:"-"` // of all probes, for the metrics
}

// CheckResult is one result of a check.
type CheckResult struct {
	Time   time.Time     `json:"time"`
	OK     bool          `json:"ok"`
	Detail string        `json:"detail,omitempty"`
	Took   time.Duration `json:"took_ns,omitempty"`
}

// GroupStatus tells what a group is made of.
type GroupStatus struct {
	Members []string `json:"members"`
	Need    int      `json:"need"` // how many of them must be up
}

// CheckDurations counts probes by how long they took.
type CheckDurations struct {
	Counts [len(DurationBounds)]uint64 // probes up to each bound, not counting those of the bound before
	Count  uint64
	Sum    time.Duration
}

// DurationBounds are the upper bounds of CheckDurations.
var DurationBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// add counts one probe.
func (d *CheckDurations) add(took time.Duration) {
	d.Count++
	d.Sum += took
	for i, bound := range DurationBounds {
		if took <= bound {
			d.Counts[i]++
			return
		}
	}
}

// LinkStatus tells about one interface that is used or tracked.
type LinkStatus struct {
	Name    string    `json:"name"`
	Present bool      `json:"present"`
	Up      bool      `json:"up"`
	Since   time.Time `json:"since"`
	Source4 string    `json:"source_ipv4,omitempty"` // primary address, used for adverts
	Source6 string    `json:"source_ipv6,omitempty"`
}
