package pair

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	one   = netip.MustParseAddr("192.0.2.3")
	two   = netip.MustParseAddr("10.0.9.3")
	other = netip.MustParseAddr("203.0.113.9")
)

// ends are the two ends of a session that has been proved in both directions.
func ends(t testing.TB) (a, b *Session) {
	t.Helper()
	a, b = NewSession("lb1", "lb2", 100), NewSession("lb2", "lb1", 200)
	a.SetPaths([]netip.Addr{one, two})
	hello := a.Next(start, TypeHello)
	if r := b.Receive(start, hello, one); r.Cause != CauseChallenge || !r.Answer {
		t.Fatalf("a first message: %+v", r)
	}
	if r := a.Receive(start, b.Answer(start, hello), one); !r.Opened || r.Cause != "" {
		t.Fatalf("its answer: %+v", r)
	}
	if r := b.Receive(start, a.Next(start, TypeState), one); !r.Opened || r.Cause != "" {
		t.Fatalf("the second message: %+v", r)
	}
	return a, b
}

// TestProof: two hosts that start at once believe each other after one exchange.
func TestProof(t *testing.T) {
	t.Parallel()
	a, b := ends(t)
	if a.Boot() != 200 || b.Boot() != 100 {
		t.Errorf("they believe %d and %d", a.Boot(), b.Boot())
	}
}

func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	a, b := ends(t)
	first := b.Next(start, TypeState)
	first.Seq = 5000
	if r := a.Receive(start, first, one); r.Cause != "" {
		t.Fatalf("refused: %+v", r)
	}
	edit := func(change func(h *Header)) Header {
		h := b.Next(start, TypeState)
		change(&h)
		return h
	}
	for name, test := range map[string]struct {
		header Header
		want   Cause
	}{
		"own message":      {a.Next(start, TypeState), CauseReflected},
		"for another":      {edit(func(h *Header) { h.To = "lb3" }), CauseReceiver},
		"from another":     {edit(func(h *Header) { h.From = "lb3" }), CausePeer},
		"seen":             {first, CauseReplay},
		"new boot":         {edit(func(h *Header) { h.Boot, h.Echo = 201, Echo{} }), CauseChallenge},
		"old echo":         {edit(func(h *Header) { h.Boot, h.Echo.Seq = 201, 1 }), CauseChallenge},
		"other echo":       {edit(func(h *Header) { h.Boot, h.Echo.Boot = 201, 99 }), CauseChallenge},
		"echo to come":     {edit(func(h *Header) { h.Boot, h.Echo.Seq = 201, 1<<40 }), CauseChallenge},
		"before the proof": {edit(func(h *Header) { h.Seq, h.Echo = 0, Echo{} }), CauseReplay},
		"below the window": {edit(func(h *Header) { h.Seq = 5000 - windowLen }), CauseReplay},
	} {
		if r := a.Receive(start, test.header, one); r.Cause != test.want || r.Opened || r.Repeated {
			t.Errorf("%s: %+v, want %s", name, r, test.want)
		}
	}
}

// TestRestart: a new process proves itself with one exchange, and what the old
// one sent counts for nothing from then on, however late it comes.
func TestRestart(t *testing.T) {
	t.Parallel()
	a, old := ends(t)
	late := []Header{old.Next(start, TypeState), old.Next(start, TypeState)}
	b := NewSession("lb2", "lb1", 201)
	hello := b.Next(start, TypeState)
	r := a.Receive(start, hello, one)
	if r.Cause != CauseChallenge || !r.Answer {
		t.Fatalf("a first message: %+v", r)
	}
	if r := a.Receive(start, late[0], one); r.Cause != "" {
		t.Errorf("the old process is refused before the new one is proved: %+v", r)
	}
	if r := b.Receive(start, a.Answer(start, hello), one); !r.Opened {
		t.Errorf("the answer proves nothing: %+v", r)
	}
	if r := a.Receive(start, b.Next(start, TypeState), one); !r.Opened || a.Boot() != 201 {
		t.Errorf("the echo proves nothing: %+v", r)
	}
	if r := a.Receive(start, late[1], one); r.Cause != CauseChallenge || a.Boot() != 201 {
		t.Errorf("the old process is back: %+v", r)
	}
	if paths := a.Paths(start); len(paths) != 1 || paths[0].Address != one {
		t.Errorf("heard on %v", paths)
	}
}

