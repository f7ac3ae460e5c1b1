package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// epoch is when every world begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Delays of the world, each drawn evenly between its bounds.
var (
	wireDelay   = span{20 * time.Microsecond, 300 * time.Microsecond}
	kernelDelay = span{50 * time.Microsecond, 2 * time.Millisecond}
	probeDelay  = span{time.Millisecond, 5 * time.Millisecond}
	hookDelay   = span{time.Millisecond, 20 * time.Millisecond}
	slowHook    = span{200 * time.Millisecond, 600 * time.Millisecond}
	sightDelay  = span{100 * time.Microsecond, 5 * time.Millisecond} // a change until the link monitor tells
)

// announceDelay is how long the first frame of an announcement takes to leave.
const announceDelay = 100 * time.Microsecond

type span struct{ least, most time.Duration }

// World is hosts, the networks between them and what clients believe.
type World struct {
	// Loss is the part of all adverts that is lost, 0 to 1.
	Loss float64
	// Twice is the part of all messages between hosts that comes twice, and Lag up to
	// how much longer one may take, so that others overtake it.
	Twice float64
	Lag   time.Duration
	// BootTakes is how long a host takes at least from its power to its daemon.
	BootTakes time.Duration
	// Exclusive says that no two hosts may hold one VIP, but while one hands it to
	// the other.
	Exclusive bool
	// Trace, when set, is called with each line of the transcript.
	Trace func(at time.Duration, host, line string)
	// Record, when set, is called with each event that an engine was given, and
	// what it answered, which is valid until Record returns.
	Record func(host string, now time.Time, ev engine.Event, did []engine.Action)

	now       time.Time
	rng       *rand.Rand
	queue     queue
	pushed    uint64
	hosts     []*Host
	byName    map[string]*Host
	witnesses map[string]*Witness
	burst     float64                 // the part of all messages that is lost
	burstEnds time.Time               // until then
	cuts      map[[2]string]bool      // from, to
	cutOn     map[[3]string]bool      // network, from, to
	echoes    map[[2]string]time.Time // when a host sent the newest that another, the first one, has heard of it
	epochs    map[string]reign        // of VIPs
	handed    map[string]handover     // VIPs that were handed over last
	started   time.Time               // newest start of a daemon or a witness
	cache     map[string]string       // VIP: the host that clients send to
	steps     uint64
	blurred   time.Time // when most messages were lost last, or came late
	healed    time.Time // when cuts and losses ended last, or will
	stuck     int       // steps since time last went on
	hash      uint64
	broken    []string // invariants that did not hold
}

// New returns an empty world. The same seed and calls give the same world.
func New(seed uint64) *World {
	return &World{
		now: epoch, rng: rand.New(rand.NewPCG(seed, 0x7669_7064)), byName: map[string]*Host{}, witnesses: map[string]*Witness{},
		cuts: map[[2]string]bool{}, cutOn: map[[3]string]bool{}, echoes: map[[2]string]time.Time{}, cache: map[string]string{}, epochs: map[string]reign{}, handed: map[string]handover{},
	}
}

// Now returns the time since the world began.
func (w *World) Now() time.Duration { return w.now.Sub(epoch) }

// Steps returns how many events engines have handled.
func (w *World) Steps() uint64 { return w.steps }

// Hash sums up everything that happened: equal worlds have equal hashes.
func (w *World) Hash() uint64 { return w.hash }

// Broken returns the invariants that did not hold, as sentences with the time.
func (w *World) Broken() []string { return w.broken }

// Client returns the host that clients reach a VIP at, as far as announcements
// told them; "" before the first.
func (w *World) Client(vip string) string { return w.cache[vip] }

// Run lets time pass.
func (w *World) Run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		item := w.queue.pop()
		if item.at.After(w.now) {
			w.now, w.stuck = item.at, 0
		}
		item.do()
	}
	w.now = end
}

// RunUntil lets time pass until ok holds, at most for limit, and reports whether
// it did.
func (w *World) RunUntil(limit time.Duration, ok func() bool) bool {
	end := w.now.Add(limit)
	for !ok() {
		if len(w.queue) == 0 || w.queue[0].at.After(end) {
			w.now = end
			return ok()
		}
		w.Run(max(w.queue[0].at.Sub(w.now), 0))
	}
	return true
}

// Cut stops everything that from sends from reaching to.
func (w *World) Cut(from, to string) { w.cuts[[2]string{from, to}] = true }

// Mend ends what Cut has begun.
func (w *World) Mend(from, to string) {
	delete(w.cuts, [2]string{from, to})
	w.healed = later(w.healed, w.now)
}

// Burst has a part of all messages be lost for a time.
func (w *World) Burst(part float64, d time.Duration) {
	w.burst, w.burstEnds = part, w.now.Add(d)
	w.healed = later(w.healed, w.burstEnds)
}

// Heal ends all cuts, losses and delays.
func (w *World) Heal() {
	clear(w.cuts)
	clear(w.cutOn)
	w.Loss, w.Twice, w.Lag, w.burstEnds, w.healed = 0, 0, 0, w.now, w.now
}

