package speaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/vipd/vipd/pkg/bgp"
)

// Ports of single-hop BFD (RFC 5881, Section 4), and the TTL that proves the
// single hop (Section 5).
const (
	bfdPort      = 3784
	bfdFirstPort = 49152
	bfdTTL       = 255
)

// bfdLate is how late this program must be woken to hear first what waits in the
// socket, and bfdGrace how long it takes for that.
const (
	bfdLate  = 5 * time.Millisecond
	bfdGrace = 5 * time.Millisecond
)

// bfdEvent says that the BFD session with a neighbor changed its state.
type bfdEvent struct {
	neighbor string
	state    string // as in [bgp.Session]
	failed   bool   // the neighbor does not work any more
	err      error  // there can be no session
}

// prober is BFD with all neighbors that want it: in a goroutine of its own, since
// its intervals are short and BGP has much to do at times. (The library's BFD
// believes packets from any distance, sends without jitter and fast while down,
// and takes an administrative end for a failure.)
type prober struct {
	log    *slog.Logger
	events chan<- bfdEvent
	orders chan func() // to the goroutine
	heard  chan datagram
	stop   func()

	sessions map[string]*bfdSession
	news     []bfdEvent // not taken yet: nobody is waited for
	retry    time.Time  // when to try to listen again, zero = listening
	open     []interface{ Close() error }
	readers  sync.WaitGroup
	ctx      context.Context
}

// bfdSession is a session with its socket for sending.
type bfdSession struct {
	*bgp.BFDSession
	name    string
	address netip.Addr
	conn    *net.UDPConn
	told    bgp.BFDState
}

type datagram struct {
	from netip.Addr // with a zone if it is link-local
	bgp.BFDPacket
}

func startProber(log *slog.Logger, events chan<- bfdEvent) *prober {
	ctx, cancel := context.WithCancel(context.Background())
	p := &prober{log: log, events: events, orders: make(chan func()), heard: make(chan datagram, 64), sessions: map[string]*bfdSession{}, ctx: ctx}
	done := make(chan struct{})
	go func() { defer close(done); p.run() }()
	p.stop = sync.OnceFunc(func() { cancel(); <-done })
	return p
}

// do has the goroutine do it.
func (p *prober) do(order func()) {
	select {
	case p.orders <- order:
	case <-p.ctx.Done():
	}
}

// add starts a session; one with the same name and address goes on.
func (p *prober) add(name string, address, source netip.Addr, conf bgp.BFD) {
	p.do(func() {
		if s := p.sessions[name]; s != nil {
			if s.address == address {
				return
			}
			p.drop(s)
		}
		conn, err := bfdDial(address, source)
		if err != nil {
			p.tell(bfdEvent{neighbor: name, err: err})
			return
		}
		s := &bfdSession{
			BFDSession: bgp.NewBFDSession(time.Now(), conf, 1+rand.Uint32N(1<<32-2)),
			name:       name, address: address, conn: conn, told: bgp.BFDDown,
		}
		p.sessions[name] = s
		p.tell(bfdEvent{neighbor: name, state: s.State().String()})
		if len(p.open) == 0 {
			p.listen()
		}
	})
}

// remove ends a session, which the neighbor is told.
func (p *prober) remove(name string) {
	p.do(func() {
		if s := p.sessions[name]; s != nil {
			p.drop(s)
		}
	})
}

func (p *prober) drop(s *bfdSession) {
	s.send(s.Leave())
	_ = s.conn.Close() // it was for sending
	delete(p.sessions, s.name)
}

func (p *prober) tell(e bfdEvent) { p.news = append(p.news, e) }

func (p *prober) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer p.close()
	late := false
	for {
		next := p.next()
		wait := time.Until(next)
		if late {
			wait = max(wait, bfdGrace)
		}
		timer.Reset(wait)
		var first bfdEvent
		var out chan<- bfdEvent
		if len(p.news) > 0 {
			first, out = p.news[0], p.events
		}
		select {
		case out <- first:
			p.news = p.news[1:]
		case <-p.ctx.Done():
			return
		case order := <-p.orders:
			order()
		case d := <-p.heard:
			p.receive(d)
		case <-timer.C:
			now := time.Now()
			if !late && now.Sub(next) > bfdLate { // we were held up, and not the neighbors
				late = true
				continue
			}
			late = false
			p.wake(now)
		}
	}
}

func (p *prober) next() time.Time {
	next := time.Now().Add(time.Hour)
	if !p.retry.IsZero() && p.retry.Before(next) {
		next = p.retry
	}
	for _, s := range p.sessions {
		if n := s.Next(); n.Before(next) {
			next = n
		}
	}
	return next
}

