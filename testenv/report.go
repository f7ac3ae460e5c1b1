package testenv

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Probe is one probe and what became of it.
type Probe struct {
	Seq      int
	Sent     time.Time
	Answered time.Time // zero when lost or pending
	Host     string    // who answered; "" when lost or pending
}

// Gap is a run of lost probes. Where the prober was late it is rather too long
// than too short.
type Gap struct {
	From time.Time // the first lost probe was due
	To   time.Time // the next answered one was sent, or was due if none was
	Lost int
}

// Duration is how long the gap lasted.
func (g Gap) Duration() time.Duration { return g.To.Sub(g.From) }

// Turn is a run of probes that one host answered, by order of sending.
type Turn struct {
	Host     string
	From, To time.Time // the first and the last of them were sent
	Answered int
}

// Report tells what a client saw between two times.
type Report struct {
	Sent     int // probes that left
	Answered int // of them, within ProbeTimeout
	Lost     int // of them, not
	Pending  int // of them, not yet answered and not yet lost; 0 after Stop

	Skipped      int // probes that never left: the measuring machine was too busy; whole run
	Late         int // lost probes that were answered after ProbeTimeout
	Duplicates   int // answers beyond the first to a probe
	Misaddressed int // answers from another address than the probed one; whole run

	ByHost     map[string]int // answered probes by the host that answered first
	Gaps       []Gap          // runs of lost probes, in order
	LongestGap time.Duration
	// LongestSilence is the longest time between two answers that followed each
	// other: what a client felt, even where its probes waited in a queue and
	// none was lost. A stall of the measuring machine is silence too: compare
	// Skipped.
	LongestSilence time.Duration

	probes []result
	period time.Duration
}

// Probes is the timeline: every probe in order of sending.
func (r *Report) Probes() []Probe {
	out := make([]Probe, len(r.probes))
	for i, p := range r.probes {
		out[i] = p.Probe
	}
	return out
}

// Since is the report on the probes sent at or after t.
func (r *Report) Since(t time.Time) *Report { return r.Between(t, time.Time{}) }

// Between is the report on the probes sent at or after from and, unless to is
// zero, before to.
func (r *Report) Between(from, to time.Time) *Report {
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(r.probes, t, func(p result, t time.Time) int { return p.Sent.Compare(t) })
		return i
	}
	i, j := at(from), len(r.probes)
	if !to.IsZero() {
		j = max(i, at(to))
	}
	out := &Report{Skipped: r.Skipped, Misaddressed: r.Misaddressed, period: r.period, probes: r.probes[i:j]}
	out.count()
	return out
}

// FirstAnswerFrom is the earliest answer by the host that arrived at or after a
// time.
func (r *Report) FirstAnswerFrom(host string, after time.Time) (Probe, bool) {
	var best Probe
	for _, p := range r.probes {
		if p.Host == host && !p.Answered.Before(after) && (best.Host == "" || p.Answered.Before(best.Answered)) {
			best = p.Probe
		}
	}
	return best, best.Host != ""
}

// LastAnswerFrom is the answered probe of the host that was sent last.
func (r *Report) LastAnswerFrom(host string) (Probe, bool) {
	for _, p := range slices.Backward(r.probes) {
		if p.Host == host {
			return p.Probe, true
		}
	}
	return Probe{}, false
}

// Turns lists which host answered when: one turn means that nothing moved, two
// that the service moved once, many that it flapped.
func (r *Report) Turns() []Turn {
	var turns []Turn
	for _, p := range r.probes {
		if p.Host == "" {
			continue
		}
		if n := len(turns); n > 0 && turns[n-1].Host == p.Host {
			turns[n-1].To = p.Sent
			turns[n-1].Answered++
			continue
		}
		turns = append(turns, Turn{Host: p.Host, From: p.Sent, To: p.Sent, Answered: 1})
	}
	return turns
}

// String is the report in one line.
func (r *Report) String() string {
	var hosts []string
	for _, h := range slices.Sorted(maps.Keys(r.ByHost)) {
		hosts = append(hosts, fmt.Sprintf("%s %d", h, r.ByHost[h]))
	}
	return fmt.Sprintf("sent %d, answered %d (%s), lost %d, longest gap %v, longest silence %v, duplicates %d, skipped %d",
		r.Sent, r.Answered, strings.Join(hosts, ", "), r.Lost,
		r.LongestGap.Round(100*time.Microsecond), r.LongestSilence.Round(100*time.Microsecond), r.Duplicates, r.Skipped)
}
