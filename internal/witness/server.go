package witness

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
)

// ServerConfig is how a witness works.
type ServerConfig struct {
	Listen netip.AddrPort // [::] = all addresses of both families
	Key    []byte         // 32 octets or more, the same on all hosts
	// Name is how hosts call it in their configuration, "" = whatever they like.
	// Witnesses that share a key must have names, or one could be taken for another.
	Name   string
	MaxTTL time.Duration // longest promise, and how long it sits out when it has started
	Votes  int           // room for so many VIPs of all clusters
	Hosts  int           // and for so many hosts
}

// Server is a witness.
type Server struct {
	cfg  ServerConfig
	log  *slog.Logger
	conn *net.UDPConn
	boot uint64

	mu      sync.Mutex // of all that follows
	key     *pair.Key
	hosts   map[hostKey]*host
	grantor *vote.Grantor
	limits  limits
	count   Counters
	swept   time.Time

	// Room for one message.
	in, control, out, payload []byte
	asks                      []vote.Ask
}

// hostKey names a host as a witness knows it: by the cluster, its own name, and
// what it calls the witness.
type hostKey struct{ cluster, from, to string }

type host struct {
	session *pair.Session
	heard   time.Time
}

// Counters is what a Server has seen since it was opened.
type Counters struct {
	Received uint64                 // datagrams
	Sent     uint64                 // datagrams
	Refused  map[pair.Cause]uint64  // datagrams that were not believed, every cause
	Limited  uint64                 // datagrams that one address sent too many of
	Crowded  uint64                 // datagrams of hosts that there was no room for
	Granted  uint64                 // votes
	Released uint64                 // votes
	Denied   map[vote.Reason]uint64 // votes that were refused, every reason
	Hosts    int                    // in the table
	Votes    int                    // in the table, also those whose promise is over
	Ready    time.Time              // when it begins to grant
}

// Listen opens the socket. The error wraps [syscall.EADDRINUSE] when somebody has
// the port already. The witness sits out from here on.
func Listen(cfg ServerConfig, log *slog.Logger) (*Server, error) {
	key, err := pair.NewKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	conn, err := listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	s := &Server{
		cfg: cfg, log: log, conn: conn, boot: newBoot(), key: key, hosts: map[hostKey]*host{},
		grantor: vote.NewGrantor(time.Now(), cfg.MaxTTL, cfg.Votes),
		in:      make([]byte, pair.MaxDatagram+1), control: make([]byte, controlLen),
	}
	s.count.Refused, s.count.Denied = map[pair.Cause]uint64{}, map[vote.Reason]uint64{}
	for _, c := range pair.Causes() {
		s.count.Refused[c] = 0
	}
	for _, r := range vote.Reasons() {
		s.count.Denied[r] = 0
	}
	return s, nil
}

// newBoot returns a number for a process: random, and not 0.
func newBoot() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // it never fails
		if boot := binary.NativeEndian.Uint64(b[:]); boot != 0 {
			return boot
		}
	}
}

// Address is where it listens.
func (s *Server) Address() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close closes the socket, after Run has returned.
func (s *Server) Close() error { return s.conn.Close() }

// Run answers until ctx ends, and then returns nil.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		n, c, _, from, err := s.conn.ReadMsgUDPAddrPort(s.in, s.control)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed):
			return fmt.Errorf("read from hosts: %w", err)
		case err != nil:
			s.log.Debug("read from hosts", "error", err) // an ICMP error of an earlier answer
			continue
		}
		s.take(time.Now(), s.in[:n], s.control[:c], from)
	}
}

// take judges and answers one datagram.
func (s *Server) take(now time.Time, datagram, control []byte, from netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Received++
	address := from.Addr().Unmap()
	if !s.limits.allow(now, address) {
		s.count.Limited++
		return
	}
	h, payload, err := s.key.Open(datagram)
	if refusal, ok := errors.AsType[*pair.Refusal](err); ok {
		s.count.Refused[refusal.Cause]++
		return
	}
	if s.cfg.Name != "" && h.To != s.cfg.Name {
		s.count.Refused[pair.CauseReceiver]++
		return
	}
	if h.Type != pair.TypeAsk {
		s.count.Refused[pair.CauseType]++
		return
	}
	cluster, asks, err := vote.ParseAsks(s.asks[:0], payload)
	s.asks = asks
	if err != nil {
		s.count.Refused[pair.CauseMalformed]++
		return
	}
	p := s.host(now, hostKey{cluster, h.From, h.To})
	if p == nil {
		s.count.Crowded++
		return
	}
	r := p.session.Receive(now, h, address)
	if r.Answer {
		s.send(p.session.Answer(now, h), nil, control, from)
	}
	switch {
	case r.Cause != "":
		s.count.Refused[r.Cause]++
		return
	case r.Repeated:
		return
	case r.Opened:
		s.log.Info("host proved itself", "cluster", cluster, "host", h.From, "address", from)
	}
	p.heard = now
	s.answer(now, p, cluster, h, control, from)
}

// answer answers the Asks of one message.
func (s *Server) answer(now time.Time, p *host, cluster string, h pair.Header, control []byte, from netip.AddrPort) {
	flush := func() {
		s.send(p.session.Next(now, pair.TypeAnswer), s.payload, control, from)
		s.payload = vote.AppendCluster(s.payload[:0], cluster)
	}
	s.payload = vote.AppendCluster(s.payload[:0], cluster)
	empty := len(s.payload)
	for _, ask := range s.asks {
		a, ok := s.grantor.Answer(now, cluster, h.From, h.Boot, ask)
		if !ok {
			continue
		}
		switch a.Kind {
		case vote.Granted:
			s.count.Granted++
		case vote.Refused:
			s.count.Denied[a.Why]++
		case vote.Released:
			s.count.Released++
		case vote.Lost:
		}
		if len(s.payload)+vote.AnswerSize(a) > pair.MaxPayload {
			flush()
		}
		s.payload = vote.AppendAnswer(s.payload, a)
	}
	if len(s.payload) > empty || len(s.asks) == 0 {
		flush()
	}
}

// send sends one message to where the other one came from, from the address that
// it came to. It is lost when the kernel has no room.
func (s *Server) send(h pair.Header, payload, control []byte, to netip.AddrPort) {
	b, err := s.key.Seal(s.out[:0], h, payload)
	if err == nil {
		s.out = b
		err = reply(s.conn, b, control, to)
	}
	if err != nil {
		s.log.Debug("answer host", "host", h.To, "address", to, "error", err)
		return
	}
	s.count.Sent++
}

// host returns what is known of a host, and nil when there is no room. Only who
// has the key gets here.
func (s *Server) host(now time.Time, k hostKey) *host {
	if p := s.hosts[k]; p != nil {
		return p
	}
	if len(s.hosts) >= s.cfg.Hosts && !s.forget(now) {
		return nil
	}
	p := &host{session: pair.NewSession(k.to, k.from, s.boot), heard: now}
	s.hosts[k] = p
	return p
}

// forget makes room: hosts that have been silent for long prove themselves again.
func (s *Server) forget(now time.Time) bool {
	if now.Sub(s.swept) < time.Second {
		return false
	}
	s.swept = now
	for k, p := range s.hosts {
		if now.Sub(p.heard) > s.cfg.MaxTTL {
			delete(s.hosts, k)
		}
	}
	return len(s.hosts) < s.cfg.Hosts
}

// Counters reports what was seen so far.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.count
	c.Refused, c.Denied = cloned(c.Refused), cloned(c.Denied)
	c.Hosts, c.Votes, c.Ready = len(s.hosts), s.grantor.Len(), s.grantor.Ready()
	return c
}