// loses decides whether a message is lost.
func (w *World) loses() bool {
	part := w.Loss
	if w.now.Before(w.burstEnds) {
		part = max(part, w.burst)
	}
	if part > 0.5 || w.Lag > 300*time.Millisecond {
		w.blurred = w.now
	}
	return w.rng.Float64() < part
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Random gives choices of faults the world's own randomness.
func (w *World) Random() *rand.Rand { return w.rng }

// after plans do for a time drawn from s from now.
func (w *World) after(s span, do func()) {
	w.pushed++
	d := s.least + time.Duration(w.rng.Int64N(int64(s.most-s.least)))
	w.queue.push(item{at: w.now.Add(d), seq: w.pushed, do: do})
}

// send plans what becomes of a message: it comes in a moment, or late, or twice.
func (w *World) send(come func()) {
	takes := span{wireDelay.least, wireDelay.most + w.Lag}
	w.after(takes, come)
	if w.Twice > 0 && w.rng.Float64() < w.Twice {
		w.after(takes, come)
	}
}

// at plans do for a time, or for now when that has passed.
func (w *World) at(t time.Time, do func()) {
	w.pushed++
	if t.Before(w.now) {
		t = w.now
	}
	w.queue.push(item{at: t, seq: w.pushed, do: do})
}

// carry brings an advert to every other host on the same network that it can
// reach.
func (w *World) carry(from *Host, a engine.SendAdvert) {
	for _, to := range w.hosts {
		if to == from || !from.reaches(a.Interface) || w.cuts[[2]string{from.name, to.name}] ||
			w.cutOn[[3]string{a.Interface, from.name, to.name}] || w.loses() {
			continue
		}
		w.send(func() {
			if to.reaches(a.Interface) {
				to.step(engine.AdvertReceived{Interface: a.Interface, Source: a.Source, Advert: a.Advert, Checksum: a.Checksum})
			}
		})
	}
}

// claim lets every other host on the same network hear an announcement.
func (w *World) claim(from *Host, a engine.Announce) {
	for _, to := range w.hosts {
		if to == from || w.cuts[[2]string{from.name, to.name}] || w.cutOn[[3]string{a.Interface, from.name, to.name}] {
			continue
		}
		for _, ip := range a.Addresses {
			w.after(wireDelay, func() {
				if to.reaches(a.Interface) {
					to.step(engine.AddressClaimed{Interface: a.Interface, Address: ip, MAC: from.mac(a.Interface)})
				}
			})
		}
	}
}

// trace writes one line into the transcript and the hash.
func (w *World) trace(host, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d %s %s", w.hash, w.Now(), host, line) // a hash takes any write
	w.hash = h.Sum64()
	if w.Trace != nil {
		w.Trace(w.Now(), host, line)
	}
}

// breaks notes that an invariant did not hold.
func (w *World) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("%v: ", w.Now())+fmt.Sprintf(format, args...))
}

// Holders returns the names of the running or dead hosts whose kernel answers for
// the addresses of a VIP and whose interface carries traffic.
func (w *World) Holders(vip string) []string {
	var names []string
	for _, h := range w.hosts {
		if h.opens(vip) {
			names = append(names, h.name)
		}
	}
	return names
}

// Settled reports whether exactly one host holds the VIP, that host is Active,
// and nobody else is.
func (w *World) Settled(vip string) bool {
	holders := w.Holders(vip)
	if len(holders) != 1 {
		return false
	}
	for _, h := range w.hosts {
		if h.eng == nil {
			continue
		}
		if state, _ := h.eng.Stands(vip); (state == engine.Active) != (h.name == holders[0]) {
			return false
		}
	}
	return true
}

// Reached reports whether clients send to a host that holds the VIP.
func (w *World) Reached(vip string) bool { return slices.Contains(w.Holders(vip), w.cache[vip]) }

// address returns the address of the i-th host on the n-th network.
func address(n, i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(2 + n), byte(1 + i)}), 24)
}

type item struct {
	at  time.Time
	seq uint64
	do  func()
}

// before orders what is to come by time, then by when it was planned.
func (i *item) before(o *item) bool {
	if !i.at.Equal(o.at) {
		return i.at.Before(o.at)
	}
	return i.seq < o.seq
}

// queue is a heap of what is to come: each item comes before the two at twice its
// place and one and two more. It is most of what a world does, so it is written out.
type queue []item

func (q *queue) push(x item) {
	*q = append(*q, x)
	list, i := *q, len(*q)-1
	for up := (i - 1) / 2; i > 0 && x.before(&list[up]); i, up = up, (up-1)/2 {
		list[i] = list[up]
	}
	list[i] = x
}

// pop takes the first item out.
func (q *queue) pop() item {
	list := *q
	first, last := list[0], list[len(list)-1]
	list[len(list)-1] = item{}
	list = list[:len(list)-1]
	*q = list
	for i := 0; len(list) > 0; {
		next := 2*i + 1
		if next+1 < len(list) && list[next+1].before(&list[next]) {
			next++
		}
		if next >= len(list) || !list[next].before(&last) {
			list[i] = last
			break
		}
		list[i], i = list[next], next
	}
	return first
}
