package vote

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	ms  = time.Millisecond
	ttl = 800 * ms
)

var epoch = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// TestGrantor asks one voter, one thing after the other. It has started a second
// before.
func TestGrantor(t *testing.T) {
	t.Parallel()
	type step struct {
		at    time.Duration
		owner string
		boot  uint64
		ask   Ask
		want  Answer // VIP and Number as in ask
		none  bool
	}
	renew := func(n, epoch uint64) Ask { return Ask{Kind: Renew, VIP: "web", Number: n, Epoch: epoch, TTL: ttl} }
	release := func(n uint64) Ask { return Ask{Kind: Release, VIP: "web", Number: n} }
	granted := func(epoch uint64) Answer { return Answer{Kind: Granted, Epoch: epoch, Remaining: ttl} }
	refused := func(owner string, epoch uint64, left time.Duration) Answer {
		return Answer{Kind: Refused, Why: Promised, Owner: owner, Epoch: epoch, Remaining: left}
	}
	first := step{owner: "lb1", boot: 7, ask: renew(1, 1), want: granted(1)}
	for name, steps := range map[string][]step{
		"one host at a time": {
			first,
			{at: 100 * ms, owner: "lb2", boot: 8, ask: renew(1, 2), want: refused("lb1", 1, 700*ms)},
			{at: 200 * ms, owner: "lb1", boot: 7, ask: renew(2, 1), want: granted(1)},
			{at: 999 * ms, owner: "lb2", boot: 8, ask: renew(2, 2), want: refused("lb1", 1, 1*ms)},
			{at: 1000 * ms, owner: "lb2", boot: 8, ask: renew(3, 2), want: granted(2)},
			{at: 1001 * ms, owner: "lb1", boot: 7, ask: renew(3, 3), want: refused("lb2", 2, 799*ms)},
		},
		"a new holder has a higher epoch": {
			first,
			{at: 900 * ms, owner: "lb2", boot: 8, ask: renew(1, 1), want: Answer{Kind: Refused, Why: OldEpoch, Epoch: 1}},
			{at: 900 * ms, owner: "lb2", boot: 8, ask: renew(2, 2), want: granted(2)},
		},
		"the same host goes on with its epoch, not with an older one": {
			{owner: "lb1", boot: 7, ask: renew(1, 5), want: granted(5)},
			{at: 900 * ms, owner: "lb1", boot: 7, ask: renew(2, 5), want: granted(5)},
			{at: 901 * ms, owner: "lb1", boot: 7, ask: renew(3, 4), want: Answer{Kind: Refused, Why: OldEpoch, Epoch: 5}},
			{at: 902 * ms, owner: "lb1", boot: 7, ask: renew(4, 6), want: granted(6)},
		},
		"the same host after a restart": {
			{owner: "lb1", boot: 7, ask: renew(9, 5), want: granted(5)},
			{at: 10 * ms, owner: "lb1", boot: 9, ask: renew(1, 1), want: Answer{Kind: Refused, Why: OldEpoch, Epoch: 5}},
			{at: 10 * ms, owner: "lb1", boot: 9, ask: renew(2, 6), want: granted(6)},
		},
		"a release": {
			first,
			{at: 10 * ms, owner: "lb1", boot: 7, ask: release(2), want: Answer{Kind: Released, Epoch: 1}},
			{at: 11 * ms, owner: "lb2", boot: 8, ask: renew(1, 2), want: granted(2)},
		},
		"a release that comes twice, or by somebody else, releases nothing": {
			first,
			{at: 10 * ms, owner: "lb1", boot: 7, ask: release(2), want: Answer{Kind: Released, Epoch: 1}},
			{at: 11 * ms, owner: "lb1", boot: 7, ask: renew(3, 2), want: granted(2)},
			{at: 12 * ms, owner: "lb1", boot: 7, ask: release(2), none: true},
			{at: 13 * ms, owner: "lb2", boot: 8, ask: release(9), want: Answer{Kind: Released, Epoch: 2}},
			{at: 13 * ms, owner: "lb1", boot: 6, ask: release(9), want: Answer{Kind: Released, Epoch: 2}},
			{at: 14 * ms, owner: "lb2", boot: 8, ask: renew(1, 3), want: refused("lb1", 2, 797*ms)},
		},
		"a renewal that is overtaken by the release comes to nothing": {
			first,
			{at: 10 * ms, owner: "lb1", boot: 7, ask: release(3), want: Answer{Kind: Released, Epoch: 1}},
			{at: 11 * ms, owner: "lb1", boot: 7, ask: renew(2, 1), none: true},
			{at: 12 * ms, owner: "lb2", boot: 8, ask: renew(1, 2), want: granted(2)},
		},
		"a promise has bounds": {
			{owner: "lb1", boot: 7, ask: Ask{Kind: Renew, VIP: "web", TTL: time.Second + 1}, want: Answer{Kind: Refused, Why: TooLong, Remaining: time.Second}},
			{owner: "lb1", boot: 7, ask: Ask{Kind: Renew, VIP: "web"}, want: Answer{Kind: Refused, Why: TooLong, Remaining: time.Second}},
			{owner: "lb1", boot: 7, ask: Ask{Kind: 3, VIP: "web", TTL: ttl}, none: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewGrantor(at(-time.Second), time.Second, 10)
			for i, s := range steps {
				got, ok := g.Answer(at(s.at), "", s.owner, s.boot, s.ask)
				if !s.none {
					s.want.VIP, s.want.Number = s.ask.VIP, s.ask.Number
				}
				if diff := cmp.Diff(s.want, got); diff != "" || ok == s.none {
					t.Errorf("step %d (-want +got, ok %t)\n%s", i, ok, diff)
				}
			}
		})
	}
}

