package engine

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/pkg/vrrp"
)

// Config is everything that the engine decides by. It is validated already:
// pkg/config builds it from files, tests build it by hand.
type Config struct {
	Node         string                  // name of this host, as in events and status
	Zone         string                  // failure domain of this host, "" = not known
	StartupDelay time.Duration           // wait after the start before joining elections; 0 or more
	VIPs         map[string]VIP          // by name
	Groups       map[string][]string     // sync groups: name to names of VIPs, which move together or not at all
	Checks       map[string]check.Config // by name
	GroupNotify  map[string]bool         // sync groups whose changes are told to hooks
	Services     map[string]Service      // anycast services by name
	BGP          *bgp.Config             // nil = no speaker runs; passwords are none of the engine's business
	Pair         *Pair                   // nil = there is no channel to other hosts
	Fences       map[string]fence.Config // how a peer is cut off, by its name; a peer that is not in it cannot be
	Keep         bool                    // a stop leaves VIPs to the next run, and services to neighbors that keep routes over a restart (RFC 4724); BGP must ask for that
	Budget       Budget                  // of withdrawals because of checks
	Witnesses    []vote.Witness          // voters that are no hosts, sorted by name
	DrainWait    time.Duration           // how long a service is announced with GRACEFUL_SHUTDOWN before it is withdrawn; 0 or more
}

// Service is an anycast service: prefixes that are announced by BGP while what
// they stand for works on this host.
type Service struct {
	bgp.Service
	Device    string                  // gets the addresses of host routes, "" = none does
	Track     map[string]check.Weight // a failing one takes the service away, or its weight is taken off the MED
	RiseDelay time.Duration           // healthy for this long before it is announced again; 0 or more
	// MinAnnouncers is how many other hosts must be seen to announce the service
	// before a failing check withdraws it here; 0 = none has to.
	MinAnnouncers int
	FollowVIP     string // announced only while this VIP is held here, "" = always
}

// Budget is how often checks may withdraw services in any span of Per. What goes
// beyond is announced as the last resort. Max 0 = as often as they fail.
type Budget struct {
	Max int
	Per time.Duration
}

// Addresses returns the host routes among the prefixes, when vipd puts them on a
// device.
func (s Service) Addresses() []netip.Prefix {
	var list []netip.Prefix
	for _, p := range s.Prefixes {
		if s.Device != "" && p.IsSingleIP() {
			list = append(list, p)
		}
	}
	return list
}

// ServiceAddresses returns the addresses of all services, by the device that gets
// them.
func (c Config) ServiceAddresses() map[string][]netip.Prefix {
	m := map[string][]netip.Prefix{}
	for _, s := range c.Services {
		if list := s.Addresses(); len(list) > 0 {
			m[s.Device] = append(m[s.Device], list...)
		}
	}
	return m
}

// VIP is one virtual router and the addresses that move with it.
type VIP struct {
	Interface     string        // where the election runs and the addresses live
	VRID          uint8         // 1–255, unique per interface and family
	Version       uint8         // 2 or 3
	Priority      uint8         // 1–254; 255 = address owner
	Interval      time.Duration // Advertisement_Interval: v3 10ms–40.95s in steps of 10ms; v2 whole seconds
	Addresses     []netip.Prefix
	Preempt       bool
	PreemptDelay  time.Duration // delays fail-back only
	UnicastPeers  []netip.Addr  // none = multicast
	UnicastSource netip.Addr    // zero = the interface's primary address
	VMAC          bool          // 00:00:5e:00:01:{vrid} on a macvlan
	Checksum      vrrp.Checksum // form sent in v3 over IPv4
	Takeover      Takeover
	HoldOn        bool // by votes: who has held goes on without a majority while nobody else is known to
	Track         map[string]check.Weight
	TrackLinks    map[string]check.Weight
	Routes        []Route
	GARP          GARP
	Break         bool          // in planned moves the old holder closes before the new one opens
	Lease         LeaseMode     // what ends the hold of this host when it hangs
	Notify        bool          // its changes are told to hooks
	BeforeHold    time.Duration // how long a hook may delay a takeover; 0 = there is none
}

// Takeover is what a silent Active needs before this host takes over from it.
type Takeover int

// The guards.
const (
	TakeoverVRRP  Takeover = iota // nothing more: the election decides
	TakeoverFence                 // to be cut off, verified
	TakeoverVotes                 // a majority of the votes, which this host then needs to hold as well
)

// String is the word of the configuration.
func (t Takeover) String() string {
	return [...]string{TakeoverVRRP: "vrrp", TakeoverFence: "fence", TakeoverVotes: "votes"}[t]
}

// Family4 reports whether the election runs over IPv4: the family of the first
// address. Adverts list the addresses of that family only.
func (v VIP) Family4() bool { return v.Addresses[0].Addr().Is4() }

// Route is a route that is present while the VIP is held.
type Route struct {
	To    netip.Prefix
	Via   netip.Addr // zero = directly on the interface
	Table int        // 0 = main
}

// GARP is the schedule of gratuitous ARP and unsolicited NA.
type GARP struct {
	Repeat   int             // frames per address and burst, 1–100
	Interval time.Duration   // between the frames of one burst, 0 or more
	Bursts   []time.Duration // when bursts start, after the takeover and after every won contest
	Refresh  time.Duration   // one frame per address this often while held; 0 = never
}
