package speaker

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// speaker keeps the library at what is wanted: these neighbors, and these routes
// for each. Sessions are opened once both are known, so that the routes go out
// before the End-of-RIB of a restarted host (RFC 4724, Section 4.1).
type speaker struct {
	log      *slog.Logger
	report   func(bgp.Session)
	saw      func(p netip.Prefix, others []string)
	events   chan peerEvent // from the library, in order
	notes    chan note      // from its log; more than fit are lost
	found    chan discovery
	probes   chan bfdEvent
	arrivals chan arrival

	config    *bgp.Config
	kept      bool // neighbors may have kept the routes of an earlier child
	known     bool // a table has come
	wanted    bgp.Table
	library   *library
	prober    *prober // BFD, as long as the library runs
	nextTable uint32
	neighbors map[string]*neighbor
	addresses map[netip.Addr]*neighbor // by what the library knows them by
	looked    time.Time                // for neighbors that take nothing
	observed  time.Time                // who else announces our prefixes
	others    map[netip.Prefix][]string
	quit      chan struct{} // closed when the library is stopped: nobody takes its events
}

// neighbor is one session and its routing table in the library.
type neighbor struct {
	bgp.Neighbor
	name     string
	table    string     // its name in the library
	address  netip.Addr // of the peer in the library, invalid when there is none
	families []bgp.Family
	session  bgp.Session
	reported bgp.Session
	note     string    // what the library's log said last about the session
	noted    time.Time // when
	ended    string    // why the last session that was established ended
	again    time.Time // when to add it to the library again; zero = it is there, or not found
	sent     uint64    // messages that the neighbor took when we looked last
	sentAt   time.Time // when it took the last one
	stop     func()    // ends its discovery, nil = none

	cancelEarly context.CancelFunc // ends the early attempts of this peer; nil = there were none
	arrived     time.Time          // when the last early connection was handed over
}

func newSpeaker(log *slog.Logger, report func(bgp.Session)) speaker {
	return speaker{
		log: log, report: report,
		events: make(chan peerEvent), notes: make(chan note, 64), found: make(chan discovery), probes: make(chan bfdEvent, 64), arrivals: make(chan arrival),
		neighbors: map[string]*neighbor{}, addresses: map[netip.Addr]*neighbor{},
		others: map[netip.Prefix][]string{},
	}
}

// configure takes over new neighbors. A session that did not change stays up; when
// our own AS, identifier or port changes, all of them start again.
func (s *speaker) configure(c bgp.Config) {
	old := s.config
	s.config = &c
	if old == nil || s.library == nil {
		s.open()
		return
	}
	global := func(c bgp.Config) bgp.Config { c.Neighbors, c.Observe = nil, nil; return c }
	if !reflect.DeepEqual(global(*old), global(c)) {
		s.close(false)
		s.open()
		return
	}
	for name, n := range s.neighbors {
		if next, stays := c.Neighbors[name]; !stays || !reflect.DeepEqual(next, n.Neighbor) {
			s.remove(n)
		}
	}
	s.addNew()
}

// open starts the library once all is known.
func (s *speaker) open() {
	if s.config == nil || !s.known || s.library != nil {
		return
	}
	quit := make(chan struct{})
	l, err := startLibrary(*s.config, slog.New(s.listener()), func(e peerEvent) {
		select {
		case s.events <- e:
		case <-quit:
		}
	})
	if err != nil {
		s.log.Error("no BGP", "err", err)
		close(quit)
		for name := range s.config.Neighbors {
			s.report(bgp.Session{Neighbor: name, State: bgp.Idle, LastError: err.Error()})
		}
		return
	}
	s.library, s.quit, s.prober = l, quit, startProber(s.log, s.probes)
	s.addNew()
}

// close ends all sessions and the library.
func (s *speaker) close(keep bool) {
	if s.library == nil {
		return
	}
	for _, n := range s.neighbors {
		if n.stop != nil {
			n.stop()
		}
		if n.cancelEarly != nil {
			n.cancelEarly()
		}
	}
	close(s.quit)
	// BFD last: a neighbor that keeps the routes of a session that ended drops
	// them when BFD ends the session.
	s.library.stop(keep)
	s.prober.stop()
	s.library = nil
	clear(s.neighbors)
	clear(s.addresses)
}

func (s *speaker) addNew() {
	for _, name := range slices.Sorted(maps.Keys(s.config.Neighbors)) {
		if s.neighbors[name] == nil {
			s.add(name, s.config.Neighbors[name])
		}
	}
}

