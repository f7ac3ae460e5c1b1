package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
	"github.com/vipd/vipd/pkg/vrrp/vrrpnet"
)

// reopenAfter is how long a port waits before it tries to open its socket again
// when nothing tells it that the interface is there.
const reopenAfter = 500 * time.Millisecond

// portKey names a port: adverts of one family on one interface.
type portKey struct {
	link    string
	family4 bool
}

// port keeps the VRRP socket of one interface and family open, whatever happens
// to the interface.
type port struct {
	key     portKey
	log     *slog.Logger
	kick    chan struct{} // the interface changed: try now
	conn    atomic.Pointer[vrrpnet.Conn]
	deaf    atomic.Pointer[string] // why there is no conn
	members atomic.Pointer[membership]
	cancel  context.CancelFunc
	past    atomic.Pointer[refusals] // counted by sockets that are closed

	// The batch of the current turn, used in turns only.
	out  []vrrpnet.Outgoing
	vips []string
}

// membership is whose adverts a port takes part in.
type membership struct {
	own     []netip.Addr
	members []vrrp.Membership
}

// notOpened is why a port has no socket that nobody has opened yet.
var notOpened = "no socket yet"

func newPort(key portKey, log *slog.Logger) *port {
	p := &port{key: key, log: log, kick: make(chan struct{}, 1)}
	p.members.Store(&membership{})
	p.past.Store(&refusals{})
	p.deaf.Store(&notOpened)
	return p
}

// set replaces the memberships, now and for every socket to come.
func (p *port) set(m *membership) {
	p.members.Store(m)
	if c := p.conn.Load(); c != nil {
		c.SetMembers(m.own, m.members...)
	}
	select {
	case p.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// run opens the socket, receives, and opens it again when the interface went
// away and came back, until ctx ends. changed is called when that is so, or not any
// more.
func (p *port) run(ctx context.Context, post func(...engine.Event), changed func()) {
	said := ""
	for ctx.Err() == nil {
		conn, err := vrrpnet.Listen(p.key.link, p.key.family4, p.log)
		if err != nil {
			if err.Error() != said {
				said = err.Error()
				text := said
				p.deaf.Store(&text)
				changed()
				p.log.Debug("advert socket not open yet", "interface", p.key.link, "error", err)
			}
			select {
			case <-p.kick:
			case <-time.After(reopenAfter):
			case <-ctx.Done():
			}
			continue
		}
		said = ""
		m := p.members.Load()
		conn.SetMembers(m.own, m.members...)
		p.conn.Store(conn)
		changed()
		err = conn.Run(ctx, func(batch []vrrpnet.Received) { post(p.translate(batch)...) })
		p.deaf.Store(&notOpened)
		p.conn.Store(nil)
		p.past.Store(p.refused(conn))
		changed()
		if err != nil {
			p.log.Debug("advert socket lost", "interface", p.key.link, "error", err)
		}
		if err := conn.Close(); err != nil {
			p.log.Debug("advert socket closed", "interface", p.key.link, "error", err)
		}
	}
}

// deafness says why nothing is heard, "" = there is a socket.
func (p *port) deafness() string {
	if p == nil || p.conn.Load() != nil {
		return ""
	}
	return *p.deaf.Load()
}

// poll hands on what has come in already, when the interface is there.
func (p *port) poll(post func(...engine.Event)) {
	if c := p.conn.Load(); c != nil {
		if err := c.Poll(func(batch []vrrpnet.Received) { post(p.translate(batch)...) }); err != nil {
			p.log.Debug("advert socket not polled", "interface", p.key.link, "error", err)
		}
	}
}

func (p *port) translate(batch []vrrpnet.Received) []engine.Event {
	evs := make([]engine.Event, len(batch))
	for i, r := range batch {
		evs[i] = engine.AdvertReceived{Interface: p.key.link, Source: r.Source, Advert: r.Advert, Checksum: r.Checksum, Signed: r.Signed}
	}
	return evs
}

// refusals counts what was not believed.
type refusals struct {
	causes map[vrrp.Cause]uint64
	auth   map[uint8]vrrpnet.Refusals // by VRID
}

// add adds those of a socket.
func (r *refusals) add(c vrrpnet.Counters) *refusals {
	sum := &refusals{causes: map[vrrp.Cause]uint64{}, auth: map[uint8]vrrpnet.Refusals{}}
	maps.Copy(sum.causes, r.causes)
	for cause, n := range c.Dropped {
		sum.causes[cause] += n
	}
	maps.Copy(sum.auth, r.auth)
	for vrid, last := range c.Refused {
		last.Count += sum.auth[vrid].Count
		sum.auth[vrid] = last
	}
	return sum
}

// refused returns what was refused since the daemon started, by a socket and those
// before it.
func (p *port) refused(conn *vrrpnet.Conn) *refusals {
	if conn == nil {
		return p.past.Load()
	}
	return p.past.Load().add(conn.Counters())
}

// drop takes the adverts of a VIP out of the batch of this turn.
func (p *port) drop(vip string) {
	for i := len(p.vips) - 1; i >= 0; i-- {
		if p.vips[i] == vip {
			p.out, p.vips = slices.Delete(p.out, i, i+1), slices.Delete(p.vips, i, i+1)
		}
	}
}

var errNoSocket = errors.New("the interface has no socket yet")

// flush sends the batch of this turn and returns the adverts that did not leave.
func (p *port) flush() []engine.Event {
	if len(p.out) == 0 {
		return nil
	}
	var failed []engine.Event
	conn := p.conn.Load()
	if conn == nil {
		for _, vip := range p.vips {
			failed = append(failed, engine.SendFailed{VIP: vip, Err: errNoSocket.Error()})
		}
	} else if conn.Send(p.out) != nil {
		for i := range p.out {
			if err := p.out[i].Err; err != nil {
				failed = append(failed, engine.SendFailed{VIP: p.vips[i], Err: err.Error()})
			}
		}
	}
	clear(p.out)
	p.out, p.vips = p.out[:0], p.vips[:0]
	return failed
}
