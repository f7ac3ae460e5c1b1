package engine

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// Action is something to do. Actions are absolute and safe to repeat: "present",
// not "toggle". Whoever carries one out never blocks the loop; where the engine
// must know the result, it comes back as an [Event]. The set is sealed.
//
//sumtype:decl
type Action interface{ action() }

type (
	// SendAdvert sends one advert now, to the unicast peers or, when there are
	// none, to the multicast group.
	SendAdvert struct {
		VIP       string
		Interface string
		VMAC      bool // leave from the virtual MAC
		Source    netip.Addr
		Peers     []netip.Addr
		Advert    vrrp.Advert
		Checksum  vrrp.Checksum
	}

	// SetAddresses makes the kernel have, or not have, the addresses and routes
	// of a VIP, or the addresses of a service. The newest one for a VIP or service
	// replaces older ones not yet carried out. Present = false also ends
	// announcements that are still to be sent. Answered with [AddressesApplied].
	SetAddresses struct {
		VIP       string
		Service   string // instead of VIP
		Interface string
		VMAC      bool
		VRID      uint8
		Addresses []netip.Prefix
		Routes    []Route
		Present   bool
		Lifetime  time.Duration // of the addresses, whole seconds; 0 = for ever
		Seq       uint64
	}

	// SetGuard says which addresses answer only while a lease is refreshed; no
	// others are guarded. The newest one replaces older ones. A VIP that has a
	// lease and stays keeps it. Answered with [GuardSet].
	SetGuard struct {
		VIPs []Guarded // sorted by name
		Seq  uint64
	}

	// SetLease begins or ends the lease of a guarded VIP. Answered with [LeaseSet].
	SetLease struct {
		VIP string
		On  bool
		Seq uint64
	}

	// RenewLease refreshes a lease that is not over, before any advert that follows
	// it in the same turn leaves: in the packet filter, or that of the addresses
	// when Lifetime is not 0. It cannot bring one back that is over.
	RenewLease struct {
		VIP      string
		Lifetime time.Duration
	}

	// Announce sends one burst of gratuitous ARP requests and unsolicited
	// neighbour advertisements for the addresses.
	Announce struct {
		VIP       string
		Interface string
		VMAC      bool
		VRID      uint8
		Addresses []netip.Addr
		Repeat    int
		Interval  time.Duration
		Cause     string // takeover, contest, link, refresh: label of vipd_garp_sent_total
	}

	// ReadLink reads a link once more. Answered with a LinkChanged, also when it is as
	// it was.
	ReadLink struct{ Interface string }

	// Hush ends what is left of the bursts of a VIP: another host announces it.
	Hush struct{ VIP string }

	// Tell tells all peers, on every path, how this host stands. Nothing in the
	// state is changed afterwards.
	Tell struct{ State *pair.State }

	// RunFence has the agent of a fence device do something. Answered with
	// [FenceEnded].
	RunFence struct{ fence.RunAgent }

	// StopFence kills an agent that nobody waits for any more.
	StopFence struct {
		Peer string
		ID   uint64
	}

	// RememberFence keeps an entry of the history of fences over restarts.
	RememberFence struct{ Entry fence.Entry }

	// AskVote asks a voter that is not this host, now or never. Answered with
	// [VoteAnswered], or not at all.
	AskVote struct {
		Voter string
		Ask   vote.Ask
	}

	// AnswerVote answers a [VoteAsked].
	AnswerVote struct {
		Peer   string
		Answer vote.Answer
	}

	// ProbeVIP begins to look at a VIP from this host as a client does, or ends that:
	// an end is answered with [VIPProbed].
	ProbeVIP struct {
		VIP     string
		Address netip.Addr
		Target  string // "address:port" to connect to, "" = echo of Address
		On      bool
	}

	// RememberProven keeps over restarts when a VIP was taken over as it must be.
	RememberProven struct {
		VIP string
		At  time.Time
	}

	// SetSpeaker says who speaks BGP, and whom to; without neighbors, nobody does.
	// It lacks the passwords, which whoever carries it out adds.
	SetSpeaker struct{ Config bgp.Config }

	// SetTable announces what is in the table and withdraws everything else. The
	// newest one replaces older ones; it holds also for a speaker, or a session,
	// that comes up later. Answered with [TableAnnounced].
	SetTable struct {
		Table bgp.Table
		Seq   uint64
	}

	// RunCheck runs one probe of a check. Answered with [CheckDone]; there is
	// never a second one for the same check before that.
	RunCheck struct{ Check string }

	// WatchCheck begins to watch what a check of a check.Watcher is about, begins
	// anew when its Spec or Interval has changed, or ends it. The first sight, and
	// each that differs from the one before, comes as a [CheckSeen].
	WatchCheck struct {
		Check string
		On    bool
	}

	// Notify tells the hooks of a VIP or a sync group what became of it. They are
	// told one after the other, in the order of the actions. Answered with
	// [NotifyDone].
	Notify struct{ Change }

	// RunHook runs the before_hold of a VIP, which became Active and gets its
	// addresses when that is done. Answered with [HookDone].
	RunHook struct {
		Change
		Seq    uint64
		Within time.Duration // it is ended then
	}

	// StopHook ends the before_hold with that Seq, if it still runs: nobody waits
	// for it any more.
	StopHook struct {
		VIP string
		Seq uint64
	}

	// Report is something that an operator may want to know later.
	Report struct{ Record Record }

	// Answer ends an operator's command.
	Answer struct {
		ID      uint64
		Refused bool         // not done, for safety or because it makes no sense
		Text    string       // what was done, or why not and what to do
		Drill   *DrillReport // of a drill that was carried out, passed or not
	}
)