// add makes a neighbor and its table, fills the table, and connects.
func (s *speaker) add(name string, conf bgp.Neighbor) {
	s.nextTable++
	n := &neighbor{Neighbor: conf, name: name, table: name}
	n.session = bgp.Session{Neighbor: name, State: bgp.Idle, Address: conf.Address}
	if err := s.library.addTable(n.table, s.nextTable); err != nil {
		s.log.Error("neighbor cannot be added", "neighbor", name, "err", err)
		n.session.LastError = err.Error()
		s.report(n.session)
		return
	}
	s.neighbors[name] = n
	s.install(n, bgp.Change{Neighbor: name, Announce: s.wanted[name]})
	if conf.Interface != "" {
		n.stop = s.discover(n)
	} else {
		s.connect(n, conf.Address)
	}
	s.tell(n)
}

// remove forgets a neighbor: its session ends with a Cease.
func (s *speaker) remove(n *neighbor) {
	if n.stop != nil {
		n.stop()
	}
	s.disconnect(n)
	s.prober.remove(n.name)
	if err := s.library.deleteTable(n.table); err != nil {
		s.log.Error("routes of a neighbor that is gone remain", "neighbor", n.name, "err", err)
	}
	delete(s.neighbors, n.name)
}

// connect adds the peer to the library, under this address.
func (s *speaker) connect(n *neighbor, address netip.Addr) {
	n.again = time.Time{}
	err := passwordWorks(address, n.Password)
	if err == nil {
		err = s.library.addPeer(*s.config, n.table, n.Neighbor, address, s.kept)
	}
	n.session.Address = address
	if err != nil {
		s.log.Warn("neighbor cannot be added", "neighbor", n.name, "err", err)
		n.session.LastError = err.Error()
		n.again = time.Now().Add(time.Second)
		return
	}
	n.address = address
	n.session.State = bgp.Idle
	s.addresses[address] = n
}

// disconnect takes the peer out of the library, whatever it was doing.
func (s *speaker) disconnect(n *neighbor) {
	n.again = time.Time{}
	if n.cancelEarly != nil {
		n.cancelEarly()
		n.cancelEarly = nil
	}
	if !n.address.IsValid() {
		return
	}
	if err := s.library.deletePeer(n.address); err != nil {
		s.log.Error("neighbor cannot be deleted", "neighbor", n.name, "err", err)
	}
	delete(s.addresses, n.address)
	n.address = netip.Addr{}
	n.session.State = bgp.Idle
	n.session.Announced = 0
}

// announce carries changes of the table out. All sessions that are established
// have them in their queues when it returns.
func (s *speaker) announce(changes []bgp.Change) {
	s.wanted = s.wanted.Apply(changes)
	s.known = true
	if s.library == nil {
		s.open()
		return
	}
	for _, c := range changes {
		if n := s.neighbors[c.Neighbor]; n != nil {
			s.install(n, c)
			s.tell(n)
		}
	}
}

func (s *speaker) install(n *neighbor, c bgp.Change) {
	if len(c.Withdraw)+len(c.Announce) == 0 {
		return
	}
	var self6 netip.Addr
	if slices.ContainsFunc(c.Announce, func(r bgp.Route) bool { return r.Prefix.Addr().Is6() && !r.NextHop.IsValid() }) {
		self6 = selfIPv6(n.Neighbor) // it lists all addresses of the host, which may be thousands
	}
	if err := s.library.install(n.table, n.Neighbor, s.config.LocalAS, c, self6); err != nil {
		s.log.Error("routes not announced", "neighbor", n.name, "err", err)
		n.session.LastError = err.Error()
	}
}

// tell reports the session when something about it is new.
func (s *speaker) tell(n *neighbor) {
	n.session.Announced, n.session.Not4, n.session.Not6 = 0, "", ""
	if n.session.State == bgp.Established {
		n.session.Not4, n.session.Not6 = n.untold(bgp.IPv4), n.untold(bgp.IPv6)
		for _, r := range s.wanted[n.name] {
			if n.session.Untold(bgp.FamilyOf(r.Prefix)) == "" || r.NextHop.IsValid() && n.takes(bgp.FamilyOf(r.Prefix)) {
				n.session.Announced++
			}
		}
	}
	if n.session != n.reported {
		n.reported = n.session
		s.report(n.session)
	}
}

// takes reports whether both sides agreed on routes of a family.
func (n *neighbor) takes(f bgp.Family) bool {
	return slices.Contains(n.families, f) && slices.Contains(n.Families, f)
}

// untold is why routes of a family that name no next hop do not reach the neighbor.
func (n *neighbor) untold(f bgp.Family) string {
	switch {
	case !n.takes(f):
		return "the neighbor takes no " + string(f) + " routes"
	case f == bgp.IPv6 && n.Address.Is4() && !selfIPv6(n.Neighbor).IsValid():
		return errNoNextHop.Error()
	}
	return ""
}
