package vote

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// mutation is what a world does wrong, to show that the test sees it.
type mutation struct {
	noSitOut   bool // a voter that has started grants at once
	noMargin   bool // a vote counts for as long as the voter's promise
	noTwoLease bool // the lease is refreshed while the votes last, and not while they last for two of it
	revive     bool // a lease that has ended can be refreshed
	earlyDrop  bool // votes are handed back while the kernel still has the addresses
	amnesia    bool // a voter forgets at times, and does not know it
}

// world is some hosts, and perhaps a witness, that vote on one VIP. Its time is
// true; theirs is not.
type world struct {
	rnd    *rand.Rand
	bad    mutation
	now    time.Duration
	queue  events
	order  int
	nodes  []*node
	cut    map[[2]int]bool
	loss   float64
	double float64
	slow   float64 // share of messages that take long
	lease  time.Duration
	every  time.Duration
	ttl    time.Duration
	wrong  string

	held     []time.Duration // by node, until when its kernel answers
	owners   map[uint64]int  // by epoch
	top      uint64
	restarts bool
	forgot   bool // epochs may come again
	well     bool // nothing new goes wrong
	taken    int
	last     time.Duration // of the newest takeover
}

// node is a host or a witness.
type node struct {
	id, boot int
	name     string
	host     bool
	up       bool
	paused   time.Duration // until
	rate     float64
	offset   time.Duration
	grantor  *Grantor
	holder   *Holder
	armed    bool // the host believes that it holds
	boots    map[int]int
	ticks    int
	wake     time.Duration
	wakeBoot int
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func newWorld(seed uint64, bad mutation) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 1)), bad: bad, cut: map[[2]int]bool{}, owners: map[uint64]int{}}
	w.every = []time.Duration{20 * ms, 100 * ms, 300 * ms}[w.rnd.IntN(3)]
	w.lease = w.every * 5 / 2
	w.ttl = AutoTTL(w.lease, w.every)
	if w.rnd.IntN(3) == 0 { // as long as a witness of type etcd has
		w.ttl = max(w.ttl, 5*time.Second)
		w.every = max(w.every, 300*ms)
		w.lease = w.every * 5 / 2
	}
	w.loss = []float64{0, 0.05, 0.3}[w.rnd.IntN(3)]
	w.double = []float64{0, 0.1}[w.rnd.IntN(2)]
	w.slow = []float64{0, 0.02, 0.3}[w.rnd.IntN(3)]
	w.restarts = w.bad != (mutation{}) || w.rnd.IntN(2) == 0
	hosts, witnesses := 2, 1
	if w.rnd.IntN(3) == 0 {
		hosts, witnesses = 3+w.rnd.IntN(3), 0
	}
	for i := range hosts + witnesses {
		n := &node{id: i, name: fmt.Sprintf("lb%d", i+1), host: i < hosts, offset: time.Duration(w.rnd.Int64N(int64(time.Hour)))}
		n.rate = 1 + float64(w.rnd.IntN(2)*2-1)*Drift/1e6
		w.nodes = append(w.nodes, n)
		w.held = append(w.held, 0)
	}
	for _, n := range w.nodes {
		w.start(n)
	}
	return w
}

func (w *world) config(n *node) Config {
	c := Config{Self: n.name, Lease: w.lease, Rank: n.id}
	for _, m := range w.nodes {
		c.Voters = append(c.Voters, Voter{Name: m.name, Host: m.host, TTL: w.ttl, Every: w.every})
	}
	return c
}

// local is what the clock of n shows.
func (w *world) local(n *node) time.Time {
	return epoch.Add(n.offset + time.Duration(float64(w.now)*n.rate))
}

// truly is when the clock of n will show t.
func (w *world) truly(n *node, t time.Time) time.Duration {
	return time.Duration(float64(t.Sub(epoch)-n.offset)/n.rate) + 1
}

func (w *world) in(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, event{w.now + d, w.order, do})
}