// TestRival: of two processes with one name the newer one is believed, and the
// other one again when that has ended.
func TestRival(t *testing.T) {
	t.Parallel()
	a, old := ends(t)
	b := NewSession("lb2", "lb1", 201)
	b.Receive(start, a.Answer(start, b.Next(start, TypeState)), one)
	now := start
	for range 5 {
		now = now.Add(300 * time.Millisecond)
		if r := a.Receive(now, b.Next(now, TypeState), one); r.Cause != "" {
			t.Fatalf("the newer one: %+v", r)
		}
		h := a.Next(now, TypeState)
		old.Receive(now, h, one)
		b.Receive(now, h, one)
		if r := a.Receive(now, old.Next(now, TypeState), one); r.Cause != CauseRival {
			t.Fatalf("the older one: %+v", r)
		}
	}
	now = now.Add(rivalAfter)
	if r := a.Receive(now, old.Next(now, TypeState), one); !r.Opened || a.Boot() != 200 {
		t.Errorf("alone again: %+v", r)
	}
}

// TestClockStep: the time decides about nothing but ages, even if it jumps by an
// hour with every message.
func TestClockStep(t *testing.T) {
	t.Parallel()
	a, b := ends(t)
	now := start
	for i := range 40 {
		now = now.Add([]time.Duration{time.Hour, -time.Hour, -time.Hour, time.Hour}[i%4])
		b.Receive(now, a.Next(now, TypeState), one)
		h := b.Next(now, TypeState)
		if r := a.Receive(now, h, one); r.Cause != "" {
			t.Fatalf("step %d: %+v", i, r)
		}
		if r := a.Receive(now, h, one); r.Cause != CauseReplay {
			t.Fatalf("step %d, again: %+v", i, r)
		}
		if i%10 != 9 {
			continue
		}
		b = NewSession("lb2", "lb1", b.boot+1)
		hello := b.Next(now, TypeHello)
		if r := a.Receive(now, hello, one); !r.Answer {
			t.Fatalf("step %d, a new process: %+v", i, r)
		}
		b.Receive(now, a.Answer(now, hello), one)
		if r := a.Receive(now, b.Next(now, TypeState), one); !r.Opened {
			t.Fatalf("step %d, its proof: %+v", i, r)
		}
	}
}

// TestUnheard: while the other side hears nothing, messages of the process that
// is known are taken, and those of a new one are not.
func TestUnheard(t *testing.T) {
	t.Parallel()
	a, b := ends(t)
	now := start
	for range 200 {
		now = now.Add(100 * time.Millisecond)
		a.Next(now, TypeState) // lost
		if r := a.Receive(now, b.Next(now, TypeState), one); r.Cause != "" {
			t.Fatalf("after %v: %+v", now.Sub(start), r)
		}
	}
	b = NewSession("lb2", "lb1", 201)
	if r := a.Receive(now, b.Next(now, TypeState), one); r.Cause != CauseChallenge {
		t.Errorf("a process that never heard us: %+v", r)
	}
}

// TestAge: a message that waited says so by what it echoes.
func TestAge(t *testing.T) {
	t.Parallel()
	a, b := ends(t)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	exchange := func(ms int) {
		if r := b.Receive(at(ms), a.Next(at(ms), TypeState), one); r.Cause != "" {
			t.Fatal(r.Cause)
		}
	}
	exchange(100)
	waiting := b.Next(at(101), TypeState)
	exchange(200)
	a.Next(at(300), TypeState) // lost
	for name, test := range map[string]struct {
		header Header
		now    int
		want   time.Duration
	}{
		"newest":    {b.Next(at(201), TypeState), 302, 102 * time.Millisecond},
		"waited":    {waiting, 5000, 4900 * time.Millisecond},
		"no echo":   {Header{From: "lb2", To: "lb1", Boot: 200, Seq: 90}, 302, AgeUnknown},
		"not yet":   {Header{From: "lb2", To: "lb1", Boot: 200, Seq: 91, Echo: Echo{100, 1 << 40}}, 302, AgeUnknown},
		"forgotten": {Header{From: "lb2", To: "lb1", Boot: 200, Seq: 92, Echo: Echo{100, 0}}, 302, AgeUnknown},
	} {
		if r := a.Receive(at(test.now), test.header, one); r.Age != test.want || r.Cause != "" {
			t.Errorf("%s: %+v, want %v", name, r, test.want)
		}
	}
	for i := range 2 * marksLen {
		a.Next(at(6000+i), TypeState)
	}
	if r := a.Receive(at(7000), b.Next(at(7000), TypeState), one); r.Age != AgeUnknown {
		t.Errorf("an echo of long ago: %+v", r)
	}
}

