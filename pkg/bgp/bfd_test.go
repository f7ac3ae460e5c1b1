package bgp_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/bgp"
)

// The bytes of RFC 5880, Section 4.1, field by field.
func TestBFDPacket(t *testing.T) {
	t.Parallel()
	packet := bgp.BFDPacket{
		Diagnostic: bgp.BFDExpired, State: bgp.BFDInit, Poll: true, Multiplier: 3, MyDiscriminator: 0x01020304, YourDiscriminator: 0x05060708,
		Transmit: 50 * time.Millisecond, Receive: 300 * time.Millisecond,
	}
	want := []byte{
		1<<5 | 1,    // version, diagnostic
		2<<6 | 1<<5, // state Init, poll
		3,           // detect mult
		24,          // length
		1, 2, 3, 4,  // my discriminator
		5, 6, 7, 8, // your discriminator
		0, 0, 0xc3, 0x50, // 50 000 µs
		0, 4, 0x93, 0xe0, // 300 000 µs
		0, 0, 0, 0, // no echo
	}
	if d := cmp.Diff(want, packet.Marshal()); d != "" {
		t.Errorf("bytes (-want +got):\n%s", d)
	}
	got, err := bgp.ParseBFD(append(want, "padding"...))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(packet, got); d != "" {
		t.Errorf("packet (-want +got):\n%s", d)
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   string
	}{
		{"short", func(b []byte) []byte { return b[:23] }, "23 bytes"},
		{"version 0", func(b []byte) []byte { b[0] &= 0x1f; return b }, "version 0"},
		{"version 2", func(b []byte) []byte { b[0] = 2 << 5; return b }, "version 2"},
		{"length 23", func(b []byte) []byte { b[3] = 23; return b }, "length 23"},
		{"length beyond the payload", func(b []byte) []byte { b[3] = 25; return b }, "length 25"},
		{"detect mult 0", func(b []byte) []byte { b[2] = 0; return b }, "detect mult"},
		{"multipoint", func(b []byte) []byte { b[1] |= 1; return b }, "multipoint"},
		{"my discriminator 0", func(b []byte) []byte { copy(b[4:8], []byte{0, 0, 0, 0}); return b }, "my discriminator"},
		{"your discriminator 0 in Init", func(b []byte) []byte { copy(b[8:12], []byte{0, 0, 0, 0}); return b }, "your discriminator"},
		{"authenticated", func(b []byte) []byte { b[1] |= 4; return b }, "authenticated"},
	} {
		if _, err := bgp.ParseBFD(c.change(append([]byte(nil), want...))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	first := append([]byte(nil), want...)
	copy(first[8:12], []byte{0, 0, 0, 0})
	first[1] = 1 << 6
	if _, err := bgp.ParseBFD(first); err != nil {
		t.Errorf("your discriminator 0 in Down: %v", err)
	}
}

func FuzzParseBFD(f *testing.F) {
	f.Add(bgp.BFDPacket{State: bgp.BFDUp, Multiplier: 3, MyDiscriminator: 1, YourDiscriminator: 2}.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := bgp.ParseBFD(b)
		if err != nil {
			return
		}
		again, err := bgp.ParseBFD(p.Marshal())
		if err != nil || again != p {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
	})
}

// wire is two ends and what lies between, in virtual time.
type bfdWire struct {
	t      *testing.T
	now    time.Time
	random *rand.Rand
	ends   [2]*bgp.BFDSession
	cut    [2]bool // packets from this end are lost
	sent   [2][]time.Time
	last   [2]bgp.BFDPacket
	polls  int // answered
}

func newBFDWire(t *testing.T, one, two bgp.BFD) *bfdWire {
	w := &bfdWire{t: t, now: time.Unix(1000, 0), random: rand.New(rand.NewPCG(1, 1))}
	w.ends = [2]*bgp.BFDSession{bgp.NewBFDSession(w.now, one, 11), bgp.NewBFDSession(w.now, two, 22)}
	return w
}

// deliver brings a packet of an end to the other one.
func (w *bfdWire) deliver(from int, p *bgp.BFDPacket) {
	if p == nil {
		return
	}
	parsed, err := bgp.ParseBFD(p.Marshal())
	if err != nil {
		w.t.Fatalf("end %d sends what nobody takes: %v", from, err)
	}
	w.last[from] = parsed
	if w.cut[from] {
		return
	}
	if answer := w.ends[1-from].Receive(w.now, parsed); answer != nil {
		w.polls++
		w.deliver(1-from, answer)
	}
}

// run lets time pass, until done says so, and returns how much.
func (w *bfdWire) run(limit time.Duration, done func() bool) time.Duration {
	began := w.now
	for w.now.Sub(began) < limit && !done() {
		next := w.ends[0].Next()
		if n := w.ends[1].Next(); n.Before(next) {
			next = n
		}
		if next.Sub(began) > limit {
			w.now = began.Add(limit)
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		for i, e := range w.ends {
			if p := e.Wake(w.now, w.random.Float64()); p != nil {
				w.sent[i] = append(w.sent[i], w.now)
				w.deliver(i, p)
			}
		}
	}
	return w.now.Sub(began)
}

func (w *bfdWire) up() bool {
	return w.ends[0].State() == bgp.BFDUp && w.ends[1].State() == bgp.BFDUp
}

func (w *bfdWire) settle() {
	w.t.Helper()
	w.run(10*time.Second, w.up)
	if !w.up() {
		w.t.Fatalf("states %v, %v", w.ends[0].State(), w.ends[1].State())
	}
	w.run(3*time.Second, func() bool { return false })
	w.sent = [2][]time.Time{}
}

func gaps(at []time.Time) (least, most time.Duration) {
	least = time.Hour
	for i := 1; i < len(at); i++ {
		g := at[i].Sub(at[i-1])
		least, most = min(least, g), max(most, g)
	}
	return least, most
}

var fast = bgp.BFD{Transmit: 50 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 3}

// Packets come at 75 to 100 % of what both agreed on, 75 to 90 % where each one
// counts.
func TestBFDPace(t *testing.T) {
	t.Parallel()
	slow := bgp.BFD{Transmit: 300 * time.Millisecond, Receive: 200 * time.Millisecond, Multiplier: 3}
	single := bgp.BFD{Transmit: 100 * time.Millisecond, Receive: 100 * time.Millisecond, Multiplier: 1}
	for _, c := range []struct {
		name        string
		one, two    bgp.BFD
		least, most time.Duration // of end one
	}{
		{"alike", fast, fast, 37500 * time.Microsecond, 50 * time.Millisecond},
		{"the other takes them slowly", fast, slow, 150 * time.Millisecond, 200 * time.Millisecond},
		{"we send them slowly", slow, fast, 225 * time.Millisecond, 300 * time.Millisecond},
		{"each one counts", single, fast, 75 * time.Millisecond, 90 * time.Millisecond},
	} {
		w := newBFDWire(t, c.one, c.two)
		w.settle()
		w.run(20*time.Second, func() bool { return !w.up() })
		if !w.up() {
			t.Errorf("%s: the session went down", c.name)
		}
		least, most := gaps(w.sent[0])
		if least < c.least || most > c.most || most-least < (c.most-c.least)/2 {
			t.Errorf("%s: packets %v to %v apart, want %v to %v", c.name, least, most, c.least, c.most)
		}
		if w.last[0].Poll || w.polls == 0 {
			t.Errorf("%s: polls %t, %d were answered", c.name, w.last[0].Poll, w.polls)
		}
	}
}

// While down there is a packet a second, whatever is configured.
func TestBFDSlowStart(t *testing.T) {
	t.Parallel()
	w := newBFDWire(t, fast, fast)
	w.cut = [2]bool{true, true}
	w.run(20*time.Second, w.up)
	if least, most := gaps(w.sent[0]); least < 750*time.Millisecond || most > time.Second {
		t.Errorf("packets %v to %v apart", least, most)
	}
	if w.last[0].Transmit != time.Second || w.last[0].Receive != fast.Receive {
		t.Errorf("%+v", w.last[0])
	}
	w.cut = [2]bool{}
	if took := w.run(10*time.Second, w.up); took > 3*time.Second {
		t.Errorf("up after %v", took)
	}
	if w.ends[0].Failed() || w.ends[1].Failed() {
		t.Error("a session that never was up failed")
	}
}

// A neighbor that is silent is gone after its own multiplier times the slower of
// the two intervals.
func TestBFDDetection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		one, two bgp.BFD
		want     time.Duration // at end one, when two falls silent
	}{
		{"alike", fast, fast, 150 * time.Millisecond},
		{"its multiplier, not ours", fast, bgp.BFD{Transmit: 50 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 5}, 250 * time.Millisecond},
		{"its pace", fast, bgp.BFD{Transmit: 100 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 3}, 300 * time.Millisecond},
		{"our pace", bgp.BFD{Transmit: 50 * time.Millisecond, Receive: 200 * time.Millisecond, Multiplier: 3}, fast, 600 * time.Millisecond},
	} {
		w := newBFDWire(t, c.one, c.two)
		w.settle()
		w.run(time.Second, func() bool { return false })
		n := len(w.sent[1])
		w.run(time.Second, func() bool { return len(w.sent[1]) > n }) // two sends, and is cut off then
		w.cut[1] = true
		if took := w.run(5*time.Second, func() bool { return w.ends[0].State() != bgp.BFDUp }); took != c.want {
			t.Errorf("%s: down after %v, want %v", c.name, took, c.want)
		}
		if e := w.ends[0]; !e.Failed() || e.Diagnostic() != bgp.BFDExpired {
			t.Errorf("%s: failed %t, diagnostic %d", c.name, e.Failed(), e.Diagnostic())
		}
		w.run(time.Second, func() bool { return w.ends[1].State() == bgp.BFDDown })
		if e := w.ends[1]; !e.Failed() || e.Diagnostic() != bgp.BFDNeighborDown {
			t.Errorf("%s: the other: failed %t, diagnostic %d", c.name, e.Failed(), e.Diagnostic())
		}
		w.cut[1] = false
		w.settle()
	}
}

// An end on purpose is no failure; a packet for another session is none for us;
// who wants no packets gets none.
func TestBFDManners(t *testing.T) {
	t.Parallel()
	w := newBFDWire(t, fast, fast)
	w.settle()
	stranger := w.last[1]
	stranger.YourDiscriminator, stranger.State = 4711, bgp.BFDDown
	w.ends[0].Receive(w.now, stranger)
	if w.ends[0].State() != bgp.BFDUp {
		t.Error("a packet for another session was taken")
	}
	quiet := w.last[1]
	quiet.Receive = 0
	w.ends[0].Receive(w.now, quiet)
	for range 10 {
		w.now = w.ends[0].Next()
		w.ends[0].Receive(w.now, quiet)
		if p := w.ends[0].Wake(w.now, 0.5); p != nil {
			t.Fatalf("sent to who wants none: %+v", p)
		}
	}
	poll := w.last[1]
	poll.Poll = true
	if p := w.ends[0].Receive(w.now, poll); p == nil || !p.Final || p.Poll {
		t.Errorf("the answer to a poll: %+v", p)
	}
	leave := w.ends[1].Leave()
	w.deliver(1, &leave)
	if e := w.ends[0]; e.State() != bgp.BFDDown || e.Failed() {
		t.Errorf("after an end on purpose: %v, failed %t", e.State(), e.Failed())
	}
}
