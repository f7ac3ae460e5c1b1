package netif

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// carrierPoll is how often the carrier of each watched link is read in the
	// time carrierHot after an event of any link. The kernel reports carrier
	// losses in batches of which at most one leaves in a second, so a loss that
	// follows a link event comes late, and one after a quiet second does not. A
	// poll costs 1 µs, but waking up for it some hundred: 50 times a second that
	// would be more than all adverts of 50 VIPs.
	carrierPoll = 20 * time.Millisecond
	carrierHot  = 1200 * time.Millisecond

	// minReread is the shortest time between two readings of the watched links,
	// so that 255 addresses added in a row make a few snapshots and not 255. Where a
	// reading takes long, because of thousands of addresses, the pause is rereadShare
	// times as long.
	minReread   = 5 * time.Millisecond
	rereadShare = 2

	// resubscribe is the wait before events are asked for again after that failed.
	resubscribe = 100 * time.Millisecond

	eventBuffer = 1 << 20 // bytes; what does not fit costs a full reading, nothing more
)

// Link is everything about one link at one time. Two snapshots of a link that
// follow each other differ, unless the second one was asked for.
type Link struct {
	Name    string
	Index   int  // changes when the interface is deleted and made again; 0 when absent
	Present bool // an interface of this name exists
	Up      bool // administratively up, with carrier
	MAC     net.HardwareAddr
	MTU     int // bytes
	// Addresses are those that are ready to use (duplicate address detection is
	// over and found none), in the kernel's order, IPv4 first.
	Addresses []netip.Prefix
	// Read is when the reading began, of this link and of all that are watched: what
	// is not reported with it was as it had been.
	Read time.Time
}

func (l Link) equal(m Link) bool {
	return l.Name == m.Name && l.Index == m.Index && l.Present == m.Present && l.Up == m.Up && l.MTU == m.MTU &&
		slices.Equal(l.MAC, m.MAC) && slices.Equal(l.Addresses, m.Addresses)
}

// Monitor watches links by name. Its methods may be called from any goroutine.
type Monitor struct {
	log   *slog.Logger
	kick  chan struct{} // something changed: read again
	flaps chan struct{} // some link changed: events may be late for a while

	mu      sync.Mutex
	names   []string
	again   map[string]bool // to be reported also when they are as they were
	indexes map[int]bool    // of the watched links as far as they are known
	ready   map[located]bool
}

// located is an address on the link with the index.
type located struct {
	index  int
	prefix netip.Prefix
}

// NewMonitor returns a Monitor that watches nothing yet.
func NewMonitor(log *slog.Logger) *Monitor {
	return &Monitor{log: log, kick: make(chan struct{}, 1), flaps: make(chan struct{}, 1), again: map[string]bool{}, indexes: map[int]bool{}}
}

// Again reads all links once more, and reports the one of this name also when it is as
// it was.
func (m *Monitor) Again(name string) {
	m.mu.Lock()
	m.again[name] = true
	m.mu.Unlock()
	m.wake()
}

// SetNames replaces the names of the links to watch, before Run or at any time
// during it. A name that was not watched before is reported at once, present or
// not.
func (m *Monitor) SetNames(names []string) {
	m.mu.Lock()
	m.names = slices.Compact(slices.Sorted(slices.Values(names)))
	m.mu.Unlock()
	m.wake()
}

func (m *Monitor) wake() {
	select {
	case m.kick <- struct{}{}:
	default: // it is awake already
	}
}

// heat starts the time in which carriers are polled.
func (m *Monitor) heat() {
	select {
	case m.flaps <- struct{}{}:
	default: // it starts already
	}
}

// Run calls report with a first snapshot of every watched link and with another
// one after each change, until ctx ends. Changes that come together are merged,
// and the last state always arrives. The error says that the kernel's netlink
// cannot be used at all.
func (m *Monitor) Run(ctx context.Context, report func(Link)) error {
	w := &watch{monitor: m, report: report, last: map[string]Link{}}
	var err error
	if w.conn, err = openRTNL(); err != nil {
		return err
	}
	defer w.conn.close()
	if w.sock, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open socket for carrier polls: %w", err)
	}
	defer unix.Close(w.sock) //nolint:errcheck // nothing was written

	var events sync.WaitGroup
	defer events.Wait()
	events.Go(func() { m.listen(ctx) })
	w.loop(ctx)
	return nil
}

// watch is the state of one Run.
type watch struct {
	monitor *Monitor
	conn    *rtnl
	sock    int
	report  func(Link)
	last    map[string]Link // as reported, by name
}

func (w *watch) loop(ctx context.Context) {
	poll := time.NewTimer(0)
	defer poll.Stop()
	hot := time.Now().Add(carrierHot) // the end of the polls; we do not know what came before
	pause := time.NewTimer(0)         // fires when reading is allowed again
	defer pause.Stop()
	kick := w.monitor.kick
	w.monitor.wake()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
			kick = w.monitor.kick
			if failed {
				w.monitor.wake()
			}
		case <-kick:
			began := time.Now()
			failed = !w.read()
			kick = nil
			if failed {
				pause.Reset(resubscribe)
			} else {
				pause.Reset(max(minReread, rereadShare*time.Since(began)))
			}
		case <-w.monitor.flaps:
			hot = time.Now().Add(carrierHot)
			poll.Reset(carrierPoll)
		case <-poll.C:
			if w.carrierChanged() {
				w.monitor.wake()
			}
			if time.Now().Before(hot) {
				poll.Reset(carrierPoll)
			}
		}
	}
}

