package pair

import (
	"maps"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/pair"
)

// Counters is what a [Channel] has seen since it was opened.
type Counters struct {
	Sent     uint64                // datagrams that left
	Unsent   uint64                // datagrams that did not
	Received uint64                // datagrams read
	Refused  map[pair.Cause]uint64 // every cause, also those that are 0; pair.CauseOverflow was never read
	Peers    map[string]Peer       // by name
}

// Peer is what is known of a peer on the channel.
type Peer struct {
	Boot    uint64                // of its process that has proved itself; 0 = none has
	Version uint8                 // of the channel, when it speaks another one; 0 = ours, or not known
	Refused map[pair.Cause]uint64 // sealed by it, or come from its address; those that are not 0
	Paths   []Path                // configured ones in their order, then others that it was heard on
}

// Path is one way to a peer.
type Path struct {
	Address    netip.Addr
	Configured bool
	Heard      bool          // by the process that has proved itself
	Age        time.Duration // of the newest message; 0 when Heard is false
	Sent       uint64        // datagrams that left
	Unsent     uint64        // datagrams that did not
	Received   uint64        // datagrams that counted, also when another path had been faster
	Err        string        // why the newest one did not leave; "" = it did
}

type counters struct {
	sent, unsent, received uint64
	refused                map[pair.Cause]uint64
}

func newCounters() counters {
	c := counters{refused: map[pair.Cause]uint64{}}
	for _, cause := range pair.Causes() {
		c.refused[cause] = 0
	}
	return c
}

type peerCounters struct {
	version  uint8
	refused  map[pair.Cause]uint64
	received map[netip.Addr]uint64
}

func newPeerCounters() peerCounters {
	return peerCounters{refused: map[pair.Cause]uint64{}, received: map[netip.Addr]uint64{}}
}

// mostSources bounds the addresses of one peer that are counted apart.
const mostSources = 64

func (p *peer) received(from netip.Addr) {
	if _, known := p.count.received[from]; known || len(p.count.received) < mostSources {
		p.count.received[from]++
	}
}

// Counters reports what was seen so far.
func (c *Channel) Counters() Counters {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count.refused[pair.CauseOverflow] = c.overflow()
	now := time.Now()
	out := Counters{
		Sent: c.count.sent, Unsent: c.count.unsent, Received: c.count.received,
		Refused: maps.Clone(c.count.refused), Peers: map[string]Peer{},
	}
	for _, p := range c.peers {
		out.Peers[p.name] = p.counters(now)
	}
	return out
}

func (p *peer) counters(now time.Time) Peer {
	out := Peer{Boot: p.session.Boot(), Version: p.count.version, Refused: maps.Clone(p.count.refused)}
	heard := map[netip.Addr]time.Duration{}
	others := []Path{}
	for _, w := range p.session.Paths(now) {
		heard[w.Address] = w.Age
		if p.path(w.Address) == nil {
			others = append(others, Path{Address: w.Address, Heard: true, Age: w.Age, Received: p.count.received[w.Address]})
		}
	}
	for _, w := range p.paths {
		a := w.to.Addr()
		age, ok := heard[a]
		one := Path{
			Address: a, Configured: true, Heard: ok, Age: age,
			Sent: w.sent, Unsent: w.unsent, Received: p.count.received[a],
		}
		if w.err != nil {
			one.Err = w.err.Error()
		}
		out.Paths = append(out.Paths, one)
	}
	out.Paths = append(out.Paths, others...)
	return out
}

// overflow is the kernel's own count of what found the buffers full, up to now or
// up to the last call before Close.
func (c *Channel) overflow() uint64 {
	const drops = 8 // SK_MEMINFO_DROPS
	var sum uint64
	for _, s := range c.socks.all() {
		var info [9]uint32
		length := uint32(unsafe.Sizeof(info))
		err := s.read.Control(func(fd uintptr) {
			_, _, _ = unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
				uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&length)), 0)
		})
		if err != nil {
			return c.count.refused[pair.CauseOverflow]
		}
		sum += uint64(info[drops])
	}
	return sum
}