func (w *world) start(n *node) {
	now := w.local(n)
	n.boot++
	n.up, n.armed, n.boots = true, false, map[int]int{}
	n.grantor = NewGrantor(now, w.ttl, 10)
	if w.bad.noSitOut {
		n.grantor = NewGrantor(now.Add(-w.ttl), w.ttl, 10)
	}
	if !n.host {
		return
	}
	n.holder = NewHolder(w.config(n), 0)
	if w.bad.noMargin {
		n.holder.margin = 0
	}
	w.held[n.id] = min(w.held[n.id], w.now) // what an earlier process left is removed first
	boot := n.boot
	w.in(time.Duration(w.rnd.Int64N(int64(w.every))), func() { w.tick(n, boot) })
	w.step(n, Want{})
}

// step lets a host think, and sends what it wants to.
func (w *world) step(n *node, ev Event) {
	for _, s := range n.holder.Step(w.local(n), ev) {
		w.send(n, s)
	}
	next := n.holder.Next()
	if next.IsZero() {
		return
	}
	boot, at := n.boot, max(w.now, w.truly(n, next))
	if n.wake >= w.now && n.wake <= at && n.wakeBoot == boot {
		return // it will look anyway
	}
	n.wake, n.wakeBoot = at, boot
	w.in(at-w.now, func() {
		n.wake = -1
		if n.up && n.boot == boot && w.now >= n.paused {
			w.step(n, Wake{})
		}
	})
}

func (w *world) send(n *node, s Send) {
	to := w.nodes[slices.IndexFunc(w.nodes, func(m *node) bool { return m.name == s.To })]
	s.Ask.VIP = "web"
	boot := n.boot
	w.carry(n, to, func() {
		answer, ok := to.grantor.Answer(w.local(to), "", n.name, uint64(boot), s.Ask)
		if w.bad.amnesia && answer.Kind == Granted && w.rnd.IntN(50) == 0 {
			to.grantor = NewGrantor(w.local(to).Add(-w.ttl), w.ttl, 10)
		}
		if ok {
			w.carry(to, n, func() {
				if n.boot == boot { // the session is another one
					w.step(n, Answered{to.name, answer})
				}
			})
		}
	})
}

// carry brings a message from one process to another, or several times, or not. As
// pkg/pair does, it keeps back what a process sent before the one that was heard.
func (w *world) carry(from, to *node, do func()) {
	boot := from.boot
	arrive := func() {
		if !to.up || to.boots[from.id] > boot {
			return
		}
		if w.now < to.paused {
			w.in(to.paused-w.now, func() {
				if to.up {
					do()
				}
			})
			return
		}
		to.boots[from.id] = boot
		do()
	}
	if from == to {
		arrive()
		return
	}
	copies := 1
	if w.rnd.Float64() < w.double {
		copies++
	}
	for range copies {
		if w.cut[[2]int{from.id, to.id}] || w.rnd.Float64() < w.loss {
			continue
		}
		delay := time.Duration(w.rnd.IntN(3)) * 100 * time.Microsecond
		if w.rnd.Float64() < w.slow {
			delay = time.Duration(w.rnd.Int64N(int64(2 * w.ttl)))
		}
		w.in(delay, arrive)
	}
}

// tick is what an engine does for each advert: it takes over, refreshes the lease
// of the kernel, or lets go.
func (w *world) tick(n *node, boot int) {
	if !n.up || n.boot != boot {
		return
	}
	wait := w.every
	if w.now < n.paused {
		wait = n.paused - w.now
	}
	w.in(wait, func() { w.tick(n, boot) })
	if w.now < n.paused {
		return
	}
	now := w.local(n)
	if n.ticks++; n.ticks%3 == 0 {
		w.step(n, Retry{})
	}
	may := n.holder.MayRenewLease(now)
	if w.bad.noTwoLease {
		may = now.Before(n.holder.Until())
	}
	lasts := time.Duration(float64(w.lease) / n.rate)
	switch {
	case n.armed && w.held[n.id] <= w.now:
		n.armed = false
		w.step(n, Drop{})
		w.in(time.Duration(w.rnd.Int64N(int64(w.every)*4)), func() {
			if n.up && n.boot == boot {
				w.step(n, Want{})
			}
		})
	case n.armed && may:
		// What was decided is done later, sometimes much later, and nothing else
		// is done before.
		delay := time.Duration(0)
		if !w.well && w.rnd.IntN(20) == 0 {
			delay = time.Duration(w.rnd.Int64N(int64(w.ttl)))
			n.paused = w.now + delay
		}
		w.in(delay, func() {
			if n.armed && n.boot == boot && (w.bad.revive || w.now < w.held[n.id]) {
				w.hold(n, w.now+lasts)
			}
		})
	case !n.armed && n.holder.MayTake(now):
		n.armed = true
		w.hold(n, w.now+lasts)
		w.take(n)
	}
}

