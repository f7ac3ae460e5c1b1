package keepalived

import (
	"net/netip"
	"slices"
	"time"
)

// vipd is a configuration of vipd, as far as keepalived's can become part of it.
type vipd struct {
	comments     []string
	nodeName     string
	startupDelay time.Duration
	scriptUser   string
	fifo         string
	version      int // 0 = not said, keepalived's 2
	garp         garp
	iface        string // of instances that name none
	spacings     []*spacing
	vips         []*vip
	groups       []*group
	checks       []*check
}

// vip is a [vip.NAME].
type vip struct {
	at       *statement
	keyword  map[string]*statement // the last one of each keyword in the block
	comments []string
	name     string

	iface      string
	vrid       int
	priority   int
	version    int
	interval   time.Duration
	master     bool // initial state
	noPreempt  bool
	delay      time.Duration
	addresses  []netip.Prefix
	excluded   []netip.Prefix
	peers      []netip.Addr
	peerLines  map[netip.Addr]*statement
	source     netip.Addr
	vmac       bool
	track      []track
	interfaces []track
	routes     []route
	notify     notify
	garp       garp
	auth       *auth // nil = adverts are not authenticated
	group      *group
	dropped    bool // refused as a whole
}

// family4 reports whether the election runs over IPv4.
func (v *vip) family4() bool { return len(v.addresses) == 0 || v.addresses[0].Addr().Is4() }

// track is a check or an interface that something depends on.
type track struct {
	at     *statement
	name   string
	weight int  // 0 = fault
	own    bool // the value in the check's file is the weight
}

// route is one of a VIP's routes.
type route struct {
	to    netip.Prefix
	via   netip.Addr
	table int // 0 = main
}

// group is a [sync.NAME].
type group struct {
	at       *statement
	comments []string
	name     string
	members  []*vip
	track    []track
	links    []track
	notify   notify
}

// check is a [check.NAME].
type check struct {
	at       *statement
	comments []string
	name     string // in vipd.toml
	source   string // keyword and name in keepalived.conf: there the names of scripts and files do not collide
	kind     string // exec, process, unit, tcp, file
	keys     []setting
	weight   int // 0 = fault
	value    bool
	reverse  bool // of which vipd has nothing
}

// setting is a key and its value in TOML.
type setting struct{ key, value string }

// garp is how addresses are announced; what is nil keeps vipd's default.
type garp struct {
	repeat   *int
	interval *time.Duration
	delay    *time.Duration // of the second burst, 0 = none
	refresh  *time.Duration
}

// spacing is a garp_group: the interval of some interfaces.
type spacing struct {
	garp
	interfaces []string
}

// notify is what is run at changes.
type notify struct {
	always []string            // program and arguments
	states map[string][]string // by MASTER, BACKUP, FAULT, STOP
}

// used returns the checks that something tracks, in the order of the file.
func (m *vipd) used() []*check {
	return slices.DeleteFunc(slices.Clone(m.checks), func(c *check) bool {
		return !slices.ContainsFunc(m.vips, func(v *vip) bool {
			return slices.ContainsFunc(v.track, func(t track) bool { return t.name == c.name })
		})
	})
}