func (p *prober) wake(now time.Time) {
	if !p.retry.IsZero() && !now.Before(p.retry) {
		p.listen()
	}
	for _, s := range p.sessions {
		if out := s.Wake(now, rand.Float64()); out != nil {
			s.send(*out)
		}
		p.compare(s)
	}
}

func (p *prober) receive(d datagram) {
	now := time.Now()
	for _, s := range p.sessions {
		if s.address != d.from {
			continue
		}
		if out := s.Receive(now, d.BFDPacket); out != nil {
			s.send(*out)
		}
		p.compare(s)
	}
}

// compare tells when the state is new.
func (p *prober) compare(s *bfdSession) {
	if state := s.State(); state != s.told {
		s.told = state
		p.tell(bfdEvent{neighbor: s.name, state: state.String(), failed: s.Failed()})
	}
}

// send sends a packet. One that the kernel does not take is as good as lost.
func (s *bfdSession) send(out bgp.BFDPacket) { _, _ = s.conn.Write(out.Marshal()) }

// bfdDial makes the socket for sending to a neighbor.
func bfdDial(address, source netip.Addr) (*net.UDPConn, error) {
	network := "udp4"
	if address.Is6() {
		network = "udp6"
	}
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, bfdPort))
	var errs error
	for range 8 { // the port may be taken
		from := &net.UDPAddr{Port: bfdFirstPort + rand.IntN(1<<16-bfdFirstPort)}
		if source.IsValid() {
			from.IP, from.Zone = source.AsSlice(), source.Zone()
		}
		conn, err := net.DialUDP(network, from, to)
		if err != nil {
			errs = err
			continue
		}
		if address.Is4() {
			err = ipv4.NewConn(conn).SetTTL(bfdTTL)
		} else {
			err = ipv6.NewConn(conn).SetHopLimit(bfdTTL)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("send BFD to %s: %w", address, err), conn.Close())
		}
		return conn, nil
	}
	return nil, fmt.Errorf("send BFD to %s: %w", address, errs)
}

// listen opens the sockets for both families, or tries again in a second.
func (p *prober) listen() {
	p.retry = time.Time{}
	c4, err4 := net.ListenUDP("udp4", &net.UDPAddr{Port: bfdPort})
	c6, err6 := net.ListenUDP("udp6", &net.UDPAddr{Port: bfdPort})
	if err4 == nil {
		pc := ipv4.NewPacketConn(c4)
		err4 = pc.SetControlMessage(ipv4.FlagTTL, true)
		p.read(c4, func(b []byte) (int, int, net.Addr, error) {
			n, control, from, err := pc.ReadFrom(b)
			if control == nil {
				return n, 0, from, err
			}
			return n, control.TTL, from, err
		})
	}
	if err6 == nil {
		pc := ipv6.NewPacketConn(c6)
		err6 = pc.SetControlMessage(ipv6.FlagHopLimit, true)
		p.read(c6, func(b []byte) (int, int, net.Addr, error) {
			n, control, from, err := pc.ReadFrom(b)
			if control == nil {
				return n, 0, from, err
			}
			return n, control.HopLimit, from, err
		})
	}
	if err := errors.Join(err4, err6); err != nil {
		p.closeSockets()
		p.retry = time.Now().Add(time.Second)
		for name := range p.sessions {
			p.tell(bfdEvent{neighbor: name, state: bgp.BFDDown.String(), err: fmt.Errorf("listen for BFD: %w", err)})
		}
	}
}

// read reads packets from a socket until it is closed, and believes those that
// come from no further than one hop.
func (p *prober) read(c *net.UDPConn, next func([]byte) (n, ttl int, from net.Addr, err error)) {
	p.open = append(p.open, c)
	p.readers.Go(func() {
		b := make([]byte, 256)
		for {
			n, ttl, from, err := next(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			udp, ok := from.(*net.UDPAddr)
			if err != nil || !ok || ttl != bfdTTL {
				continue
			}
			packet, err := bgp.ParseBFD(b[:n])
			if err != nil {
				continue
			}
			select {
			case p.heard <- datagram{udp.AddrPort().Addr().Unmap(), packet}:
			case <-p.ctx.Done():
				return
			}
		}
	})
}

func (p *prober) closeSockets() {
	for _, c := range p.open {
		_ = c.Close() // whoever reads from it sees that
	}
	p.open = nil
}

func (p *prober) close() {
	for _, s := range p.sessions {
		p.drop(s)
	}
	p.closeSockets()
	p.readers.Wait()
}