// TestPaths: the same message keeps every path alive that it comes by, and only
// its first copy is news.
func TestPaths(t *testing.T) {
	t.Parallel()
	a, b := ends(t)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	h, next := b.Next(at(10), TypeState), b.Next(at(11), TypeState)
	for i, step := range []struct {
		header Header
		from   netip.Addr
		want   Receipt
	}{
		{h, two, Receipt{}},
		{h, one, Receipt{Repeated: true}},
		{h, one, Receipt{Cause: CauseReplay}},
		{h, other, Receipt{Cause: CauseReplay}}, // a copy makes no path known
		{next, other, Receipt{}},
		{next, two, Receipt{Repeated: true}},
		{h, other, Receipt{Cause: CauseReplay}},
	} {
		got := a.Receive(at(20+10*i), step.header, step.from)
		got.Age = 0
		if got != step.want {
			t.Errorf("step %d: %+v, want %+v", i, got, step.want)
		}
	}
	want := []Path{{one, 70 * time.Millisecond}, {two, 30 * time.Millisecond}, {other, 40 * time.Millisecond}}
	if diff := cmp.Diff(want, a.Paths(at(100)), byAddr); diff != "" {
		t.Errorf("paths (-want +got)\n%s", diff)
	}
	a.SetPaths([]netip.Addr{two, netip.MustParseAddr("10.0.9.4")})
	if diff := cmp.Diff(want, a.Paths(at(100)), byAddr); diff != "" {
		t.Errorf("paths after a reload (-want +got)\n%s", diff)
	}
}

// TestManyPaths: unknown addresses push out each other, never a configured one.
func TestManyPaths(t *testing.T) {
	t.Parallel()
	a, b := ends(t)
	from := netip.MustParseAddr("2001:db8::1")
	for i := range 3 * MaxPaths {
		now := start.Add(time.Duration(i) * time.Millisecond)
		if r := a.Receive(now, b.Next(now, TypeState), from); r.Cause != "" {
			t.Fatal(r.Cause)
		}
		from = from.Next()
	}
	a.Receive(start, b.Next(start, TypeState), two)
	paths := a.Paths(start)
	if len(paths) != MaxPaths || paths[0].Address != one || paths[1].Address != two || paths[2].Address == netip.MustParseAddr("2001:db8::1") {
		t.Errorf("%d paths: %v", len(paths), paths)
	}
}

// TestAnswers: nobody gets more than a hundred answers a second out of a host.
func TestAnswers(t *testing.T) {
	t.Parallel()
	a := NewSession("lb1", "lb2", 100)
	answers := 0
	for ms := range 1000 {
		for range 10 {
			h := Header{From: "lb2", To: "lb1", Boot: 7, Seq: 1}
			if a.Receive(start.Add(time.Duration(ms)*time.Millisecond), h, one).Answer {
				answers++
			}
		}
	}
	if answers != answersMost+99 {
		t.Errorf("%d answers in a second, want %d", answers, answersMost+99)
	}
}

// TestWindow compares the window with a set of numbers.
func TestWindow(t *testing.T) {
	t.Parallel()
	var w window
	seen := map[uint64]bool{}
	newest, n := uint64(0), uint64(1)
	for i := range uint64(200000) {
		n = n*6364136223846793005 + 1442695040888963407 // any numbers will do
		next := newest + n>>33%64 + 1
		switch i % 7 {
		case 0, 1, 2, 3:
			next = newest - min(n>>33%(windowLen+100), newest-min(newest, 1))
		case 4:
			next = newest + n>>33%(2*windowLen)
		}
		newest = max(newest, next)
		want := !seen[next] && newest-next < windowLen
		if got := w.add(next); got != want {
			t.Fatalf("step %d: %d with %d as the newest: news %t, want %t", i, next, newest, got, want)
		}
		seen[next] = true
	}
}
