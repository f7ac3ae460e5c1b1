package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// bench is an engine and the actions of its last step.
type bench struct {
	e    *Engine
	now  time.Time
	acts []Action
}

func (b *bench) step(ev Event) { b.acts = append([]Action(nil), b.e.Step(b.now, ev)...) }

// pass lets time pass, with the kernel doing as told at once.
func (b *bench) pass(d time.Duration) {
	end := b.now.Add(d)
	for next := b.e.Next(); !next.IsZero() && !next.After(end); next = b.e.Next() {
		b.now = next
		b.step(Wake{})
		b.obey()
	}
	b.now = end
}

// obey answers every SetAddresses.
func (b *bench) obey() {
	all := b.acts
	for i := 0; i < len(all); i++ {
		if a, ok := all[i].(SetAddresses); ok {
			b.step(AddressesApplied{VIP: a.VIP, Seq: a.Seq, Took: time.Millisecond})
			all = append(all, b.acts...)
		}
	}
	b.acts = all
}

func pick[T Action](acts []Action) []T {
	var list []T
	for _, a := range acts {
		if t, ok := a.(T); ok {
			list = append(list, t)
		}
	}
	return list
}

// until lets time pass until there is an action of a type, and returns those.
func until[T Action](b *bench) []T {
	for {
		b.now = b.e.Next()
		b.step(Wake{})
		b.obey()
		if found := pick[T](b.acts); len(found) > 0 {
			return found
		}
	}
}

// told starts an engine whose VIP tells hooks, and returns it in Backup.
func told(t *testing.T, beforeHold time.Duration) *bench {
	t.Helper()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := &bench{e: New(start), now: start}
	b.step(Configure{Config: Config{Node: "lb1", VIPs: map[string]VIP{"web": {
		Interface: "eth0", VRID: 51, Version: 3, Priority: 150, Interval: 100 * time.Millisecond, Preempt: true,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}, Notify: true, BeforeHold: beforeHold,
	}}}})
	b.obey()
	b.step(LinkChanged{Link: Link{Name: "eth0", Present: true, Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}}})
	if got := pick[Notify](b.acts); len(got) != 1 || got[0].State != Backup {
		t.Fatalf("told %+v, want BACKUP", got)
	}
	return b
}

// TestChange: what a hook is told, and what comes into the history about it.
func TestChange(t *testing.T) {
	t.Parallel()
	b := told(t, 0)
	b.step(NotifyDone{Name: "web", State: Backup, Result: HookOK, Detail: "exit 0", Took: 12 * time.Millisecond, Cause: 3})
	want := []Action{Report{Record{Type: RecordNotify, Name: "web", To: "BACKUP", Reason: "ok", Cause: 3, Severity: Info,
		Text: "web: notify of BACKUP: exit 0 (12ms)"}}}
	if diff := cmp.Diff(want, b.acts, cmpopts.IgnoreFields(Record{}, "Seq", "Time")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got := until[Notify](b)
	c := Change{
		Name: "web", State: Active, From: Backup, Reason: "no-response", Priority: 150, Interface: "eth0", VRID: 51,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		Record: Record{Type: RecordTransition, Name: "web", From: "BACKUP", To: "ACTIVE", Reason: "no-response", Cause: 3, Severity: Notice,
			Text: "web: BACKUP -> ACTIVE (nobody was heard for 341.4ms)"},
	}
	opts := []cmp.Option{cmpopts.IgnoreFields(Record{}, "Seq", "Time"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}
	if diff := cmp.Diff([]Notify{{c}}, got, opts...); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got[0].Record.Seq == 0 || got[0].Record.Time.IsZero() {
		t.Errorf("the record has no number or time: %+v", got[0].Record)
	}
}

// TestStopWaitsForHooks: a polite end waits for the hooks that are told of it,
// but not for ever.
func TestStopWaitsForHooks(t *testing.T) {
	t.Parallel()
	for _, answered := range []bool{true, false} {
		b := told(t, 0)
		b.step(NotifyDone{Name: "web", State: Backup})
		b.pass(300 * time.Millisecond)
		b.step(Stop{})
		if got := pick[Notify](b.acts); len(got) != 1 || got[0].State != Initialize || got[0].Reason != "stop" {
			t.Fatalf("told %+v, want INIT by stop", got)
		}
		if b.e.Done(b.now) {
			t.Error("done while the hook runs")
		}
		if next := b.e.Next(); next.Sub(b.now) != hookStopWithin {
			t.Errorf("wants to be woken after %v, want %v", next.Sub(b.now), hookStopWithin)
		}
		if answered {
			b.step(NotifyDone{Name: "web", State: Initialize, Result: HookFailed, Detail: "exit 1"})
		} else {
			b.now = b.now.Add(hookStopWithin)
		}
		if !b.e.Done(b.now) {
			t.Errorf("answered %v: not done", answered)
		}
	}
}

// TestLateHookAnswers: only the answer to the before_hold that is waited for
// opens the addresses.
func TestLateHookAnswers(t *testing.T) {
	t.Parallel()
	b := told(t, time.Second)
	first := until[RunHook](b)[0]
	if first.Within != time.Second || first.State != Active || first.From != Backup {
		t.Errorf("run %+v", first)
	}
	b.step(Drain{Actor: Actor{Name: "anna"}})
	if got := pick[StopHook](b.acts); len(got) != 1 || got[0].Seq != first.Seq {
		t.Errorf("stopped %+v, want %d", got, first.Seq)
	}
	b.obey()
	b.step(Undrain{Actor: Actor{Name: "anna"}})
	second := until[RunHook](b)[0]
	b.step(HookDone{VIP: "web", Seq: first.Seq, Result: HookOK})
	if len(b.acts) != 0 {
		t.Errorf("an old answer led to %+v", b.acts)
	}
	b.step(HookDone{VIP: "gone", Seq: second.Seq, Result: HookOK})
	if len(b.acts) != 0 {
		t.Errorf("an answer for nobody led to %+v", b.acts)
	}
	if s := b.e.Status(b.now).VIPs[0]; s.BeforeHold == nil || s.Held || s.HeldAnyway != 0 {
		t.Errorf("status %+v", s)
	}
	b.step(HookDone{VIP: "web", Seq: second.Seq, Result: HookFailed, Detail: "exit 1"})
	if got := pick[SetAddresses](b.acts); len(got) != 1 || !got[0].Present {
		t.Errorf("addresses %+v, want them present", got)
	}
	b.step(HookDone{VIP: "web", Seq: second.Seq, Result: HookOK})
	if len(b.acts) != 0 {
		t.Errorf("a second answer led to %+v", b.acts)
	}
	if s := b.e.Status(b.now).VIPs[0]; s.BeforeHold != nil || s.HeldAnyway != 1 {
		t.Errorf("status %+v", s)
	}
}
