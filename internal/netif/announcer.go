package netif

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Announcement is one burst of gratuitous ARP requests (IPv4) and unsolicited
// neighbour advertisements (IPv6). The caller has made sure that the addresses
// are on the host and ready (RFC 9568, Sections 8.1.2 and 8.2.2).
type Announcement struct {
	Owner     string
	Link      string // the interface, or the parent with VMAC
	VMAC      bool   // leave from the macvlan
	VRID      uint8  // with VMAC
	Family4   bool   // with VMAC: the election is IPv4
	Addresses []netip.Addr
	Repeat    int           // frames per address, 1 or more
	Interval  time.Duration // between the frames of one address, 0 or more
	Cause     string        // label of the counters: takeover, contest, link, refresh

	// Left, when set, is called once, when the first frame has left. It must not
	// block or call the Announcer.
	Left func(at time.Time)
}

// Counter names what is counted: announcements on an interface (of Announcement.
// Link) of a kind, "arp" or "na", for a cause.
type Counter struct{ Link, Kind, Cause string }

// Count is how many frames the kernel took and how many it refused.
type Count struct{ Sent, Failed uint64 }

// Announcer tells the network where addresses are. Its methods may be called
// from any goroutine.
type Announcer struct {
	log  *slog.Logger
	kick chan struct{}

	mu     sync.Mutex
	bursts []*burst // in the order of Announce
	counts map[Counter]Count

	// Used by Run only.
	conn    *rtnl
	sock    int
	outlets map[string]*outlet // by name of the device
	hops    map[string]nextHops
	mute    map[string]bool // links on which nothing can be announced, as logged
	buckets map[string]*bucket
}

// linkChanged is the cause that says that the device is not what it was.
const linkChanged = "link"

// gatewayRound is the round of a burst in which the gateways are told. Round 0
// carries the first frame of each address, and rounds 2 and more the repeats.
const gatewayRound = 1

// burst is an Announcement on its way.
type burst struct {
	Announcement
	round     int
	next      int       // index of the frame within the round
	started   time.Time // when the last round began that was for everybody
	due       time.Time // when the round may begin
	cancelled bool
	retried   bool // with a device that came in place of another
}

// NewAnnouncer returns an Announcer that has nothing to announce yet.
func NewAnnouncer(log *slog.Logger) *Announcer {
	return &Announcer{log: log, kick: make(chan struct{}, 1), counts: map[Counter]Count{},
		outlets: map[string]*outlet{}, hops: map[string]nextHops{}, mute: map[string]bool{}, buckets: map[string]*bucket{}}
}

// Announce starts a burst. It never blocks. It ends what is left of an earlier
// burst of the same owner for the same cause, so that they do not pile up.
func (n *Announcer) Announce(a Announcement) {
	a.Addresses = slices.Clone(a.Addresses)
	n.mu.Lock()
	n.drop(func(b *burst) bool { return b.Owner == a.Owner && b.Cause == a.Cause })
	n.bursts = append(n.bursts, &burst{Announcement: a, due: time.Now()})
	n.mu.Unlock()
	select {
	case n.kick <- struct{}{}:
	default: // it is awake already
	}
}

// Cancel ends all bursts of owner. When it returns, no frame of theirs leaves
// the host any more.
func (n *Announcer) Cancel(owner string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(func(b *burst) bool { return b.Owner == owner })
}

// drop ends the bursts that match. The lock is held.
func (n *Announcer) drop(match func(*burst) bool) {
	n.bursts = slices.DeleteFunc(n.bursts, func(b *burst) bool {
		b.cancelled = b.cancelled || match(b)
		return b.cancelled
	})
}

// Counters returns a copy of the counters.
func (n *Announcer) Counters() map[Counter]Count {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.counts)
}

// Run sends announcements until ctx ends; what is left then is not sent. The
// error says that no packet socket can be had.
func (n *Announcer) Run(ctx context.Context) error {
	var err error
	if n.conn, err = openRTNL(); err != nil {
		return err
	}
	defer n.conn.close()
	// One socket for all devices: the index goes with each frame, so nothing is
	// bound to a device that may be deleted. Protocol 0 receives nothing.
	if n.sock, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	defer unix.Close(n.sock) //nolint:errcheck // nothing is lost
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := n.work(ctx, time.Now)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-n.kick:
		case <-timer.C:
		}
	}
}

// work sends every frame that may go now and says when the next one may.
func (n *Announcer) work(ctx context.Context, clock func() time.Time) time.Duration {
	for ctx.Err() == nil {
		b, wait := n.pick(clock())
		if b == nil {
			return wait
		}
		n.step(b, clock())
	}
	return 0
}

