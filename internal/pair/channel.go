package pair

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/pair"
)

// Config says who talks to whom.
type Config struct {
	Node   string                      // own name: 1–64 octets
	Listen netip.AddrPort              // [::] = all addresses of both families
	Key    []byte                      // 32 octets or more, the same on all hosts
	Peers  map[string][]netip.AddrPort // paths by name of the peer; the own name is left out
}

// Heard is what a peer told, or a part of it, or just that it is there.
type Heard struct {
	Peer string
	Boot uint64     // of its process. A new one knows nothing of ours yet: what is sent now reaches it
	Path netip.Addr // that it came from
	// Whole says that all parts of this Seq have come, over any path.
	Whole bool
	// Age is how old the message may be, pair.AgeUnknown when that peer has not
	// heard us lately. Of messages that waited while this process did not run it is
	// at least the time that they waited.
	Age time.Duration
	// State is one part of what the peer told: VIPs and Hears may be some of them,
	// Config is all of it or nil. When a message repeats, on another path, what has
	// been delivered, or only greets, it holds nothing but Node and the newest Seq.
	State pair.State
	// Type is pair.TypeAsk or pair.TypeAnswer when the message is about votes, and
	// Votes then is its payload, which State says nothing of. Else it is 0.
	Type  pair.Type
	Votes []byte
	// Version is not 0 when the peer speaks another version of the channel. Then nothing
	// else is known of it. It is told once, until the peer is heard.
	Version uint8
}

// Channel tells the peers how this host stands, and hears how they do. Its
// methods may be called from several goroutines, Run from one at a time.
type Channel struct {
	log    *slog.Logger
	boot   uint64
	listen netip.AddrPort
	socks  *sockets

	// order is held while what has come in is judged and handed on, so that nothing
	// overtakes. It is locked before mu, never the other way round.
	order sync.Mutex

	mu    sync.Mutex // of all that follows
	node  string
	key   *pair.Key
	peers []*peer // by name
	parts pair.Parts
	count counters
	heard []Heard // of one batch
}

// peer is another host.
type peer struct {
	name    string
	session *pair.Session
	inbox   pair.Inbox
	paths   []*path // configured ones
	count   peerCounters

	seq   uint64 // of its newest State
	whole bool
}

// path is one configured address of a peer.
type path struct {
	to     netip.AddrPort
	said   time.Time // when it was last handed on that it is heard on this one
	sent   uint64
	unsent uint64
	err    error // why the newest datagram did not leave; nil = it did
}

// quiet is how long a path need not be heard of again when nothing else is news.
const quiet = 10 * time.Millisecond

// Open opens the sockets. The error wraps [syscall.EADDRINUSE] when somebody has
// the port already.
func Open(cfg Config, log *slog.Logger) (*Channel, error) {
	c := &Channel{log: log, listen: cfg.Listen, count: newCounters()}
	for c.boot == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // it never fails
		c.boot = binary.NativeEndian.Uint64(b[:])
	}
	if err := c.Set(cfg); err != nil {
		return nil, err
	}
	var err error
	if c.socks, err = openSockets(cfg.Listen); err != nil {
		return nil, fmt.Errorf("open pair channel: %w", err)
	}
	return c, nil
}

// Boot returns the number of this process on the channel: random, and not 0.
func (c *Channel) Boot() uint64 { return c.boot }

// Set replaces key, peers and paths. What is known of peers that stay is kept,
// unless this host gets another name. Another Listen needs another Channel, and
// is an error; then nothing is changed.
func (c *Channel) Set(cfg Config) error {
	key, err := pair.NewKey(cfg.Key)
	switch {
	case err != nil:
	case cfg.Listen != c.listen:
		err = fmt.Errorf("listen on %s: the channel is open on %s", cfg.Listen, c.listen)
	case cfg.Node == "" || len(cfg.Node) > pair.MaxName:
		err = fmt.Errorf("name of this host %q: must have 1–%d octets", cfg.Node, pair.MaxName)
	}
	if err != nil {
		return fmt.Errorf("set up pair channel: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cfg.Node != c.node {
		c.peers = nil
	}
	c.node, c.key = cfg.Node, key
	var peers []*peer
	for _, name := range slices.Sorted(maps.Keys(cfg.Peers)) {
		if name == cfg.Node {
			continue
		}
		p := c.peer(name)
		if p == nil {
			p = &peer{name: name, session: pair.NewSession(cfg.Node, name, c.boot), count: newPeerCounters()}
		}
		p.setPaths(cfg.Peers[name])
		peers = append(peers, p)
	}
	c.peers = peers
	return nil
}

func (p *peer) setPaths(to []netip.AddrPort) {
	old := p.paths
	p.paths = nil
	var addresses []netip.Addr
	for _, a := range to {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		addresses = append(addresses, a.Addr())
		if i := slices.IndexFunc(old, func(w *path) bool { return w.to == a }); i >= 0 {
			p.paths = append(p.paths, old[i])
		} else {
			p.paths = append(p.paths, &path{to: a})
		}
	}
	p.session.SetPaths(addresses)
}

// path returns the configured path with that address, nil when there is none.
func (p *peer) path(a netip.Addr) *path {
	i := slices.IndexFunc(p.paths, func(w *path) bool { return w.to.Addr() == a })
	if i < 0 {
		return nil
	}
	return p.paths[i]
}

// peer returns a peer by name, nil when there is none.
func (c *Channel) peer(name string) *peer {
	i := slices.IndexFunc(c.peers, func(p *peer) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return c.peers[i]
}

// Close closes the sockets, after Run has returned.
func (c *Channel) Close() error {
	if err := c.socks.close(); err != nil {
		return fmt.Errorf("close pair channel: %w", errors.Join(err))
	}
	return nil
}
