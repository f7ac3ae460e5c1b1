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

// Event is something that happened. The set is sealed: the types below are all
// there are, and the linter finds a switch that misses one.
//
//sumtype:decl
type Event interface{ event() }

type (
	// Wake says that the time [Engine.Next] asked for has come.
	Wake struct{}

	// Stop asks for a polite end: everything held is released, but for the VIPs in
	// Keep that the next run can go on with, when [Config].Keep says so. The engine is
	// finished when [Engine.Done] says so. A second one asks for haste: routes are
	// withdrawn without a drain.
	Stop struct{ Keep []string }

	// Resume tells what an earlier run left. It comes before the first Configure.
	Resume struct {
		Until time.Time       // the neighbors forget its routes then; zero = they have none
		VIPs  map[string]Kept // that were held
	}

	// Configure replaces the configuration. What did not change is not touched.
	Configure struct {
		Config Config
		Actor  Actor // who asked for a reload
	}

	// AdvertReceived is an advert that passed vrrp.Filter and vrrp.Parse.
	AdvertReceived struct {
		Interface string
		Source    netip.Addr
		Advert    vrrp.Advert
		Checksum  vrrp.Checksum // form it was sent in (v3 over IPv4)
		Signed    bool          `json:",omitempty"` // by who knows a key of ours
	}

	// LinkChanged is the whole state of a link after a change, its first state, or the
	// answer to a [ReadLink]. Changes may be merged; the last one always arrives.
	LinkChanged struct{ Link Link }

	// AddressClaimed says that another machine announced an address on a link
	// where VIPs are, by gratuitous ARP or an unsolicited neighbour advertisement.
	AddressClaimed struct {
		Interface string
		Address   netip.Addr
		MAC       string
	}

	// AddressesApplied answers a [SetAddresses]. Err is the cause in words, ""
	// when the kernel now is as was wanted.
	AddressesApplied struct {
		VIP     string
		Service string // instead of VIP
		Seq     uint64 // of the SetAddresses
		Err     string
		Took    time.Duration
	}

	// AnnouncementSent says that the first frame of the first [Announce] after a
	// takeover has left the host.
	AnnouncementSent struct{ VIP string }

	// GuardSet answers a [SetGuard]. Err says why the kernel cannot do it, "" = it
	// does.
	GuardSet struct {
		Seq uint64
		Err string
	}

	// LeaseSet answers a [SetLease].
	LeaseSet struct {
		VIP string
		On  bool
		Seq uint64
		Err string
	}

	// LeaseLost says that the kernel does not let a VIP answer that it should: a
	// refresh found its lease over. It comes before any advert leaves that was
	// decided with that refresh.
	LeaseLost struct{ VIP, Why string }

	// PairUp says that the pair channel is open; Boot names this process on it.
	PairUp struct{ Boot uint64 }

	// PairDown says that it is not, and why in words.
	PairDown struct{ Err string }

	// PeerHeard is what another host told on the pair channel, or a part of it.
	PeerHeard struct {
		Peer  string
		Boot  uint64     // of its process
		Path  netip.Addr // it came from
		Whole bool       // all parts of this State have come by now
		// Age is how old the message may be; pair.AgeUnknown = as old as that process.
		Age   time.Duration
		State pair.State
		// Version is not 0 when the peer speaks another version of the channel. Then nothing
		// else is known of it.
		Version uint8
	}

	// FenceEnded answers a [RunFence].
	FenceEnded struct {
		Peer  string
		Ended fence.Ended
	}

	// ConfirmFence is an operator's word that a peer is off. Answered.
	ConfirmFence struct {
		ID    uint64
		Peer  string
		Actor Actor
	}

	// RestoreFences brings back what an earlier process knew of the peers. It comes
	// right after the first Configure.
	RestoreFences struct {
		History fence.History
		Peers   map[string]FenceMemory
		Upset   time.Time // since when this host runs, by the process before; zero = since this start
	}

	// VoteAsked is another host that asks for this one's vote, or hands it back.
	VoteAsked struct {
		Peer string
		Boot uint64 // of its process
		Ask  vote.Ask
	}

	// VoteAnswered answers an [AskVote].
	VoteAnswered struct {
		Voter  string
		Answer vote.Answer
	}

	// SpeakerUp says that the process that speaks BGP runs. It knows nothing yet.
	SpeakerUp struct{ PID int }

	// SpeakerDown says that it does not, and why in words. What it announced is
	// forgotten by the neighbors, at the latest when their sessions have timed out.
	SpeakerDown struct{ Err string }

	// SessionChanged is the whole state of a BGP session after a change.
	SessionChanged struct{ Session bgp.Session }

	// TableAnnounced answers a [SetTable]: every neighbor that listens has been
	// told that table, Count routes of it in all, or a newer one.
	TableAnnounced struct {
		Seq   uint64 // of the SetTable
		Count int
	}

	// AnnouncersSeen tells who else announces a prefix of a service that has a
	// MinAnnouncers, as far as neighbors let us know.
	AnnouncersSeen struct {
		Prefix netip.Prefix
		Others []string // different ones, sorted; see [bgp.Heard.Announcer]
	}

	// CheckDone answers a [RunCheck].
	CheckDone struct {
		Check  string
		OK     bool
		Detail string // one line for a human: "exit 1: backend 3 of 5"
		Took   time.Duration
	}

	// CheckSeen tells how a check that is watched stands, after a [WatchCheck].
	CheckSeen struct {
		Check  string
		OK     bool
		Detail string // one line for a human: "pid 1234 exited"
		// Weight, when there is one, is added to the priority of every VIP that
		// tracks the check without a weight of its own, instead of the check's own
		// weight, whether OK or not. -253 to 253.
		Weight *int
	}

	// NotifyDone answers a [Notify]: each of them once. Result is "" when there is
	// nothing to say: no program was run, since a newer Notify took its place or
	// nobody but a FIFO was told.
	NotifyDone struct {
		Group  bool
		Name   string
		State  State
		Result HookResult
		Detail string // one line for a human: "exit 1: no route to host"
		Took   time.Duration
		Cause  uint64 // Seq of the record in the Change
	}

	// HookDone answers a [RunHook].
	HookDone struct {
		VIP    string
		Seq    uint64 // of the RunHook
		Result HookResult
		Detail string
		Took   time.Duration
	}

	// SendFailed says that adverts of a VIP did not leave the host.
	SendFailed struct {
		VIP string
		Err string
	}

	// Drain takes VIPs and services (all when Names is empty) out of service until
	// Undrain, or for the time For when it is not 0. It is answered with an [Answer].
	Drain struct {
		ID     uint64
		Names  []string
		Actor  Actor // who asked
		Reason string
		For    time.Duration
	}

	// RestoreDrains brings back the drains of an earlier run, by VIP and by
	// service. It comes right after the first Configure.
	RestoreDrains struct{ Drains, Services map[string]DrainStatus }

	// Undrain puts VIPs and services (all when Names is empty) back into service.
	// Answered.
	Undrain struct {
		ID    uint64
		Names []string
		Actor Actor
	}

	// Failover gives one held VIP (and its sync group) to a peer. Answered when a
	// peer has it, or when nobody took it.
	Failover struct {
		ID    uint64
		Name  string
		Actor Actor
	}

	// Drill has a peer take a held VIP and its sync group, on purpose, lets it serve
	// for Hold, and takes it back. Answered when that is over, with a [DrillReport].
	Drill struct {
		ID     uint64
		Name   string
		Kind   DrillKind
		Within time.Duration // limit for the peer and for a client; 0 = by the kind and the intervals
		Hold   time.Duration // 0 = 1 s
		Stay   bool          // the peer keeps it
		Probe  string        // "address:port" that a client connects to; "" = echo, DrillNoProbe = no client looks
		Actor  Actor
	}

	// VIPProbed answers a [ProbeVIP] that ends.
	VIPProbed struct {
		VIP    string
		Client ClientReport
	}

	// RestoreProven brings back when each VIP was last proven to fail over. It comes
	// right after the first Configure.
	RestoreProven struct{ At map[string]time.Time }

	// Noted is something that only the daemon around the engine knows, and that
	// belongs into the history: it becomes a [Report] and changes nothing.
	Noted struct{ Record Record }
)

