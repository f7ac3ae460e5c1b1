package pair

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const (
	port   = 5798
	within = 10 * time.Second
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// lab is some hosts lbN on two networks: 10.0.1.N and fd01::N at the front,
// 10.0.2.N at the back.
type lab struct {
	*testenv.Lab
	hosts []*testenv.Host
}

func newLab(t testing.TB, hosts int) *lab {
	t.Helper()
	l := &lab{Lab: testenv.TestLab(t)}
	back, err := l.Segment("back")
	must(t, err)
	for n := 1; n <= hosts; n++ {
		h, err := l.Host(fmt.Sprintf("lb%d", n), fmt.Sprintf("10.0.1.%d/24", n), fmt.Sprintf("fd01::%d/64", n))
		must(t, err)
		_, err = h.Attach(back, fmt.Sprintf("10.0.2.%d/24", n))
		must(t, err)
		l.hosts = append(l.hosts, h)
	}
	return l
}

func front(n int) netip.AddrPort { return at(fmt.Sprintf("10.0.1.%d", n)) }
func back(n int) netip.AddrPort  { return at(fmt.Sprintf("10.0.2.%d", n)) }
func six(n int) netip.AddrPort   { return at(fmt.Sprintf("fd01::%d", n)) }

func at(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), port) }

// config is that of host n, with all other hosts as peers, by the paths given.
func (l *lab) config(n int, paths ...func(int) netip.AddrPort) Config {
	c := Config{Node: fmt.Sprintf("lb%d", n), Listen: at("::"), Key: secret, Peers: map[string][]netip.AddrPort{}}
	for other := range len(l.hosts) {
		for _, path := range paths {
			name := fmt.Sprintf("lb%d", other+1) // also the own one, which counts for nothing
			c.Peers[name] = append(c.Peers[name], path(other+1))
		}
	}
	return c
}

// end is one end of the channel, with what it was told.
type end struct {
	*Channel
	host *testenv.Host
	stop func()

	mu    sync.Mutex
	heard []Heard
}

// open opens the channel on a host and runs it until the test ends.
func (l *lab) open(t testing.TB, n int, cfg Config) *end {
	t.Helper()
	e := &end{host: l.hosts[n-1]}
	must(t, e.host.NS.Do(func() (err error) {
		e.Channel, err = Open(cfg, slog.New(slog.DiscardHandler))
		return err
	}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, e.hear) }()
	e.stop = sync.OnceFunc(func() {
		cancel()
		must(t, <-ended)
		must(t, e.Close())
	})
	t.Cleanup(e.stop)
	return e
}

func (e *end) hear(h Heard) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, h)
}

// told returns what was heard so far.
func (e *end) told() []Heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Heard(nil), e.heard...)
}

// last returns what a peer said last, or the zero value.
func (e *end) last(peer string) Heard {
	all := e.told()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Peer == peer {
			return all[i]
		}
	}
	return Heard{}
}

// state is a State with some VIPs.
func state(seq uint64, vips int) *pair.State {
	s := &pair.State{Seq: seq}
	for i := range vips {
		s.VIPs = append(s.VIPs, pair.VIP{Name: fmt.Sprintf("vip-%d", i), Role: pair.Standby, Priority: 100, Interval: time.Second})
	}
	return s
}

// tell says s until the peer has heard all of it, as an engine would.
func (e *end) tell(t testing.TB, s *pair.State, peers ...*end) {
	t.Helper()
	for _, p := range peers {
		testenv.Eventually(t, within, fmt.Sprintf("%s has heard state %d of %s", p.node, s.Seq, e.node), func() bool {
			h := p.last(e.node)
			if h.Boot == e.Boot() && h.State.Seq == s.Seq && h.Whole {
				return true
			}
			e.Send(s)
			return false
		})
	}
}

// meet lets two ends prove themselves to each other.
func meet(t testing.TB, one, two *end) {
	t.Helper()
	one.tell(t, state(1, 1), two)
	two.tell(t, state(1, 1), one)
}

// refused waits until a cause has been counted so often, and returns the peer's
// part of it.
func (e *end) refused(t testing.TB, cause pair.Cause, least uint64) {
	t.Helper()
	testenv.Eventually(t, within, fmt.Sprintf("%s has refused %d for %s", e.node, least, cause), func() bool {
		return e.Counters().Refused[cause] >= least
	})
}

// throw sends datagrams from a host to an address, as somebody would who may do
// all that on that host.
func throw(t testing.TB, from *testenv.Host, to netip.AddrPort, datagrams ...[]byte) {
	t.Helper()
	must(t, from.NS.Do(func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		for _, d := range datagrams {
			if _, err := conn.Write(d); err != nil {
				return err
			}
		}
		return nil
	}))
}

// record taps eth0 of a host and gives the datagrams from one IPv4 address to
// another that pass there.
func record(t testing.TB, h *testenv.Host, from, to netip.AddrPort) func() [][]byte {
	t.Helper()
	o, err := h.ObserveAll("eth0")
	must(t, err)
	return func() [][]byte {
		var list [][]byte
		for _, f := range o.Frames() {
			const ip, udp, payload = 14, 34, 42
			if len(f.Data) > payload && f.Data[12] == 0x08 && f.Data[ip+9] == 17 &&
				netip.AddrFrom4([4]byte(f.Data[ip+12:])) == from.Addr() && netip.AddrFrom4([4]byte(f.Data[ip+16:])) == to.Addr() &&
				int(f.Data[udp+2])<<8|int(f.Data[udp+3]) == port {
				list = append(list, f.Data[payload:])
			}
		}
		return list
	}
}

// sealed is a datagram of somebody who has the key.
func sealed(t testing.TB, key []byte, h pair.Header, payload string) []byte {
	t.Helper()
	k, err := pair.NewKey(key)
	must(t, err)
	b, err := k.Seal(nil, h, []byte(payload))
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
