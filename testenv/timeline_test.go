package testenv

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The figures of a report, worked out by hand from a timeline of one probe
// every 10 ms.
func TestTimelineReport(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	var tl timeline
	for i := range 8 {
		tl.add(time.Duration(i) * 10 * ms)
	}
	hear := func(seq uint64, at time.Duration, host string, want bool) {
		t.Helper()
		if _, ok := tl.answered(seq, at, []byte(host)); ok != want {
			t.Errorf("answer to %d at %v: %t, want %t", seq, at, ok, want)
		}
	}
	hear(0, 1*ms, "lb1", true)
	hear(1, 12*ms, "lb1", true)
	hear(1, 13*ms, "lb2", false)   // a second answer
	hear(9, 14*ms, "lb1", false)   // to nothing that was asked
	hear(3, 1031*ms, "lb2", false) // too late
	hear(5, 55*ms, "lb2", true)    // 2, 3, 4 are lost
	hear(6, 61*ms, "lb2", true)    // 7 is lost, or pending
	start := time.Unix(1000, 0)
	at := func(d time.Duration) time.Time { return start.Add(d) }

	type figures struct {
		Sent, Answered, Lost, Pending, Late, Duplicates int
		ByHost                                          map[string]int
		Gaps                                            []Gap
		LongestGap, LongestSilence                      time.Duration
	}
	of := func(r *Report) figures {
		return figures{r.Sent, r.Answered, r.Lost, r.Pending, r.Late, r.Duplicates, r.ByHost, r.Gaps, r.LongestGap, r.LongestSilence}
	}
	whole := tl.report(start, 10*ms, 1045*ms, false)
	for name, tt := range map[string]struct {
		report *Report
		want   figures
	}{
		"while 7 may still be answered": {whole, figures{
			Sent: 8, Answered: 4, Lost: 3, Pending: 1, Late: 1, Duplicates: 1,
			ByHost:     map[string]int{"lb1": 2, "lb2": 2},
			Gaps:       []Gap{{From: at(20 * ms), To: at(50 * ms), Lost: 3}},
			LongestGap: 30 * ms, LongestSilence: 43 * ms,
		}},
		"at the end": {tl.report(start, 10*ms, 1045*ms, true), figures{
			Sent: 8, Answered: 4, Lost: 4, Late: 1, Duplicates: 1,
			ByHost:     map[string]int{"lb1": 2, "lb2": 2},
			Gaps:       []Gap{{From: at(20 * ms), To: at(50 * ms), Lost: 3}, {From: at(70 * ms), To: at(80 * ms), Lost: 1}},
			LongestGap: 30 * ms, LongestSilence: 43 * ms,
		}},
		"from the middle of the gap": {whole.Since(at(25 * ms)), figures{
			Sent: 5, Answered: 2, Lost: 2, Pending: 1, Late: 1,
			ByHost:     map[string]int{"lb2": 2},
			Gaps:       []Gap{{From: at(30 * ms), To: at(50 * ms), Lost: 2}},
			LongestGap: 20 * ms, LongestSilence: 6 * ms,
		}},
		"before the gap": {whole.Between(at(0), at(20*ms)), figures{
			Sent: 2, Answered: 2, Duplicates: 1, ByHost: map[string]int{"lb1": 2}, LongestSilence: 11 * ms,
		}},
		"nothing": {whole.Between(at(80*ms), at(10*ms)), figures{ByHost: map[string]int{}}},
	} {
		if diff := cmp.Diff(tt.want, of(tt.report)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	slow := timeline{}
	for i, sent := range []time.Duration{0, 10 * ms, 40 * ms, 50 * ms} { // two left out before the third
		if slow.add(sent); i != 2 {
			slow.answered(uint64(i), sent+ms, []byte("lb1"))
		}
	}
	if r := slow.report(start, 10*ms, 60*ms, true); r.LongestGap != 30*ms || r.Lost != 1 {
		t.Errorf("a gap that began while the prober was late: %v", r)
	}
	wantTurns := []Turn{{"lb1", at(0), at(10 * ms), 2}, {"lb2", at(50 * ms), at(60 * ms), 2}}
	if diff := cmp.Diff(wantTurns, whole.Turns()); diff != "" {
		t.Errorf("turns (-want +got):\n%s", diff)
	}
	if p, _ := whole.FirstAnswerFrom("lb2", start); p.Seq != 5 {
		t.Errorf("first answer of lb2: %+v", p)
	}
	if _, ok := whole.FirstAnswerFrom("lb3", start); ok {
		t.Error("an answer of a host that is not there")
	}
}