// hold lets the kernel of n answer.
func (w *world) hold(n *node, until time.Duration) {
	w.held[n.id] = max(w.held[n.id], until)
	w.look()
}

func (w *world) take(n *node) {
	w.taken++
	w.last = w.now
	e := n.holder.Epoch()
	if w.forgot {
		return
	}
	if who, used := w.owners[e]; used || e <= w.top {
		w.wrong = fmt.Sprintf("%s: %s takes with epoch %d, which was that of lb%d; the highest was %d", w.now, n.name, e, who+1, w.top)
	}
	w.owners[e], w.top = n.id, e
}

// drop has the engine of n give the VIP up politely.
func (w *world) drop(n *node) {
	if !n.up || !n.host || w.now < n.paused {
		return
	}
	if !w.bad.earlyDrop {
		w.held[n.id] = min(w.held[n.id], w.now)
	}
	n.armed = false
	w.step(n, Drop{})
	boot := n.boot
	w.in(time.Duration(w.rnd.Int64N(int64(w.ttl))), func() {
		if n.up && n.boot == boot {
			w.step(n, Want{})
		}
	})
}

// look checks that there are not two.
func (w *world) look() {
	var kernel, majority []string
	for _, n := range w.nodes {
		if n.host && w.now < w.held[n.id] {
			kernel = append(kernel, n.name)
		}
		if n.host && n.up && w.local(n).Before(n.holder.Until()) {
			majority = append(majority, n.name)
		}
	}
	if w.wrong == "" && len(kernel) > 1 {
		w.wrong = fmt.Sprintf("%s: the kernels of %v answer", w.now, kernel)
	}
	if w.wrong == "" && len(majority) > 1 {
		w.wrong = fmt.Sprintf("%s: %v have a majority", w.now, majority)
	}
}

// fault lets something bad happen, and something good later.
func (w *world) fault() {
	n := w.nodes[w.rnd.IntN(len(w.nodes))]
	m := w.nodes[w.rnd.IntN(len(w.nodes))]
	long := time.Duration(w.rnd.Int64N(int64(3 * w.ttl)))
	switch w.rnd.IntN(6) {
	case 0, 1: // restarted, fast
		if n.up && w.restarts {
			n.up = false
			w.forgot = true
			w.in(50*ms+time.Duration(w.rnd.Int64N(int64(450*ms))), func() { w.start(n) })
		}
	case 2: // cut in one direction, or both
		pairs := [][2]int{{n.id, m.id}, {m.id, n.id}}[:1+w.rnd.IntN(2)]
		for _, p := range pairs {
			w.cut[p] = true
			w.in(long, func() { delete(w.cut, p) })
		}
	case 3: // cut off from all
		for _, m := range w.nodes {
			for _, p := range [][2]int{{n.id, m.id}, {m.id, n.id}} {
				w.cut[p] = true
				w.in(long, func() { delete(w.cut, p) })
			}
		}
	case 4: // stopped
		n.paused = max(n.paused, w.now+time.Duration(w.rnd.Int64N(int64(w.ttl))))
	case 5:
		w.drop(n)
	}
}

// run lets the world go on, and returns what is wrong with it.
func (w *world) run(d time.Duration, faults bool) string {
	end := w.now + d
	if faults {
		for at := time.Duration(0); at < d; at += time.Duration(w.rnd.Int64N(int64(2 * w.ttl))) {
			w.in(at, w.fault)
		}
	}
	for len(w.queue) > 0 && w.queue[0].at <= end && w.wrong == "" {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
		w.look()
	}
	w.now = end
	return w.wrong
}
