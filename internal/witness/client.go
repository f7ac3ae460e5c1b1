package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
)

// Client asks one witness, for all VIPs of this host.
type Client interface {
	// Send asks. It never waits; what cannot be sent is lost, and counted. The Asks
	// are not kept.
	Send(asks []vote.Ask)
	// Run hands on what the witness answers until ctx ends, and then returns nil.
	// answered is called by one goroutine after the other; it may call Send.
	Run(ctx context.Context, answered func(vote.Answer)) error
	// Status tells how the witness can be reached.
	Status() Status
	// Close releases what is left, after Run has returned.
	Close() error
}

// Status is how a witness is reached.
type Status struct {
	Heard    time.Time // when it last answered; zero = not yet
	Sent     uint64    // messages
	Unsent   uint64    // messages that did not leave
	Received uint64    // messages
	Refused  map[pair.Cause]uint64
	Err      string // why the newest message did not leave, or what etcd says; "" = all is well
}

// RemoteConfig is a vipd witness, as a host knows it.
type RemoteConfig struct {
	Witness string         // its name in the configuration
	Node    string         // this host
	Cluster string         // hosts that vote together have the same
	Address netip.AddrPort // of the witness
	Key     []byte         // 32 octets or more
}

// Remote is the Client of a vipd witness.
type Remote struct {
	cfg  RemoteConfig
	log  *slog.Logger
	conn *net.UDPConn
	raw  syscall.RawConn
	to   unix.Sockaddr

	mu      sync.Mutex // of all that follows
	key     *pair.Key
	session *pair.Session
	waiting map[string]waiting // by VIP: the newest Ask, until it is answered
	status  Status
	out     []byte
	payload []byte
}

type waiting struct {
	ask vote.Ask
	at  time.Time
}

// OpenRemote opens a socket to ask with. Nothing is sent yet.
func OpenRemote(cfg RemoteConfig, log *slog.Logger) (*Remote, error) {
	key, err := pair.NewKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("open witness %s: %w", cfg.Witness, err)
	}
	a := cfg.Address.Addr().Unmap()
	any, to := netip.IPv6Unspecified(), unix.Sockaddr(&unix.SockaddrInet6{Port: int(cfg.Address.Port()), Addr: a.As16()})
	if a.Is4() {
		any, to = netip.IPv4Unspecified(), &unix.SockaddrInet4{Port: int(cfg.Address.Port()), Addr: a.As4()}
	}
	conn, err := open(netip.AddrPortFrom(any, 0), false)
	if err != nil {
		return nil, fmt.Errorf("open witness %s: %w", cfg.Witness, err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Remote{
		cfg: cfg, log: log.With("witness", cfg.Witness), conn: conn, raw: raw, to: to, key: key,
		session: pair.NewSession(cfg.Node, cfg.Witness, newBoot()), waiting: map[string]waiting{},
		status: Status{Refused: map[pair.Cause]uint64{}},
	}, nil
}

// Close closes the socket, after Run has returned.
func (c *Remote) Close() error { return c.conn.Close() }

// Send asks the witness, in as few datagrams as it takes.
func (c *Remote) Send(asks []vote.Ask) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range asks {
		c.waiting[a.VIP] = waiting{a, now}
	}
	c.send(now, asks)
}

func (c *Remote) send(now time.Time, asks []vote.Ask) {
	c.payload = vote.AppendCluster(c.payload[:0], c.cfg.Cluster)
	empty := len(c.payload)
	for _, a := range asks {
		if len(c.payload)+vote.AskSize(a) > pair.MaxPayload {
			c.write(now)
			c.payload = c.payload[:empty]
		}
		c.payload = vote.AppendAsk(c.payload, a)
	}
	if len(c.payload) > empty {
		c.write(now)
	}
}

// write sends the payload. The socket is written to without waiting, so not by
// way of net.
func (c *Remote) write(now time.Time) {
	b, err := c.key.Seal(c.out[:0], c.session.Next(now, pair.TypeAsk), c.payload)
	c.out = b
	if err == nil {
		closed := c.raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, c.to) })
		err = errors.Join(err, closed)
	}
	if err != nil {
		c.status.Unsent++
		c.status.Err = fmt.Sprintf("send to %s: %v", c.cfg.Address, err)
		return
	}
	c.status.Sent++
	c.status.Err = ""
}

// Run hands on answers until ctx ends.
func (c *Remote) Run(ctx context.Context, answered func(vote.Answer)) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	in := make([]byte, pair.MaxDatagram+1)
	var list []vote.Answer
	for {
		n, from, err := c.conn.ReadFromUDPAddrPort(in)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed):
			return fmt.Errorf("read from witness %s: %w", c.cfg.Witness, err)
		case err != nil:
			continue // an ICMP error
		}
		list = c.take(time.Now(), list[:0], in[:n], from.Addr().Unmap())
		for _, a := range list {
			answered(a)
		}
	}
}

// take judges one datagram, and appends what it answers to list.
func (c *Remote) take(now time.Time, list []vote.Answer, datagram []byte, from netip.Addr) []vote.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Received++
	h, payload, err := c.key.Open(datagram)
	if refusal, ok := errors.AsType[*pair.Refusal](err); ok {
		c.status.Refused[refusal.Cause]++
		return list
	}
	r := c.session.Receive(now, h, from)
	switch {
	case r.Cause != "": // a challenge of ours is what it asks for, or sends, next
		c.status.Refused[r.Cause]++
		return list
	case r.Repeated:
		return list
	case r.Opened:
		c.log.Info("witness proved itself", "address", from)
	}
	c.status.Heard = now
	if h.Type == pair.TypeHello {
		c.again(now)
		return list
	}
	if h.Type != pair.TypeAnswer {
		c.status.Refused[pair.CauseType]++
		return list
	}
	before := len(list)
	cluster, list, err := vote.ParseAnswers(list, payload)
	if err != nil || cluster != c.cfg.Cluster {
		c.status.Refused[pair.CauseMalformed]++
		return list[:before]
	}
	for _, a := range list[before:] {
		if w, ok := c.waiting[a.VIP]; ok && w.ask.Number <= a.Number {
			delete(c.waiting, a.VIP)
		}
	}
	return list
}

// again sends what the witness did not believe: now it can.
func (c *Remote) again(now time.Time) {
	var asks []vote.Ask
	for vip, w := range c.waiting {
		if now.Sub(w.at) > w.ask.TTL {
			delete(c.waiting, vip)
			continue
		}
		asks = append(asks, w.ask)
	}
	c.send(now, asks)
}

// Status tells how the witness is reached.
func (c *Remote) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Refused = cloned(s.Refused)
	return s
}

func port(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }
