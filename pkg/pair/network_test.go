package pair

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

var seeds = flag.Int("seeds", 50, "random networks to try")

// host is one end of the channel as internal/pair is, without sockets.
type host struct {
	name     string
	boot     uint64
	boots    int // how many there were
	started  time.Time
	key      *Key
	sessions map[string]*Session
	inboxes  map[string]*Inbox
	state    State
	heard    map[string]*delivered
}

// delivered is what a host was told last by another one.
type delivered struct {
	boot   int // which process of that host, by its count
	seq    uint64
	whole  bool
	frames map[[2]uint64]bool
}

// flight is a datagram and the truth about it.
type flight struct {
	from, to string
	boot     int // which process of the sender's
	sent     time.Time
	path     netip.Addr
	bytes    []byte
}

// network is three hosts with one key and an attacker who hears everything, and
// may lose, delay, double, cut and repeat it, to whomever he likes.
type network struct {
	t     testing.TB
	rand  *rand.Rand
	now   time.Time
	hosts map[string]*host
	wire  []flight // under way
	past  []flight // recorded
}

var names = []string{"lb1", "lb2", "lb3"}

func newNetwork(t testing.TB, seed uint64) *network {
	n := &network{t: t, rand: rand.New(rand.NewPCG(seed, 5)), now: start, hosts: map[string]*host{}}
	for _, name := range names {
		n.hosts[name] = &host{name: name}
		n.restart(name)
	}
	return n
}

func (n *network) restart(name string) {
	h := n.hosts[name]
	*h = host{
		name: name, boot: n.rand.Uint64() | 1, boots: h.boots + 1, started: n.now, key: newKey(n.t, secret),
		sessions: map[string]*Session{}, inboxes: map[string]*Inbox{}, heard: map[string]*delivered{},
	}
	for _, peer := range names {
		if peer != name {
			h.sessions[peer] = NewSession(name, peer, h.boot)
			h.sessions[peer].SetPaths([]netip.Addr{one, two})
			h.inboxes[peer] = &Inbox{}
			h.heard[peer] = &delivered{frames: map[[2]uint64]bool{}}
		}
	}
	n.change(h)
}

// change makes a new State of one to three parts, which tells whose it is.
func (n *network) change(h *host) {
	seq := h.state.Seq + 1
	h.state = large(1 + n.rand.IntN(60))
	h.state.Seq = seq
	for i := range h.state.VIPs {
		h.state.VIPs[i].Blocker = fmt.Sprintf("%s %d %d", h.name, h.boots, seq)
	}
}

// tell sends the state of a host to its peers, over both paths.
func (n *network) tell(h *host) {
	var parts Parts
	must(n.t, parts.Encode(&h.state))
	for _, peer := range names {
		if s := h.sessions[peer]; s != nil {
			for i := range parts.Len() {
				n.send(h, s.Next(n.now, TypeState), parts.At(i), one, two)
			}
		}
	}
}

func (n *network) send(h *host, header Header, payload []byte, paths ...netip.Addr) {
	b, err := h.key.Seal(nil, header, payload)
	must(n.t, err)
	for _, path := range paths {
		f := flight{h.name, header.To, h.boots, n.now, path, b}
		n.wire = append(n.wire, f)
		if n.rand.IntN(4) == 0 {
			n.past = append(n.past, f)
		}
	}
}

// arrive gives a datagram to a host, which may not be the one it was sent to.
func (n *network) arrive(f flight, to string) {
	h := n.hosts[to]
	header, payload, err := h.key.Open(f.bytes)
	if err != nil {
		return
	}
	s := h.sessions[header.From]
	if s == nil {
		return
	}
	r := s.Receive(n.now, header, f.path)
	if r.Answer {
		n.send(h, s.Answer(n.now, header), nil, f.path)
	}
	if r.Opened {
		n.send(h, s.Next(n.now, TypeHello), nil, one, two)
	}
	if r.Cause != "" || r.Repeated {
		return
	}
	n.judge(f, h, header, r)
	if header.Type != TypeState {
		return
	}
	p, err := ParsePart(payload)
	must(n.t, err)
	n.deliver(f, h, header, p)
}

// judge fails when a message should not have been taken.
func (n *network) judge(f flight, h *host, header Header, r Receipt) {
	last := h.heard[header.From]
	switch id := [2]uint64{header.Boot, header.Seq}; {
	case f.from != header.From || f.to != h.name:
		n.t.Fatalf("%s took a message from %s to %s", h.name, f.from, f.to)
	case f.boot < last.boot:
		n.t.Fatalf("%s took a message of process %d of %s after one of process %d", h.name, f.boot, f.from, last.boot)
	case f.sent.Before(h.started):
		n.t.Fatalf("%s took a message that is older than itself", h.name)
	case last.frames[id]:
		n.t.Fatalf("%s took a message twice", h.name)
	case r.Age < n.now.Sub(f.sent):
		n.t.Fatalf("%s took a message of %v as one of %v at most", h.name, n.now.Sub(f.sent), r.Age)
	default:
		last.frames[id] = true
	}
	if f.boot > last.boot {
		*last = delivered{boot: f.boot, frames: last.frames}
	}
}

func (n *network) deliver(f flight, h *host, header Header, p Part) {
	state, whole, ok := h.inboxes[header.From].Add(header.Boot, p)
	if !ok {
		return
	}
	last := h.heard[header.From]
	if state.Seq < last.seq {
		n.t.Fatalf("%s was told state %d of %s after state %d", h.name, state.Seq, f.from, last.seq)
	}
	last.seq, last.whole = state.Seq, whole
	for _, v := range state.VIPs {
		if want := fmt.Sprintf("%s %d %d", f.from, f.boot, state.Seq); v.Blocker != want {
			n.t.Fatalf("%s was told %q, want %q", h.name, v.Blocker, want)
		}
	}
}

// step is one millisecond of a network in which everything happens.
func (n *network) step() {
	n.now = n.now.Add(time.Millisecond)
	for _, name := range names {
		switch n.rand.IntN(200) {
		case 0:
			n.restart(name)
		case 1, 2, 3:
			n.change(n.hosts[name])
		case 4, 5, 6, 7, 8, 9, 10, 11:
			n.tell(n.hosts[name])
		}
	}
	if len(n.past) > 0 && n.rand.IntN(2) == 0 {
		f := n.past[n.rand.IntN(len(n.past))]
		f.path = []netip.Addr{one, two, other}[n.rand.IntN(3)]
		n.arrive(f, names[n.rand.IntN(3)])
	}
	wire := n.wire
	n.wire = nil
	for _, f := range wire {
		switch n.rand.IntN(10) {
		case 0, 1: // lost
		case 2, 3, 4:
			n.wire = append(n.wire, f) // later
		case 5:
			n.wire = append(n.wire, f)
			n.arrive(f, f.to)
		case 6:
			cut := f
			cut.bytes = bytes.Clone(f.bytes[:n.rand.IntN(len(f.bytes))])
			n.arrive(cut, f.to)
		case 7:
			n.arrive(f, f.from) // reflected
			n.arrive(f, names[n.rand.IntN(3)])
		default:
			n.arrive(f, f.to)
		}
	}
}

// heal tells everybody's state twice over a network that loses nothing, while the
// attacker goes on, and looks whether everybody knows all of it.
func (n *network) heal() {
	n.wire = nil
	for range 2 {
		for _, name := range names {
			n.tell(n.hosts[name])
		}
		for len(n.wire) > 0 {
			f := n.wire[0]
			n.wire = n.wire[1:]
			n.arrive(f, f.to)
			if len(n.past) > 0 && n.rand.IntN(4) == 0 {
				n.arrive(n.past[n.rand.IntN(len(n.past))], names[n.rand.IntN(3)])
			}
		}
		n.now = n.now.Add(100 * time.Millisecond)
	}
	for _, h := range n.hosts {
		for peer, last := range h.heard {
			if p := n.hosts[peer]; last.boot != p.boots || last.seq != p.state.Seq || !last.whole {
				n.t.Fatalf("%s knows state %d of process %d of %s (whole %t), there is state %d of process %d",
					h.name, last.seq, last.boot, peer, last.whole, p.state.Seq, p.boots)
			}
		}
	}
}

// TestNetwork: whatever the network and the attacker do, nobody takes a message
// that is old, foreign or told already, nor thinks one newer than it is; and when
// they stop, everybody knows everything after two rounds.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, uint64(seed))
			for range 4 {
				for range 150 {
					n.step()
				}
				n.heal()
			}
		})
	}
}