// TestSitsOut: a voter that has started grants nothing until what it may have
// promised before is over.
func TestSitsOut(t *testing.T) {
	t.Parallel()
	g := NewGrantor(at(0), ttl, 10)
	ask := Ask{Kind: Renew, VIP: "web", Number: 1, Epoch: 1, TTL: 100 * ms}
	for _, step := range []struct {
		at   time.Duration
		want AnswerKind
	}{{0, Refused}, {ttl - 1, Refused}, {ttl, Granted}} {
		got, _ := g.Answer(at(step.at), "", "lb1", 7, ask)
		if got.Kind != step.want || got.Kind == Refused && (got.Why != SitsOut || got.Remaining != ttl-step.at) {
			t.Errorf("after %s: %+v", step.at, got)
		}
	}
	if g.Ready() != at(ttl) {
		t.Errorf("ready at %s", g.Ready())
	}
}

// TestClusters: they have votes of their own, and so has each VIP.
func TestClusters(t *testing.T) {
	t.Parallel()
	g := NewGrantor(at(-ttl), ttl, 10)
	for _, cluster := range []string{"", "blue", "green"} {
		for _, vip := range []string{"web", "mail"} {
			owner := cluster + "/" + vip
			got, _ := g.Answer(at(0), cluster, owner, 7, Ask{Kind: Renew, VIP: vip, Number: 1, Epoch: 1, TTL: ttl})
			if got.Kind != Granted {
				t.Errorf("%s: %+v", owner, got)
			}
			if who, until, e := g.Promise(at(1), cluster, vip); who != owner || until != at(ttl) || e != 1 {
				t.Errorf("%s: promised to %q until %s, epoch %d", owner, who, until, e)
			}
		}
	}
	g.Void("blue", "blue/web")
	if who, _, e := g.Promise(at(1), "blue", "web"); who != "" || e != 1 {
		t.Errorf("a void promise is one to %q, epoch %d", who, e)
	}
	if who, _, _ := g.Promise(at(1), "green", "web"); who == "" {
		t.Error("another cluster's is void as well")
	}
}

// TestFull: a full table refuses what is new, keeps what it has promised, and has
// room again when promises are over.
func TestFull(t *testing.T) {
	t.Parallel()
	g := NewGrantor(at(-ttl), ttl, 3)
	ask := func(d time.Duration, vip int) Answer {
		a, _ := g.Answer(at(d), "", "lb1", 7, Ask{Kind: Renew, VIP: fmt.Sprint(vip), Number: uint64(d) + 1, Epoch: 1, TTL: ttl})
		return a
	}
	for i := range 3 {
		if a := ask(time.Duration(i)*ms, i); a.Kind != Granted {
			t.Fatalf("%d: %+v", i, a)
		}
	}
	if a := ask(3*ms, 3); a.Why != NoRoom || g.Len() != 3 {
		t.Errorf("the fourth: %+v, %d entries", a, g.Len())
	}
	if a := ask(4*ms, 0); a.Kind != Granted {
		t.Errorf("a renewal: %+v", a)
	}
	if a := ask(ttl+1*ms, 3); a.Kind != Granted || g.Len() != 3 {
		t.Errorf("when one is over: %+v, %d entries", a, g.Len())
	}
	if who, _, _ := g.Promise(at(ttl+1*ms), "", "0"); who != "lb1" {
		t.Error("what was renewed is gone")
	}
}

// TestClone: a copy goes its own way.
func TestClone(t *testing.T) {
	t.Parallel()
	g := NewGrantor(at(-ttl), ttl, 3)
	c := g.Clone()
	_, _ = c.Answer(at(0), "", "lb1", 7, Ask{Kind: Renew, VIP: "web", Number: 1, Epoch: 1, TTL: ttl})
	if g.Len() != 0 || c.Len() != 1 {
		t.Errorf("%d and %d entries", g.Len(), c.Len())
	}
}
