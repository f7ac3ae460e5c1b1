package testenv

import (
	"math"
	"slices"
	"time"
)

// timeline is what a prober keeps, 24 bytes a probe. Times are durations since
// its start.
type timeline struct {
	probes                []probe
	names                 []string // of hosts, by probe.host
	skipped, misaddressed int
}

type probe struct {
	sent  time.Duration
	heard time.Duration // 0 while unanswered
	host  uint16
	again uint16 // further answers
}

func (t *timeline) clone() *timeline {
	c := *t
	c.probes, c.names = slices.Clone(t.probes), slices.Clone(t.names)
	return &c
}

// add notes a probe that is about to be sent and returns its sequence number.
func (t *timeline) add(sent time.Duration) int {
	t.probes = append(t.probes, probe{sent: sent})
	return len(t.probes) - 1
}

// answered notes an answer; ok is false for one that answers nothing, comes a
// second time or comes too late.
func (t *timeline) answered(seq uint64, at time.Duration, host []byte) (p probe, ok bool) {
	if seq >= uint64(len(t.probes)) {
		return probe{}, false
	}
	q := &t.probes[seq]
	if q.heard != 0 {
		q.again = min(q.again, math.MaxUint16-1) + 1
		return probe{}, false
	}
	q.heard = max(at, q.sent, 1)
	q.host = t.host(host)
	return *q, q.heard-q.sent <= ProbeTimeout
}

// host is the number of a name; there are few, so it looks at each.
func (t *timeline) host(name []byte) uint16 {
	for i, n := range t.names {
		if n == string(name) {
			return uint16(i)
		}
	}
	if len(t.names) == math.MaxUint16 {
		return math.MaxUint16 - 1
	}
	t.names = append(t.names, string(name))
	return uint16(len(t.names) - 1)
}

// fate is what became of a probe.
type fate uint8

const (
	pending fate = iota
	answered
	lost
	late // lost, and answered when nobody waited any more
)

// result is a probe in a report.
type result struct {
	Probe
	fate  fate
	again int
}

// report makes the report as of now; over says that no answer can come any more.
func (t *timeline) report(start time.Time, period, now time.Duration, over bool) *Report {
	r := &Report{Skipped: t.skipped, Misaddressed: t.misaddressed, period: period}
	r.probes = make([]result, len(t.probes))
	for i, p := range t.probes {
		res := result{Probe: Probe{Seq: i, Sent: start.Add(p.sent)}, again: int(p.again)}
		switch {
		case p.heard != 0 && p.heard-p.sent <= ProbeTimeout:
			res.fate, res.Answered, res.Host = answered, start.Add(p.heard), t.names[p.host]
		case p.heard != 0:
			res.fate = late
		case over || now-p.sent > ProbeTimeout:
			res.fate = lost
		}
		r.probes[i] = res
	}
	r.count()
	return r
}

// pending reports whether an answer is still awaited, which Stop polls: a
// whole report would cost too much.
func (t *timeline) pending(now time.Duration) bool {
	for i := len(t.probes) - 1; i >= 0 && now-t.probes[i].sent <= ProbeTimeout; i-- {
		if t.probes[i].heard == 0 {
			return true
		}
	}
	return false
}

// count fills in the figures from the probes.
func (r *Report) count() {
	r.ByHost = map[string]int{}
	var gap *Gap
	var heard time.Time // the latest answer so far
	for i, p := range r.probes {
		r.Sent++
		r.Duplicates += p.again
		switch p.fate {
		case pending:
			r.Pending++
		case answered:
			r.Answered++
			r.ByHost[p.Host]++
			if !heard.IsZero() {
				r.LongestSilence = max(r.LongestSilence, p.Answered.Sub(heard))
			}
			if p.Answered.After(heard) {
				heard = p.Answered
			}
		case late:
			r.Late++
			r.Lost++
		case lost:
			r.Lost++
		}
		due := p.Sent
		if i > 0 {
			due = earlier(due, r.probes[i-1].Sent.Add(r.period))
		}
		gap = r.extend(gap, p, due)
	}
	if gap != nil {
		r.Gaps = append(r.Gaps, *gap)
	}
	for _, g := range r.Gaps {
		r.LongestGap = max(r.LongestGap, g.Duration())
	}
}

// extend grows the open gap by a lost probe, or closes it.
func (r *Report) extend(gap *Gap, p result, due time.Time) *Gap {
	if p.fate == lost || p.fate == late {
		if gap == nil {
			gap = &Gap{From: due}
		}
		gap.Lost++
		gap.To = p.Sent.Add(r.period)
		return gap
	}
	if gap != nil {
		gap.To = p.Sent
		r.Gaps = append(r.Gaps, *gap)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
