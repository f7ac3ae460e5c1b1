package testenv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// A cut of 200 ms must be a gap of 200 ms, and the answers before and after it
// must be those of the host that holds the address.
func TestProberGap(t *testing.T) {
	for _, vip := range []string{vip4, vip6} {
		t.Run(vip, func(t *testing.T) {
			t.Parallel()
			l := newTrio(t)
			ok(t, l.lb1.AddAddress("eth0", host32(vip)))
			p, err := l.client.Probe(target(vip), 0)
			ok(t, err)
			_, err = p.WaitAnswer(within(t, 5*time.Second), "lb1")
			ok(t, err)

			warm := p.Sent()
			ok(t, testenv.Until(t.Context(), func() bool { return p.Sent() >= warm+200 }))
			// A fault holds from some moment within the call on.
			down := time.Now()
			ok(t, l.Cut(l.lb1))
			isDown := time.Now()
			ok(t, testenv.Until(t.Context(), func() bool { return time.Since(down) >= 200*time.Millisecond }))
			up := time.Now()
			ok(t, l.Heal())
			isUp := time.Now()
			_, err = p.WaitAnswer(within(t, 5*time.Second), "lb1")
			ok(t, err)

			r := p.Stop().Since(down.Add(-100 * time.Millisecond))
			shortest := up.Sub(isDown) - 30*time.Millisecond
			longest := isUp.Sub(down) + 30*time.Millisecond + 2*stall(r) // a stall of this machine hides both edges
			if d := r.LongestGap; d < shortest || d > longest {
				t.Errorf("longest gap %v, want %v to %v", d, shortest, longest)
			}
			if d := r.LongestSilence; d < shortest || d > longest {
				t.Errorf("longest silence %v, want %v to %v", d, shortest, longest)
			}
			if r.ByHost["lb1"] != r.Answered || r.Answered == 0 {
				t.Errorf("answers of another host: %v", r)
			}
			if r.Sent != r.Answered+r.Lost || r.Pending != 0 {
				t.Errorf("probes do not add up: %+v", r)
			}
			if r.Misaddressed != 0 || r.Duplicates != 0 {
				t.Errorf("strange answers: %v, %d misaddressed", r, r.Misaddressed)
			}
			t.Log(r)
		})
	}
}

// stall is the longest time that the prober was late by.
func stall(r *testenv.Report) time.Duration {
	var longest time.Duration
	all := r.Probes()
	for i := 1; i < len(all); i++ {
		longest = max(longest, all[i].Sent.Sub(all[i-1].Sent))
	}
	return longest
}

func TestProberAttribution(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	vip := host32(vip4)
	ok(t, l.lb1.AddAddress("eth0", vip))
	p, err := l.client.Probe(target(vip4), 500)
	ok(t, err)
	first, err := p.WaitAnswer(within(t, 5*time.Second), "")
	ok(t, err)
	if first.Host != "lb1" {
		t.Fatalf("answered by %q", first.Host)
	}

	ok(t, l.lb1.DeleteAddress("eth0", vip))
	ok(t, l.lb2.AddAddress("eth0", vip))
	moved := time.Now()
	ok(t, l.client.ForgetNeighbour(vip.Addr()))
	second, err := p.WaitAnswer(within(t, 5*time.Second), "lb2")
	ok(t, err)
	if got, there := p.Report().FirstAnswerFrom("lb2", first.Answered); !there || got.Seq > second.Seq {
		t.Errorf("first answer of lb2: %+v, waited for %+v", got, second)
	}
	if _, there := p.Report().FirstAnswerFrom("lb1", second.Answered); there {
		t.Error("lb1 answers after it gave the address up")
	}

	r := p.Stop()
	turns := r.Turns()
	if len(turns) != 2 || turns[0].Host != "lb1" || turns[1].Host != "lb2" {
		t.Fatalf("turns: %+v", turns)
	}
	if got := r.Since(moved); got.ByHost["lb1"] != 0 || got.ByHost["lb2"] != turns[1].Answered {
		t.Errorf("after the move: %v", got)
	}
	if got := r.Between(time.Time{}, first.Sent.Add(time.Nanosecond)); got.Sent != first.Seq+1 {
		t.Errorf("until the first answer: %v, want %d sent", got, first.Seq+1)
	}
	if last, _ := r.LastAnswerFrom("lb1"); !last.Sent.Equal(turns[0].To) {
		t.Errorf("last answer of lb1: %+v, want one sent at %v", last, turns[0].To)
	}
}

// With nobody there all is lost, after the time that a probe may take; until
// then it is pending.
func TestProberNobody(t *testing.T) {
	t.Parallel()
	l := newTrio(t)
	p, err := l.client.Probe(target(vip4), 100)
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := p.WaitAnswer(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answer of nobody: %v", err)
	}
	if r := p.Report(); r.Lost != 0 || r.Pending != r.Sent || r.Sent == 0 {
		t.Errorf("after 300 ms: %v, %d pending", r, r.Pending)
	}
	if r := p.Stop(); r.Lost != r.Sent || r.Pending != 0 || len(r.Gaps) != 1 || r.Gaps[0].Lost != r.Sent {
		t.Errorf("at the end: %+v", r)
	}
	if _, err := l.client.Probe(target(vip4), -1); err == nil {
		t.Error("a negative rate is taken")
	}
}

func TestProberRate(t *testing.T) {
	l := newTrio(t)
	ok(t, l.lb1.AddAddress("eth0", host32(vip4)))
	p, err := l.client.Probe(target(vip4), 0)
	ok(t, err)
	started := time.Now()
	ok(t, testenv.Until(t.Context(), func() bool { return time.Since(started) >= time.Second }))
	r := p.Stop()
	all := r.Probes()
	took := all[len(all)-1].Sent.Sub(all[0].Sent)
	slack := 5 + int(stall(r)/time.Millisecond)
	if got, want := r.Sent+r.Skipped, int(took/time.Millisecond); got < want-slack || got > want+slack {
		t.Errorf("sent %d and skipped %d in %v", r.Sent, r.Skipped, took)
	}
	if r.Sent < 100 { // a busy machine skips the others
		t.Errorf("sent %d in %v", r.Sent, took)
	}
	t.Log(r)
}