// pick chooses the burst whose turn it is: the lowest round of all that are due,
// and the oldest of these. Without one it says how long to wait.
func (n *Announcer) pick(now time.Time) (*burst, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var best *burst
	wait := time.Hour // Announce ends it
	free := map[string]time.Time{}
	for _, b := range n.bursts {
		ready, known := free[b.Link]
		if !known {
			ready = n.bucket(b.Link).next(now)
			free[b.Link] = ready
		}
		if b.due.After(ready) {
			ready = b.due
		}
		switch {
		case ready.After(now):
			wait = min(wait, ready.Sub(now))
		case best == nil || b.round < best.round || (b.round == best.round && b.due.Before(best.due)):
			best = b
		}
	}
	return best, wait
}

func (n *Announcer) bucket(link string) *bucket {
	k, ok := n.buckets[link]
	if !ok {
		k = &bucket{tokens: frameBurst}
		n.buckets[link] = k
	}
	return k
}

// step sends frames of one round of b, all of them if the rate allows it.
func (n *Announcer) step(b *burst, now time.Time) {
	if b.Cause == linkChanged && b.round == 0 && b.next == 0 {
		clear(n.outlets) // what is known of the device is what has changed
	}
	o, err := n.outlet(b.Announcement, now)
	if err != nil {
		n.giveUp(b, err)
		return
	}
	delete(n.mute, b.Link)
	total := len(b.Addresses)
	var hops []neighbourAt
	switch {
	case b.round == gatewayRound:
		hops = n.gateways(b.Link, now)
		total *= len(hops)
	case b.next == 0:
		b.started = now
	}
	for b.next < total {
		if !n.send(b, o, hops, now) {
			return
		}
	}
	b.next = 0
	b.round++
	if b.round > gatewayRound {
		b.due = b.started.Add(b.Interval)
	}
	if b.round > max(b.Repeat, gatewayRound) { // rounds 0 and 2 to Repeat carry a frame for each address
		n.mu.Lock()
		defer n.mu.Unlock()
		n.drop(func(x *burst) bool { return x == b })
	}
}

// giveUp ends a burst that has no device to leave from.
func (n *Announcer) giveUp(b *burst, err error) {
	if !n.mute[b.Link] {
		n.log.Warn("cannot announce", "interface", b.Link, "owner", b.Owner, "cause", b.Cause, "error", err)
		n.mute[b.Link] = true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ip := range b.Addresses {
		n.count(b, ip, err)
	}
	n.drop(func(x *burst) bool { return x == b })
}

// send sends the next frame of b, under the lock, so that Cancel is final. It
// is false when the burst has to be put off.
func (n *Announcer) send(b *burst, o *outlet, hops []neighbourAt, now time.Time) bool {
	ip, frame, err := b.frame(o, hops)
	n.mu.Lock()
	defer n.mu.Unlock()
	if b.cancelled {
		return false
	}
	if frame == nil && err == nil {
		b.next++
		return true
	}
	if !n.bucket(b.Link).take(now) {
		return false
	}
	if err == nil {
		err = n.transmit(o.index, frame)
	}
	if gone(err) {
		delete(n.outlets, o.name) // it may be there again with another index
		if !b.retried {
			b.retried = true
			return false
		}
	}
	b.next++
	n.count(b, ip, err)
	if err == nil && b.Left != nil {
		b.Left(time.Now())
		b.Left = nil
	}
	if err != nil {
		n.log.Debug("announcement not sent", "owner", b.Owner, "address", ip.String(), "error", err)
	}
	return true
}

func (n *Announcer) transmit(index int, frame []byte) error {
	to := &unix.SockaddrLinklayer{Ifindex: index, Protocol: binary.NativeEndian.Uint16(frame[12:]), Halen: 6}
	copy(to.Addr[:], frame[:6])
	return unix.Sendto(n.sock, frame, unix.MSG_DONTWAIT, to)
}

func gone(err error) bool {
	return errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETDOWN)
}

// frame builds the next frame of b; it is nil where there is none, because IPv6
// has no form for the gateways.
func (b *burst) frame(o *outlet, hops []neighbourAt) (ip netip.Addr, frame []byte, err error) {
	ip = b.Addresses[b.next%len(b.Addresses)]
	switch {
	case ip.Is4() && b.round == gatewayRound:
		frame, err = arpRequest(o.mac, ip, hops[b.next/len(b.Addresses)])
	case ip.Is4():
		frame, err = arpRequest(o.mac, ip, neighbourAt{})
	case b.round != gatewayRound:
		source := o.source6
		if !source.IsValid() {
			source = ip
		}
		frame, err = unsolicitedNA(o.mac, source, ip, o.router)
	}
	return ip, frame, err
}

// count counts one frame. The lock is held.
func (n *Announcer) count(b *burst, ip netip.Addr, err error) {
	k := Counter{Link: b.Link, Kind: "na", Cause: b.Cause}
	if ip.Is4() {
		k.Kind = "arp"
	}
	c := n.counts[k]
	if err == nil {
		c.Sent++
	} else {
		c.Failed++
	}
	n.counts[k] = c
}