// carrierChanged reports whether some link is not as it was last reported.
func (w *watch) carrierChanged() bool {
	changed := false
	for name, l := range w.last {
		if !l.Present {
			continue // its appearance is an event
		}
		on, known, err := carrier(w.sock, name)
		if err != nil || (known && on != l.Up && (l.Up || w.adminUp(name))) {
			changed = true
		}
	}
	return changed
}

// adminUp keeps a link that is administratively down, while its cable is in,
// from being read again at every poll.
func (w *watch) adminUp(name string) bool {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return false
	}
	if unix.IoctlIfreq(w.sock, unix.SIOCGIFFLAGS, ifr) != nil {
		return true
	}
	return ifr.Uint16()&unix.IFF_UP != 0
}

// read takes a snapshot of every watched link and reports those that changed.
// It is false when it has to be repeated.
func (w *watch) read() bool {
	m := w.monitor
	m.mu.Lock()
	names := m.names
	for name := range m.again {
		delete(w.last, name)
	}
	clear(m.again)
	m.mu.Unlock()

	complete, began := true, time.Now()
	links := make([]Link, 0, len(names))
	for _, name := range names {
		l, err := w.snapshot(name)
		if err != nil {
			m.log.Warn("cannot read link", "interface", name, "error", err)
			complete = false
			continue
		}
		l.Read = began
		links = append(links, l)
	}
	for name := range w.last {
		if !slices.Contains(names, name) {
			delete(w.last, name)
		}
	}
	for _, l := range links {
		if old, known := w.last[l.Name]; !known || !old.equal(l) {
			w.last[l.Name] = l
			w.report(l)
		}
	}
	w.remember(links)
	return complete
}

// remember keeps which addresses were ready, and drops the indexes of links that
// are gone or no longer watched.
func (w *watch) remember(links []Link) {
	w.monitor.mu.Lock()
	defer w.monitor.mu.Unlock()
	w.monitor.ready = map[located]bool{}
	for _, l := range links {
		for _, p := range l.Addresses {
			w.monitor.ready[located{l.Index, p}] = true
		}
	}
	for index := range w.monitor.indexes {
		if !slices.ContainsFunc(links, func(l Link) bool { return l.Index == index }) {
			delete(w.monitor.indexes, index)
		}
	}
}

func (w *watch) snapshot(name string) (Link, error) {
	d, err := w.conn.device(name)
	if errors.Is(err, unix.ENODEV) {
		return Link{Name: name}, nil
	}
	if err != nil {
		return Link{}, err
	}
	if d.name != name { // an alternative name of another link
		return Link{Name: name}, nil
	}
	w.monitor.mu.Lock()
	w.monitor.indexes[d.index] = true // before reading, so that no later event is missed
	w.monitor.mu.Unlock()
	addrs, err := w.conn.addresses(d.index)
	if err != nil {
		return Link{}, err
	}
	l := Link{Name: name, Index: d.index, Present: true, MAC: d.mac, MTU: d.mtu}
	l.Up = d.flags&unix.IFF_UP != 0 && d.flags&unix.IFF_LOWER_UP != 0
	if on, known, err := carrier(w.sock, name); err == nil && known && !on {
		l.Up = false
	}
	for _, a := range addrs {
		if a.ready() {
			l.Addresses = append(l.Addresses, a.prefix)
		}
	}
	return l, nil
}

// listen turns the kernel's events into kicks until ctx ends.
func (m *Monitor) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.subscribe(ctx)
		if ctx.Err() != nil {
			return
		}
		m.log.Warn("link events interrupted, reading everything again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(resubscribe):
		}
	}
}

func (m *Monitor) subscribe(ctx context.Context) error {
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribe to link events: %w", err)
	}
	defer context.AfterFunc(ctx, sock.Close)() // ends Receive
	defer sock.Close()
	if sock.SetReceiveBufferSize(eventBuffer, true) != nil {
		_ = sock.SetReceiveBufferSize(eventBuffer, false) // smaller, and a full reading more often
	}
	m.wake() // whatever happened before the subscription
	for {
		msgs, from, err := sock.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			m.wake() // events were lost, the state is not
			m.heat()
			continue
		case err != nil:
			return fmt.Errorf("receive link events: %w", err)
		case from.Pid != nl.PidKernel:
			continue
		}
		if slices.ContainsFunc(msgs, m.concerns) {
			m.wake()
		}
		if slices.ContainsFunc(msgs, aboutLink) {
			m.heat()
		}
	}
}

func aboutLink(msg syscall.NetlinkMessage) bool {
	return msg.Header.Type == unix.RTM_NEWLINK || msg.Header.Type == unix.RTM_DELLINK
}

// concerns reports whether an event is about a watched link: by its index, or by
// its name when it is new or was renamed. That an address lives longer is no news.
func (m *Monitor) concerns(msg syscall.NetlinkMessage) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch msg.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		d := parseDevice(msg.Data)
		return m.indexes[d.index] || slices.Contains(m.names, d.name)
	case unix.RTM_NEWADDR:
		a, ok := parseAddress(msg.Data)
		return m.indexes[a.index] && !(ok && a.ready() && m.ready[located{a.index, a.prefix}])
	case unix.RTM_DELADDR:
		a, _ := parseAddress(msg.Data)
		delete(m.ready, located{a.index, a.prefix}) // when it comes back that is news
		return m.indexes[a.index]
	}
	return false
}