func (SendAdvert) action()     {}
func (SetAddresses) action()   {}
func (SetGuard) action()       {}
func (SetLease) action()       {}
func (RenewLease) action()     {}
func (Announce) action()       {}
func (ReadLink) action()       {}
func (Hush) action()           {}
func (Tell) action()           {}
func (RunFence) action()       {}
func (StopFence) action()      {}
func (RememberFence) action()  {}
func (AskVote) action()        {}
func (AnswerVote) action()     {}
func (ProbeVIP) action()       {}
func (RememberProven) action() {}
func (SetSpeaker) action()     {}
func (SetTable) action()       {}
func (RunCheck) action()       {}
func (WatchCheck) action()     {}
func (Notify) action()         {}
func (RunHook) action()        {}
func (StopHook) action()       {}
func (Report) action()         {}
func (Answer) action()         {}

// Record is one entry of the history. Cause is the Seq of the record that led
// to it, 0 when there is none, so that a chain can be followed back. The engine
// counts from 1; the journal makes both numbers unique over restarts.
type Record struct {
	Seq      uint64     `json:"id"`
	Time     time.Time  `json:"time,omitzero"`
	Mono     int64      `json:"mono_us,omitempty"` // µs since the host started; the journal fills it in
	Type     RecordType `json:"type"`
	Name     string     `json:"name,omitempty"` // of the VIP, check or interface
	From     string     `json:"from,omitempty"`
	To       string     `json:"to,omitempty"`
	Reason   string     `json:"reason,omitempty"` // one word of a fixed set: no-response, priority, preempted …
	Text     string     `json:"text"`             // the sentence for a human
	Cause    uint64     `json:"cause,omitempty"`
	Severity Severity   `json:"severity"`
	Actor    Actor      `json:"actor,omitzero"` // of a drain, undrain, failover or reload: who asked
	// Took is how long it took: the silence before a takeover, or from a release
	// to it; the kernel's work on addresses. 0 = not measured.
	Took time.Duration `json:"took_ns,omitempty"`
}

// EventSchema names the form of an [EventDocument].
const EventSchema = "vipd.event/v1"

// EventDocument is a record as it leaves vipd: on the control socket, in the
// file that keeps it, and to whoever is told about it.
type EventDocument struct {
	Schema string `json:"schema"`
	Node   string `json:"node"`
	Record
}

// Document makes the document of a record.
func (r Record) Document(node string) EventDocument { return EventDocument{EventSchema, node, r} }

// RecordType groups records for filters.
type RecordType string

// The types of records.
const (
	RecordTransition RecordType = "vrrp_transition"
	RecordPriority   RecordType = "priority"
	RecordCheck      RecordType = "check"
	RecordMask       RecordType = "check_masked" // from and to: what masks it, as in the status
	RecordLink       RecordType = "interface"
	RecordAddress    RecordType = "address"         // added, removed, or not possible
	RecordLost       RecordType = "address_removed" // removed by someone else
	RecordLease      RecordType = "lease"           // lost, not to be had, or had in another way
	RecordFence      RecordType = "fence"           // of a silent peer: decided, shot, verified, failed …
	RecordVotes      RecordType = "votes"           // a takeover waits for them, or a holder has none
	RecordConflict   RecordType = "conflict"        // another host claimed what we hold
	RecordPeer       RecordType = "peer"            // a peer is heard or silent on the pair channel
	RecordDrift      RecordType = "config_drift"    // a peer's configuration differs from ours
	RecordHandover   RecordType = "handover"        // a peer took, or did not take, what it was offered
	RecordAnycast    RecordType = "anycast"         // a service is announced, withdrawn, drained
	RecordMED        RecordType = "med"             // the metric of a service
	RecordSession    RecordType = "bgp_session"     // up or down
	RecordBFD        RecordType = "bfd"             // of a session
	RecordSpeaker    RecordType = "bgp_speaker"     // the process
	RecordDrain      RecordType = "drain"
	RecordFailover   RecordType = "failover"
	RecordDrill      RecordType = "drill" // begun, passed, failed
	RecordReload     RecordType = "reload"
	RecordNotify     RecordType = "notify"      // a hook was run, or left out
	RecordBeforeHold RecordType = "before_hold" // a takeover waited for its hook
	RecordStart      RecordType = "start"
	RecordResume     RecordType = "resume" // what the last run left goes on in place, or does not
	RecordStop       RecordType = "stop"
	RecordRecording  RecordType = "recording" // of the engine's input, by run --record
	RecordObserve    RecordType = "observe"   // what is differs from what vipd would do, by run --observe
)

// Severity orders records by how much they matter to whoever is on call.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Notice   Severity = "notice"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)
