package doctor

import (
	"net/netip"
	"time"
)

// Needs is what the configuration asks of the host.
type Needs struct {
	VIPs       []VIP
	Anycast    []Anycast
	Neighbors  int    // of BGP
	ListenBGP  bool   // on port 179
	BFD        bool   // UDP 3784 and 4784
	Zone       string // failure domain of this host; "" = it does not say
	Keep       bool   // a restart leaves VIPs to the next run (node.on_stop)
	Paired     bool   // there is a channel to other hosts
	PairPort   uint16 // UDP, of the channel between the hosts; 0 = none
	Socket     string // control socket
	AdminGroup string
}

// VIP is what one VIP needs.
type VIP struct {
	Name      string
	Interface string
	VRID      uint8
	Interval  time.Duration
	Addresses []netip.Prefix // the first one's family is that of the election
	Peers     []netip.Addr   // none = multicast
	VMAC      bool
	Routes    bool // it has routes of its own
	Keepable  bool // its lease and its guard allow a restart in place
}

// family4 reports whether the election runs over IPv4.
func (v VIP) family4() bool { return len(v.Addresses) > 0 && v.Addresses[0].Addr().Is4() }

// Anycast is what one anycast service needs.
type Anycast struct {
	Name   string
	Device string // "" = vipd does not manage the addresses
}

// Facts is what was found on the host. Where something could not be looked at,
// its zero value says so.
type Facts struct {
	Kernel string            // release, "6.1.0-18-amd64"; "" = not known
	Config map[string]string // of the kernel: CONFIG_NETFILTER_EGRESS = "y"; nil = not known

	Zones map[string]string // of the peers that say, by name; nil = no daemon tells

	Held map[string]string // what a restart does with each VIP that is held here: "" keeps it, else why not; nil = no daemon tells

	Daemon bool   // one answers on the control socket
	Caps   uint64 // effective ones of the daemon; with Daemon

	Links   map[string]Link
	Sysctls map[string]int // by path below /proc/sys: net/ipv4/conf/eth0/rp_filter

	NFT      []byte // of nft -j list ruleset; nil = could not be read
	NFTError string // why
	Legacy   bool   // there are tables of iptables-legacy

	Networkd Files // its configuration, when it runs
	Clock    Clock
	Secrets  []File // below /etc/vipd/credentials, the directory first
	Socket   *File  // nil = there is none
	Groups   []string
	Journal  bool // journald keeps its journal over a restart of the host

	Tracked, TrackedMax int // connections in the kernel's table; 0 of 0 = there is none

	Probed  map[netip.Addr][]string // MACs that answer for an address; nil = nobody asked
	Heard   []Advert                // adverts heard; nil = nobody listened
	Listens bool                    // somebody did
}

// Link is one interface.
type Link struct {
	Index     int
	Up        bool
	MTU       int
	Addresses []netip.Prefix
	Below     []string // interfaces that carry it: ports of a bridge or bond, parent of a VLAN
	Bridge    *Bridge  // nil = it is none
	Managed   string   // who manages it: "systemd-networkd", "NetworkManager", "" = nobody
	Profile   string   // with systemd-networkd: the text of its .network file
}

// Bridge is how a bridge treats multicast.
type Bridge struct {
	Snooping bool
	Querier  bool // it asks for memberships itself
}

// Files is a set of configuration files in the order in which they are read.
type Files []string

// Clock is what the kernel says about its clock (adjtimex).
type Clock struct {
	Known  bool
	Synced bool
	Error  time.Duration // at most this wrong
}

// File is a file or directory with its rights.
type File struct {
	Path string
	Dir  bool
	Perm uint32 // permission bits
	UID  uint32
}

// Advert is an advert that was heard.
type Advert struct {
	Interface string
	Source    netip.Addr
	VRID      uint8
	Priority  uint8
}