// DrillNoProbe in place of a target says that no client is to look.
const DrillNoProbe = "none"

// Actor is who asked for a change.
type Actor struct {
	Name    string  `json:"name"`             // in a sentence: "anna (uid 1004)", "SIGHUP"
	Process Process `json:"process,omitzero"` // that called; zero = none did
}

// Process is a process as the kernel knows it. The PID is 0 when it is not in
// our PID namespace.
type Process struct {
	PID int32  `json:"pid"`
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
}

// Link is a network interface as the kernel has it.
type Link struct {
	Name      string
	Present   bool
	Up        bool           // administratively up, with carrier
	MAC       string         // "02:00:00:00:00:01"
	Addresses []netip.Prefix // every address that is ready to use, in the kernel's order
	// Read is when the reading of all this began: what changed since may be missing.
	// Zero is the time of the event.
	Read time.Time `json:",omitzero"`
	// Deaf4 and Deaf6 say why adverts over that family cannot be heard here, "" = they
	// can, or need not. Who does not hear takes silence for the end of an Active.
	Deaf4, Deaf6 string `json:",omitempty"`
}

// deaf says why adverts over a family cannot be heard, "" = they can.
func (l Link) deaf(family4 bool) string {
	if family4 {
		return l.Deaf4
	}
	return l.Deaf6
}

func (Wake) event()             {}
func (Stop) event()             {}
func (Resume) event()           {}
func (Configure) event()        {}
func (AdvertReceived) event()   {}
func (LinkChanged) event()      {}
func (AddressClaimed) event()   {}
func (AddressesApplied) event() {}
func (AnnouncementSent) event() {}
func (GuardSet) event()         {}
func (LeaseSet) event()         {}
func (LeaseLost) event()        {}
func (PairUp) event()           {}
func (PairDown) event()         {}
func (PeerHeard) event()        {}
func (FenceEnded) event()       {}
func (ConfirmFence) event()     {}
func (VoteAsked) event()        {}
func (VoteAnswered) event()     {}
func (RestoreFences) event()    {}
func (SpeakerUp) event()        {}
func (SpeakerDown) event()      {}
func (SessionChanged) event()   {}
func (TableAnnounced) event()   {}
func (AnnouncersSeen) event()   {}
func (CheckDone) event()        {}
func (CheckSeen) event()        {}
func (NotifyDone) event()       {}
func (HookDone) event()         {}
func (SendFailed) event()       {}
func (Drain) event()            {}
func (RestoreDrains) event()    {}
func (Undrain) event()          {}
func (Failover) event()         {}
func (Drill) event()            {}
func (VIPProbed) event()        {}
func (RestoreProven) event()    {}
func (Noted) event()            {}
